package repository_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/repository"
)

// TestRepository_Scan_halfCopied copies a version in 50 pieces with a scan after
// each, 100 times: the old version is served all the time, and the new one two
// scans after the end. LightGBM's text can be read from some length on, so this
// does not rest on the reader.
func TestRepository_Scan_halfCopied(t *testing.T) {
	dir := t.TempDir()
	contents := [][]byte{modelData(t, "regression"), modelData(t, "poisson"), modelData(t, "sqrt")}
	write(t, contents[0], dir, "price", "1", "model.txt")
	log := &serviceLog{}
	r := open(t, dir, repository.WithServiceLogger(log))
	log.take()
	for round := range 100 {
		before, err := r.Model("price")
		if err != nil {
			t.Fatal(err)
		}
		version := round + 2
		if round%2 == 1 { // a version that is loaded is copied over
			version = round + 1
		}
		data := contents[(round+1)%len(contents)]
		path := filepath.Join(dir, "price", fmt.Sprint(version), "model.txt")
		write(t, nil, path)
		for piece := range 50 {
			write(t, data[:len(data)*(piece+1)/50], path)
			if scan(t, r, 1) {
				t.Fatalf("round %d: a change after piece %d", round, piece)
			}
			if now, err := r.Model("price"); now != before || err != nil {
				t.Fatalf("round %d: after piece %d: %v, %v", round, piece, now, err)
			}
		}
		if !scan(t, r, 1) { // the first scan of the whole file was that of the last piece
			t.Fatalf("round %d: no change after the end", round)
		}
		wantModel(t, r, "price", fmt.Sprint("price@", version), data)
	}
	if lines := log.take(); len(lines) != 100 {
		t.Errorf("%d lines logged, want 100: %.200q", len(lines), lines)
	}
}

// TestRepository_Watch_slowCopy: pieces that stay for as long as three scans are
// not loaded, and the whole file is within five seconds.
func TestRepository_Watch_slowCopy(t *testing.T) {
	for _, pause := range []time.Duration{300 * time.Millisecond, time.Second, 1700 * time.Millisecond, 2 * time.Second, 3 * time.Second} {
		dir := t.TempDir()
		write(t, modelData(t, "regression"), dir, "price", "1", "model.txt")
		data := modelData(t, "poisson")
		synctest.Test(t, func(t *testing.T) {
			r := open(t, dir)
			before, _ := r.Model("price")
			ctx, cancel := context.WithCancel(t.Context())
			var changes atomic.Int64
			done := make(chan error)
			go func() { done <- r.Watch(ctx, time.Second, func() { changes.Add(1) }) }()
			time.Sleep(500 * time.Millisecond)
			for piece := range 50 {
				write(t, data[:len(data)*(piece+1)/50], dir, "price", "2", "model.txt")
				if piece < 49 {
					time.Sleep(pause)
				}
				if m, _ := r.Model("price"); m != before {
					t.Fatalf("pieces every %v: after piece %d: %v", pause, piece, m)
				}
			}
			time.Sleep(5*time.Second - time.Nanosecond)
			synctest.Wait()
			wantModel(t, r, "price", "price@2", data)
			if n := changes.Load(); n != 1 {
				t.Errorf("pieces every %v: changed was called %d times, want once", pause, n)
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("Watch: %v", err)
			}
		})
	}
}

func TestRepository_Watch_errors(t *testing.T) {
	dir := t.TempDir()
	log := &serviceLog{}
	r := open(t, dir, repository.WithServiceLogger(log))
	if err := r.Watch(t.Context(), 0, nil); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("every 0s: %v", err)
	}
	// The folder goes and comes back; changed may be nil.
	moved := dir + "-moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			time.Sleep(10*time.Second + time.Millisecond)
			write(t, modelData(t, "poisson"), moved, "price", "model.txt")
			if err := os.Rename(moved, dir); err != nil {
				t.Error(err)
			}
		}()
		if err := r.Watch(ctx, time.Second, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Watch: %v", err)
		}
	})
	wantLog(t, log, "the folder was away", "Failed to scan models: repository: open ...no such file", "Model price is now price@1, lightgbm v4")
}

// TestRepository_Scan_retries: a truncated file that looks settled is refused, and
// tried again when its content changes, not when its time does.
func TestRepository_Scan_retries(t *testing.T) {
	dir := t.TempDir()
	write(t, modelData(t, "regression"), dir, "price", "1", "model.txt")
	log := &serviceLog{}
	r := open(t, dir, repository.WithServiceLogger(log))
	log.take()
	data := modelData(t, "poisson")
	path := filepath.Join(dir, "price", "2", "model.txt")
	write(t, data[:4000], path)
	scan(t, r, 3)
	wantLog(t, log, "truncated", `Failed to load model "price@2": ...basket: bad model: lightgbm: `)
	wantSummary(t, r, "truncated", `price: 1 of [1]; "2"`)
	if err := os.Chtimes(path, time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	scan(t, r, 3)
	wantLog(t, log, "another time")
	write(t, data[:4100], path)
	scan(t, r, 4)
	wantLog(t, log, "truncated elsewhere", `Failed to load model "price@2": ...basket: bad model: lightgbm: `)
	write(t, data, path)
	scan(t, r, 3)
	wantSummary(t, r, "whole, but the last content stayed for four scans", `price: 1 of [1]; "2"`)
	scan(t, r, 1)
	wantSummary(t, r, "whole", "price: 2 of [2 1]")
	wantLog(t, log, "whole", "Model price is now price@2, lightgbm v4")

	// A bad content of a version that is loaded: the old goes on.
	write(t, []byte("bad"), path)
	scan(t, r, 2)
	wantSummary(t, r, "overwritten", `price: 2 of [2 1]; "2"`)
	wantModel(t, r, "price", "price@2", data)
	wantLog(t, log, "overwritten", `Failed to load model "price@2": ...starting with "bad"`)
	m, _ := r.Model("price")
	write(t, data, path)
	scan(t, r, 4)
	wantSummary(t, r, "as before", "price: 2 of [2 1]")
	if again, _ := r.Model("price"); again != m {
		t.Error("an equal content was loaded again")
	}
	wantLog(t, log, "as before")
}

// TestRepository_Scan_sameSizeAndTime: a content of the same size and time is found
// if the file is another one, or is young.
func TestRepository_Scan_sameSizeAndTime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "price", "model.txt")
	a, b := modelData(t, "regression"), modelData(t, "poisson")
	for len(a) < len(b) { // white space at the end
		a = append(a, '\n')
	}
	b = append(b, make([]byte, len(a)-len(b))...)
	young := time.Now()
	old := young.Add(-time.Hour)
	at := func(data []byte, path string, when time.Time) {
		write(t, data, path)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	at(a, path, young)
	r := open(t, dir)
	at(b, path, young) // the same file
	scan(t, r, 2)
	wantModel(t, r, "price", "price@1", b)

	at(b, path, old)
	scan(t, r, 2)
	at(a, path+"~", old)
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
	scan(t, r, 2)
	wantModel(t, r, "price", "price@1", a)

	// What is to be loaded is read twice, even if all seems equal.
	at(b, path, old.Add(time.Minute))
	scan(t, r, 1)
	c := append([]byte(nil), b...)
	c[len(c)-1] = ' '
	at(c, path, old.Add(time.Minute))
	if scan(t, r, 1) || !scan(t, r, 1) {
		t.Error("a content that changed between two scans: want it loaded by the next")
	}
	wantModel(t, r, "price", "price@1", c)
}

// TestRepository_Scan_removed: what was loaded is served on, whatever goes away.
func TestRepository_Scan_removed(t *testing.T) {
	dir := t.TempDir()
	names := []string{"regression", "poisson", "sqrt"}
	for i, name := range names {
		write(t, modelData(t, name), dir, "price", fmt.Sprint(i+1), "model.txt")
	}
	write(t, modelData(t, "dart"), dir, "basket", "model.txt")
	log := &serviceLog{}
	r := open(t, dir, repository.WithServiceLogger(log))
	log.take()
	write(t, []byte("bad"), dir, "price", "2", "model.txt")
	scan(t, r, 2)
	wantSummary(t, r, "2 is bad", "basket: 1 of [1]", `price: 3 of [3 2 1]; "2"`)
	log.take()
	remove(t, dir, "price", "2") // and with it the fault
	scan(t, r, 1)
	wantSummary(t, r, "2 is gone", "basket: 1 of [1]", "price: 3 of [3 2 1]")
	write(t, modelData(t, "poisson"), dir, "price", "2", "model.txt")
	remove(t, dir, "price", "3")
	remove(t, dir, "price", "1")
	if scan(t, r, 3) {
		t.Error("a version was removed: want no change")
	}
	wantSummary(t, r, "the newest is gone", "basket: 1 of [1]", `price: 3 of [3 2 1]; "3"`)
	wantLog(t, log, "the newest is gone", `Failed to load model "price": ...version "3" is gone: what was loaded from it is served on`)
	if err := r.State()[1].Faults[0].Err; !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("fault: %v, want fs.ErrNotExist", err)
	}
	remove(t, dir, "basket", "model.txt")
	scan(t, r, 2)
	remove(t, dir, "price")
	remove(t, dir, "basket")
	scan(t, r, 2)
	wantSummary(t, r, "all is gone", `basket: 1 of [1]; "1"`, `price: 3 of [3 2 1]; "3"`)
	wantLog(t, log, "all is gone", `Failed to load model "basket": ...version "1" is gone`)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := r.Scan(t.Context()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the folder is gone: %v", err)
		}
	}
	wantLog(t, log, "the folder is gone", "Failed to scan models: ...no such file")
	wantModel(t, r, "price", "price@3", modelData(t, "sqrt"))

	// The same content is back, and then a newer version.
	write(t, modelData(t, "sqrt"), dir, "price", "3", "model.txt")
	if scan(t, r, 3) {
		t.Error("the same version is back: want no change")
	}
	wantSummary(t, r, "the newest is back", `basket: 1 of [1]; "1"`, "price: 3 of [3 2 1]")
	write(t, modelData(t, "dart"), dir, "price", "4", "model.txt")
	scan(t, r, 2)
	wantSummary(t, r, "a newer one", `basket: 1 of [1]; "1"`, "price: 4 of [4 3 2]")
}

// TestRepository_Scan_configMap switches the link that Kubernetes switches.
func TestRepository_Scan_configMap(t *testing.T) {
	dir, mounted := t.TempDir(), t.TempDir()
	generation := func(name, model string) {
		write(t, modelData(t, model), mounted, name, "model.txt")
		link(t, name, mounted, "..data_tmp")
		if err := os.Rename(filepath.Join(mounted, "..data_tmp"), filepath.Join(mounted, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	generation("..2025_06_23_1", "regression")
	link(t, filepath.Join("..data", "model.txt"), mounted, "model.txt")
	link(t, mounted, dir, "price") // a folder that is a link
	write(t, nil, dir, "basket", "readme.txt")
	link(t, mounted, dir, "basket", "7")
	r := open(t, dir)
	wantSummary(t, r, "opened", "basket: 7 of [7]", "price: 1 of [1]")
	wantModel(t, r, "price", "price@1", modelData(t, "regression"))
	generation("..2025_06_23_2", "poisson")
	remove(t, mounted, "..2025_06_23_1")
	if scan(t, r, 1) || !scan(t, r, 1) {
		t.Error("want a change by the second scan")
	}
	wantModel(t, r, "price", "price@1", modelData(t, "poisson"))
	wantModel(t, r, "basket", "basket@7", modelData(t, "poisson"))
	remove(t, mounted, "..data")
	scan(t, r, 2)
	wantSummary(t, r, "a link to nothing", `basket: 7 of [7]; "7"`, `price: 1 of [1]; "1"`)
	wantModel(t, r, "price", "price@1", modelData(t, "poisson"))
}

// TestRepository_Scan_contextDone: a scan that is cut short leaves the models.
func TestRepository_Scan_contextDone(t *testing.T) {
	dir := t.TempDir()
	write(t, modelData(t, "regression"), dir, "price", "1", "model.txt")
	ctx, cancel := context.WithCancel(t.Context())
	refuse := func(m *basket.FileModel) error {
		if m.Info().ID == "price@2" {
			cancel()
		}
		return ctx.Err()
	}
	log := &serviceLog{}
	r := open(t, dir, repository.WithCheck(refuse), repository.WithServiceLogger(log))
	log.take()
	write(t, modelData(t, "poisson"), dir, "price", "2", "model.txt")
	for range 3 {
		_, _ = r.Scan(ctx)
	}
	if _, err := r.Scan(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Scan: %v", err)
	}
	wantSummary(t, r, "canceled", "price: 1 of [1]")
	wantLog(t, log, "canceled")
}

type panicLogger struct{}

func (panicLogger) LogService(context.Context, basket.ServiceEvent) { panic("logger") }

func TestWithServiceLogger_panics(t *testing.T) {
	dir := t.TempDir()
	write(t, modelData(t, "regression"), dir, "price", "model.txt")
	log := &serviceLog{}
	open(t, dir, repository.WithServiceLogger(panicLogger{}), repository.WithServiceLogger(log))
	wantLog(t, log, "opened", "Model price is now")
}

// TestWithModelOptions: options reach the reader; the ID is the repository's.
func TestWithModelOptions(t *testing.T) {
	dir := t.TempDir()
	write(t, modelData(t, "poisson"), dir, "price", "model.txt")
	m, err := open(t, dir, repository.WithModelOptions(basket.WithMargin(), basket.WithModelID("x"))).Model("price")
	if err != nil || !m.Info().Margin || m.Info().ID != "price@1" {
		t.Errorf("%v, %v: want margins of price@1", m, err)
	}
}

// TestRepository_ConcurrentSafe asks for models and states while scans load, and
// while a model is parsed, which the check stands for.
func TestRepository_ConcurrentSafe(t *testing.T) {
	dir := t.TempDir()
	write(t, modelData(t, "regression"), dir, "price", "1", "model.txt")
	parsing, parsed := make(chan struct{}), make(chan struct{})
	r := open(t, dir, repository.WithCheck(func(m *basket.FileModel) error {
		if m.Info().ID == "price@2" {
			close(parsing)
			<-parsed
		}
		return nil
	}))
	write(t, modelData(t, "poisson"), dir, "price", "2", "model.txt")
	go func() {
		<-parsing
		r.Hold("price@1", "price@2")
		wantSummary(t, r, "while a model is parsed", "price: 1 of [1]")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := r.Scan(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a scan that waits: %v", err)
		}
		close(parsed)
	}()
	scan(t, r, 2)

	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				m, err := r.Model("price")
				if err != nil || m.Predict(context.Background(), make([]float64, 1), make([]float64, 4)) != nil {
					t.Error(m, err)
				}
				for _, s := range r.State() {
					s.Loaded[0], s.Faults = "mine", append(s.Faults, repository.Fault{})
				}
				r.Hold("price@1", "price@2")
			}
		})
		group.Go(func() { // scans by two goroutines
			for range 30 {
				_, _ = r.Scan(context.Background())
			}
		})
	}
	for version := range 20 {
		write(t, modelData(t, "sqrt"), dir, "price", fmt.Sprint(version+3), "model.txt")
		scan(t, r, 1)
	}
	scan(t, r, 4)
	close(stop)
	group.Wait()
	wantSummary(t, r, "at the end", "price: 22 of [22 21 20 2 1]")
}
