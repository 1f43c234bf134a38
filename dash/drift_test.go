package dash_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
	"github.com/basket-go/basket/drift"
)

// shopRow returns a row like those of a shop.
func shopRow(r *rand.Rand) []float64 {
	items := 1 + math.Floor(r.ExpFloat64()*6)
	regulars := math.Floor(math.Abs(r.NormFloat64()) * 3)
	return []float64{items * 7.35, items, min(regulars, math.Floor(items/2)), regulars}
}

// newMonitor returns a Monitor of a model's profile, which got three windows of rows in
// which prices have risen by half and some counts are missing.
func newMonitor(t testing.TB, s *shop) *drift.Monitor {
	t.Helper()
	model, err := s.models.Model("price@1")
	check(t, err)
	profile, err := drift.NewProfile(t.Context(), func(yield func(basket.Row, error) bool) {
		random := rand.New(rand.NewPCG(1, 0))
		for i := 0; i < 5000 && yield(basket.Row{Values: shopRow(random)}, nil); i++ {
		}
	}, basket.FeatureNames(), model)
	check(t, err)
	monitor, err := drift.NewMonitor(profile, drift.WithWindow(time.Minute))
	check(t, err)
	random := rand.New(rand.NewPCG(2, 0))
	begin := time.Now().Add(-4 * time.Minute).Truncate(time.Minute)
	for i := range 3000 {
		row := shopRow(random)
		row[0] *= 1.5
		if i%10 == 0 {
			row[3] = math.NaN()
		}
		monitor.LogModel(context.Background(), basket.ModelEvent{
			Time: begin.Add(time.Duration(i) * 60 * time.Millisecond),
			Result: basket.Result{Prediction: basket.Prediction{
				Route: "current " + hostile, Model: model.String(), Value: 75, Features: basket.FeatureNames(), Row: basket.Row{Values: row},
			}},
		})
	}
	return monitor
}

// TestDrift: the page has the figures of the report, and says since when a feature drifts.
func TestDrift(t *testing.T) {
	s := newShop(t)
	monitor := newMonitor(t, s)
	h := s.handler(dash.WithMonitor(monitor))
	page := get(h, "/drift").Body.String()
	report := getJSON[drift.Report](t, h, "/api/drift", 200)
	if report.Verdict != drift.Drifted || len(report.Routes) != 1 || len(report.Routes[0].Columns) != 5 {
		t.Fatalf("report %+v", report)
	}
	cards := strings.Split(page, "<article")[1:]
	wantText(t, page, `src="assets/drift.js"`, `<p id="refreshing" hidden>`, `<section data-key="current &lt;script&gt;alert`)
	if len(cards) != 5 {
		t.Fatalf("%d cards: %s", len(cards), page)
	}
	value := func(card, class string) float64 {
		found := regexp.MustCompile(`class="` + class + `" value="([^"]*)"`).FindStringSubmatch(card)
		if found == nil {
			t.Fatalf("no %s in %s", class, card)
		}
		v, err := strconv.ParseFloat(found[1], 64)
		check(t, err)
		return v
	}
	for i, column := range report.Routes[0].Columns {
		last := column.Windows[len(column.Windows)-1]
		if value(cards[i], "value-psi") != last.PSI || value(cards[i], "value-null") != last.NullRate || value(cards[i], "value-range") != last.OutOfRange {
			t.Errorf("%s: want %+v: %s", column.Name, last, cards[i])
		}
		if got, want := strings.Count(cards[i], "<rect"), 2*len(last.Counts); got != want {
			t.Errorf("%s: %d bars, want %d", column.Name, got, want)
		}
		wantText(t, cards[i], fmt.Sprintf(">%s</span></h3>", column.Verdict), "<polyline class=\"limit\"")
		if column.Since != nil {
			wantText(t, cards[i], "since <time datetime=\""+column.Since.Format(time.RFC3339))
		}
	}
	wantText(t, page, `class="verdict bad" id="verdict">drift</b>`, "5000 rows", "in windows of 1 min 0 s")
}

// TestDrift_none: without a Monitor, and before anything was served, the page says so.
func TestDrift_none(t *testing.T) {
	s := newShop(t)
	wantText(t, get(s.handler(), "/drift").Body.String(), "make a profile of the model")
	if w := get(s.handler(), "/api/drift"); w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
	monitor, err := drift.NewMonitor(newMonitor(t, s).Profile())
	check(t, err)
	wantText(t, get(s.handler(dash.WithMonitor(monitor)), "/drift").Body.String(), "No rows have been served yet")
}
