package basket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// oldStore has users by the age of their last order, and one whose row a wrapper has
// returned from its memory.
func oldStore(now time.Time) fakeStore {
	return func(_ context.Context, userID string) (basket.Row, error) {
		r := row(userID, 1, 1)
		switch userID {
		case "fresh":
			r.OrderedAt = now.Add(-time.Hour)
		case "exact":
			r.OrderedAt = now.Add(-24 * time.Hour)
		case "old":
			r.OrderedAt = now.Add(-24*time.Hour - 1500*time.Millisecond)
		case "future":
			r.OrderedAt = now.Add(48 * time.Hour)
		case "unknown":
			r.OrderedAt = time.Time{}
		case "cached":
			r.OrderedAt, r.Age = now.Add(-time.Hour), 2900*time.Millisecond
		case "cached and old":
			r.OrderedAt, r.Age = now.Add(-25*time.Hour), time.Second
		default:
			return basket.Row{}, basket.ErrUserNotFound
		}
		return r, nil
	}
}

// TestWithMaxAge is the table of users and policies, in single requests and batches.
func TestWithMaxAge(t *testing.T) {
	const stale = `"error":{"type":"stale_row","detail":"The user's data is too old"}`
	const absent = `"error":{"type":"user_not_found","detail":"User not found"}`
	type answer struct {
		status int
		age    string // the header
		result string // of the batch
	}
	served, oldServed := answer{200, "", `"predicted_price":1`}, func(age string) answer {
		return answer{200, age, `"predicted_price":1,"row_age_seconds":` + age}
	}
	refused := func(age string) answer { return answer{409, age, stale + `,"row_age_seconds":` + age} }
	tests := []struct {
		user                 string
		off, refuse, asStale answer
	}{
		{"fresh", served, served, served},
		{"exact", served, served, served},
		{"old", served, refused("86401"), oldServed("86401")},
		{"future", served, served, served},
		{"unknown", served, served, served},
		{"cached", oldServed("2"), oldServed("2"), oldServed("2")},
		{"cached and old", oldServed("1"), refused("90000"), oldServed("90000")},
		{"nobody", answer{404, "", absent}, answer{404, "", absent}, answer{404, "", absent}},
	}
	synctest.Test(t, func(t *testing.T) {
		base := []basket.Option{basket.WithStore(oldStore(time.Now())), basket.WithModel(constant(1))}
		for name, opts := range map[string][]basket.Option{
			"off": nil, "refuse": {basket.WithMaxAge(24*time.Hour, basket.RefuseStale)}, "serve": {basket.WithMaxAge(24*time.Hour, basket.ServeStale)},
		} {
			h := basket.NewHandler(mustNew(t, append(opts, base...)...))
			for _, test := range tests {
				want := map[string]answer{"off": test.off, "refuse": test.refuse, "serve": test.asStale}[name]
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"`+test.user+`"}`)))
				if got := w.Header().Get("Basket-Row-Age"); w.Code != want.status || got != want.age || w.Header().Get("Retry-After") != "" {
					t.Errorf("%s, %s: %d, Basket-Row-Age %q, want %d, %q", name, test.user, w.Code, got, want.status, want.age)
				}
				w = postBatch(h, `{"user_ids":["`+test.user+`"]}`)
				if want := `{"results":[{"user_id":"` + test.user + `",` + want.result + `}],`; w.Code != 200 || !strings.HasPrefix(w.Body.String(), want) {
					t.Errorf("%s, batch of %s: %d %s, want 200 %s", name, test.user, w.Code, w.Body, want)
				}
			}
		}
	})
}

// TestWithMaxAge_noModel: no model sees a row that is refused, and loggers get its age.
func TestWithMaxAge_noModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		counting := fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) { asked++; return 1, nil }}
		log := &modelEvents{}
		p := mustNew(t, basket.WithStore(oldStore(time.Now())), basket.WithModelLogger(log), basket.WithMaxAge(24*time.Hour, basket.RefuseStale),
			basket.WithRoutes("", basket.Route{Name: "a", Model: counting, Weight: 1}, basket.Route{Name: "b", Model: counting, Shadow: true}))
		_, err := p.Predict(t.Context(), "old")
		if !errors.Is(err, basket.ErrStale) || !strings.Contains(err.Error(), "24h0m2s old: want at most 24h0m0s") {
			t.Errorf("Predict: %v, want ErrStale", err)
		}
		if _, err := p.Explain(t.Context(), "old"); !errors.Is(err, basket.ErrStale) {
			t.Errorf("Explain: %v, want ErrStale", err)
		}
		p.PredictBatch(t.Context(), []string{"old", "old"})
		if asked != 0 || len(log.events) != 4 {
			t.Errorf("the models were asked %d times, and %d events: want 0, 4", asked, len(log.events))
		}
		for _, e := range log.events {
			if !errors.Is(e.Err, basket.ErrStale) || e.Row.Age != 24*time.Hour+1500*time.Millisecond || e.Row.Values != nil {
				t.Errorf("event %+v", e)
			}
		}
	})
}

// A partlyStore returns the rows that it knows, and an error for the others.
type partlyStore struct{ fakeStore }

func (s partlyStore) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	rows := make([]basket.Row, len(userIDs))
	for i, id := range userIDs {
		if id != "down" {
			rows[i], _ = s.Row(ctx, id)
		}
	}
	return rows, fmt.Errorf("%w: connection refused", basket.ErrUnavailable)
}

// TestPredictBatch_partly: rows that come with an error are used.
func TestPredictBatch_partly(t *testing.T) {
	p := mustNew(t, basket.WithStore(partlyStore{oldStore(time.Now())}), basket.WithModel(constant(1)))
	var got []string
	for _, r := range p.PredictBatch(t.Context(), []string{"fresh", "down", "nobody"}) {
		kind, _ := errors.AsType[basket.Error](r.Err)
		got = append(got, fmt.Sprint(r.Value, " ", string(kind)))
	}
	if diff := cmp.Diff([]string{"1 ", "0 unavailable", "0 unavailable"}, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestHandler_kinds: each kind of error of a prediction has a status and, in a batch, a
// type.
func TestHandler_kinds(t *testing.T) {
	tests := map[basket.Error]string{
		basket.ErrUserNotFound: "404 user_not_found", basket.ErrStale: "409 stale_row", basket.ErrUnavailable: "503 ",
		basket.ErrPrediction: "500 prediction_error", basket.ErrFeatureMismatch: "500 prediction_error",
	}
	const wide, short = 4, 1
	for kind, want := range tests {
		n := wide
		if kind == basket.ErrFeatureMismatch {
			n = short
		}
		store := fakeStore(func(context.Context, string) (basket.Row, error) {
			if kind == basket.ErrUserNotFound || kind == basket.ErrUnavailable {
				return basket.Row{}, kind
			}
			return basket.Row{OrderedAt: time.Now().Add(-time.Hour), Values: make([]float64, n)}, nil
		})
		model := fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) { return 0, basket.ErrPrediction }}
		opts := []basket.Option{basket.WithStore(store), basket.WithModel(model)}
		if kind == basket.ErrStale {
			opts = append(opts, basket.WithMaxAge(time.Minute, basket.RefuseStale))
		}
		h := basket.NewHandler(mustNew(t, opts...))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"u"}`)))
		_, rest, _ := strings.Cut(postBatch(h, `{"user_ids":["u"]}`).Body.String(), `"type":"`)
		inBatch, _, _ := strings.Cut(rest, `"`)
		if got := fmt.Sprint(w.Code, " ", inBatch); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
}
