package basket_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	gocmp "github.com/google/go-cmp/cmp"
)

// A randomShop is the input of a Materializer.
type randomShop struct {
	regulars  []basket.Regular
	inventory []basket.Item
	orders    []basket.Order
}

// newShop returns a shop with what makes rows differ if they are computed in
// another order: orders of equal time, orders that arrive late, users with no, few
// and many regulars, and IDs of all lengths.
func newShop(seed uint64) randomShop {
	r := rand.New(rand.NewPCG(seed, 1))
	var s randomShop
	for v := range 50 {
		s.inventory = append(s.inventory, basket.Item{VariantID: int64(v), Price: math.Round(r.ExpFloat64()*1000) / 100})
	}
	users := []string{"", "u", "u\x00", strings.Repeat("x", 300), strings.Repeat("y", 100_000)}
	for i := range 1 + r.IntN(300) {
		id := fmt.Sprint("customer-", i)
		if i%3 == 0 {
			id = strings.Repeat(id, 1+r.IntN(20))
		}
		users = append(users, id)
	}
	for _, u := range users {
		for range []int{0, 3, 8, 40}[r.IntN(4)] {
			s.regulars = append(s.regulars, basket.Regular{UserID: u, VariantID: int64(r.IntN(60))})
		}
	}
	r.Shuffle(len(s.regulars), func(i, j int) { s.regulars[i], s.regulars[j] = s.regulars[j], s.regulars[i] })
	for range r.IntN(3000) {
		items := make([]int64, r.IntN(12))
		for i := range items {
			if items[i] = int64(r.IntN(60)); items[i] == 59 {
				items[i] = basket.NoVariant
			}
		}
		at := time.Unix(int64(r.IntN(20)-5), int64(r.IntN(2))).UTC()
		s.orders = append(s.orders, basket.Order{UserID: users[r.IntN(len(users))], OrderedAt: at, Items: items})
	}
	return s
}

// rows computes the rows by the rules in the plainest way.
func (s randomShop) rows(meanPrice float64, meaning basket.Meaning) []basket.Row {
	owned := map[string]map[int64]bool{}
	for _, r := range s.regulars {
		if owned[r.UserID] == nil {
			owned[r.UserID] = map[int64]bool{}
		}
		owned[r.UserID][r.VariantID] = true
	}
	regularsOf := func(o basket.Order) float64 {
		found := map[int64]bool{}
		for _, item := range o.Items {
			if owned[o.UserID][item] {
				found[item] = true
			}
		}
		return float64(len(found))
	}
	byUser := map[string][]basket.Order{}
	for _, o := range s.orders {
		byUser[o.UserID] = append(byUser[o.UserID], o)
	}
	var rows []basket.Row
	for _, user := range slices.Sorted(mapKeys(byUser)) {
		orders := byUser[user]
		slices.SortStableFunc(orders, func(a, b basket.Order) int { return a.OrderedAt.Compare(b.OrderedAt) })
		places := make([]int, len(orders))
		for i, o := range orders {
			first := slices.IndexFunc(orders, func(p basket.Order) bool { return p.OrderedAt.Equal(o.OrderedAt) })
			last := first
			for last+1 < len(orders) && orders[last+1].OrderedAt.Equal(o.OrderedAt) {
				last++
			}
			places[i] = int(float64(first+1+last+1) / 2)
		}
		number := 0
		add := func(own, prior basket.Order, regulars float64) {
			number++
			n := float64(len(prior.Items))
			rows = append(rows, basket.Row{UserID: user, OrderedAt: own.OrderedAt, Number: number, Values: []float64{n * meanPrice, n, regularsOf(prior), regulars}})
		}
		for i, own := range orders {
			if meaning == basket.NextOrder {
				add(own, own, float64(len(owned[user])))
				continue
			}
			for k, prior := range orders {
				if places[k]+1 == places[i] {
					add(own, prior, regularsOf(own))
				}
			}
		}
	}
	return rows
}

func mapKeys(m map[string][]basket.Order) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// last returns the last row of each user.
func last(rows []basket.Row) []basket.Row {
	var newest []basket.Row
	for i, r := range rows {
		if i+1 == len(rows) || rows[i+1].UserID != r.UserID {
			newest = append(newest, r)
		}
	}
	return newest
}

// cut returns a slice as sequences of random lengths.
func cut[T any](r *rand.Rand, all []T) []iter.Seq2[T, error] {
	var parts []iter.Seq2[T, error]
	for len(all) > 0 {
		n := 1 + r.IntN(len(all))
		parts = append(parts, basket.Values(all[:n]))
		all = all[n:]
	}
	return parts
}

// sameBits compares floats by their bits.
var sameBits = gocmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })

// TestMaterializer_shards: every bit and the order of the rows are those of the
// rules, whatever the number of shards, goroutines and sequences.
func TestMaterializer_shards(t *testing.T) {
	for seed := range uint64(8) {
		s := newShop(seed)
		r := rand.New(rand.NewPCG(seed, 2))
		meaning := basket.Meaning(seed % 2)
		meanPrice, err := basket.MeanItemPrice(basket.Values(s.inventory))
		if err != nil {
			t.Fatal(err)
		}
		want := s.rows(meanPrice, meaning)
		for _, shards := range []int{1, 2, 7, 16} {
			for _, goroutines := range []int{1, 2, 7} {
				m, err := basket.NewMaterializerOfShards(shards, basket.Values[basket.Regular](nil), basket.Values(s.inventory), meaning, basket.WithGoroutines(goroutines))
				if err != nil {
					t.Fatal(err)
				}
				if err := m.AddRegulars(cut(r, s.regulars)...); err != nil {
					t.Fatal(err)
				}
				rest := s.orders
				if len(rest) > 10 { // some by Add, and rows in between
					for _, o := range rest[:10] {
						if err := m.Add(o); err != nil {
							t.Fatal(err)
						}
					}
					rest = rest[10:]
					before := randomShop{s.regulars, s.inventory, s.orders[:10]}.rows(meanPrice, meaning)
					if diff := gocmp.Diff(before, collect(t, m.Rows(t.Context())), sameBits); diff != "" {
						t.Errorf("seed %d, %d shards, %d goroutines: rows of 10 orders (-want +got):\n%s", seed, shards, goroutines, diff)
					}
				}
				if err := m.AddAll(cut(r, rest)...); err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(want, collect(t, m.Rows(t.Context())), sameBits); diff != "" {
					t.Errorf("seed %d, %d shards, %d goroutines: Rows (-want +got):\n%s", seed, shards, goroutines, diff)
				}
				if diff := gocmp.Diff(last(want), collect(t, m.Latest(t.Context())), sameBits); diff != "" {
					t.Errorf("seed %d, %d shards, %d goroutines: Latest (-want +got):\n%s", seed, shards, goroutines, diff)
				}
			}
		}
	}
}

// TestHistory: a user's history gives the Materializer's rows, whether the orders
// are added one at a time or all at once.
func TestHistory(t *testing.T) {
	for seed := range uint64(6) {
		s := newShop(seed)
		meaning := basket.Meaning(seed % 2)
		meanPrice, err := basket.MeanItemPrice(basket.Values(s.inventory))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]basket.Row{}
		for _, row := range s.rows(meanPrice, meaning) {
			want[row.UserID] = append(want[row.UserID], row)
		}
		regulars, orders := map[string][]int64{}, map[string][]basket.Order{}
		for _, r := range s.regulars {
			regulars[r.UserID] = append(regulars[r.UserID], r.VariantID)
		}
		for _, o := range s.orders {
			orders[o.UserID] = append(orders[o.UserID], o)
		}
		for user, orders := range orders {
			whole := basket.NewHistory(user, regulars[user], meanPrice, meaning)
			if err := whole.Add(orders...); err != nil {
				t.Fatal(err)
			}
			stream := basket.NewHistory(user, regulars[user], meanPrice, meaning)
			for _, o := range orders {
				if err := stream.Add(o); err != nil {
					t.Fatal(err)
				}
			}
			for name, h := range map[string]*basket.History{"all at once": whole, "one at a time": stream} {
				got := slices.Collect(h.Rows())
				if diff := gocmp.Diff(want[user], got, sameBits); diff != "" {
					t.Errorf("seed %d, user %.20q, %s: (-want +got):\n%s", seed, user, name, diff)
				}
				newest, ok := h.Latest()
				if ok != (len(got) > 0) || ok && !gocmp.Equal(newest, got[len(got)-1], sameBits) {
					t.Errorf("seed %d, user %.20q, %s: Latest is %v, %t", seed, user, name, newest, ok)
				}
			}
		}
	}
}

// TestHistory_stops: the sequence of rows can be left early.
func TestHistory_stops(t *testing.T) {
	for _, meaning := range []basket.Meaning{basket.LastOrder, basket.NextOrder} {
		h := basket.NewHistory("a", nil, 1, meaning)
		if err := h.Add(order("a", 1), order("a", 2), order("a", 3)); err != nil {
			t.Fatal(err)
		}
		n := 0
		for range h.Rows() {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%v: %d rows", meaning, n)
		}
	}
}

// TestMaterializer_firstError: the error of the first sequence that has one is
// returned, although another one came earlier.
func TestMaterializer_firstError(t *testing.T) {
	slow, fast := errors.New("slow"), errors.New("fast")
	for _, goroutines := range []int{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			m := materializeBy(t, goroutines)
			err := m.AddAll(
				basket.Values([]basket.Order{order("a", 1)}),
				func(yield func(basket.Order, error) bool) {
					time.Sleep(time.Second)
					yield(basket.Order{}, slow)
				},
				failing[basket.Order](fast),
				func(yield func(basket.Order, error) bool) {
					time.Sleep(time.Minute)
					yield(basket.Order{}, errors.New("later"))
				},
			)
			if err != slow {
				t.Errorf("%d goroutines: %v, want the error of the second sequence", goroutines, err)
			}
		})
	}
}

func materializeBy(t *testing.T, goroutines int) *basket.Materializer {
	t.Helper()
	m, err := basket.NewMaterializer(basket.Values[basket.Regular](nil), basket.Values([]basket.Item{{Price: 1}}), basket.WithGoroutines(goroutines))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMaterializer_panic: AddAll does not return if a sequence panics or ends its
// goroutine, whichever goroutine reads it; a panic reaches the caller; no goroutine
// is left.
func TestMaterializer_panic(t *testing.T) {
	for _, goroutines := range []int{1, 2, 5} {
		for name, end := range map[string]func(){"panic": func() { panic("oh") }, "Goexit": runtime.Goexit} {
			synctest.Test(t, func(t *testing.T) {
				m := materializeBy(t, goroutines)
				bad := func(yield func(basket.Order, error) bool) {
					for i := range 3000 {
						yield(order("a", i), nil)
					}
					end()
				}
				idle := func(func(basket.Order, error) bool) { time.Sleep(time.Second) }
				returned := false
				var recovered any
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { recovered = recover() }()
					_ = m.AddAll(idle, bad, idle)
					returned = true
				}()
				<-done
				if returned || name == "panic" && recovered != "oh" {
					t.Errorf("%d goroutines, %s: AddAll returned: %t, recovered %v", goroutines, name, returned, recovered)
				}
			})
		}
	}
}

func TestMaterializer_lateRegulars(t *testing.T) {
	regulars := basket.Values([]basket.Regular{{UserID: "a", VariantID: 1}})
	after := map[string]func(*basket.Materializer) error{
		"Add":    func(m *basket.Materializer) error { return m.Add(order("a", 1)) },
		"AddAll": func(m *basket.Materializer) error { return m.AddAll() },
		"Rows": func(m *basket.Materializer) error {
			for range m.Rows(context.Background()) {
			}
			return nil
		},
	}
	for name, use := range after {
		m := materializeBy(t, 1)
		if err := cmp.Or(m.AddRegulars(regulars), use(m)); err != nil {
			t.Fatal(err)
		}
		if err := m.AddRegulars(regulars); !errors.Is(err, basket.ErrInvalidConfig) {
			t.Errorf("AddRegulars after %s: %v, want ErrInvalidConfig", name, err)
		}
	}
}

func TestWithGoroutines_refuses(t *testing.T) {
	for _, n := range []int{-1, 0, 1025} {
		_, err := basket.NewMaterializer(basket.Values[basket.Regular](nil), basket.Values([]basket.Item{{Price: 1}}), basket.WithGoroutines(n))
		if !errors.Is(err, basket.ErrInvalidConfig) {
			t.Errorf("%d goroutines: %v, want ErrInvalidConfig", n, err)
		}
	}
}
