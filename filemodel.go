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

// A FileModel is a model that was read from a file: trees, a linear function, or
// either with the steps of a pipeline before and after it. It is an immutable
// [Explainer], safe for concurrent use.
type FileModel struct {
	evaluator evaluator
	trees     *forest.Forest // what evaluator uses; nil if it has no trees
	names     []string       // of the features; until finish, those of the file or nil
	generated string         // what precedes the number in names that the library generates
	info      ModelInfo
}

// An evaluator is what a reader returns: a *forest.Forest, an *xgboost.Linear or
// a *sklearn.Pipeline. Their Predict is missing here because it is called by
// type; see FileModel.evaluate.
type evaluator interface {
	Features() int
	Outputs() int
	Explain(ctx context.Context, dst, row []float64) (bias float64, err error)
}

// A ModelInfo describes a model that was read from a file.
type ModelInfo struct {
	ID          string // as WithModelID gave it, or empty
	Library     string // "lightgbm", "xgboost" or "scikit-learn"
	Format      string // "text", "json", "ubjson", "binary" or "pickle"
	Version     string // as the file states it: of the format for LightGBM ("v4"), else of the library; may be empty
	Objective   string // as the file states it, or empty; LightGBM and XGBoost
	Estimator   string // class; scikit-learn
	Margin      bool   // predictions are margins: WithMargin was given
	Trees       int
	Leaves      int    // of all trees
	Depth       int    // splits on the longest path to a leaf
	Features    int    // columns of a row
	NamesFrom   string // where the feature names are from: "file", "option" (WithFeatureNames), "default" (FeatureNames) or "generated"
	Outputs     int    // predictions per row
	Engine      string // how trees are evaluated: "quickscorer", "quickscorer-avx512", "binned" or "walk"; or "linear"
	EngineBytes int    // size of the tables that the engine reads
	Digest      string // "sha256:" and the SHA-256 of the file in hexadecimal
}

// String returns the ID if there is one, library, version, number of trees and the
// start of the digest, and whether predictions are margins:
// "price@3, lightgbm v4, 100 trees, sha256:1f0c...".
func (i ModelInfo) String() string {
	s := fmt.Sprintf("%s, %d trees, %.18s", strings.TrimSpace(i.Library+" "+i.Version), i.Trees, i.Digest)
	if i.Margin {
		s += ", margin"
	}
	if i.ID != "" {
		s = i.ID + ", " + s
	}
	return s
}

// finish names the features and completes the info. A file's own names come
// first, then the caller's, then those of a Materializer.
func (m *FileModel) finish(data []byte, given []string) error {
	n := m.evaluator.Features()
	switch {
	case given != nil && len(given) != n:
		return fmt.Errorf("%w: %d feature names given, %s: the model has %d features", ErrFeatureMismatch, len(given), quoted(given), n)
	case m.names != nil && given != nil && !slices.Equal(m.names, given):
		return fmt.Errorf("%w: feature names given, %s, are not the model's own, %s", ErrFeatureMismatch, quoted(given), quoted(m.names))
	case m.names != nil:
		m.info.NamesFrom = "file"
	case given != nil:
		m.names, m.info.NamesFrom = given, "option"
	case n == len(FeatureNames()):
		m.names, m.info.NamesFrom = FeatureNames(), "default"
	default:
		m.names, m.info.NamesFrom = make([]string, n), "generated"
		for j := range m.names {
			m.names[j] = m.generated + strconv.Itoa(j)
		}
	}
	if name, ok := repeated(m.names); ok {
		return fmt.Errorf("%w: two features of the model are named %.64q", ErrFeatureMismatch, name)
	}
	sum := sha256.Sum256(data)
	m.info.Digest = "sha256:" + hex.EncodeToString(sum[:])
	m.info.Features, m.info.Outputs = n, m.evaluator.Outputs()
	m.info.Engine = "linear"
	if t := m.trees; t != nil {
		m.info.Trees, m.info.Leaves, m.info.Depth = t.Trees(), t.Leaves(), t.Depth()
		m.info.Engine, m.info.EngineBytes = t.Engine(), t.EngineBytes()
	}
	return nil
}

// Features returns the names of the columns that Predict reads, in order. The
// caller owns the slice.
func (m *FileModel) Features() []string { return slices.Clone(m.names) }

// Outputs returns the number of predictions per row: 1, except for models of
// several classes, targets or quantiles.
func (m *FileModel) Outputs() int { return m.info.Outputs }

// Info describes the model.
func (m *FileModel) Info() ModelInfo { return m.info }

// String is the info's String. Models of different files, and the margin model
// and the prediction model of one file, have different strings.
func (m *FileModel) String() string { return m.info.String() }

// Predict sets dst to the predictions for rows, Outputs per row. A prediction is
// NaN where scikit-learn refuses the row. Lengths that do not fit are an
// ErrInvalidRequest. Predict allocates nothing for models of up to eight outputs.
func (m *FileModel) Predict(ctx context.Context, dst, rows []float64) error {
	const block = 1024 // rows between checks of ctx
	columns, width := len(m.names), m.info.Outputs
	if len(rows) == columns && len(dst) == width { // one row, without the divisions below
		if err := ctx.Err(); err != nil {
			return err
		}
		m.evaluate(dst, rows)
		return nil
	}
	n := len(rows) / columns
	if n*columns != len(rows) || n*width != len(dst) {
		return fmt.Errorf("basket: %w: rows has %d values and dst %d: want %d values and %d predictions per row", ErrInvalidRequest, len(rows), len(dst), columns, width)
	}
	for i := 0; i < n; i += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		end := min(i+block, n)
		m.evaluate(dst[i*width:end*width], rows[i*columns:end*columns])
	}
	return nil
}

// evaluate calls the evaluator by its type: a call of an interface method would
// move the caller's dst and rows to the heap.
func (m *FileModel) evaluate(dst, rows []float64) {
	switch e := m.evaluator.(type) {
	case *forest.Forest:
		e.Predict(dst, rows)
	case *sklearn.Pipeline:
		e.Predict(dst, rows)
	case *xgboost.Linear:
		e.Predict(dst, rows)
	}
}

// PredictParallel is Predict by up to so many goroutines, which end before it
// returns: for large batches, where several cores are free. The bits are the
// same. Each goroutine takes the next chunk of rows until none is left. Chunks
// are long at first, because cores that write to the same pages slow each other
// down, and shrink at the end to balance the load.
func (m *FileModel) PredictParallel(ctx context.Context, dst, rows []float64, goroutines int) error {
	const shortest, longest = 128, 2048
	columns, width := len(m.names), m.info.Outputs
	n := len(rows) / columns
	goroutines = min(goroutines, (n+shortest-1)/shortest)
	if goroutines < 2 || n*columns != len(rows) || n*width != len(dst) {
		return m.Predict(ctx, dst, rows)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, goroutines)
	// The calling goroutine only waits: the scheduler would leave a single new
	// goroutine on its processor for a while before another takes it.
	for g := range errs {
		group.Go(func() {
			defer func() {
				if r := recover(); r != nil { // in a goroutine it would end the process
					errs[g] = modelPanic(r)
				}
			}()
			for errs[g] == nil {
				start := next.Load()
				if start >= int64(n) {
					return
				}
				chunk := min(max((n-int(start))/(4*goroutines), shortest), longest)
				end := min(int(start)+chunk, n)
				if next.CompareAndSwap(start, int64(end)) {
					errs[g] = m.Predict(ctx, dst[int(start)*width:end*width], rows[int(start)*columns:end*columns])
				}
			}
		})
	}
	group.Wait()
	return cmp.Or(errs...)
}

// Explain sets dst to one SHAP contribution per feature of row, by exact
// path-dependent TreeSHAP, or to weight times value for a linear model, and
// returns the bias. Models of several margins or with linear leaves, and files
// without the number of training rows of each node, are errors.ErrUnsupported.
func (m *FileModel) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	if len(dst) != len(m.names) || len(row) != len(m.names) {
		return 0, fmt.Errorf("basket: %w: row has %d values and dst %d: want %d of each", ErrInvalidRequest, len(row), len(dst), len(m.names))
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	bias, err = m.evaluator.Explain(ctx, dst, row)
	switch {
	case err == nil:
		return bias, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	}
	return 0, fmt.Errorf("basket: cannot explain: %w: %w", errors.ErrUnsupported, err)
}

var _ Explainer = (*FileModel)(nil)
