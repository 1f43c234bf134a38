package baskettest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unicode"

	"github.com/basket-go/basket"
)

// TestModel tests a model, on random rows with and without missing values.
// NewModel is called once per subtest and must return equal models. A model with a
// method Outputs() int may give several predictions per row. If the model is a
// [basket.Explainer], Explain is tested too.
func TestModel(t *testing.T, newModel func(t *testing.T) basket.Model) {
	t.Helper()
	run(t, modelDuties, newModel)
}

// modelDuties are the duties of basket.Model and basket.Explainer.
var modelDuties = []duty[basket.Model]{
	{"features", "Features must return the same names at each call, whatever callers do to the slice, each once.", func(t *testing.T, m basket.Model) error {
		want := slices.Clone(m.Features())
		if len(want) == 0 {
			return violation("Features returned no names")
		}
		seen := map[string]bool{}
		for _, name := range want {
			if seen[name] {
				return violation("Features returned %q twice", name)
			}
			seen[name] = true
		}
		for range 3 {
			got := m.Features()
			if !slices.Equal(got, want) {
				return violation("Features returned %q after %q", got, want)
			}
			got[0] = "changed by the caller"
		}
		return nil
	}},
	{"deterministic", "Predict must give equal rows equal predictions.", func(t *testing.T, m basket.Model) error {
		rows := randomRows(m, 50, 0)
		want, err := predict(t, m, rows)
		if err != nil {
			return err
		}
		for range 3 {
			if got, err := predict(t, m, rows); err != nil || differ(got, want) >= 0 {
				return violation("Predict gave %v, %v: want %v as before", got, err, want)
			}
		}
		return nil
	}},
	{"batch equals single", "Predict must give a row the same bits whatever rows are predicted with it.", func(t *testing.T, m basket.Model) error {
		for _, n := range []int{1, 2, 3, 7, 16, 33, 100, 1025} {
			if err := batchEqualsSingle(t, m, randomRows(m, n, 0)); err != nil {
				return fmt.Errorf("%d rows: %w", n, err)
			}
		}
		return nil
	}},
	{"missing values", "Predict must take NaN as missing: it must not panic, and must give a row the same bits whatever rows are predicted with it.", func(t *testing.T, m basket.Model) error {
		return batchEqualsSingle(t, m, randomRows(m, 100, 0.4))
	}},
	{"extreme values", "Predict must not panic for any number, and must give a row the same bits whatever rows are predicted with it.", func(t *testing.T, m basket.Model) error {
		rows := randomRows(m, 100, 0)
		extreme := []float64{math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1), 1 << 40, -1e19}
		for i := range rows {
			if i%3 == 0 {
				rows[i] = extreme[i/3%len(extreme)]
			}
		}
		return batchEqualsSingle(t, m, rows)
	}},
	{"all of dst", "Predict must set every element of dst, whatever it holds, and nothing beyond.", func(t *testing.T, m basket.Model) error {
		rows := randomRows(m, 20, 0)
		want, err := predict(t, m, rows)
		if err != nil {
			return err
		}
		const sentinel = 123456.789
		for _, fill := range []float64{math.NaN(), 1e9, math.Inf(-1)} {
			memory := slices.Repeat([]float64{fill}, len(want)+8)
			for i := range memory[len(want):] {
				memory[len(want)+i] = sentinel
			}
			if err := m.Predict(t.Context(), memory[:len(want)], rows); err != nil {
				return err
			}
			if i := differ(memory[:len(want)], want); i >= 0 {
				return fmt.Errorf("dst[%d] held %v and became %v: want %v", i, fill, memory[i], want[i])
			}
			for _, v := range memory[len(want):] {
				if v != sentinel {
					return violation("Predict wrote beyond dst")
				}
			}
		}
		return nil
	}},
	{"rows unchanged", "Predict must not change rows, nor what is behind them.", func(t *testing.T, m basket.Model) error {
		memory := randomRows(m, 20, 0.1)
		before := slices.Clone(memory)
		if _, err := predict(t, m, memory[:len(memory)/2]); err != nil {
			return err
		}
		if i := differ(memory, before); i >= 0 {
			return fmt.Errorf("value %d was %v and became %v", i, before[i], memory[i])
		}
		return nil
	}},
	{"slices not kept", "Predict must not use dst and rows after it has returned.", func(t *testing.T, m basket.Model) error {
		rows := randomRows(m, 20, 0)
		want, err := predict(t, m, rows)
		if err != nil {
			return err
		}
		used, dst := slices.Clone(rows), make([]float64, len(want))
		if err := m.Predict(t.Context(), dst, used); err != nil {
			return err
		}
		for i := range used {
			used[i] = 1e6 - used[i]
		}
		clear(dst)
		time.Sleep(20 * time.Millisecond)
		got, err := predict(t, m, rows)
		if err != nil {
			return err
		}
		if i := differ(got, want); i >= 0 {
			return fmt.Errorf("prediction %d became %v after the caller changed its slices: want %v", i, got[i], want[i])
		}
		if i := differ(dst, make([]float64, len(dst))); i >= 0 {
			return fmt.Errorf("dst[%d] was set to %v after Predict had returned", i, dst[i])
		}
		return nil
	}},
	{"empty batch", "Predict must accept no rows.", func(t *testing.T, m basket.Model) error {
		return m.Predict(t.Context(), nil, nil)
	}},
	{"wrong lengths", "Predict must return an error, and not panic, for slices whose lengths do not fit.", func(t *testing.T, m basket.Model) error {
		rows := randomRows(m, 3, 0)
		n := 3 * outputs(m)
		for _, lengths := range [][2]int{{n, len(rows) - 1}, {n - 1, len(rows)}, {n + outputs(m), len(rows)}, {0, len(rows)}, {n, 0}} {
			if err := m.Predict(t.Context(), make([]float64, lengths[0]), rows[:lengths[1]]); err == nil {
				return violation("Predict accepted %d predictions for %d values of %d columns", lengths[0], lengths[1], len(m.Features()))
			}
		}
		return nil
	}},
	{"canceled", "Predict must return an error that wraps the context's, soon after it is done.", func(t *testing.T, m basket.Model) error {
		for want, ctx := range doneContexts(t) {
			for _, n := range []int{1, 5000} {
				rows := randomRows(m, n, 0)
				dst := make([]float64, n*outputs(m))
				if err := promptly(fmt.Sprintf("Predict of %d rows", n), want, func() error { return m.Predict(ctx, dst, rows) }); err != nil {
					return err
				}
			}
		}
		return nil
	}},
	{"concurrent use", "A model must be safe for concurrent use.", func(t *testing.T, m basket.Model) error {
		const n = 100
		want := make([][]float64, n)
		for i := range want {
			var err error
			if want[i], err = predict(t, m, seededRows(m, 10+i%7, 0, uint64(i))); err != nil {
				return err
			}
		}
		return together(n, func(i int) error {
			rows := seededRows(m, 10+i%7, 0, uint64(i))
			for range 20 {
				got, err := predict(t, m, rows)
				if err != nil {
					return err
				}
				if k := differ(got, want[i]); k >= 0 {
					return fmt.Errorf("prediction %d was %v alone and is %v beside others", k, want[i][k], got[k])
				}
			}
			return nil
		})
	}},
	{"large batch", "Predict must work for thousands of rows.", func(t *testing.T, m basket.Model) error {
		rows := randomRows(m, 10_000, 0.05)
		got, err := predict(t, m, rows)
		if err != nil {
			return err
		}
		half := len(rows) / 2
		tail, err := predict(t, m, rows[half:])
		if err != nil {
			return err
		}
		if i := differ(got[len(got)-len(tail):], tail); i >= 0 {
			return fmt.Errorf("prediction %d of the second half is %v alone and %v in the whole", i, tail[i], got[len(got)-len(tail)+i])
		}
		return nil
	}},
	{"bound by name", "A Predictor must get the model's predictions from a store that has its features in another order, and others.", func(t *testing.T, m basket.Model) error {
		if outputs(m) != 1 {
			return nil
		}
		names := slices.Clone(m.Features())
		slices.Reverse(names)
		names = append([]string{"baskettest: not a feature of the model"}, names...)
		store, err := basket.NewMemoryStore(basket.Values[basket.Row](nil), names...)
		if err != nil {
			return err
		}
		p, err := basket.New(basket.WithStore(store), basket.WithModel(m))
		if err != nil {
			return err
		}
		columns := len(m.Features())
		rows := randomRows(m, 30, 0)
		for i := range 30 {
			row := rows[i*columns:][:columns]
			want, err := predict(t, m, row)
			if err != nil {
				return err
			}
			stored := slices.Clone(row)
			slices.Reverse(stored)
			stored = append([]float64{math.Pi}, stored...)
			if err := store.Put(t.Context(), []basket.Row{{UserID: fmt.Sprint(i), Values: stored}}); err != nil {
				return err
			}
			got, err := p.Predict(t.Context(), fmt.Sprint(i))
			finite := !math.IsNaN(want[0]) && !math.IsInf(want[0], 0)
			if finite && (err != nil || !sameBits(got.Value, want[0])) {
				return fmt.Errorf("the Predictor gave %v, %v: want %v", got.Value, err, want[0])
			}
		}
		return nil
	}},
	{"string", "String, if there is one, must return the same line of printable text at each call.", func(t *testing.T, m basket.Model) error {
		s, ok := m.(fmt.Stringer)
		if !ok {
			return nil
		}
		want := s.String()
		if want == "" || slices.ContainsFunc([]rune(want), func(r rune) bool { return !unicode.IsPrint(r) }) {
			return violation("String returned %q", want)
		}
		if _, err := predict(t, m, randomRows(m, 1, 0)); err != nil {
			return err
		}
		if got := s.String(); got != want {
			return violation("String returned %q after %q", got, want)
		}
		return nil
	}},
	{"explain", "Explain must set every contribution, change nothing else, and give equal rows equal answers; its sum must be a number.", func(t *testing.T, m basket.Model) error {
		e, ok := m.(basket.Explainer)
		if !ok {
			return nil
		}
		n := len(m.Features())
		rows := randomRows(m, 20, 0)
		for i := range 20 {
			row := rows[i*n:][:n]
			before := slices.Clone(row)
			want := make([]float64, n)
			bias, err := e.Explain(t.Context(), want, row)
			if errors.Is(err, errors.ErrUnsupported) {
				return nil
			}
			if err != nil {
				return err
			}
			sum := bias
			for _, c := range want {
				sum += c
			}
			if p, err := predict(t, m, row); err != nil || !math.IsNaN(p[0]) && math.IsNaN(sum) {
				return fmt.Errorf("bias and contributions of row %d add up to %v: %v", i, sum, err)
			}
			got := slices.Repeat([]float64{1e9}, n)
			again, err := e.Explain(t.Context(), got, row)
			if err != nil {
				return err
			}
			if k := differ(append(got, again), append(want, bias)); k >= 0 {
				return violation("Explain of row %d gave %v and bias %v: want %v and %v as before", i, got, again, want, bias)
			}
			if k := differ(row, before); k >= 0 {
				return violation("Explain changed row[%d] from %v to %v", k, before[k], row[k])
			}
		}
		if _, err := e.Explain(t.Context(), make([]float64, n+1), rows[:n]); err == nil {
			return violation("Explain accepted a dst that is too long")
		}
		for want, ctx := range doneContexts(t) {
			err := promptly("Explain", want, func() error {
				_, err := e.Explain(ctx, make([]float64, n), rows[:n])
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}},
}

// outputs returns the number of predictions per row.
func outputs(m basket.Model) int {
	if m, ok := m.(interface{ Outputs() int }); ok {
		return m.Outputs()
	}
	return 1
}

// randomRows returns n rows of which a share of the values is missing.
func randomRows(m basket.Model, n int, missing float64) []float64 {
	return seededRows(m, n, missing, 1)
}

func seededRows(m basket.Model, n int, missing float64, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 2))
	rows := make([]float64, n*len(m.Features()))
	for i := range rows {
		switch r.IntN(3) {
		case 0:
			rows[i] = float64(r.IntN(12))
		case 1:
			rows[i] = 100 * r.Float64()
		default:
			rows[i] = 3 * r.NormFloat64()
		}
		if r.Float64() < missing {
			rows[i] = math.NaN()
		}
	}
	return rows
}

// predict predicts with a new dst.
func predict(t *testing.T, m basket.Model, rows []float64) ([]float64, error) {
	return predictContext(t.Context(), m, rows)
}

func predictContext(ctx context.Context, m basket.Model, rows []float64) ([]float64, error) {
	dst := make([]float64, len(rows)/len(m.Features())*outputs(m))
	if err := m.Predict(ctx, dst, rows); err != nil {
		return nil, violation("Predict of %d rows: %w", len(rows)/len(m.Features()), err)
	}
	return dst, nil
}

// batchEqualsSingle compares the predictions of rows with those of each row alone.
// A model may refuse a row with an error; it must then refuse the batch.
func batchEqualsSingle(t *testing.T, m basket.Model, rows []float64) error {
	columns, width := len(m.Features()), outputs(m)
	all, batchErr := predict(t, m, rows)
	refused := false
	for i := range len(rows) / columns {
		row := rows[i*columns:][:columns]
		one, err := predict(t, m, row)
		switch {
		case err != nil:
			refused = true
		case batchErr != nil:
		case differ(one, all[i*width:][:width]) >= 0:
			return fmt.Errorf("row %d is %v alone and %v in the batch", i, one, all[i*width:][:width])
		}
	}
	if refused != (batchErr != nil) {
		return fmt.Errorf("the batch gave the error %v, but rows alone were refused: %t", batchErr, refused)
	}
	return nil
}

// differ returns the first index at which a and b have other bits, or -1.
func differ(a, b []float64) int {
	for i := range b {
		if i >= len(a) || !sameBits(a[i], b[i]) {
			return i
		}
	}
	return -1
}
