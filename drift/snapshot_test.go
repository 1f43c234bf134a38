package drift_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestSnapshot_Merge compares the sum of three replicas with one service that got all.
func TestSnapshot_Merge(t *testing.T) {
	p := newProfile(t, newRows(1, 500))
	whole := newMonitor(t, p)
	replicas := []*drift.Monitor{newMonitor(t, p), newMonitor(t, p), newMonitor(t, p)}
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		i := r.IntN(3)
		e := event(newRow(r), r.Float64()*100, at(r.IntN(2)+i))
		e.Route = fmt.Sprint("route", r.IntN(2)+i)
		if r.IntN(10) == 0 {
			e.Row.Values[0] = []float64{math.NaN(), 1e6, -1e6}[r.IntN(3)]
			e.Model = "another"
		}
		whole.LogModel(t.Context(), e)
		replicas[i].LogModel(t.Context(), e)
	}
	for i := range 3 { // too late
		e := event(newRow(r), 1, at(i-96)) // in the place of at(i)
		e.Route = fmt.Sprint("route", i)
		whole.LogModel(t.Context(), e)
		replicas[i].LogModel(t.Context(), e)
	}
	sum := replicas[2].Snapshot()
	for _, replica := range replicas[:2] {
		var text bytes.Buffer
		if err := replica.Snapshot().Write(&text); err != nil {
			t.Fatal(err)
		}
		s, err := whole.ReadSnapshot(&text)
		if err != nil {
			t.Fatal(err)
		}
		if err := sum.Merge(s); err != nil {
			t.Fatal(err)
		}
	}
	// Sums of numbers in another order differ in the last digits.
	if diff := cmp.Diff(whole.Report(at(4)), sum.Report(at(4)), cmpopts.EquateApprox(1e-9, 1e-9)); diff != "" {
		t.Errorf("-one service +replicas\n%s", diff)
	}
	if before, after := replicas[0].Report(at(4)), replicas[0].Report(at(4)); !cmp.Equal(before, after) {
		t.Error("adding a snapshot has changed the monitor")
	}
}

func TestSnapshot_Merge_faults(t *testing.T) {
	a := newMonitor(t, newProfile(t, newRows(1, 500))).Snapshot()
	b := newMonitor(t, newProfile(t, newRows(2, 500)), drift.WithWindow(time.Minute)).Snapshot()
	err := a.Merge(b)
	if !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), "two profiles") || !strings.Contains(err.Error(), "300 s and 60 s") {
		t.Errorf("%v, want both faults", err)
	}
}

func snapshotText(t testing.TB, m *drift.Monitor) string {
	t.Helper()
	for i, row := range newRows(3, 100) {
		m.LogModel(t.Context(), event(row, 1e6, at(i%3)))
	}
	var b strings.Builder
	if err := m.Snapshot().Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMonitor_ReadSnapshot_faults(t *testing.T) {
	p := newProfile(t, newRows(1, 500))
	m := newMonitor(t, p)
	text := snapshotText(t, m)
	number := fmt.Sprintf(`"number":%d`, at(0).Unix()/300)
	tests := []struct {
		name     string
		old, new string
		want     []string
	}{
		{"empty", text, "", []string{"line 1"}},
		{"another profile", `"profile":"sha256:`, `"profile":"sha256:0`, []string{"of the profile"}},
		{"another width", `"window_seconds":300`, `"window_seconds":60`, []string{"window_seconds: 60: want 300"}},
		{"a negative count", `"bins":[`, `"bins":[-1,`, []string{"line 1"}},
		{"a bin more", `"bins":[`, `"bins":[1,`, []string{"windows[0].columns[0].bins"}},
		{"a huge count", `"nulls":0`, `"nulls":9999999999999999`, []string{"columns[0]: 9999999999999999 rows"}},
		{"a window", number, `"number":-1`, []string{"windows[0].number: -1"}},
		{"a late window", number, `"number":99999999999999`, []string{"before the year 10000"}},
		{"columns", `"columns":[`, `"columns":[{},`, []string{"columns: 6 of them: want 5"}},
		{"rows above", `"above":0`, `"above":77777`, []string{"more rows below or above"}},
		{"a sum", `"below_sum":0`, `"below_sum":-1`, []string{"a sum below 0"}},
		{"a route and a width", `"route":"main"`, `"route":""`, []string{"routes[0].route"}},
		{"an unknown field", `"late"`, `"early"`, []string{"early"}},
	}
	for _, test := range tests {
		damaged := strings.Replace(text, test.old, test.new, 1)
		if damaged == text {
			t.Fatalf("%s: %q is not in the snapshot", test.name, test.old)
		}
		_, err := m.ReadSnapshot(strings.NewReader(damaged))
		if !errors.Is(err, basket.ErrData) {
			t.Errorf("%s: %v, want ErrData", test.name, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", test.name, err, want)
			}
		}
	}
}

// FuzzReadSnapshot checks that what is read can be added and reported.
func FuzzReadSnapshot(f *testing.F) {
	m := newMonitor(f, newProfile(f, newRows(1, 500)))
	f.Add(snapshotText(f, m))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := m.ReadSnapshot(strings.NewReader(text))
		if err != nil {
			return
		}
		sum := m.Snapshot()
		for range 2 {
			if err := sum.Merge(s); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := json.Marshal(sum.Report(at(3))); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMonitor_ServeHTTP(t *testing.T) {
	m := newMonitor(t, newProfile(t, newRows(1, 500)))
	text := snapshotText(t, m)
	request := func(method, target string) (int, string) {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		body, _ := io.ReadAll(w.Result().Body)
		if got := w.Header().Get("Content-Type"); got != "application/json" {
			t.Errorf("%s %s: Content-Type %q", method, target, got)
		}
		return w.Code, string(body)
	}
	code, body := request("GET", "/drift")
	var report drift.Report
	if err := json.Unmarshal([]byte(body), &report); err != nil || code != http.StatusOK {
		t.Fatalf("status %d: %v", code, err)
	}
	if report.Verdict != drift.TooFewRows || len(report.Routes) != 1 || len(report.Routes[0].Columns) != 5 || report.Routes[0].Columns[0].Windows[0].Rows != 34 {
		t.Errorf("report %s", body)
	}
	for _, test := range []struct {
		method, target string
		code           int
		body           string
	}{
		{"GET", "/drift?form=snapshot", 200, text},
		{"GET", "/drift?form=x", 400, `{"detail":"form: want snapshot or nothing"}` + "\n"},
		{"POST", "/drift", 405, `{"detail":"method not allowed: want GET"}` + "\n"},
	} {
		if code, body := request(test.method, test.target); code != test.code || body != test.body {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.target, code, body, test.code, test.body)
		}
	}
}
