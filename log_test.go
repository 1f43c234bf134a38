package basket_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// TestModelEvent_answer: an event of a shadow has the prediction that the user got.
func TestModelEvent_answer(t *testing.T) {
	shadow := basket.Route{Name: "shadow", Model: constant(4), Shadow: true}
	for _, test := range []struct {
		name   string
		routes []basket.Route
		want   []string // value and answer of each event
	}{
		{"an answer", []basket.Route{{Name: "main", Model: constant(3), Weight: 1}, shadow}, []string{"3 NaN", "4 3"}},
		{"a failure", []basket.Route{{Name: "main", Model: constant(math.Inf(1)), Weight: 1}, shadow}, []string{"0 NaN", "4 NaN"}},
	} {
		log := &modelEvents{}
		p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModelLogger(log), basket.WithRoutes("x", test.routes...))
		_, _ = p.Predict(t.Context(), "a")
		p.PredictBatch(t.Context(), []string{"nobody", "a"})
		var got []string
		for _, e := range log.events {
			if e.UserID == "a" {
				got = append(got, fmt.Sprint(e.Value, e.Answer))
			}
		}
		if diff := cmp.Diff(append(test.want, test.want...), got); diff != "" {
			t.Errorf("%s: events of Predict and PredictBatch (-want +got):\n%s", test.name, diff)
		}
	}
}
