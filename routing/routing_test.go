package routing_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/repository"
	"github.com/basket-go/basket/routing"
	"github.com/google/go-cmp/cmp"
)

var _ routing.Models = (*repository.Repository)(nil)

// cases are models that predict differently, by version.
var cases = []string{"constant", "regression", "rf-poisson", "sqrt"}

// model reads the model of a case under an ID.
func model(t testing.TB, id, name string) *basket.FileModel {
	t.Helper()
	m, err := basket.LoadModel("../testdata/models/lightgbm-"+name+"/model.txt", basket.WithModelID(id))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fakeModels has models by NAME@VERSION. Those in later need Hold and two scans.
type fakeModels struct {
	mu      sync.Mutex
	loaded  map[string]*basket.FileModel
	later   map[string]*basket.FileModel
	held    []string
	scans   map[string]int // of what is held, by ref
	newest  map[string]string
	scanErr error
}

func newModels(t testing.TB, ids ...string) *fakeModels {
	m := &fakeModels{loaded: map[string]*basket.FileModel{}, later: map[string]*basket.FileModel{}, scans: map[string]int{}, newest: map[string]string{}}
	for i, id := range ids {
		m.loaded[id] = model(t, id, cases[i%len(cases)])
		name, _, _ := strings.Cut(id, "@")
		m.newest[name] = id
	}
	return m
}

// add adds a model that is the newest of its name.
func (m *fakeModels) add(id string, model *basket.FileModel) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, _, _ := strings.Cut(id, "@")
	m.loaded[id], m.newest[name] = model, id
}

func (m *fakeModels) Model(ref string) (*basket.FileModel, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id, ok := m.newest[ref]; ok {
		ref = id
	}
	if found := m.loaded[ref]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("%w: /secret/%s is not there", basket.ErrInvalidConfig, ref)
}

func (m *fakeModels) Hold(refs ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = slices.Sorted(slices.Values(refs))
}

func (m *fakeModels) Scan(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range m.held {
		if m.scans[ref]++; m.scans[ref] >= 2 && m.later[ref] != nil {
			m.loaded[ref] = m.later[ref]
		}
	}
	return true, m.scanErr
}

// holds returns what is held.
func (m *fakeModels) holds() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

// newFile writes a file and returns its path.
func newFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "routes.json")
	write(t, path, text)
	return path
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string, models routing.Models, opts ...routing.Option) *routing.File {
	t.Helper()
	f, err := routing.Open(t.Context(), path, models, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// newPredictor returns a Predictor of the routes of f, over user-0 to user-9.
func newPredictor(t testing.TB, f *routing.File) *basket.Predictor {
	t.Helper()
	var rows []basket.Row
	for i := range 10 {
		rows = append(rows, basket.Row{UserID: fmt.Sprintf("user-%d", i), Number: 1, Values: []float64{40, float64(i), 2, 3}})
	}
	store, err := basket.NewMemoryStore(basket.Values(rows))
	if err != nil {
		t.Fatal(err)
	}
	p, err := basket.New(basket.WithStore(store), basket.WithModelLogger(f.Shadows()), f.Option())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantModel checks which model answers.
func wantModel(t testing.TB, p *basket.Predictor, when, id string) {
	t.Helper()
	if got, err := p.Predict(t.Context(), "user-1"); err != nil || got.ModelID != id {
		t.Errorf("%s: model %q, %v, want %q", when, got.ModelID, err, id)
	}
}

// events is a ServiceLogger that keeps the events outside requests.
type events struct {
	mu   sync.Mutex
	list []string
}

func (l *events) LogService(_ context.Context, e basket.ServiceEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Method == "" {
		l.list = append(l.list, e.Message)
	}
}

// take returns the events since the last call.
func (l *events) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// one is a table of one route.
func one(model string) string {
	return fmt.Sprintf(`{"experiment": "x", "routes": [{"name": "main", "model": %q, "weight": 1}]}`, model)
}

func TestOpen_refuses(t *testing.T) {
	models := newModels(t, "price@1")
	for _, test := range []struct {
		name   string
		path   string
		models routing.Models
		opts   []routing.Option
		want   []string
	}{
		{"no file", filepath.Join(t.TempDir(), "none"), models, nil, []string{"no such file"}},
		{"a folder", t.TempDir(), models, nil, []string{"not a regular file"}},
		{"no table", newFile(t, "{}"), models, nil, []string{"routes.json: routing: invalid configuration: experiment: missing", "routes: missing"}},
		{"an unknown version", newFile(t, one("price@2")), models, nil, []string{`routes[0].model: no model "price@2" is loaded`}},
		{"a decoder that panics", newFile(t, "{}"), models, []routing.Option{routing.WithDecoder(func([]byte) ([]byte, error) { panic("yaml") })}, []string{"decoder: panic: yaml"}},
		{"options", newFile(t, one("price@1")), nil, []routing.Option{
			routing.WithDecoder(nil), routing.WithServiceLogger(nil), routing.WithClient(nil), routing.WithThreshold(-1), routing.WithThreshold(math.NaN()),
		}, []string{"WithDecoder(nil)", "WithServiceLogger(nil)", "WithClient(nil)", "WithThreshold(-1)", "WithThreshold(NaN)", "no models"}},
	} {
		_, err := routing.Open(t.Context(), test.path, test.models, test.opts...)
		for _, want := range test.want {
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%s: error %q, want %q in it", test.name, err, want)
			}
		}
	}
}

// TestOpen_holds: a version that is not loaded is held, and two scans load it.
func TestOpen_holds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		models := newModels(t, "price@3")
		models.later["price@1"] = model(t, "price@1", "constant")
		f := open(t, newFile(t, `{"experiment": "x", "routes": [{"name": "a", "model": "price@1", "weight": 1}, {"name": "b", "model": "price", "shadow": true}]}`), models)
		wantModel(t, newPredictor(t, f), "Open", "price@1")
		if diff := cmp.Diff([]string{"price@1"}, models.holds()); diff != "" {
			t.Errorf("held (-want +got):\n%s", diff)
		}
	})
}

// TestOpen_canceled: Open does not outlive its context while it waits.
func TestOpen_canceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := routing.Open(ctx, newFile(t, one("price@1")), newModels(t, "price@1")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// watch runs Watch every second in the bubble of a test.
func watch(t *testing.T, f *routing.File, p *basket.Predictor) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Watch(ctx, p, time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
	})
}

// TestFile_Watch: what changes in the file is applied when it has settled; what
// cannot be used is told once, and leaves the routes.
func TestFile_Watch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		models, log := newModels(t, "price@1", "price@2"), &events{}
		path := newFile(t, one("price@1"))
		f := open(t, path, models, routing.WithServiceLogger(log))
		p := newPredictor(t, f)
		watch(t, f, p)
		after := func(seconds int) {
			time.Sleep(time.Duration(seconds)*time.Second + time.Millisecond)
			synctest.Wait()
		}
		wantEvents := func(when string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, log.take()); diff != "" {
				t.Errorf("events %s (-want +got):\n%s", when, diff)
			}
		}
		write(t, path, one("price@2"))
		after(1)
		wantModel(t, p, "not settled", "price@1")
		after(1)
		wantModel(t, p, "settled", "price@2")
		wantEvents("of a change", `Routes are now "x": "main" is price@2, weight 1`)

		write(t, path, `{"experiment": "x"`)
		after(5)
		wantModel(t, p, "half a file", "price@2")
		wantEvents("of half a file", "Failed to apply routes")
		if err := f.Err(); !errors.Is(err, basket.ErrInvalidConfig) {
			t.Errorf("Err of half a file: %v", err)
		}

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		after(5)
		wantEvents("of no file", "Failed to read routes")
		if err := f.Err(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Err of no file: %v", err)
		}

		write(t, path, one("price@3"))
		after(5)
		wantModel(t, p, "a model that is not there", "price@2")
		wantEvents("of a model that is not there", "Failed to apply routes")
		if diff := cmp.Diff([]string{"price@2", "price@3"}, models.holds()); diff != "" {
			t.Errorf("held while a model is not there (-want +got):\n%s", diff)
		}
		models.add("price@3", model(t, "price@3", "sqrt"))
		after(1)
		wantModel(t, p, "the model has come", "price@3")
		wantEvents("of the model that has come", `Routes are now "x": "main" is price@3, weight 1`)
		if err := f.Err(); err != nil {
			t.Errorf("Err at last: %v", err)
		}
		if diff := cmp.Diff([]string{"price@3"}, models.holds()); diff != "" {
			t.Errorf("held at last (-want +got):\n%s", diff)
		}
	})
}

func TestFile_Watch_interval(t *testing.T) {
	f := open(t, newFile(t, one("price@1")), newModels(t, "price@1"))
	if err := f.Watch(t.Context(), newPredictor(t, f), 0); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("error %v, want ErrInvalidConfig", err)
	}
}

// TestFile_Refresh: a route without a version follows the newest, but not one that
// does not fit the store.
func TestFile_Refresh(t *testing.T) {
	models, log := newModels(t, "price@1"), &events{}
	f := open(t, newFile(t, one("price")), models, routing.WithServiceLogger(log))
	p := newPredictor(t, f)
	models.add("price@2", model(t, "price@2", "sqrt"))
	if err := f.Refresh(p); err != nil {
		t.Fatal(err)
	}
	wantModel(t, p, "newer", "price@2")
	models.add("price@3", model(t, "price@3", "multiclass"))
	for range 2 {
		if err := f.Refresh(p); !errors.Is(err, basket.ErrFeatureMismatch) || !errors.Is(f.Err(), basket.ErrFeatureMismatch) {
			t.Errorf("Refresh: %v, Err: %v, want ErrFeatureMismatch", err, f.Err())
		}
	}
	wantModel(t, p, "newest does not fit", "price@2")
	models.add("price@4", model(t, "price@4", "regression"))
	if err := f.Refresh(p); err != nil || f.Err() != nil {
		t.Errorf("Refresh: %v, Err: %v", err, f.Err())
	}
	want := []string{`Routes are now "x": "main" is price@2, weight 1`, "Failed to apply newer models", `Routes are now "x": "main" is price@4, weight 1`}
	if diff := cmp.Diff(want, log.take()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestFile_decoder: a file in another format is read by the decoder, and JSON is
// written.
func TestFile_decoder(t *testing.T) {
	decode := func(text []byte) ([]byte, error) {
		if bytes.HasPrefix(text, []byte("{")) {
			return text, nil
		}
		name, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "main: ")
		if !ok {
			return nil, errors.New("line 1: want main")
		}
		return []byte(one(name)), nil
	}
	path := newFile(t, "main: price@1\n")
	f := open(t, path, newModels(t, "price@1", "price@2"), routing.WithDecoder(decode))
	p := newPredictor(t, f)
	same := put(t, f, p, "*", one("price@1"))
	if text, err := os.ReadFile(path); err != nil || string(text) != "main: price@1\n" {
		t.Errorf("after PUT of the same table the file is %q, %v, want it as it was", text, err)
	}
	put(t, f, p, same.Header().Get("ETag"), one("price@2"))
	if text, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(text), "{\n  \"experiment\"") {
		t.Errorf("after PUT the file is %q, %v, want JSON", text, err)
	}
	wantModel(t, p, "PUT", "price@2")
}

// TestFile_changesWhilePredicting: while the table changes, each answer is that of its
// model, and all answers of a batch are from one table.
func TestFile_changesWhilePredicting(t *testing.T) {
	const changes, versions = 200, 3
	models := newModels(t, "price@0", "price@1", "price@2")
	next := map[string]string{"price@0": "price@1", "price@1": "price@2", "price@2": "price@0"}
	table := func(i int) string {
		a := fmt.Sprintf("price@%d", i%versions)
		return fmt.Sprintf(`{"experiment": "x", "routes": [{"name": "a", "model": %q, "weight": %d}, {"name": "b", "model": %q, "weight": 1}, {"name": "s", "model": "price", "shadow": true}]}`, a, 1+i%2, next[a])
	}
	f := open(t, newFile(t, table(0)), models)
	p := newPredictor(t, f)
	check := func(r basket.Result) {
		dst := make([]float64, 1)
		if err := models.loaded[r.ModelID].Predict(t.Context(), dst, r.Row.Values); err != nil || r.Err != nil || r.Value != dst[0] {
			t.Errorf("%v of %q, %v, %v, want %v", r.Value, r.ModelID, r.Err, err, dst[0])
		}
	}
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
				ids := map[string]string{}
				for _, r := range p.PredictBatch(t.Context(), []string{"user-0", "user-1", "user-2", "user-3", "user-4", "user-5"}) {
					check(r)
					ids[r.Route] = r.ModelID
				}
				if len(ids) == 2 && ids["b"] != next[ids["a"]] {
					t.Errorf("a batch of two tables: %v", ids)
				}
				one, err := p.Predict(t.Context(), "user-1")
				check(basket.Result{Prediction: one, Err: err})
				f.Shadows().Shadows()
			}
		})
	}
	for i := range changes {
		put(t, f, p, "*", table(i))
	}
	close(stop)
	group.Wait()
}
