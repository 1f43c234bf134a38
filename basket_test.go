package basket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

// A fakeModel predicts by a function of one row.
type fakeModel struct {
	names []string
	f     func(row []float64) (float64, error)
}

func (m fakeModel) Features() []string { return m.names }

func (m fakeModel) Predict(_ context.Context, dst, rows []float64) error {
	for i := range dst {
		var err error
		if dst[i], err = m.f(rows[i*len(m.names):][:len(m.names)]); err != nil {
			return err
		}
	}
	return nil
}

// constant is a model of one column that predicts v.
func constant(v float64) fakeModel {
	return fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) { return v, nil }}
}

// A fakeStore returns rows by a function, and is no BatchStore.
type fakeStore func(ctx context.Context, userID string) (basket.Row, error)

func (fakeStore) Features() []string { return basket.FeatureNames() }

func (s fakeStore) Row(ctx context.Context, userID string) (basket.Row, error) { return s(ctx, userID) }

// modelEvents is a ModelLogger that keeps the events.
type modelEvents struct {
	mu     sync.Mutex
	events []basket.ModelEvent
}

func (l *modelEvents) LogModel(_ context.Context, e basket.ModelEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// serviceEvents is a ServiceLogger that keeps the events.
type serviceEvents struct {
	mu     sync.Mutex
	events []basket.ServiceEvent
}

func (l *serviceEvents) LogService(_ context.Context, e basket.ServiceEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func mustNew(t testing.TB, opts ...basket.Option) *basket.Predictor {
	t.Helper()
	p, err := basket.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNew_reportsEveryFault(t *testing.T) {
	s := basket.WithStore(mustStore(t))
	r := func(name string, weight int, shadow bool) basket.Route {
		return basket.Route{Name: name, Model: constant(1), Weight: weight, Shadow: shadow}
	}
	stranger := fakeModel{names: []string{"regulars_count", "age"}}
	multi := loadModel(t, "testdata/models/lightgbm-multiclass/model.txt")
	tests := []struct {
		name string
		opts []basket.Option
		want []string
	}{
		{"nothing", nil, []string{"no store", "no model"}},
		{"nil things", []basket.Option{basket.WithStore(nil), basket.WithModel(nil), basket.WithServiceLogger(nil), basket.WithModelLogger(nil)},
			[]string{"no store", "no model", "WithServiceLogger(nil)", "WithModelLogger(nil)"}},
		{"an age of nothing", []basket.Option{basket.WithStore(mustStore(t)), basket.WithModel(constant(1)), basket.WithMaxAge(0, basket.StalePolicy(7))},
			[]string{"WithMaxAge(0s): want a positive time", "WithMaxAge with the policy 7: want RefuseStale or ServeStale"}},
		{"model and routes", []basket.Option{s, basket.WithModel(constant(1)), basket.WithRoutes("x", r("a", 1, false))}, []string{"both WithModel and WithRoutes"}},
		{"no routes", []basket.Option{s, basket.WithRoutes("x")}, []string{"no route has a weight"}},
		{"only shadows", []basket.Option{s, basket.WithRoutes("x", r("a", 0, true))}, []string{"no route has a weight"}},
		{"weights that overflow", []basket.Option{s, basket.WithRoutes("x", r("a", math.MaxInt, false), r("b", math.MaxInt, false), r("c", 2, false))},
			[]string{"invalid configuration", `"b" has weight`, "the sum of the weights is over"}},
		{"bad routes", []basket.Option{s, basket.WithRoutes("x", r("", 1, false), r("a", -1, false), r("a", 5, true))},
			[]string{"route 0 has no name", `two routes are named "a"`, `"a" has weight -1`, `"a" is a shadow and has weight 5`}},
		{"route without a model", []basket.Option{s, basket.WithRoutes("x", basket.Route{Name: "a", Weight: 1})}, []string{`route "a" has no model`}},
		{"unknown feature", []basket.Option{s, basket.WithModel(stranger)},
			[]string{"feature mismatch", `["regulars_count" "age"]`, `["prior_basket_value" "prior_item_count" "prior_regulars_count" "regulars_count"]`}},
		{"many outputs", []basket.Option{s, basket.WithModel(multi)}, []string{"3 predictions a row"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := basket.New(test.opts...)
			if p != nil || err == nil {
				t.Fatalf("New: %v, %v, want an error", p, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
		})
	}
	for _, test := range []struct {
		name string
		opts []basket.Option
		want error
	}{
		{"nothing", nil, basket.ErrInvalidConfig},
		{"no routes", []basket.Option{s, basket.WithRoutes("x")}, basket.ErrInvalidConfig},
		{"a model that was not loaded", []basket.Option{s, basket.WithModel((*basket.FileModel)(nil))}, basket.ErrInvalidConfig},
		{"route without a model", []basket.Option{s, basket.WithRoutes("x", basket.Route{Name: "a", Weight: 1})}, basket.ErrInvalidConfig},
		{"unknown feature", []basket.Option{s, basket.WithModel(stranger)}, basket.ErrFeatureMismatch},
	} {
		if _, err := basket.New(test.opts...); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestPredictor_bindsByName(t *testing.T) {
	m := fakeModel{
		[]string{"regulars_count", "prior_basket_value"},
		func(row []float64) (float64, error) { return 100*row[0] + row[1], nil },
	}
	s := mustStore(t, row("a", 1, 5))
	p := mustNew(t, basket.WithStore(s), basket.WithModel(m))
	got, err := p.Predict(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	want := basket.Prediction{
		UserID: "a", Value: 805, Route: "default", Model: "basket_test.fakeModel",
		Features: basket.FeatureNames(), Row: row("a", 1, 5),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Predict (-want +got):\n%s", diff)
	}
}

func TestPredictor_equalsForest(t *testing.T) {
	f := loadModel(t, regressionModel)
	values := row("a", 1, 5)
	want := make([]float64, 1)
	if err := f.Predict(t.Context(), want, values.Values); err != nil {
		t.Fatal(err)
	}
	p := mustNew(t, basket.WithStore(mustStore(t, values)), basket.WithModel(f))
	got, err := p.Predict(t.Context(), "a")
	if err != nil || got.Value != want[0] || got.Model != f.String() {
		t.Errorf("Predict: %v, %v, want %v by %v", got, err, want[0], f)
	}
	batch := p.PredictBatch(t.Context(), []string{"a", "nobody", "", "a"})
	if batch[0].Value != want[0] || batch[3].Value != want[0] {
		t.Errorf("PredictBatch: %v, want %v", batch, want[0])
	}
	if !errors.Is(batch[1].Err, basket.ErrUserNotFound) || !errors.Is(batch[2].Err, basket.ErrInvalidRequest) {
		t.Errorf("PredictBatch: errors %v and %v", batch[1].Err, batch[2].Err)
	}
}

// TestPredictor_errors causes each kind of error in Predict and PredictBatch.
func TestPredictor_errors(t *testing.T) {
	good := fakeStore(func(_ context.Context, userID string) (basket.Row, error) { return row(userID, 1, 1), nil })
	storeOf := func(err error) fakeStore {
		return func(context.Context, string) (basket.Row, error) { return basket.Row{}, err }
	}
	modelOf := func(v float64, err error) fakeModel {
		return fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) { return v, err }}
	}
	boom := errors.New("boom")
	var index []int
	tests := []struct {
		name   string
		userID string
		store  basket.Store
		model  basket.Model
		want   []error
		text   string
	}{
		{name: "empty ID", userID: "", want: []error{basket.ErrInvalidRequest}, text: "is empty"},
		{name: "long ID", userID: strings.Repeat("x", 1025), want: []error{basket.ErrInvalidRequest}, text: "has 1025 bytes"},
		{name: "longest ID", userID: strings.Repeat("x", 1024)},
		{name: "ID not UTF-8", userID: "a\xff", want: []error{basket.ErrInvalidRequest}, text: "is not UTF-8"},
		{name: "ID with a line break", userID: "a\nb", want: []error{basket.ErrInvalidRequest}, text: "control character U+000A"},
		{name: "ID with DEL", userID: "a\x7f", want: []error{basket.ErrInvalidRequest}, text: "U+007F"},
		{name: "ID with C1 control", userID: "a\u0085", want: []error{basket.ErrInvalidRequest}, text: "U+0085"},
		{name: "ID in Greek", userID: "αβγ"},
		{name: "no such user", userID: "u", store: storeOf(fmt.Errorf("my store: %w", basket.ErrUserNotFound)), want: []error{basket.ErrUserNotFound}},
		{name: "store fails", userID: "u", store: storeOf(boom), want: []error{basket.ErrUnavailable, boom}},
		{name: "row that cannot be used", userID: "u", store: storeOf(fmt.Errorf("store: %w: version 9", basket.ErrData)), want: []error{basket.ErrData}},
		{name: "store of other features", userID: "u", store: storeOf(fmt.Errorf("store: %w", basket.ErrFeatureMismatch)), want: []error{basket.ErrFeatureMismatch}},
		{name: "store out of time", userID: "u", store: storeOf(context.DeadlineExceeded), want: []error{basket.ErrUnavailable, context.DeadlineExceeded}},
		{name: "store panics", userID: "u", store: fakeStore(func(context.Context, string) (basket.Row, error) { panic("ouch") }),
			want: []error{basket.ErrUnavailable}, text: "panic: ouch (in github.com/basket-go/basket_test."},
		{name: "store panics at run time", userID: "u", store: fakeStore(func(context.Context, string) (basket.Row, error) { return basket.Row{}, fmt.Errorf("%d", index[3]) }),
			want: []error{basket.ErrUnavailable}, text: "index out of range [3] with length 0 (in github.com/basket-go/basket_test."},
		{name: "store gives a short row", userID: "u", store: fakeStore(func(context.Context, string) (basket.Row, error) { return basket.Row{Values: []float64{1}}, nil }),
			want: []error{basket.ErrFeatureMismatch}, text: "a row of 1 values: want 4"},
		{name: "model fails", userID: "u", model: modelOf(0, boom), want: []error{basket.ErrPrediction, boom}},
		{name: "model not there", userID: "u", model: modelOf(0, fmt.Errorf("remote: %w", basket.ErrUnavailable)), want: []error{basket.ErrUnavailable}},
		{name: "model out of time", userID: "u", model: modelOf(0, context.DeadlineExceeded), want: []error{basket.ErrUnavailable, context.DeadlineExceeded}},
		{name: "model panics", userID: "u", model: fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) { panic(boom) }},
			want: []error{basket.ErrPrediction}, text: "panic: boom"},
		{name: "model says NaN", userID: "u", model: modelOf(math.NaN(), nil), want: []error{basket.ErrPrediction}, text: "prediction is NaN"},
		{name: "model says -Inf", userID: "u", model: modelOf(math.Inf(-1), nil), want: []error{basket.ErrPrediction}, text: "prediction is -Inf"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.store == nil {
				test.store = good
			}
			if test.model == nil {
				test.model = modelOf(1, nil)
			}
			p := mustNew(t, basket.WithStore(test.store), basket.WithModel(test.model))
			prediction, err := p.Predict(t.Context(), test.userID)
			batch := p.PredictBatch(t.Context(), []string{test.userID})[0]
			for _, got := range []basket.Result{{Prediction: prediction, Err: err}, batch} {
				if got.UserID != test.userID {
					t.Errorf("user ID %q, want %q", got.UserID, test.userID)
				}
				if (got.Err == nil) != (test.want == nil) {
					t.Errorf("error %v, want %v", got.Err, test.want)
				}
				for _, want := range test.want {
					if !errors.Is(got.Err, want) {
						t.Errorf("error %v is not %v", got.Err, want)
					}
				}
				if got.Err != nil && (!strings.Contains(got.Err.Error(), test.text) || got.Value != 0) {
					t.Errorf("error %q, value %v: want %q and no value", got.Err, got.Value, test.text)
				}
			}
		})
	}
}

func TestPredictor_contextDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModel(loadModel(t, regressionModel)))
	_, err := p.Predict(ctx, "a")
	if !errors.Is(err, basket.ErrCanceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("Predict: %v, want ErrCanceled", err)
	}
	// A store that cancels a context of its own has failed.
	own := fakeStore(func(context.Context, string) (basket.Row, error) { return basket.Row{}, context.Canceled })
	p = mustNew(t, basket.WithStore(own), basket.WithModel(constant(1)))
	if _, err := p.Predict(t.Context(), "a"); !errors.Is(err, basket.ErrUnavailable) {
		t.Errorf("Predict: %v, want ErrUnavailable", err)
	}
}

// TestPredictor_allocatesNothing checks the promise of Predict's comment.
func TestPredictor_allocatesNothing(t *testing.T) {
	f := loadModel(t, regressionModel)
	reordered := loadModel(t, regressionModel, basket.WithFeatureNames("regulars_count", "prior_regulars_count", "prior_item_count", "prior_basket_value"))
	named := loadModel(t, regressionModel, basket.WithModelID("price@3"))
	models := map[string]*basket.FileModel{"in the same order": f, "in another order": reordered, "of a model with an ID": named}
	for _, name := range []string{"sklearn-rf-missing/model.joblib", "sklearn-elasticnet/model.joblib", "sklearn-pipeline-log/model.joblib", "xgboost-linear/model.json"} {
		models["of "+name] = loadModel(t, "testdata/models/"+name)
	}
	for name, m := range models {
		s, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "a", Values: make([]float64, len(m.Features()))}}), m.Features()...)
		if err != nil {
			t.Fatal(err)
		}
		p := mustNew(t, basket.WithStore(s), basket.WithModel(m))
		ctx := t.Context()
		if n := testing.AllocsPerRun(100, func() {
			if _, err := p.Predict(ctx, "a"); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("columns %s: %v allocations, want 0", name, n)
		}
	}
}

func TestPredictor_routes(t *testing.T) {
	var rows []basket.Row
	var ids []string
	for i := range 1000 {
		ids = append(ids, fmt.Sprintf("user-%d", i))
		rows = append(rows, row(ids[i], 1, 1))
	}
	log := &modelEvents{}
	p := mustNew(t, basket.WithStore(mustStore(t, rows...)), basket.WithModelLogger(log), basket.WithRoutes("price-2025",
		basket.Route{Name: "old", Model: constant(1), Weight: 9},
		basket.Route{Name: "off", Model: constant(2), Weight: 0},
		basket.Route{Name: "new", Model: constant(3), Weight: 1},
		basket.Route{Name: "shadow", Model: constant(4), Shadow: true},
	))
	answers := map[string]int{}
	batch := p.PredictBatch(t.Context(), ids)
	for i, id := range ids {
		one, err := p.Predict(t.Context(), id)
		if err != nil || batch[i].Err != nil {
			t.Fatal(err, batch[i].Err)
		}
		if one.Route != batch[i].Route || one.Value != batch[i].Value {
			t.Fatalf("%s: alone %v of %s, in a batch %v of %s", id, one.Value, one.Route, batch[i].Value, batch[i].Route)
		}
		answers[fmt.Sprintf("%s=%v", one.Route, one.Value)]++
	}
	if diff := cmp.Diff(map[string]int{"old=1": 900, "new=3": 100}, answers); diff != "" {
		t.Errorf("answers by route (-want +got):\n%s", diff)
	}
	logged := map[string]int{}
	for _, e := range log.events {
		logged[fmt.Sprintf("%s=%v shadow=%v", e.Route, e.Value, e.Shadow)]++
	}
	want := map[string]int{"old=1 shadow=false": 2 * 900, "new=3 shadow=false": 2 * 100, "shadow=4 shadow=true": 2000}
	if diff := cmp.Diff(want, logged); diff != "" {
		t.Errorf("events by route (-want +got):\n%s", diff)
	}
}

// TestPredictor_shadowFails: a shadow that fails or panics does not affect the
// answer.
func TestPredictor_shadowFails(t *testing.T) {
	log := &modelEvents{}
	shadow := fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) { panic("shadow") }}
	p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModelLogger(log), basket.WithRoutes("x",
		basket.Route{Name: "main", Model: constant(1), Weight: 1}, basket.Route{Name: "shadow", Model: shadow, Shadow: true}))
	got, err := p.Predict(t.Context(), "a")
	if err != nil || got.Value != 1 || got.Route != "main" {
		t.Errorf("Predict: %v, %v", got, err)
	}
	if len(log.events) != 2 || !log.events[1].Shadow || !errors.Is(log.events[1].Err, basket.ErrPrediction) {
		t.Errorf("events: %v", log.events)
	}
}

// A panicLogger panics at each event.
type panicLogger struct{}

func (panicLogger) LogModel(context.Context, basket.ModelEvent)     { panic("logger") }
func (panicLogger) LogService(context.Context, basket.ServiceEvent) { panic("logger") }

// TestPredictor_loggerPanics: a logger's panic fails no prediction, and its first
// one is reported to the service loggers that work.
func TestPredictor_loggerPanics(t *testing.T) {
	log := &serviceEvents{}
	p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModel(constant(1)),
		basket.WithModelLogger(panicLogger{}), basket.WithServiceLogger(panicLogger{}), basket.WithServiceLogger(log))
	for range 3 {
		if got, err := p.Predict(t.Context(), "a"); err != nil || got.Value != 1 {
			t.Errorf("Predict: %v, %v", got, err)
		}
	}
	var got []string
	for _, e := range log.events {
		got = append(got, e.Err.Error())
	}
	if len(got) != 2 || !strings.Contains(got[0], "panicLogger.LogService") || !strings.Contains(got[1], "panicLogger.LogModel") {
		t.Errorf("reported %q, want a panic of LogService and one of LogModel", got)
	}
}

// TestPredictor_shadowWithoutLogger: a shadow does not run if there is no model
// logger.
func TestPredictor_shadowWithoutLogger(t *testing.T) {
	shadow := fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) {
		t.Error("the shadow ran")
		return 0, nil
	}}
	p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithRoutes("x",
		basket.Route{Name: "main", Model: constant(1), Weight: 1}, basket.Route{Name: "shadow", Model: shadow, Shadow: true}))
	if _, err := p.Predict(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if r := p.PredictBatch(t.Context(), []string{"a"})[0]; r.Err != nil {
		t.Error(r.Err)
	}
}

func TestPredictor_SetModel(t *testing.T) {
	p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModel(constant(1)))
	if err := p.SetModel("default", fakeModel{names: []string{"age"}}); !errors.Is(err, basket.ErrFeatureMismatch) {
		t.Errorf("a model of other features: %v", err)
	}
	if err := p.SetModel("other", constant(2)); !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("an unknown route: %v", err)
	}
	if err := p.SetModel("default", nil); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("no model: %v", err)
	}
	if got, err := p.Predict(t.Context(), "a"); err != nil || got.Value != 1 {
		t.Errorf("after failures: %v, %v, want the old model", got, err)
	}
	if err := p.SetModel("default", constant(2)); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Predict(t.Context(), "a"); err != nil || got.Value != 2 {
		t.Errorf("after SetModel: %v, %v, want 2", got, err)
	}
}

// TestPredictor_SetModel_ConcurrentSafe predicts 1,000 times at once while models
// and rows change: each answer is from an old or a new pair, and none is missing.
func TestPredictor_SetModel_ConcurrentSafe(t *testing.T) {
	// Rows of values v, v+1, v+2, v+3; the predictions show which row the models saw.
	signed := func(sign float64) fakeModel {
		return fakeModel{basket.FeatureNames(), func(row []float64) (float64, error) {
			if row[3] != row[0]+3 {
				return 0, errors.New("a torn row")
			}
			return sign * row[0], nil
		}}
	}
	store := mustStore(t, row("a", 1, 1))
	p := mustNew(t, basket.WithStore(store), basket.WithModel(signed(1)))
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if i%10 == 0 {
				_ = p.SetModel("default", signed([]float64{1, -1}[i/10%2]))
				_ = store.Replace(basket.Values([]basket.Row{row("a", 1, float64(1+i/10%2))}))
			}
			got, err := p.Predict(context.Background(), "a")
			if i%2 == 0 && err == nil {
				batch := p.PredictBatch(context.Background(), []string{"a", "a"})
				got.Value, err = batch[1].Value, batch[1].Err
			}
			if v := math.Abs(got.Value); err != nil || v != 1 && v != 2 {
				t.Errorf("answer %v, %v", got.Value, err)
			}
		})
	}
	wg.Wait()
}

func BenchmarkPredictor_Predict(b *testing.B) {
	userID := strings.Repeat("0cad47d6", 16)
	store := basket.WithStore(mustStore(b, row(userID, 1, 1)))
	model := basket.WithModel(loadModel(b, regressionModel))
	logger := basket.WithModelLogger(serve.NewTextLogger(io.Discard))
	for name, p := range map[string]*basket.Predictor{
		"logger=none": mustNew(b, store, model), "logger=text": mustNew(b, store, model, logger),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Predict(context.Background(), userID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
