package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
	"github.com/basket-go/basket/drift"
	"github.com/basket-go/basket/repository"
	"github.com/basket-go/basket/routing"
)

// hostile is a name that would change a page that does not escape and isolate it.
const hostile = "<script>window.hit=1</script>\"'&\u202e<img src=x onerror=window.hit=1>\u2028"

const prefix = "/a/b/ui"

// A shop is a service with users, routes, drift and an hour of traffic, and its page.
type shop struct {
	p       *basket.Predictor
	monitor *drift.Monitor
	model   string // of the route current
	server  *httptest.Server
	url     string // of the page, with a slash at its end
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newRow returns a row like those of a shop.
func newRow(r *rand.Rand) []float64 {
	items := 1 + math.Floor(r.ExpFloat64()*6)
	regulars := math.Floor(math.Abs(r.NormFloat64()) * 3)
	return []float64{items * 7.25, items, min(regulars, math.Floor(items/2)), regulars}
}

// newShop starts a shop, which ends with the test. The page may change weights.
func newShop(t *testing.T) *shop {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile("../../examples/server/demo/model.txt")
	check(t, err)
	for version, text := range map[string]string{"0": string(text) + "\n\n", "1": string(text), "2": string(text) + "\n", "3": "<script>no model"} {
		folder := filepath.Join(dir, "models", "price", version)
		check(t, os.MkdirAll(folder, 0o755))
		check(t, os.WriteFile(filepath.Join(folder, "model.txt"), []byte(text), 0o600))
	}
	models, err := repository.Open(filepath.Join(dir, "models"))
	check(t, err)
	table, err := json.Marshal(routing.Table{Experiment: "prices", Routes: []routing.Route{
		{Name: "current", Model: "price@1", Weight: 90},
		{Name: "next " + hostile, Model: "price@2", Weight: 10},
		{Name: "shadow", Model: "price@2", Shadow: true},
	}})
	check(t, err)
	path := filepath.Join(dir, "routes.json")
	check(t, os.WriteFile(path, table, 0o600))
	file, err := routing.Open(t.Context(), path, models)
	check(t, err)

	random := rand.New(rand.NewPCG(1, 0))
	ordered := time.Now().Add(-50 * time.Hour)
	rows := []basket.Row{
		{UserID: "ann", OrderedAt: ordered, Number: 7, Values: []float64{56, 14, 2, 5}},
		{UserID: hostile, OrderedAt: ordered, Number: 1, Values: []float64{math.NaN(), 3, 0, 1}},
	}
	for i := range 500 {
		rows = append(rows, basket.Row{UserID: fmt.Sprint("user ", i), OrderedAt: ordered, Number: 1, Values: newRow(random)})
	}
	store, err := basket.NewMemoryStore(basket.Values(rows))
	check(t, err)
	model, err := models.Model("price@1")
	check(t, err)
	profile, err := drift.NewProfile(t.Context(), func(yield func(basket.Row, error) bool) {
		for i := 0; i < 3000 && yield(basket.Row{Values: newRow(random)}, nil); i++ {
		}
	}, basket.FeatureNames(), model)
	check(t, err)
	monitor, err := drift.NewMonitor(profile)
	check(t, err)
	recorder := dash.NewRecorder()
	p, err := basket.New(basket.WithStore(store), file.Option(), basket.WithModelLogger(file.Shadows()),
		basket.WithModelLogger(monitor), basket.WithModelLogger(recorder), basket.WithServiceLogger(recorder))
	check(t, err)
	s := &shop{p: p, monitor: monitor, model: model.String()}
	ctx, cancel := context.WithCancel(t.Context())
	mux := http.NewServeMux()
	mux.Handle("/", basket.NewHandler(p))
	mux.Handle(prefix+"/", http.StripPrefix(prefix, dash.NewHandler(p,
		dash.WithRecorder(recorder), dash.WithMonitor(monitor), dash.WithRoutes(file), dash.WithRepository(models, filepath.Join(dir, "models")),
		dash.WithNewest(func() time.Time { return ordered }), dash.WithAdmin(func(*http.Request) bool { return true }), dash.WithContext(ctx),
	)))
	s.traffic(t, recorder)
	s.server = httptest.NewServer(mux)
	s.url = s.server.URL + prefix + "/"
	t.Cleanup(func() { cancel(); s.server.Close() })
	return s
}

// traffic has the service predict, and the monitor count three windows of rows whose prices
// have risen.
func (s *shop) traffic(t *testing.T, recorder *dash.Recorder) {
	random := rand.New(rand.NewPCG(2, 0))
	for i := range 2000 {
		_, _ = s.p.Predict(t.Context(), fmt.Sprint("user ", random.IntN(520))) // some are unknown
		recorder.LogService(t.Context(), basket.ServiceEvent{
			Time: time.Now(), Method: "POST", Path: "/predict", Status: 200, Latency: time.Duration(random.ExpFloat64() * 2e6),
		})
		row := newRow(random)
		row[0] *= 1.5
		s.serve(t, "current", row, time.Now().Add(-20*time.Minute+time.Duration(i)*300*time.Millisecond))
	}
}

// serve has the monitor count a row.
func (s *shop) serve(t *testing.T, route string, row []float64, at time.Time) {
	s.monitor.LogModel(t.Context(), basket.ModelEvent{Time: at, Result: basket.Result{Prediction: basket.Prediction{
		Route: route, Model: s.model, Value: 50, Features: basket.FeatureNames(), Row: basket.Row{Values: row},
	}}})
}
