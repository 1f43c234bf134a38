// Package basketleaves runs models on the leaves library,
// github.com/dmitryikh/leaves, behind [basket.Model]: the same files in, the same
// bits out, or a refusal.
//
// It is for users of leaves, who can change the API first and the engine later,
// and for those who want a second opinion on a price, from independent code: if
// the two engines differ for a row, one of them has a defect. For everything else
// use [basket.LoadModel], which is faster and has none of the limits below.
//
// # How it works
//
// Package basket reads the file first, because leaves may panic, loop or allocate
// without bound on damaged files. What passes is given to leaves in the older
// format that it knows.
//
// For a LightGBM model, the header is written anew and the numbers of the trees
// are copied digit for digit. Leaves finds the leaf of each tree and adds the
// values: up to the margins, the engines share no code but the check of the file.
// Around it
//
//   - values that LightGBM treats as zero are set to zero, because LightGBM's
//     bound is rounded to float32 and inclusive, and that of leaves is neither;
//   - values of categorical features that are in no category (missing, negative,
//     beyond int32) are set to -1, because their conversion to an integer depends
//     on the processor;
//   - leaves neither averages nor transforms sums: the links and the averages of
//     random forests are this module's, whose exp has the C library's bits. Leaves
//     lacks most objectives, ignores "regression sqrt" and the links of random
//     forests, and its exp differs by one ulp for one value in seven.
//
// For an XGBoost model, leaves reads only the binary format of 0.90. This module
// reads the file, whatever its format, and writes the trees in that format. Leaves
// finds the leaf of each tree and returns its value: up to there the engines
// share the reader. Around it
//
//   - thresholds are the next lower float32 and values are rounded to float32,
//     because leaves compares "at most" in float64 where XGBoost compares "below"
//     in float32;
//   - the values of the leaves are added here, in float32 and to the base score,
//     because leaves adds in float64. So leaves does not see base scores, classes,
//     num_parallel_tree and dart's weights, which are multiplied into the values.
//
// # What is refused
//
//   - LightGBM models with linear trees: leaves would predict the constant value of
//     each leaf.
//   - LightGBM models in which a feature is split both by number and by category,
//     which LightGBM does not write: the two need different values for missing.
//   - Categorical splits without a category, which LightGBM does not write and
//     leaves refuses.
//   - XGBoost models with categorical splits, which the format of 0.90 lacks.
//   - XGBoost models with thresholds both of -Inf and of the lowest float32, and
//     those with NaN leaves; XGBoost writes neither.
//   - XGBoost's linear models (gblinear): leaves adds in float64, and missing values
//     make its sums NaN.
//   - Models of scikit-learn: leaves reads no regressor of it.
//   - Whatever package basket does not read, including damaged files.
package basketleaves

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/lightgbm"
	"github.com/basket-go/basket/internal/xgboost"
	"github.com/dmitryikh/leaves"
)

// A Model is a tree ensemble that the leaves library evaluates. It is immutable
// and safe for concurrent use.
type Model struct {
	names   []string
	info    basket.ModelInfo
	link    *forest.Forest // turns margins into predictions
	engine  engine
	scratch sync.Pool // of *[]float64: a row, what leaves returns, margins
}

// An engine is an ensemble of leaves and how it is used for a format.
type engine struct {
	ensemble *leaves.Ensemble // without a link
	width    int              // numbers that it returns per row

	// clean sets dst to row as leaves must see it.
	clean func(dst, row []float64)

	// margins sets dst to the margins, from what leaves returned; nil if leaves
	// returns margins.
	margins func(dst, returned []float64)
}

// newEngine returns the engine of a file that package basket has read, and the
// forest whose link applies.
func newEngine(data []byte, native *basket.FileModel) (engine, *forest.Forest, error) {
	switch info := native.Info(); info.Library {
	case "lightgbm":
		file, err := lightgbm.Read(data, lightgbm.Options{Margin: info.Margin})
		if err != nil {
			return engine{}, nil, err
		}
		e, err := newLightGBM(string(data), native, file.Forest.Margins())
		return e, file.Forest, err
	case "xgboost":
		file, err := xgboost.Read(data, xgboost.Options{Margin: info.Margin})
		if err != nil {
			return engine{}, nil, err
		}
		if file.Forest == nil {
			return engine{}, nil, errors.New("a linear model: want a tree ensemble")
		}
		e, err := newXGBoost(data, info.Trees)
		return e, file.Forest, err
	default:
		return engine{}, nil, fmt.Errorf("a model of %s: want one of LightGBM or XGBoost", info.Library)
	}
}

// maxModelBytes is the size of the largest model that basket.ReadModel reads.
const maxModelBytes = 1 << 30

// Read reads a model as [basket.ReadModel] does, with the same options and the
// same errors. A model that leaves cannot evaluate to the last bit is refused with
// an error that wraps [basket.ErrModelFormat] and says why.
func Read(r io.Reader, opts ...basket.ModelOption) (*Model, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxModelBytes+1))
	if err != nil {
		return nil, fmt.Errorf("basket: reading a model: %w", err)
	}
	native, err := basket.ReadModel(bytes.NewReader(data), opts...)
	if err != nil {
		return nil, err
	}
	m := &Model{names: native.Features(), info: native.Info()}
	if m.engine, m.link, err = newEngine(data, native); err != nil {
		return nil, fmt.Errorf("basket: %w: leaves: %w", basket.ErrModelFormat, err)
	}
	e := m.engine.ensemble
	if e.NOutputGroups() != m.engine.width || e.NEstimators()*e.NOutputGroups() != m.info.Trees {
		return nil, fmt.Errorf("basket: %w: leaves: it finds %d trees for each of %d outputs: want %d outputs and %d trees in all",
			basket.ErrModelFormat, e.NEstimators(), e.NOutputGroups(), m.engine.width, m.info.Trees)
	}
	m.info.Engine, m.info.EngineBytes = "leaves", 0
	size := m.info.Features + m.engine.width + m.link.Margins()
	m.scratch.New = func() any {
		s := make([]float64, size)
		return &s
	}
	return m, nil
}

// Load is [Read] for the file at path.
func Load(path string, opts ...basket.ModelOption) (*Model, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("basket: %w", err)
	}
	defer file.Close()
	m, err := Read(file, opts...)
	if err != nil {
		return nil, &loadError{path, err}
	}
	return m, nil
}

// A loadError has the path where errors of basket.LoadModel have it: "basket:
// PATH: bad model: ..."
type loadError struct {
	path string
	err  error
}

func (e *loadError) Error() string {
	const prefix = "basket: "
	return prefix + e.path + ": " + strings.TrimPrefix(e.err.Error(), prefix)
}

func (e *loadError) Unwrap() error { return e.err }

// Features returns the names of the columns that Predict reads, in order.
func (m *Model) Features() []string { return slices.Clone(m.names) }

// Outputs returns the number of predictions per row: 1, except for models of
// several classes, targets or quantiles.
func (m *Model) Outputs() int { return m.info.Outputs }

// Info describes the model; its engine is "leaves".
func (m *Model) Info() basket.ModelInfo { return m.info }

// String is that of the [basket.FileModel], and the engine: "lightgbm v4, 100
// trees, sha256:1f0c..., leaves".
func (m *Model) String() string { return m.info.String() + ", leaves" }

// Predict sets dst to the predictions for rows, Outputs per row. They have the
// bits of the [basket.FileModel] read from the same file with the same options. A
// panic of leaves is returned as an error.
func (m *Model) Predict(ctx context.Context, dst, rows []float64) (err error) {
	const block = 1024 // rows between checks of ctx
	columns, width := m.info.Features, m.info.Outputs
	n := len(rows) / columns
	if n*columns != len(rows) || n*width != len(dst) {
		return fmt.Errorf("basket: %w: rows has %d values and dst %d: want %d values and %d predictions per row", basket.ErrInvalidRequest, len(rows), len(dst), columns, width)
	}
	defer caught(&err)
	scratch := m.scratch.Get().(*[]float64)
	defer m.scratch.Put(scratch)
	row, returned := (*scratch)[:columns], (*scratch)[columns:][:m.engine.width]
	margins := returned
	if m.engine.margins != nil {
		margins = (*scratch)[columns+len(returned):]
	}
	for i := range n {
		if i%block == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		m.engine.clean(row, rows[i*columns:][:columns])
		if err := m.engine.ensemble.Predict(row, 0, returned); err != nil {
			return fmt.Errorf("basket: leaves: row %d: %w", i, err)
		}
		if m.engine.margins != nil {
			m.engine.margins(margins, returned)
		}
		m.link.Finish(dst[i*width:][:width], margins)
	}
	return nil
}

// caught turns a panic into an error; deferred.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("basket: leaves: panic: %v", p)
	}
}

var _ basket.Model = (*Model)(nil)
