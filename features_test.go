package basket_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

func order(userID string, n int, items ...int64) basket.Order {
	return basket.Order{UserID: userID, OrderedAt: at(n), Items: items}
}

// materialize works with items that cost 2 on average, and regulars 1 and 2 of
// user a.
func materialize(t *testing.T, m basket.Meaning, orders ...basket.Order) *basket.Materializer {
	t.Helper()
	regulars := []basket.Regular{{UserID: "a", VariantID: 1}, {UserID: "a", VariantID: 2}, {UserID: "a", VariantID: 2}, {UserID: "z", VariantID: 1}}
	items := []basket.Item{{VariantID: 1, Price: 1}, {VariantID: 2, Price: 3}, {VariantID: 3, Price: math.NaN()}}
	mat, err := basket.NewMaterializer(basket.Values(regulars), basket.Values(items), m)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range orders {
		if err := mat.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	return mat
}

func TestMaterializer_rules(t *testing.T) {
	type row struct {
		user   string
		at     int
		nth    int
		values []float64 // value, count and regulars of the order before; regulars of this one
	}
	tests := []struct {
		name, reason string
		meaning      basket.Meaning
		orders       []basket.Order
		want         []row
	}{
		{
			name:   "two orders, the later one first",
			reason: "orders are sorted by event time; repeats count as items, but once as regulars",
			orders: []basket.Order{order("a", 9, 2, 2, 7), order("a", 5, 1, 1, 2, 8)},
			want:   []row{{"a", 9, 1, []float64{8, 4, 2, 1}}},
		},
		{
			name:   "one order",
			reason: "there is no order before it",
			orders: []basket.Order{order("a", 1, 1)},
		},
		{
			name:   "empty orders",
			reason: "an order of no items counts as one of zero",
			orders: []basket.Order{order("a", 1), order("a", 2)},
			want:   []row{{"a", 2, 1, []float64{0, 0, 0, 0}}},
		},
		{
			name:   "two orders of equal time after another",
			reason: "places 1, 2, 2: both are joined with the first",
			orders: []basket.Order{order("b", 1, 1), order("b", 2, 1, 1), order("b", 2, 1, 1, 1)},
			want:   []row{{"b", 2, 1, []float64{2, 1, 0, 0}}, {"b", 2, 2, []float64{2, 1, 0, 0}}},
		},
		{
			name:   "two orders of equal time before another",
			reason: "places 1, 1, 3: the third has none at 2",
			orders: []basket.Order{order("b", 1, 1), order("b", 1, 1, 1), order("b", 2, 1)},
		},
		{
			name:   "three orders of equal time in the middle",
			reason: "places 1, 3, 3, 3, 5",
			orders: []basket.Order{order("b", 1, 1), order("b", 2), order("b", 2), order("b", 2), order("b", 3)},
		},
		{
			name:   "equal times only",
			reason: "places 1, 1",
			orders: []basket.Order{order("b", 1, 1), order("b", 1, 1, 1)},
		},
		{
			name:   "users are sorted",
			reason: "by the bytes of their IDs, in any order of arrival",
			orders: []basket.Order{order("c", 1), order("b", 1), order("b", 2), order("c", 2), order("a", 1, 1), order("a", 2), order("a", 3)},
			want: []row{
				{"a", 2, 1, []float64{2, 1, 1, 0}}, {"a", 3, 2, []float64{0, 0, 0, 0}},
				{"b", 2, 1, []float64{0, 0, 0, 0}}, {"c", 2, 1, []float64{0, 0, 0, 0}},
			},
		},
		{
			name:    "next order",
			reason:  "each order gives a row: its own values, and all regulars of the user",
			meaning: basket.NextOrder,
			orders:  []basket.Order{order("a", 2, 1, 1, 5), order("a", 1), order("b", 1, 1)},
			want: []row{
				{"a", 1, 1, []float64{0, 0, 0, 2}}, {"a", 2, 2, []float64{6, 3, 1, 2}},
				{"b", 1, 1, []float64{2, 1, 0, 0}},
			},
		},
		{
			name:    "next order of equal times",
			reason:  "the last to arrive is the last",
			meaning: basket.NextOrder,
			orders:  []basket.Order{order("b", 1, 1, 1), order("b", 1, 1)},
			want:    []row{{"b", 1, 1, []float64{4, 2, 0, 0}}, {"b", 1, 2, []float64{2, 1, 0, 0}}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mat := materialize(t, test.meaning, test.orders...)
			var want, last []basket.Row
			for i, r := range test.want {
				row := basket.Row{UserID: r.user, OrderedAt: at(r.at), Number: r.nth, Values: r.values}
				want = append(want, row)
				if i+1 == len(test.want) || test.want[i+1].user != r.user {
					last = append(last, row)
				}
			}
			if diff := cmp.Diff(want, collect(t, mat.Rows(t.Context()))); diff != "" {
				t.Errorf("%s: Rows (-want +got):\n%s", test.reason, diff)
			}
			if diff := cmp.Diff(last, collect(t, mat.Latest(t.Context()))); diff != "" {
				t.Errorf("%s: Latest (-want +got):\n%s", test.reason, diff)
			}
			// Stopping early must not fail, nor affect a later call.
			for range mat.Rows(t.Context()) {
				break
			}
			for range mat.Latest(t.Context()) {
				break
			}
			if got := collect(t, mat.Latest(t.Context())); !cmp.Equal(last, got) {
				t.Errorf("second Latest: %v, want %v", got, last)
			}
		})
	}
}

// TestMaterializer_subsecond orders by nanoseconds, across the epoch too.
func TestMaterializer_subsecond(t *testing.T) {
	mat := materialize(t, basket.LastOrder)
	for i, when := range []time.Time{time.Unix(-1, 5), time.Unix(-1, 4), time.Unix(-2, 999_999_999)} {
		if err := mat.Add(basket.Order{UserID: "a", OrderedAt: when, Items: make([]int64, i)}); err != nil {
			t.Fatal(err)
		}
	}
	var counts []float64
	for _, row := range collect(t, mat.Rows(t.Context())) {
		counts = append(counts, row.Values[1])
	}
	if diff := cmp.Diff([]float64{2, 1}, counts); diff != "" {
		t.Errorf("prior_item_count (-want +got):\n%s", diff)
	}
}

func TestNewMaterializer_refuses(t *testing.T) {
	items := func(prices ...float64) iter.Seq2[basket.Item, error] {
		var items []basket.Item
		for i, p := range prices {
			items = append(items, basket.Item{VariantID: int64(i), Price: p})
		}
		return basket.Values(items)
	}
	none := basket.Values[basket.Regular](nil)
	tests := []struct {
		name   string
		prices []float64
		want   string
	}{
		{"no items", nil, "none of its 0 lines has a price"},
		{"no price", []float64{math.NaN(), math.NaN()}, "none of its 2 lines has a price"},
		{"an infinite price", []float64{1, math.Inf(1)}, "variant 1 has the price +Inf"},
	}
	for _, test := range tests {
		_, err := basket.NewMaterializer(none, items(test.prices...), basket.LastOrder)
		if !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want ErrData with %q", test.name, err, test.want)
		}
	}
	if _, err := basket.NewMaterializer(none, items(1), basket.Meaning(7)); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("meaning 7: %v, want ErrInvalidConfig", err)
	}
	reserved := basket.Values([]basket.Regular{{UserID: "a", VariantID: basket.NoVariant}})
	if _, err := basket.NewMaterializer(reserved, items(1)); !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), `user "a"`) {
		t.Errorf("a regular without a variant: %v, want ErrData with the user", err)
	}
}

// TestMaterializer_sequenceErrors: an error of a sequence is returned as it is,
// by each function that reads one.
func TestMaterializer_sequenceErrors(t *testing.T) {
	boom := errors.New("boom")
	items := basket.Values([]basket.Item{{VariantID: 1, Price: 1}})
	if _, err := basket.NewMaterializer(failing[basket.Regular](boom), items); err != boom {
		t.Errorf("regulars: %v", err)
	}
	if _, err := basket.NewMaterializer(basket.Values[basket.Regular](nil), failing[basket.Item](boom)); err != boom {
		t.Errorf("inventory: %v", err)
	}
	if err := materialize(t, basket.LastOrder).AddAll(failing[basket.Order](boom)); err != boom {
		t.Errorf("orders: %v", err)
	}
	if _, err := basket.NewMemoryStore(failing[basket.Row](boom)); err != boom {
		t.Errorf("rows of a new store: %v", err)
	}
	s := mustStore(t, row("a", 1, 1))
	if err := s.Replace(failing[basket.Row](boom)); err != boom || s.Len() != 1 {
		t.Errorf("rows that replace: %v, %d users", err, s.Len())
	}
}

// failing is a sequence that yields an error at once.
func failing[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		yield(zero, err)
	}
}

// TestMaterializer_contextDone: both sequences end with the context's error.
func TestMaterializer_contextDone(t *testing.T) {
	mat := materialize(t, basket.NextOrder, order("a", 1, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, rows := range map[string]iter.Seq2[basket.Row, error]{"Rows": mat.Rows(ctx), "Latest": mat.Latest(ctx)} {
		n := 0
		for _, err := range rows {
			if n++; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want context.Canceled", name, err)
			}
		}
		if n != 1 {
			t.Errorf("%s yields %d times, want once", name, n)
		}
	}
}

// collect returns the rows of a sequence without errors.
func collect(t testing.TB, rows iter.Seq2[basket.Row, error]) []basket.Row {
	t.Helper()
	var all []basket.Row
	for row, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	return all
}
