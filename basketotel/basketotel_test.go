package basketotel_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketotel"
	"github.com/basket-go/basket/baskettest"
	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

const modelFile = "../testdata/models/lightgbm-regression/model.txt"

func newTelemetry(t testing.TB, opts ...basketotel.Option) *basketotel.Telemetry {
	t.Helper()
	tel, err := basketotel.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func loadModel(t testing.TB, id string) *basket.FileModel {
	t.Helper()
	m, err := basket.LoadModel(modelFile, basket.WithModelID(id))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newStore returns a store with a row of ann, for the features of a model.
func newStore(t testing.TB, m basket.Model) *basket.MemoryStore {
	t.Helper()
	s, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: make([]float64, len(m.Features()))}}), m.Features()...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A putStore is a wrapped store that the suite can write.
type putStore struct {
	basket.BatchStore
	put func(context.Context, []basket.Row) error
}

func (s putStore) Put(ctx context.Context, rows []basket.Row) error { return s.put(ctx, rows) }

func TestTelemetry_storeConforms(t *testing.T) {
	baskettest.TestStore(t, func(t *testing.T) baskettest.Store {
		s, err := basket.NewMemoryStore(basket.Values[basket.Row](nil))
		if err != nil {
			t.Fatal(err)
		}
		tel := newTelemetry(t, basketotel.WithMeters(newMeters()), basketotel.WithTracers(&tracers{}))
		return putStore{tel.Store(s).(basket.BatchStore), s.Put}
	})
}

func TestTelemetry_modelConforms(t *testing.T) {
	for _, name := range []string{"lightgbm-regression/model.txt", "lightgbm-multiclass/model.txt", "xgboost-linear/model.json"} {
		baskettest.TestModel(t, func(t *testing.T) basket.Model {
			m, err := basket.LoadModel("../testdata/models/" + name)
			if err != nil {
				t.Fatal(err)
			}
			return newTelemetry(t, basketotel.WithMeters(newMeters()), basketotel.WithTracers(&tracers{})).Model(m)
		})
	}
}

// A both gives each event to a text log too, which has the user IDs that the suite
// looks for and that metrics must not have.
type both struct {
	tel *basketotel.Telemetry
	log *serve.TextLogger
}

func (b both) LogModel(ctx context.Context, e basket.ModelEvent) {
	b.tel.LogModel(ctx, e)
	b.log.LogModel(ctx, e)
}

func (b both) LogService(ctx context.Context, e basket.ServiceEvent) {
	b.tel.LogService(ctx, e)
	b.log.LogService(ctx, e)
}

// TestTelemetry_loggerConforms: the suite's hostile, incomplete and concurrent events
// neither panic nor make an attribute of what a client sends.
func TestTelemetry_loggerConforms(t *testing.T) {
	baskettest.TestLogger(t, func(t *testing.T) (any, func() []string) {
		m := newMeters()
		path := t.TempDir() + "/log"
		f, err := serve.OpenLogFile(path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = f.Close()
			for s := range m.collect() {
				if strings.Contains(s, "user1") || strings.Contains(s, "/path") || strings.ContainsAny(s, "\n\x00\x1b") {
					t.Errorf("the series %q has text of a client", s)
				}
			}
		})
		return both{newTelemetry(t, basketotel.WithMeters(m)), serve.NewTextLogger(f)}, func() []string {
			_ = f.Reopen()
			return readLines(t, path)
		}
	})
}

// plain hides the optional methods of a store or model.
type (
	plainStore struct{ basket.Store }
	plainModel struct{ basket.Model }
	shownModel struct{ basket.Explainer }
)

func (plainModel) String() string { return "plain 3" }

// TestTelemetry_optionalMethods: a wrapper has a method if what it wraps has it.
func TestTelemetry_optionalMethods(t *testing.T) {
	tel, file := newTelemetry(t), loadModel(t, "price@3")
	memory := newStore(t, file)
	if _, ok := tel.Store(memory).(basket.BatchStore); !ok {
		t.Error("a BatchStore is none when wrapped")
	}
	if _, ok := tel.Store(plainStore{memory}).(basket.BatchStore); ok {
		t.Error("a Store is a BatchStore when wrapped")
	}
	for _, test := range []struct {
		model          basket.Model
		explains, info bool
		text           string
	}{
		{file, true, true, file.Info().String()},
		{shownModel{file}, true, false, "basketotel_test.shownModel"},
		{plainModel{file}, false, false, "plain 3"},
	} {
		m := tel.Model(test.model)
		_, explains := m.(basket.Explainer)
		info, hasInfo := m.(interface{ Info() basket.ModelInfo })
		if explains != test.explains || hasInfo != test.info || fmt.Sprint(m) != test.text || m.(interface{ Outputs() int }).Outputs() != 1 {
			t.Errorf("%T: explains %t, info %t, %q", test.model, explains, hasInfo, fmt.Sprint(m))
		}
		if hasInfo && info.Info().ID != "price@3" {
			t.Errorf("ID %q", info.Info().ID)
		}
	}
	if tel.Store(nil) != nil || tel.Model(nil) != nil {
		t.Error("a wrapped nil is not nil: basket.New would not refuse it")
	}
	if _, err := basket.New(basket.WithStore(memory), basket.WithModel(tel.Model((*basket.FileModel)(nil)))); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("the model of a failed LoadModel: %v", err)
	}
}

// brokenModel fails or panics.
type brokenModel struct {
	basket.Model
	err error
}

func (m brokenModel) String() string { return "broken" }

func (m brokenModel) Predict(context.Context, []float64, []float64) error {
	if m.err == nil {
		panic("a defect")
	}
	return m.err
}

func newHandler(t *testing.T, tel *basketotel.Telemetry, routes ...basket.Route) http.Handler {
	t.Helper()
	file := loadModel(t, "price@3")
	opts := []basket.Option{basket.WithStore(tel.Store(newStore(t, file))), basket.WithModelLogger(tel), basket.WithServiceLogger(tel)}
	if routes == nil {
		opts = append(opts, basket.WithModel(file), basket.WithModelWrapper(tel.Model))
	} else {
		opts = append(opts, basket.WithRoutes("e", routes...))
	}
	p, err := basket.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return tel.Handler(basket.NewHandler(p))
}

func post(h http.Handler, method, path, body string, header ...string) int {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// TestTelemetry_metrics: what each kind of request records.
func TestTelemetry_metrics(t *testing.T) {
	m := newMeters()
	tel := newTelemetry(t, basketotel.WithMeters(m), basketotel.WithPaths("/metrics", "/v2/models/{model}/infer"))
	h := newHandler(t, tel)
	post(h, "POST", "/predict", `{"user_id":"ann"}`)
	post(h, "POST", "/predict?explain=true", `{"user_id":"ann"}`)
	post(h, "POST", "/predict", `{"user_id":"nobody"}`)
	post(h, "POST", "/predict", `{`)
	post(h, "POST", "/predict/batch", `{"user_ids":["ann","nobody","ann"]}`)
	post(h, "GET", "/metrics", "")
	post(h, "GET", "/secret-of-a-client", "")
	for _, path := range []string{"/v2/models/a%2Fb/infer", "/v2/models/a/b/infer", "/v2/models//infer", "/v2/models/price/infer/", "/v2/models/price/infer", "/v2/models/price", "/v2/models/" + strings.Repeat("x", 2000) + "/infer"} {
		post(h, "POST", path, "")
	}
	post(h, "BREW", "/status", "")

	for _, err := range []error{nil, errors.New("failed"), context.DeadlineExceeded} {
		file := loadModel(t, "")
		b := tel.Model(brokenModel{file, err})
		post(newHandler(t, tel, basket.Route{Name: "broken", Model: b, Weight: 1}, basket.Route{Name: "shadow", Model: loadModel(t, "next@1"), Shadow: true}),
			"POST", "/predict", `{"user_id":"ann"}`)
	}
	want := map[string]int{
		"http.server.active_requests{}": 0,

		"http.server.request.duration{http.request.method=POST,http.response.status_code=200,http.route=/predict}":       2,
		"http.server.request.duration{http.request.method=POST,http.response.status_code=404,http.route=/predict}":       1,
		"http.server.request.duration{http.request.method=POST,http.response.status_code=400,http.route=/predict}":       1,
		"http.server.request.duration{http.request.method=POST,http.response.status_code=200,http.route=/predict/batch}": 1,
		"http.server.request.duration{http.request.method=GET,http.response.status_code=404,http.route=/metrics}":        1,
		"http.server.request.duration{http.request.method=GET,http.response.status_code=404,http.route=_OTHER}":          1,

		"http.server.request.duration{http.request.method=POST,http.response.status_code=404,http.route=/v2/models/{model}/infer}": 1,
		"http.server.request.duration{http.request.method=POST,http.response.status_code=404,http.route=_OTHER}":                   6,

		"http.server.request.duration{http.request.method=_OTHER,http.response.status_code=405,http.route=/status}": 1,

		"http.server.request.duration{error.type=prediction_error,http.request.method=POST,http.response.status_code=500,http.route=/predict}": 2,
		"http.server.request.duration{error.type=unavailable,http.request.method=POST,http.response.status_code=503,http.route=/predict}":      1,

		"basket.predictions{basket.model=price@3,basket.route=default,basket.shadow=false}":                           4,
		"basket.predictions{basket.model=price@3,basket.route=default,basket.shadow=false,error.type=user_not_found}": 2,
		"basket.predictions{basket.model=next@1,basket.route=shadow,basket.shadow=true}":                              3,
		"basket.predictions{basket.model=broken,basket.route=broken,basket.shadow=false,error.type=prediction_error}": 2,
		"basket.predictions{basket.model=broken,basket.route=broken,basket.shadow=false,error.type=unavailable}":      1,

		"basket.store.duration{basket.operation=row}":                           5,
		"basket.store.duration{basket.operation=row,error.type=user_not_found}": 1,
		"basket.store.duration{basket.operation=rows}":                          1,

		"basket.model.duration{basket.model=price@3,basket.operation=predict}":                   3,
		"basket.model.duration{basket.model=price@3,basket.operation=explain}":                   1,
		"basket.model.duration{basket.model=broken,basket.operation=predict,error.type=_OTHER}":  2,
		"basket.model.duration{basket.model=broken,basket.operation=predict,error.type=timeout}": 1,
	}
	if diff := cmp.Diff(want, m.collect()); diff != "" {
		t.Error(diff)
	}
}

// TestTelemetry_withoutHandler: LogService records requests if no Handler does.
func TestTelemetry_withoutHandler(t *testing.T) {
	m := newMeters()
	tel := newTelemetry(t, basketotel.WithMeters(m))
	tel.LogService(t.Context(), basket.ServiceEvent{Method: "GET", Path: "/status", Status: 200})
	tel.LogService(t.Context(), basket.ServiceEvent{Message: "Started"})
	want := map[string]int{
		"http.server.active_requests{}": 0,
		"http.server.request.duration{http.request.method=GET,http.response.status_code=200,http.route=/status}": 1,
	}
	if diff := cmp.Diff(want, m.collect()); diff != "" {
		t.Error(diff)
	}
}

// TestTelemetry_bound: models and routes beyond 200 are counted together, and none is
// lost.
func TestTelemetry_bound(t *testing.T) {
	m := newMeters()
	tel := newTelemetry(t, basketotel.WithMeters(m))
	const n = 1000
	for i := range n {
		for _, err := range []error{nil, basket.Error(fmt.Sprint("kind ", i))} {
			e := basket.ModelEvent{Result: basket.Result{Prediction: basket.Prediction{Route: "a\n", ModelID: fmt.Sprint("price@", i)}, Err: err}}
			tel.LogModel(t.Context(), e)
		}
	}
	got := m.collect()
	sum := 0
	for _, v := range got {
		sum += v
	}
	const others = "basket.predictions{basket.model=_OTHER,basket.route=_OTHER,basket.shadow=false}"
	if sum != 2*n || len(got) > 210 || got[others] != n-100 || got["basket.predictions{basket.model=price@7,basket.route=a,basket.shadow=false,error.type=_OTHER}"] != 1 {
		t.Errorf("%d predictions in %d series, %d of other models", sum, len(got), got[others])
	}
}

func TestTelemetry_manyModelsConcurrentSafe(t *testing.T) {
	m := newMeters()
	tel := newTelemetry(t, basketotel.WithMeters(m))
	done := make(chan bool)
	for range 4 {
		go func() {
			for i := range 300 {
				tel.LogModel(t.Context(), basket.ModelEvent{Result: basket.Result{Prediction: basket.Prediction{ModelID: fmt.Sprint(i)}}})
			}
			done <- true
		}()
	}
	for range 4 {
		<-done
	}
	sum := 0
	for _, v := range m.collect() {
		sum += v
	}
	if sum != 4*300 {
		t.Errorf("%d predictions: want 1200", sum)
	}
}

// TestTelemetry_traces: the spans of a request are one trace, that of the client.
func TestTelemetry_traces(t *testing.T) {
	spans := &tracers{}
	h := newHandler(t, newTelemetry(t, basketotel.WithTracers(spans)))
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	post(h, "POST", "/predict", `{"user_id":"ann"}`, "Traceparent", parent)
	post(h, "POST", "/predict/batch", `{"user_ids":["ann","nobody"]}`)
	post(h, "BREW", "/secret", "", "Traceparent", "damaged")
	text := loadModel(t, "price@3").Info().ID
	want := []string{
		"basket.store.row < POST /predict {} Unset",
		"basket.model.predict < POST /predict {basket.model=" + text + ",basket.rows=1} Unset",
		"POST /predict < 00f067aa0ba902b7 {http.request.method=POST,http.response.status_code=200,http.route=/predict,url.path=/predict,url.scheme=http} Unset",
		"basket.store.rows < POST /predict/batch {basket.rows=2} Unset",
		"basket.model.predict < POST /predict/batch {basket.model=" + text + ",basket.rows=1} Unset",
		"POST /predict/batch <  {http.request.method=POST,http.response.status_code=200,http.route=/predict/batch,url.path=/predict/batch,url.scheme=http} Unset",
		"HTTP <  {http.request.method=_OTHER,http.response.status_code=404,url.scheme=http} Unset",
	}
	if diff := cmp.Diff(want, spans.lines()); diff != "" {
		t.Error(diff)
	}
	if got := spans.ended[0].context.TraceID().String(); !strings.Contains(parent, got) {
		t.Errorf("trace ID %s", got)
	}
}

// TestTelemetry_panic: a handler that panics is a failure, and its span ends.
func TestTelemetry_panic(t *testing.T) {
	m, spans := newMeters(), &tracers{}
	h := newTelemetry(t, basketotel.WithMeters(m), basketotel.WithTracers(spans)).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	func() {
		defer func() { _ = recover() }()
		post(h, "GET", "/status", "")
	}()
	const want = "http.server.request.duration{error.type=500,http.request.method=GET,http.response.status_code=500,http.route=/status}"
	if got := m.collect(); got[want] != 1 || got["http.server.active_requests{}"] != 0 {
		t.Error(got)
	}
	if len(spans.ended) != 1 || !strings.HasSuffix(spans.lines()[0], "Error") {
		t.Error(spans.lines())
	}
}

// TestTelemetry_answer: the answer passes through the Handler with all that
// http.ResponseController finds.
func TestTelemetry_answer(t *testing.T) {
	server := httptest.NewServer(newTelemetry(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "part")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})))
	defer server.Close()
	r, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err != nil || string(b) != "part" || r.StatusCode != http.StatusAccepted {
		t.Errorf("%d %q %v", r.StatusCode, b, err)
	}
}

// TestTelemetry_allocations are those of Predict: with a logger none, with store and
// model wrapped the two slices of a model that is no FileModel.
func TestTelemetry_allocations(t *testing.T) {
	file := loadModel(t, "price@3")
	tel := newTelemetry(t)
	for _, test := range []struct {
		name  string
		store basket.Store
		model basket.Model
		most  float64
	}{
		{"loggers", newStore(t, file), file, 0},
		{"loggers, store and model", tel.Store(newStore(t, file)), tel.Model(file), 2},
	} {
		p, err := basket.New(basket.WithStore(test.store), basket.WithModel(test.model), basket.WithModelLogger(tel), basket.WithServiceLogger(tel))
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if n := testing.AllocsPerRun(100, func() {
			if _, err := p.Predict(ctx, "ann"); err != nil {
				t.Error(err)
			}
		}); n > test.most {
			t.Errorf("%s: %v allocations: want at most %v", test.name, n, test.most)
		}
	}
}

func TestTelemetry_buckets(t *testing.T) {
	m := newMeters()
	newTelemetry(t, basketotel.WithMeters(m))
	for name, bounds := range m.buckets {
		if !slices.IsSorted(bounds) || bounds[0] > 50e-6 || bounds[len(bounds)-1] != 10 {
			t.Errorf("%s: %v", name, bounds)
		}
	}
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	b, err := http.Dir("/").Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	text, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func BenchmarkLogModel(b *testing.B) {
	tel := newTelemetry(b)
	e := basket.ModelEvent{Result: basket.Result{Prediction: basket.Prediction{Route: "default", ModelID: "price@3"}}}
	b.ReportAllocs()
	for b.Loop() {
		tel.LogModel(b.Context(), e)
	}
}
