package basket

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/sklearn"
	"github.com/basket-go/basket/internal/xgboost"
)

// A Forest is a tree ensemble read by this package: an immutable Explainer.
// It is safe for concurrent use.
type Forest struct{ m fileModel }

// Features returns the names of the columns that Predict wants, in order. A
// file that has none gives names such as Column_0.
func (f *Forest) Features() []string { return slices.Clone(f.m.names) }

// Outputs is the number of predictions a row: 1, but for multi-class models.
func (f *Forest) Outputs() int { return f.m.info.Outputs }

// Margins is the number of sums before the link: Outputs, but for models that
// predict the number of a class.
func (f *Forest) Margins() int { return f.m.margins() }

// Info describes the model.
func (f *Forest) Info() ModelInfo { return f.m.info }

// String tells the format, the size and the digest: "lightgbm v4, 100 trees,
// sha256:1f0c...".
func (f *Forest) String() string { return f.m.info.String() }

// Predict sets dst to the predictions for rows, Outputs a row. It allocates
// nothing for models of up to eight outputs.
func (f *Forest) Predict(ctx context.Context, dst, rows []float64) error {
	return f.m.each(ctx, dst, rows, f.m.info.Outputs, predictions)
}

// Margin sets dst to the margins of rows, Margins a row: the library's raw
// scores, before the link function.
func (f *Forest) Margin(ctx context.Context, dst, rows []float64) error {
	return f.m.each(ctx, dst, rows, f.m.margins(), margins)
}

// PredictParallel is Predict by several goroutines at once, which end before it
// returns: for large batches, where a core is to spare. The bits are the same.
func (f *Forest) PredictParallel(ctx context.Context, dst, rows []float64, workers int) error {
	return f.m.parallel(ctx, dst, rows, workers)
}

// Link sets dst to the predictions that margins stand for: Predict is Margin and
// then Link. It is for engines that find the margins in another way. It uses
// margins as scratch, and dst may be the same slice.
func (f *Forest) Link(dst, margins []float64) error {
	in, out := f.m.margins(), f.m.info.Outputs
	if n := len(margins) / in; n*in != len(margins) || n*out != len(dst) {
		return fmt.Errorf("basket: %d margins and room for %d predictions: want %d margins and %d predictions a row", len(margins), len(dst), in, out)
	}
	if f.m.forest != nil {
		f.m.forest.Finish(dst, margins)
	} else {
		f.m.pipeline.Link(dst, margins)
	}
	return nil
}

// Explain sets dst to one SHAP contribution per feature of row, by the exact
// path-dependent TreeSHAP, and returns the bias. Models of several margins or
// with linear leaves, and files that do not tell how many training rows went
// through each node, are errors.ErrUnsupported.
func (f *Forest) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	return f.m.explain(ctx, dst, row)
}

// A Pipeline is a model read by this package that is no Forest: a linear model,
// or steps before or after a model. It is an immutable Explainer, and safe for
// concurrent use.
type Pipeline struct{ m fileModel }

// Features returns the names of the columns that Predict wants, in order.
func (p *Pipeline) Features() []string { return slices.Clone(p.m.names) }

// Outputs is the number of predictions a row.
func (p *Pipeline) Outputs() int { return p.m.info.Outputs }

// Margins is the number of sums before the link.
func (p *Pipeline) Margins() int { return p.m.margins() }

// Info describes the model.
func (p *Pipeline) Info() ModelInfo { return p.m.info }

// String tells the format, the size and the digest.
func (p *Pipeline) String() string { return p.m.info.String() }

// Predict sets dst to the predictions for rows, Outputs a row.
func (p *Pipeline) Predict(ctx context.Context, dst, rows []float64) error {
	return p.m.each(ctx, dst, rows, p.m.info.Outputs, predictions)
}

// PredictParallel is Predict by several goroutines at once, which end before it
// returns.
func (p *Pipeline) PredictParallel(ctx context.Context, dst, rows []float64, workers int) error {
	return p.m.parallel(ctx, dst, rows, workers)
}

// Margin sets dst to the margins of rows, Margins a row.
func (p *Pipeline) Margin(ctx context.Context, dst, rows []float64) error {
	return p.m.each(ctx, dst, rows, p.m.margins(), margins)
}

// Explain sets dst to one contribution per feature of row and returns the bias:
// for a linear model, weight times value and the intercept.
func (p *Pipeline) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	return p.m.explain(ctx, dst, row)
}

// A fileModel is what both have in common: what a reader gave, of which one of
// the first three is not nil. They are called by their types and not through an interface, for dst
// and rows would escape to the heap.
type fileModel struct {
	forest   *forest.Forest
	linear   *xgboost.Linear
	pipeline *sklearn.Pipeline
	isForest bool // it comes to a forest that sees rows as they are

	names  []string // the file's own at first; nil if it has none
	madeUp string   // what the library calls a column without a name, before its number
	info   ModelInfo
}

func (m *fileModel) columns() int {
	switch {
	case m.forest != nil:
		return m.forest.Features()
	case m.linear != nil:
		return m.linear.Features()
	}
	return m.pipeline.Features()
}

func (m *fileModel) margins() int {
	switch {
	case m.forest != nil:
		return m.forest.Margins()
	case m.linear != nil:
		return m.linear.Margins()
	}
	return 1
}

func (m *fileModel) outputs() int {
	switch {
	case m.forest != nil:
		return m.forest.Outputs()
	case m.linear != nil:
		return m.linear.Outputs()
	}
	return 1
}

// setNames decides what the columns are called: the file's own names come first,
// then those that the caller gave, then those of a Materializer.
func (m *fileModel) setNames(given []string) error {
	n := m.columns()
	switch {
	case given != nil && len(given) != n:
		return fmt.Errorf("%w: %d feature names given, %q: the model has %d features", ErrFeatureMismatch, len(given), given, n)
	case m.names != nil && given != nil && !slices.Equal(m.names, given):
		return fmt.Errorf("%w: feature names given, %q, are not the model's own, %q", ErrFeatureMismatch, given, m.names)
	case m.names != nil:
	case given != nil:
		m.names = given
	case n == len(FeatureNames()):
		m.names = FeatureNames()
	default:
		m.names = make([]string, n)
		for j := range m.names {
			m.names[j] = m.madeUp + strconv.Itoa(j)
		}
	}
	seen := make(map[string]bool, n)
	for _, name := range m.names {
		if seen[name] {
			return fmt.Errorf("%w: two features of the model are named %q", ErrFeatureMismatch, name)
		}
		seen[name] = true
	}
	return nil
}

// describe fills in what all formats tell alike.
func (m *fileModel) describe(data []byte) {
	sum := sha256.Sum256(data)
	m.info.Digest = "sha256:" + hex.EncodeToString(sum[:])
	m.info.Features, m.info.Outputs = m.columns(), m.outputs()
	trees := m.forest
	if trees == nil && m.pipeline != nil {
		trees = m.pipeline.Forest()
	}
	if trees == nil {
		m.info.Engine = "linear"
		return
	}
	m.info.Trees, m.info.Leaves, m.info.Depth = trees.Trees(), trees.Leaves(), trees.Depth()
	m.info.Engine = trees.Engine()
}

// String tells the format, the size and the first digits of the digest.
func (i ModelInfo) String() string {
	return fmt.Sprintf("%s, %d trees, %.18s", strings.TrimSpace(i.Format+" "+i.Version), i.Trees, i.Digest)
}

// What each computes. A function value would do, but would let dst and rows
// escape to the heap.
const (
	predictions = iota
	margins
)

// parallel predicts by as many goroutines. Each takes the next part of the rows
// until none is left. Parts are long at first, for cores that share the lines of
// one page wait for each other, and short in the end, so that one that is late
// keeps nobody waiting. The caller's goroutine is not one of them: the scheduler
// would leave a single new one to it for a while before another core takes it.
func (m *fileModel) parallel(ctx context.Context, dst, rows []float64, workers int) error {
	const shortest, longest = 128, 2048
	columns, width := len(m.names), m.info.Outputs
	n := len(rows) / columns
	workers = min(workers, (n+shortest-1)/shortest)
	if workers < 2 || n*columns != len(rows) || n*width != len(dst) {
		return m.each(ctx, dst, rows, width, predictions)
	}
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, workers)
	for w := range errs {
		all.Go(func() {
			for errs[w] == nil {
				start := next.Load()
				if start >= int64(n) {
					return
				}
				part := min(max((n-int(start))/(4*workers), shortest), longest)
				end := min(int(start)+part, n)
				if next.CompareAndSwap(start, int64(end)) {
					errs[w] = m.each(ctx, dst[int(start)*width:end*width], rows[int(start)*columns:end*columns], width, predictions)
				}
			}
		})
	}
	all.Wait()
	return cmp.Or(errs...)
}

// each computes blocks of rows, between which it looks at ctx.
func (m *fileModel) each(ctx context.Context, dst, rows []float64, width, what int) error {
	const block = 1024
	columns := len(m.names)
	if len(rows) == columns && len(dst) == width { // without the divisions, which one row notices
		if err := ctx.Err(); err != nil {
			return err
		}
		m.compute(dst, rows, what)
		return nil
	}
	n := len(rows) / columns
	if n*columns != len(rows) || n*width != len(dst) {
		return fmt.Errorf("basket: %d values and room for %d predictions: want %d values and %d predictions a row", len(rows), len(dst), columns, width)
	}
	for i := 0; i < n; i += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(i+block, n)
		m.compute(dst[i*width:end*width], rows[i*columns:end*columns], what)
	}
	return nil
}

// compute calls what the reader gave.
func (m *fileModel) compute(dst, rows []float64, what int) {
	switch {
	case m.forest != nil && what == margins:
		m.forest.Margin(dst, rows)
	case m.forest != nil:
		m.forest.Predict(dst, rows)
	case m.linear != nil && what == margins:
		m.linear.Margin(dst, rows)
	case m.linear != nil:
		m.linear.Predict(dst, rows)
	case what == margins:
		m.pipeline.Margin(dst, rows)
	default:
		m.pipeline.Predict(dst, rows)
	}
}

func (m *fileModel) explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	switch {
	case m.forest != nil:
		bias, err = m.forest.Explain(ctx, dst, row)
	case m.linear != nil:
		bias, err = m.linear.Explain(dst, row)
	default:
		bias, err = m.pipeline.Explain(ctx, dst, row)
	}
	switch {
	case err == nil:
		return bias, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	}
	return 0, fmt.Errorf("basket: cannot explain: %w: %w", errors.ErrUnsupported, err)
}

var (
	_ Explainer = (*Forest)(nil)
	_ Explainer = (*Pipeline)(nil)
)
