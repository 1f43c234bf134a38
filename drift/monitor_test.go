package drift_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
	"github.com/google/go-cmp/cmp"
)

// at returns a time in the i-th window of 5 minutes.
func at(i int) time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(i) * 5 * time.Minute) }

// checkReport gives extreme values to a monitor, whose report JSON must be able to have.
func checkReport(t *testing.T, p *drift.Profile) {
	t.Helper()
	m := newMonitor(t, p)
	var features []string
	for _, c := range p.Features {
		features = append(features, c.Name)
	}
	extreme := []float64{0, 1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64}
	for _, v := range extreme {
		e := event(nil, v, at(0))
		e.Features = features
		for range features {
			e.Row.Values = append(e.Row.Values, v)
		}
		m.LogModel(t.Context(), e)
	}
	report := m.Report(at(1))
	if _, err := json.Marshal(report); err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Routes[0].Columns {
		if n := c.Windows[0].Rows; n != uint64(len(extreme)) {
			t.Fatalf("%s: %d rows, want %d", c.Name, n, len(extreme))
		}
	}
	var b bytes.Buffer
	if err := m.Snapshot().Write(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := m.ReadSnapshot(&b); err != nil {
		t.Fatal(err)
	}
}

// A tally counts rows by route, window, column and bin; bin -1 is of NaN.
type tally map[string]uint64

func (c tally) add(route string, window time.Time, column drift.Column, v float64) {
	bin := -1
	if !math.IsNaN(v) {
		bin = 0
		for b := range column.Counts {
			if b > 0 && v >= column.Edges[b] {
				bin = b
			}
		}
	}
	c[fmt.Sprint(route, window.Unix(), column.Name, bin)]++
}

func tallyOf(report *drift.Report) tally {
	c := tally{}
	for _, r := range report.Routes {
		for _, column := range r.Columns {
			for _, w := range column.Windows {
				rows := uint64(0)
				for b, n := range w.Counts {
					rows += n
					if n > 0 {
						c[fmt.Sprint(r.Route, w.Start.Unix(), column.Name, b)] = n
					}
				}
				if w.Rows > rows {
					c[fmt.Sprint(r.Route, w.Start.Unix(), column.Name, -1)] = w.Rows - rows
				}
			}
		}
	}
	return c
}

// TestMonitor_counts compares with plain counting what several goroutines log: rows with
// and without values, of several routes and windows, of shadows and failures, and with
// the features in another order.
func TestMonitor_counts(t *testing.T) {
	p := newProfile(t, newRows(1, 500))
	m := newMonitor(t, p)
	want := tally{}
	r := rand.New(rand.NewPCG(1, 2))
	reversed := []string{"extra", "regulars_count", "prior_regulars_count", "prior_item_count", "prior_basket_value"}
	var events []basket.ModelEvent
	for range 4000 {
		window := r.IntN(12)
		e := event(newRow(r), r.Float64()*200-20, at(window).Add(time.Duration(r.IntN(300))*time.Second))
		e.Route = fmt.Sprint("route", r.IntN(3))
		for j := range e.Row.Values {
			switch r.IntN(20) {
			case 0:
				e.Row.Values[j] = math.NaN()
			case 1:
				e.Row.Values[j] = p.Features[j].Edges[r.IntN(len(p.Features[j].Edges))]
			}
		}
		switch r.IntN(10) {
		case 0:
			e.Shadow = true
		case 1:
			e.Err = basket.ErrPrediction
		}
		if !e.Shadow {
			for j, v := range e.Row.Values {
				want.add(e.Route, at(window), p.Features[j], v)
			}
		}
		if e.Err == nil {
			want.add(e.Route, at(window), p.Prediction, e.Value)
		}
		if r.IntN(2) == 0 {
			v := e.Row.Values
			e.Features, e.Row.Values = reversed, []float64{1, v[3], v[2], v[1], v[0]}
		}
		events = append(events, e)
	}
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := g; i < len(events); i += 4 {
				m.LogModel(t.Context(), events[i])
			}
		})
	}
	group.Wait()
	if diff := cmp.Diff(want, tallyOf(m.Report(at(12)))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestMonitor_notCounted(t *testing.T) {
	m := newMonitor(t, newProfile(t, newRows(1, 500)))
	row := newRows(2, 1)[0]
	noRow := event(nil, 0, at(0))
	noRow.Err = basket.ErrUserNotFound
	failedShadow := event(row, 0, at(0))
	failedShadow.Shadow, failedShadow.Err = true, basket.ErrPrediction
	for _, e := range []basket.ModelEvent{noRow, failedShadow} {
		m.LogModel(t.Context(), e)
	}
	if got := m.Report(at(1)).Routes; len(got) > 0 {
		t.Errorf("routes %v, want none", got)
	}

	m.LogModel(t.Context(), event(row, 1, at(12)))
	m.LogModel(t.Context(), event(row, 1, at(1))) // the oldest that is kept
	m.LogModel(t.Context(), event(row, 1, at(0)))
	report := m.Report(at(13))
	if report.Late != 1 || len(report.Routes[0].Columns[0].Windows) != 2 {
		t.Errorf("%d late, windows %v: want 1, and 2 windows", report.Late, report.Routes[0].Columns[0].Windows)
	}
}

// TestMonitor_routes counts 16 routes by name and all others together.
func TestMonitor_routes(t *testing.T) {
	m := newMonitor(t, newProfile(t, newRows(1, 500)))
	row := newRows(2, 1)[0]
	for range 2 {
		for i := range 100 {
			e := event(row, 1, at(0))
			e.Route = fmt.Sprintf("r%02d", i)
			m.LogModel(t.Context(), e)
		}
	}
	rows := map[string]uint64{}
	for _, r := range m.Report(at(1)).Routes {
		rows[r.Route] = r.Columns[0].Windows[0].Rows
	}
	if len(rows) != 17 || rows["r00"] != 2 || rows["r15"] != 2 || rows["other"] != 168 {
		t.Errorf("rows %v, want 2 of r00 to r15 each, and 168 of other", rows)
	}
}

func TestNewMonitor_faults(t *testing.T) {
	_, err := drift.NewMonitor(newProfile(t, newRows(1, 10)), drift.WithWindow(1500*time.Millisecond), drift.WithWindows(2),
		drift.WithThreshold(math.NaN()), drift.WithMinRows(0))
	if !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("%v, want ErrInvalidConfig", err)
	}
	want := []string{
		"drift: invalid configuration: WithWindow(1.5s): want 1s to 168h, in whole seconds",
		"drift: invalid configuration: WithWindows(2): want 3 to 1000",
		"drift: invalid configuration: WithThreshold(NaN): want above 0, at most 10",
		"drift: invalid configuration: WithMinRows(0): want 100 to 1e9",
	}
	if diff := cmp.Diff(want, strings.Split(fmt.Sprint(err), "\n")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestMonitor_LogModel_allocations(t *testing.T) {
	m := newMonitor(t, newProfile(t, newRows(1, 500)))
	e := event(newRows(2, 1)[0], 3, at(0))
	if n := testing.AllocsPerRun(1000, func() { m.LogModel(t.Context(), e) }); n >= 1 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestMonitor_Reload reloads two profiles and damaged ones 1,000 times while users are
// predicted.
func TestMonitor_Reload(t *testing.T) {
	model, dir := loadModel(t), t.TempDir()
	rows := newRows(1, 200)
	profiles := []*drift.Profile{newProfile(t, rows[:100]), newProfile(t, rows)}
	path := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	for i, p := range profiles {
		var b bytes.Buffer
		if err := errors.Join(p.Write(&b), os.WriteFile(path(i), b.Bytes(), 0o600), os.WriteFile(path(i+2), b.Bytes()[:b.Len()/2], 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	m := newMonitor(t, profiles[0])
	store, err := basket.NewMemoryStore(func(yield func(basket.Row, error) bool) {
		for i := range rows {
			if !yield(basket.Row{UserID: fmt.Sprint(i), Number: 1, Values: rows[i]}, nil) {
				return
			}
		}
	}, basket.FeatureNames()...)
	if err != nil {
		t.Fatal(err)
	}
	predictor, err := basket.New(basket.WithStore(store), basket.WithModel(model), basket.WithModelLogger(m))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if _, err := predictor.Predict(t.Context(), fmt.Sprint(i%len(rows))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 1000 {
		err := m.Reload(path(i%4), model)
		if damaged := i%4 >= 2; damaged != (err != nil) {
			t.Fatalf("reload %d: %v", i, err)
		}
		if want := profiles[min(i%4, 1)].Digest(); m.Profile().Digest() != want {
			t.Fatalf("reload %d: another profile is in use", i)
		}
	}
	close(done)
	group.Wait()
	if err := m.Reload(path(0), otherModel(t)); !errors.Is(err, basket.ErrInvalidConfig) || m.Profile().Digest() != profiles[1].Digest() {
		t.Errorf("a profile of another model: %v", err)
	}
}

// TestMonitor_SetProfile keeps the counts if the profile is the same.
func TestMonitor_SetProfile(t *testing.T) {
	m := newMonitor(t, newProfile(t, newRows(1, 500)))
	m.LogModel(t.Context(), event(newRows(2, 1)[0], 3, at(0)))
	m.SetProfile(newProfile(t, newRows(1, 500)))
	if n := len(m.Report(at(1)).Routes); n != 1 {
		t.Errorf("%d routes after the same profile, want 1", n)
	}
	m.SetProfile(newProfile(t, newRows(1, 501)))
	if n := len(m.Report(at(1)).Routes); n != 0 {
		t.Errorf("%d routes after another profile, want 0", n)
	}
}

// TestMonitor_ConcurrentSafe counts every event of windows and routes that begin while
// others report and set the profile in use again.
func TestMonitor_ConcurrentSafe(t *testing.T) {
	const goroutines, events = 4, 300
	p := newProfile(t, newRows(1, 100))
	m := newMonitor(t, p)
	row := newRows(2, 1)[0]
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := range events {
				e := event(row, 1, at(i*12/events))
				e.Route = fmt.Sprint(i % 20)
				m.LogModel(t.Context(), e)
				if i%100 == g {
					_ = m.Report(at(12))
					m.SetProfile(p)
				}
			}
		})
	}
	group.Wait()
	rows := uint64(0)
	for _, r := range m.Report(at(12)).Routes {
		for _, w := range r.Columns[0].Windows {
			rows += w.Rows
		}
	}
	if rows != goroutines*events {
		t.Errorf("%d rows, want %d", rows, goroutines*events)
	}
}

// TestMonitor_window_ConcurrentSafe counts events that begin a window together.
func TestMonitor_window_ConcurrentSafe(t *testing.T) {
	const windows, goroutines = 300, 4
	m := newMonitor(t, newProfile(t, newRows(1, 100)), drift.WithWindows(windows))
	row := newRows(2, 1)[0]
	for window := range windows {
		var ready, group sync.WaitGroup
		ready.Add(goroutines)
		for range goroutines {
			group.Go(func() {
				ready.Done()
				ready.Wait()
				m.LogModel(t.Context(), event(row, 1, at(window)))
			})
		}
		group.Wait()
	}
	for _, w := range m.Report(at(windows)).Routes[0].Columns[0].Windows {
		if w.Rows != goroutines {
			t.Errorf("window of %v: %d rows, want %d", w.Start, w.Rows, goroutines)
		}
	}
}
