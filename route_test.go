package basket_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// anyUser is a store that has the same row for every user.
var anyUser = fakeStore(func(_ context.Context, userID string) (basket.Row, error) { return row(userID, 1, 1), nil })

// weights are routes named a, b, c, ... of these weights.
func weights(w ...int) []basket.Route {
	var list []basket.Route
	for i, w := range w {
		list = append(list, basket.Route{Name: string(rune('a' + i)), Model: constant(float64(i)), Weight: w})
	}
	return list
}

// assign returns the routes of n users, one letter each.
func assign(t *testing.T, p *basket.Predictor, n int) string {
	t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%d", i)
	}
	var b strings.Builder
	for _, r := range p.PredictBatch(t.Context(), ids) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		b.WriteString(r.Route)
	}
	return b.String()
}

// TestRoute_python compares the assignment with that of the Python lines in the
// comment of Route:
//
//	routes = [(b"a", 5), (b"b", 3), (b"c", 2)]
//	"".join(min(routes, key=lambda r: score(b"price-2025", *r, b"user-%d" % i))[0].decode() for i in range(60))
func TestRoute_python(t *testing.T) {
	const want = "aaaaacbbcaaaaababbbacbbabbaabbababaaaabacaaacaaacbbacbbaabaa"
	p := mustNew(t, basket.WithStore(anyUser), basket.WithRoutes("price-2025", weights(5, 3, 2)...))
	if diff := cmp.Diff(want, assign(t, p, 60)); diff != "" {
		t.Errorf("routes of user-0 to user-59 (-want +got):\n%s", diff)
	}
}

// TestRoute_weightsChange: shares follow the weights, a route that grows relative
// to the others loses no user, and no user moves between the others.
func TestRoute_weightsChange(t *testing.T) {
	const users = 100_000
	for _, test := range []struct {
		before, after []int
		grows         byte
	}{
		{[]int{9, 1}, []int{80, 20}, 'b'},
		{[]int{2, 2, 2}, []int{2, 4, 2}, 'b'},
		{[]int{5, 3, 2}, []int{5, 3, 4}, 'c'},
		{[]int{1, 1, 0}, []int{1, 1, 1}, 'c'},
	} {
		p := mustNew(t, basket.WithStore(anyUser), basket.WithRoutes("x", weights(test.before...)...))
		before := assign(t, p, users)
		if err := p.SetRoutes("x", weights(test.after...)...); err != nil {
			t.Fatal(err)
		}
		after := assign(t, p, users)
		for i := range users {
			if before[i] != after[i] && after[i] != test.grows {
				t.Fatalf("%v to %v: user %d moves from %c to %c", test.before, test.after, i, before[i], after[i])
			}
		}
		for assigned, list := range map[string][]int{before: test.before, after: test.after} {
			total := 0
			for _, w := range list {
				total += w
			}
			for k, w := range list {
				got := float64(strings.Count(assigned, string(rune('a'+k)))) / users
				if want := float64(w) / float64(total); math.Abs(got-want) > 0.005 {
					t.Errorf("weights %v: route %c has %.2f%% of the users, want %.2f%%", list, 'a'+k, 100*got, 100*want)
				}
			}
		}
	}
}

// TestRoute_experiment: another experiment reassigns the users.
func TestRoute_experiment(t *testing.T) {
	p := mustNew(t, basket.WithStore(anyUser), basket.WithRoutes("x", weights(1, 1)...))
	before := assign(t, p, 1000)
	if err := p.SetRoutes("y", weights(1, 1)...); err != nil {
		t.Fatal(err)
	}
	same := 0
	for i, r := range assign(t, p, 1000) {
		if before[i] == byte(r) {
			same++
		}
	}
	if same < 400 || same > 600 {
		t.Errorf("%d of 1000 users are on the same route, want about 500", same)
	}
}

func TestPredictor_SetRoutes_refuses(t *testing.T) {
	p := mustNew(t, basket.WithStore(anyUser), basket.WithRoutes("x", weights(1)...))
	stranger := basket.Route{Name: "b", Model: fakeModel{names: []string{"age"}}, Weight: 1}
	for _, test := range []struct {
		list []basket.Route
		want error
	}{
		{nil, basket.ErrInvalidConfig},
		{weights(math.MaxInt, math.MaxInt, 2), basket.ErrInvalidConfig},
		{append(weights(1), stranger), basket.ErrFeatureMismatch},
		{append(weights(1), basket.Route{Name: "b", Model: (*basket.FileModel)(nil), Weight: 1}), basket.ErrInvalidConfig},
		{[]basket.Route{{Name: "a\nb", Model: constant(1), Weight: 1}}, basket.ErrInvalidConfig},
	} {
		if err := p.SetRoutes("y", test.list...); !errors.Is(err, test.want) {
			t.Errorf("SetRoutes(%v): %v, want %v", test.list, err, test.want)
		}
	}
	if got, err := p.Predict(t.Context(), "u"); err != nil || got.Route != "a" {
		t.Errorf("after failures: %v, %v, want the old route", got, err)
	}
}

func BenchmarkPredictor_routes(b *testing.B) {
	s := basket.WithStore(mustStore(b, row("user", 1, 1)))
	m := loadModel(b, regressionModel)
	for _, n := range []int{1, 2, 5} {
		list := weights(make([]int, n)...)
		for i := range list {
			list[i].Model, list[i].Weight = m, 1
		}
		p := mustNew(b, s, basket.WithRoutes("x", list...))
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Predict(context.Background(), "user"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
