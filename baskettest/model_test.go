//go:build !race

package baskettest

// Without the race detector, which finds some of the planted defects by itself.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket"
)

// A sumModel is a correct Explainer, 10 plus weighted values, whose parts a
// defect replaces. A missing value counts as 1.
type sumModel struct {
	names    []string
	features func(m *sumModel) []string
	value    func(m *sumModel, row []float64) float64
	before   func(m *sumModel, ctx context.Context, dst, rows []float64) error // first, in Predict
	after    func(m *sumModel, dst, rows []float64)                            // last, in Predict
	explain  func(m *sumModel, ctx context.Context, dst, row []float64) (float64, error)
	text     func(m *sumModel) string

	mu    sync.Mutex
	calls int
	kept  []float64
	last  float64
}

func newSumModel() *sumModel {
	return &sumModel{
		names:    []string{"a", "b", "c"},
		features: func(m *sumModel) []string { return slices.Clone(m.names) },
		value:    sum,
		before: func(m *sumModel, ctx context.Context, dst, rows []float64) error {
			if len(rows) != len(dst)*len(m.names) {
				return errors.New("lengths do not fit")
			}
			return ctx.Err()
		},
		after:   func(*sumModel, []float64, []float64) {},
		explain: explain,
		text:    func(*sumModel) string { return "sum model" },
	}
}

func sum(m *sumModel, row []float64) float64 {
	s := 10.0
	for j, v := range row {
		if math.IsNaN(v) {
			v = 1
		}
		s += float64(j+1) * v
	}
	return s
}

func explain(m *sumModel, ctx context.Context, dst, row []float64) (float64, error) {
	if len(dst) != len(m.names) || len(row) != len(m.names) {
		return 0, errors.New("lengths do not fit")
	}
	for j, v := range row {
		dst[j] = float64(j+1) * v
	}
	return 10, ctx.Err()
}

func (m *sumModel) Features() []string { return m.features(m) }

func (m *sumModel) Predict(ctx context.Context, dst, rows []float64) error {
	if err := m.before(m, ctx, dst, rows); err != nil {
		return err
	}
	for i := range dst {
		dst[i] = m.value(m, rows[i*len(m.names):][:len(m.names)])
	}
	if len(dst) > 0 {
		m.after(m, dst, rows)
	}
	return nil
}

func (m *sumModel) Explain(ctx context.Context, dst, row []float64) (float64, error) {
	return m.explain(m, ctx, dst, row)
}

func (m *sumModel) String() string { return m.text(m) }

func TestModel_correct(t *testing.T) {
	TestModel(t, func(*testing.T) basket.Model { return newSumModel() })
}

// TestModel_defects plants one defect in a correct model; the suite must find it.
func TestModel_defects(t *testing.T) {
	correct := newSumModel()
	defects := map[string]func(m *sumModel){
		"features are shared": func(m *sumModel) { m.features = func(m *sumModel) []string { return m.names } },
		"a feature twice":     func(m *sumModel) { m.features = func(*sumModel) []string { return []string{"a", "b", "a"} } },
		"no features":         func(m *sumModel) { m.features = func(*sumModel) []string { return nil } },
		"features change": func(m *sumModel) {
			m.features = func(m *sumModel) []string { m.calls++; return []string{"a", "b", fmt.Sprint(m.calls)} }
		},
		"features of a map": func(m *sumModel) {
			m.features = func(m *sumModel) []string { m.calls++; return [][]string{{"a", "b", "c"}, {"b", "a", "c"}}[m.calls%2] }
		},
		"dst is added to": func(m *sumModel) {
			m.after = func(m *sumModel, dst, rows []float64) {
				m.mu.Lock()
				defer m.mu.Unlock()
				dst[0] += m.last
				m.last = dst[0]
			}
		},
		"the last row is left out": func(m *sumModel) {
			m.before = keepLast(correct.before)
			m.after = func(m *sumModel, dst, _ []float64) { dst[len(dst)-1] = m.kept[0] }
		},
		"writes beyond dst": func(m *sumModel) {
			m.after = func(_ *sumModel, dst, _ []float64) {
				if cap(dst) > len(dst) {
					dst[:len(dst)+1][len(dst)] = 0
				}
			}
		},
		"rows become clean": func(m *sumModel) {
			m.after = func(_ *sumModel, _, rows []float64) {
				for i, v := range rows {
					if v != v {
						rows[i] = 1
					}
				}
			}
		},
		"rows are appended to": func(m *sumModel) { m.after = func(_ *sumModel, _, rows []float64) { _ = append(rows, 7) } },
		"rows are kept":        func(m *sumModel) { m.before = cacheRows(correct.before) },
		"dst is set later": func(m *sumModel) {
			m.after = func(_ *sumModel, dst, _ []float64) {
				v := dst[0]
				go func() { time.Sleep(5 * time.Millisecond); dst[0] = v }()
			}
		},
		"a batch is centred": func(m *sumModel) {
			m.after = func(_ *sumModel, dst, _ []float64) {
				for i := range dst {
					dst[i] += 1e-12 * float64(len(dst))
				}
			}
		},
		"blocks of 32 rows": func(m *sumModel) {
			m.after = func(_ *sumModel, dst, _ []float64) {
				if len(dst) > 32 {
					dst[32] = dst[31]
				}
			}
		},
		"blocks of 4096 rows": func(m *sumModel) {
			m.after = func(_ *sumModel, dst, _ []float64) {
				if len(dst) > 4096 {
					clear(dst[4096:])
				}
			}
		},
		"state between calls": func(m *sumModel) {
			m.value = func(m *sumModel, row []float64) float64 {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.calls++
				return sum(m, row) + float64(m.calls/1000)
			}
		},
		"a shared scratch slice": func(m *sumModel) { m.kept = make([]float64, 3); m.value = sharedScratch },
		"NaN panics": func(m *sumModel) {
			m.value = func(m *sumModel, row []float64) float64 {
				return sum(m, row) + float64([]int{0}[btoi(slices.ContainsFunc(row, math.IsNaN))])
			}
		},
		"infinities panic": func(m *sumModel) {
			m.value = func(m *sumModel, row []float64) float64 {
				return sum(m, row) + float64([]int{0}[btoi(math.IsInf(row[0], 0))])
			}
		},
		"lengths panic": func(m *sumModel) {
			m.before = func(_ *sumModel, ctx context.Context, _, _ []float64) error { return ctx.Err() }
		},
		"lengths are not checked": func(m *sumModel) {
			m.before = func(_ *sumModel, ctx context.Context, dst, rows []float64) error {
				clear(dst[min(len(dst), len(rows)/3):])
				return ctx.Err()
			}
			m.value = func(m *sumModel, row []float64) float64 { return sum(m, row) }
		},
		"no rows panic": func(m *sumModel) {
			m.before = func(m *sumModel, ctx context.Context, dst, rows []float64) error {
				_ = rows[0]
				return correct.before(m, ctx, dst, rows)
			}
		},
		"no context": func(m *sumModel) {
			m.before = func(m *sumModel, _ context.Context, dst, rows []float64) error {
				return correct.before(m, context.Background(), dst, rows)
			}
		},
		"another context error": func(m *sumModel) {
			m.before = func(m *sumModel, ctx context.Context, dst, rows []float64) error {
				if ctx.Err() != nil {
					return errors.New("timeout")
				}
				return correct.before(m, ctx, dst, rows)
			}
		},
		"the text changes": func(m *sumModel) {
			m.text = func(m *sumModel) string { m.calls++; return fmt.Sprint("model ", m.calls) }
		},
		"the text has lines": func(m *sumModel) { m.text = func(*sumModel) string { return "model\nof sums" } },
		"explain adds to dst": func(m *sumModel) {
			m.explain = func(m *sumModel, ctx context.Context, dst, row []float64) (float64, error) {
				before := slices.Clone(dst)
				bias, err := explain(m, ctx, dst, row)
				for j := range before {
					dst[j] += before[j]
				}
				return bias, err
			}
		},
		"explain without context": func(m *sumModel) {
			m.explain = func(m *sumModel, _ context.Context, dst, row []float64) (float64, error) {
				return explain(m, context.Background(), dst, row)
			}
		},
	}
	findAll(t, defects, newSumModel, func(m *sumModel) basket.Model { return m }, modelDuties)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// keepLast keeps what the last element of dst holds, as a loop that ends too early
// does.
func keepLast(check func(*sumModel, context.Context, []float64, []float64) error) func(*sumModel, context.Context, []float64, []float64) error {
	return func(m *sumModel, ctx context.Context, dst, rows []float64) error {
		if err := check(m, ctx, dst, rows); err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(dst) > 0 {
			m.kept = []float64{dst[len(dst)-1]}
		}
		return nil
	}
}

// cacheRows remembers the slice of the call before and predicts from that if its
// first value is equal.
func cacheRows(check func(*sumModel, context.Context, []float64, []float64) error) func(*sumModel, context.Context, []float64, []float64) error {
	return func(m *sumModel, ctx context.Context, dst, rows []float64) error {
		if err := check(m, ctx, dst, rows); err != nil {
			return err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.kept) == len(rows) && len(rows) > 0 {
			copy(rows, m.kept)
		}
		m.kept = rows
		return nil
	}
}

// sharedScratch computes in memory that all calls share.
func sharedScratch(m *sumModel, row []float64) float64 {
	for j, v := range row {
		m.mu.Lock()
		m.kept[j] = v
		m.mu.Unlock()
	}
	time.Sleep(time.Microsecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	return sum(m, m.kept)
}
