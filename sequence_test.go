package basket_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// latest is the last row of a history as a value to compare.
func latest(h *basket.History) any {
	row, ok := h.Latest()
	if !ok {
		return "no row"
	}
	return row
}

// TestHistory_Insert: orders that are inserted in any order, repeated, and stored and
// read back now and then give the rows of a Materializer that reads them by sequence.
func TestHistory_Insert(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	regulars := []int64{1, 2, 3, 5, 7, 11, 13, 17}
	for trial := range 300 {
		meaning := basket.Meaning(trial % 2)
		orders := make([]basket.Order, random.IntN(20))
		for i := range orders {
			orders[i] = order("ann", random.IntN(12), make([]int64, random.IntN(9))...)
			for k := range orders[i].Items {
				orders[i].Items[k] = random.Int64N(20)
			}
		}
		want := basket.NewHistory("ann", regulars[:trial%9], 1.5, meaning)
		if err := want.Add(orders...); err != nil {
			t.Fatal(err)
		}
		arrivals := append(random.Perm(len(orders)), random.Perm(len(orders))[:len(orders)/2]...)
		random.Shuffle(len(arrivals)/2, func(i, k int) { arrivals[i], arrivals[k] = arrivals[k], arrivals[i] })
		h := basket.NewHistory("somebody", []int64{1, 9}, 1.5, meaning)
		h.Reset("ann", regulars[:trial%9])
		seen := map[int]bool{}
		for _, i := range arrivals {
			added, err := h.Insert(int64(i)*1e12-5e12, orders[i])
			if err != nil || added == seen[i] {
				t.Fatalf("Insert: %v, %v; inserted before: %v", added, err, seen[i])
			}
			seen[i] = true
			if random.IntN(3) == 0 {
				data, err := h.AppendBinary(nil)
				if err != nil {
					t.Fatal(err)
				}
				h.Reset("ann", regulars[:trial%9])
				if err := h.Merge(data); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(slices.Collect(want.Rows()), slices.Collect(h.Rows())); diff != "" {
			t.Fatalf("rows (-added in order +inserted):\n%s", diff)
		}
		if diff := cmp.Diff(latest(want), latest(h)); diff != "" {
			t.Fatalf("last row (-added in order +inserted):\n%s", diff)
		}
	}
}

// TestHistory_Merge: two parts of a history, which may overlap, make the whole.
func TestHistory_Merge(t *testing.T) {
	var orders []basket.Order
	for i := range 10 {
		orders = append(orders, order("ann", i/2, 1, int64(i)))
	}
	part := func(lo, hi int) *basket.History {
		h := basket.NewHistory("ann", []int64{1}, 2, basket.LastOrder)
		for i := lo; i < hi; i++ {
			if _, err := h.Insert(int64(i), orders[i]); err != nil {
				t.Fatal(err)
			}
		}
		return h
	}
	data, err := part(0, 6).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := part(3, 10)
	if err := h.Merge(data); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Collect(part(0, 10).Rows()), slices.Collect(h.Rows())); diff != "" {
		t.Errorf("rows (-whole +merged):\n%s", diff)
	}
}

func TestHistory_sequenceErrors(t *testing.T) {
	inserted := func() *basket.History {
		h := basket.NewHistory("ann", []int64{1}, 2, basket.LastOrder)
		for i, o := range []basket.Order{order("ann", 1, 1, 2), order("ann", 2, 3)} {
			if _, err := h.Insert(int64(10+i), o); err != nil {
				t.Fatal(err)
			}
		}
		return h
	}
	other := basket.NewHistory("ann", []int64{1}, 2, basket.LastOrder)
	if _, err := other.Insert(9, order("ann", 0, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Insert(10, order("ann", 1, 1)); err != nil {
		t.Fatal(err)
	}
	conflict, err := other.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := inserted().AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		do   func(h *basket.History) error
		is   error
		want string
	}{
		{"another time", func(h *basket.History) error { _, err := h.Insert(10, order("ann", 7, 1, 2)); return err },
			basket.ErrData, `user "ann" has two orders of the sequence 10: ` + at(1).Format(time.RFC3339Nano) + ` with 2 items, 1 of them regulars and `},
		{"other items", func(h *basket.History) error { _, err := h.Insert(10, order("ann", 1, 1, 2, 3)); return err }, basket.ErrData, "with 3 items"},
		{"other regulars", func(h *basket.History) error { _, err := h.Insert(10, order("ann", 1, 3, 2)); return err }, basket.ErrData, "with 2 items, 0 of them"},
		{"Add", func(h *basket.History) error { return h.Add(order("ann", 7)) }, basket.ErrInvalidConfig, "want Insert"},
		{"merge of another order", func(h *basket.History) error { return h.Merge(conflict) }, basket.ErrData, "two orders of the sequence 10"},
		{"merge of nothing", func(h *basket.History) error { return h.Merge(nil) }, basket.ErrData, "not in the format 1"},
		{"merge of another format", func(h *basket.History) error { return h.Merge([]byte{2}) }, basket.ErrData, "not in the format 1"},
		{"merge of a part", func(h *basket.History) error { return h.Merge(data[:len(data)-1]) }, basket.ErrData, "damaged"},
		{"merge of unsorted orders", func(h *basket.History) error { return h.Merge([]byte{1, 4, 0, 0, 0, 0, 1, 0, 2, 0, 0}) }, basket.ErrData, "damaged 0 bytes"},
		{"merge of regulars that are no items", func(h *basket.History) error { return h.Merge([]byte{1, 4, 0, 0, 0, 1}) }, basket.ErrData, "damaged"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := inserted()
			before := slices.Collect(h.Rows())
			err := test.do(h)
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v: want %v with %q", err, test.is, test.want)
			}
			if diff := cmp.Diff(before, slices.Collect(h.Rows())); diff != "" || h.Len() != 2 {
				t.Errorf("the history has changed:\n%s", diff)
			}
		})
	}

	added := basket.NewHistory("ann", nil, 2, basket.LastOrder)
	if err := added.Add(order("ann", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := added.Insert(1, order("ann", 2)); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("Insert after Add: %v", err)
	}
	if _, err := added.AppendBinary(nil); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("AppendBinary after Add: %v", err)
	}
}

// TestHistory_extremes: any time and any sequence can be stored.
func TestHistory_extremes(t *testing.T) {
	h := basket.NewHistory("ann", nil, 1, basket.NextOrder)
	for i, sequence := range []int64{math.MinInt64, math.MaxInt64, 0} {
		o := basket.Order{OrderedAt: []time.Time{time.Unix(math.MinInt64, 0), time.Unix(math.MaxInt64, 999_999_999), {}}[i]}
		if _, err := h.Insert(sequence, o); err != nil {
			t.Fatal(err)
		}
	}
	data, err := h.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := basket.NewHistory("ann", nil, 1, basket.NextOrder)
	if err := got.Merge(data); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Collect(h.Rows()), slices.Collect(got.Rows())); diff != "" {
		t.Error(diff)
	}
}

// FuzzHistory_Merge: what Merge accepts, AppendBinary writes in the same way.
func FuzzHistory_Merge(f *testing.F) {
	h := basket.NewHistory("ann", []int64{1}, 2, basket.LastOrder)
	for i := range 5 {
		if _, err := h.Insert(int64(i*i-7), order("ann", i*i%7, 1, 2, int64(i))); err != nil {
			f.Fatal(err)
		}
		data, err := h.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h := basket.NewHistory("ann", nil, 2, basket.LastOrder)
		if err := h.Merge(data); err != nil {
			if h.Len() != 0 || !errors.Is(err, basket.ErrData) {
				t.Fatalf("%d orders after %v", h.Len(), err)
			}
			return
		}
		again, err := h.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := basket.NewHistory("ann", nil, 2, basket.LastOrder)
		if err := got.Merge(again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Collect(h.Rows()), slices.Collect(got.Rows())); diff != "" {
			t.Fatal(diff)
		}
	})
}

// ExampleHistory_Insert follows a user's orders, of which one arrives late and one
// twice, and stores the history between two of them.
func ExampleHistory_Insert() {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	h := basket.NewHistory("ann", []int64{7}, 2.5, basket.LastOrder)
	for _, e := range []struct {
		sequence int64
		order    basket.Order
	}{
		{1, basket.Order{OrderedAt: day(1), Items: []int64{7, 7, 8}}},
		{3, basket.Order{OrderedAt: day(3), Items: []int64{7}}},
		{3, basket.Order{OrderedAt: day(3), Items: []int64{7}}},
		{2, basket.Order{OrderedAt: day(2), Items: []int64{9}}},
	} {
		added, err := h.Insert(e.sequence, e.order)
		if err != nil {
			fmt.Println(err)
			return
		}
		stored, err := h.AppendBinary(nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		row, _ := h.Latest()
		fmt.Println(e.sequence, added, row.Values, len(stored), "bytes")
	}
	// Output:
	// 1 true [] 10 bytes
	// 3 true [7.5 3 1 1] 17 bytes
	// 3 false [7.5 3 1 1] 17 bytes
	// 2 true [2.5 1 0 1] 24 bytes
}

func BenchmarkHistory_Insert(b *testing.B) {
	const orders = 63
	h := basket.NewHistory("ann", nil, 2, basket.LastOrder)
	regulars := make([]int64, 17)
	items := make([]int64, 10)
	for i := range regulars {
		regulars[i] = int64(33e12) + int64(i)
	}
	for i := range orders {
		if _, err := h.Insert(int64(i*1000), order("ann", i*100_000, items...)); err != nil {
			b.Fatal(err)
		}
	}
	data, err := h.AppendBinary(nil)
	if err != nil {
		b.Fatal(err)
	}
	next := order("ann", orders*100_000, items...)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		h.Reset("ann", regulars)
		if err := h.Merge(data); err != nil {
			b.Fatal(err)
		}
		if _, err := h.Insert(1e6, next); err != nil {
			b.Fatal(err)
		}
		if dst, err = h.AppendBinary(dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
