package dash_test

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
)

// An explanation is what api/explain answers.
type explanation struct {
	UserID   string   `json:"user_id"`
	Route    string   `json:"route"`
	Price    *float64 `json:"price"`
	Bias     *float64 `json:"bias"`
	Margin   *float64 `json:"margin"`
	Features []struct {
		Name         string
		Value        *float64
		Contribution *float64
	}
	Changed *explanation
	Detail  string
}

// TestExplain: the page and its JSON have what Explain and WhatIf return, and no logger is
// told of a prediction.
func TestExplain(t *testing.T) {
	var logged events
	s := newShop(t, basket.WithModelLogger(&logged))
	h := s.handler()
	got := getJSON[explanation](t, h, "/api/explain?user=ann&set.prior_item_count=20&set.regulars_count=", 200)
	page := get(h, "/explain?user=ann&set.prior_item_count=20&set.regulars_count=").Body.String()
	if logged != 0 {
		t.Errorf("%d predictions were logged", logged)
	}
	want, err := s.p.Explain(t.Context(), "ann")
	check(t, err)
	changed, err := s.p.WhatIf(t.Context(), "ann", func(row *basket.Row) {
		row.Values[1], row.Values[3] = 20, math.NaN()
	})
	check(t, err)
	for _, pair := range []struct {
		got  *explanation
		want basket.Explanation
	}{{&got, want}, {got.Changed, changed}} {
		if *pair.got.Price != pair.want.Value || *pair.got.Bias != pair.want.Bias || pair.got.Route != pair.want.Route {
			t.Errorf("price %v, bias %v, route %s: want %+v", *pair.got.Price, *pair.got.Bias, pair.got.Route, pair.want)
		}
		for j, f := range pair.got.Features {
			var value *float64
			if v := pair.want.Row.Values[j]; !math.IsNaN(v) {
				value = &v
			}
			if f.Name != pair.want.Features[j] || *f.Contribution != pair.want.Contributions[j] || !cmp.Equal(value, f.Value) {
				t.Errorf("feature %d: %+v, want %+v", j, f, pair.want)
			}
		}
	}
	wantText(t, page, "prior_item_count</bdi> were 20 instead of 14", "were missing instead of ", "Nothing is stored", "2026-01-02 03:04:05 UTC", "number 7")
}

// events counts events of predictions.
type events int

func (e *events) LogModel(context.Context, basket.ModelEvent) { *e++ }

// TestExplain_faults: each fault is a sentence that says what to do, and the rest of the
// page is there.
func TestExplain_faults(t *testing.T) {
	s := newShop(t)
	h := s.handler()
	for _, test := range []struct {
		query  string
		status int
		detail string
	}{
		{"user=", 400, `"" cannot be a user ID`},
		{"", 400, `"" cannot be a user ID`},
		{"user=" + strings.Repeat("a", 1025), 400, "want 1 to 1024 bytes"},
		{"user=a%00b", 400, `"a\x00b" cannot be a user ID`},
		{"user=nobody", 404, `There is no feature row of the user "nobody"`},
		{"user=ann&set.prior_item_count=many", 200, `The value of "prior_item_count" is no number`},
		{"user=ann&set.prior_item_count=NaN", 200, "is no number"},
		{"user=ann&set.prior_item_count=-Inf", 200, "is no number"},
		{"user=ann&set.prior_item_count=1e999", 200, "is no number"},
		{"user=ann&set.other=1", 200, `The store has no feature "other"`},
		{"user=ann&set.other=" + strings.Repeat("1", 1<<16), 414, "The address is too long"},
	} {
		got := getJSON[explanation](t, h, "/api/explain?"+test.query, test.status)
		if !strings.Contains(got.Detail, test.detail) {
			t.Errorf("%.80s: %q, want %q", test.query, got.Detail, test.detail)
		}
		if test.query == "" {
			continue
		}
		w := get(h, "/explain?"+test.query)
		if w.Code != test.status || strings.Count(w.Body.String(), `class="note"`) != 1 || !strings.Contains(w.Body.String(), `<form method="get" action="explain"`) {
			t.Errorf("%.80s: %d %s", test.query, w.Code, w.Body)
		}
	}
}

// A plainModel predicts and cannot explain, or fails.
type plainModel struct{ err error }

func (plainModel) Features() []string { return []string{"prior_item_count"} }

func (m plainModel) Predict(_ context.Context, dst, rows []float64) error {
	copy(dst, rows)
	return m.err
}

// TestExplain_models: a model that cannot explain still has a price, and one that fails
// has a sentence.
func TestExplain_models(t *testing.T) {
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: []float64{56, 14, 2, 5}}}))
	check(t, err)
	for _, test := range []struct {
		err    error
		status int
		want   []string
	}{
		{nil, 200, []string{`<data id="price" value="14">14.00</data>`, "This model can predict but not explain", "What if"}},
		{basket.ErrUnavailable, 503, []string{"The store or the model does not answer. Try again"}},
		{http.ErrAbortHandler, 500, []string{"The model failed on this row"}},
	} {
		p, err := basket.New(basket.WithStore(store), basket.WithModel(plainModel{test.err}))
		check(t, err)
		w := get(dash.NewHandler(p), "/explain?user=ann")
		if w.Code != test.status {
			t.Errorf("%v: %d, want %d", test.err, w.Code, test.status)
		}
		wantText(t, w.Body.String(), test.want...)
	}
}

// FuzzExplain: whatever the query is, the answer is a page, and no text of the query is
// markup of it.
func FuzzExplain(f *testing.F) {
	f.Add("user=ann&set.prior_item_count=20")
	f.Add("user=%00&set.=&set.prior_item_count=1e309")
	f.Add("user=" + url.QueryEscape(hostile) + ";&weight.current=-1&" + strings.Repeat("set.a=1&", 30))
	h := newShop(f).handler()
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/explain", "/models", "/api/explain"} {
			r, err := http.NewRequest(http.MethodGet, "/", nil)
			check(t, err)
			r.URL.Path, r.URL.RawQuery = path, query
			w := record(h, r)
			if w.Code >= 500 || strings.Contains(w.Body.String(), "<script>") && path != "/api/explain" {
				t.Errorf("%s?%s: %d %s", path, query, w.Code, w.Body)
			}
		}
	})
}

// TestExplain_waterfall: the contributions on the page sum up from bias to margin.
func TestExplain_waterfall(t *testing.T) {
	h := newShop(t).handler()
	got := getJSON[explanation](t, h, "/api/explain?user=bea", 200)
	sum := *got.Bias
	for _, f := range got.Features {
		sum += *f.Contribution
	}
	if diff := cmp.Diff(*got.Margin, sum, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Error(diff)
	}
	wantText(t, get(h, "/explain?user=bea").Body.String(), "prior_basket_value</bdi> is missing and ", `<rect class="`)
}
