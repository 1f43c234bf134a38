// Package basketleaves runs models on the leaves library,
// github.com/dmitryikh/leaves, behind [basket.Model]. The rule is: same files in,
// same bits out, or a refusal.
//
// It is for two kinds of user. Those who run leaves today can change the API
// first and the engine later. And those who must show that a price is right get a
// second opinion, from code that was written by others: a row for which the two
// engines differ is a defect of one of them. For all else take [basket.LoadModel],
// which is the default, needs no second library and knows none of the refusals
// below.
//
// # How
//
// A file is first read by package basket, which checks it: on damaged files leaves
// may panic, loop or ask for more memory than there is. Only what passes reaches
// leaves, in the older layout that leaves knows.
//
// Of a LightGBM model, the header is written anew, and the numbers of the trees stay
// as the file has them, digit for digit. Leaves finds the leaves and adds their
// values: up to the margins the engines share no code but the check of the file.
// Around it
//
//   - values that LightGBM takes for zero are made zero, as its constant for them
//     is rounded to float32 and includes both ends, and that of leaves is not and
//     does not;
//   - values of categorical features that are in no category (missing, negative,
//     beyond int32) are made -1, as what Go makes of them depends on the processor;
//   - sums are not averaged, transformed or scaled by leaves: random forests and
//     links are left to package basket, whose exp is that of the C library.
//     Leaves does not know most objectives, ignores "regression sqrt" and the
//     links of random forests, and its exp is one ulp off for one value in seven.
//
// Of an XGBoost model, leaves reads just the binary layout of 0.90. Whatever the
// format of the file, package basket's reader takes it apart, and its trees are put
// into that layout. Leaves finds the leaf of each tree and tells its value: up to
// there the engines share the reader. Around it
//
//   - thresholds are the next float32 below and values are rounded to float32, as
//     leaves asks for "at most" in float64 where XGBoost asks for "below" in float32;
//   - the values of the leaves are added here, in float32 and to the base score, as
//     leaves adds in float64. It thus does not have to know of base scores,
//     classes, num_parallel_tree and dart, whose weights are in the values.
//
// # What is refused
//
//   - LightGBM models with linear trees: leaves predicts the plain value of each
//     leaf instead, without a word.
//   - LightGBM models in which one feature is split by number here and by category
//     there, which LightGBM does not write: the two want different values for
//     missing.
//   - Categorical splits without a category, which LightGBM does not write and
//     leaves refuses.
//   - XGBoost models with categorical splits, which the layout has no room for.
//   - XGBoost models with thresholds both of -Inf and of the lowest float32, and
//     those with leaves of NaN; XGBoost writes neither.
//   - XGBoost's linear models (gblinear): leaves adds in float64, and what is
//     missing makes its sums NaN.
//   - Models of scikit-learn: of those that are for prices leaves reads none.
//   - What package basket does not read, first of all damaged files.
package basketleaves

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/basket-go/basket"
	"github.com/dmitryikh/leaves"
)

// A Model is a tree ensemble that the leaves library evaluates. It is immutable
// and safe for concurrent use.
type Model struct {
	native  *basket.Forest // names, facts, link
	engine  engine
	scratch sync.Pool // of *[]float64: room for a row and its margins
}

// An engine is what a format's file makes of leaves.
type engine struct {
	ensemble *leaves.Ensemble // without a link
	width    int              // how many numbers it makes of a row

	// clean sets dst to what leaves has to see in place of row.
	clean func(dst, row []float64)

	// margins sets dst to the margins that stand behind what leaves found; nil
	// if it finds margins.
	margins func(dst, found []float64)
}

// newEngine makes the engine of a file that package basket has read as native.
func newEngine(data []byte, native *basket.Forest) (engine, error) {
	switch format := native.Info().Format; format {
	case "lightgbm":
		return newLightGBM(string(data), native)
	case "xgboost json", "xgboost ubjson", "xgboost binary":
		return newXGBoost(data, native)
	default:
		return engine{}, fmt.Errorf("%s: models of this format are not run on leaves, only those of LightGBM and XGBoost", format)
	}
}

// maxModelBytes is the largest model that basket.ReadModel takes.
const maxModelBytes = 1 << 30

// Read reads a model as [basket.ReadModel] does, with the same options and the
// same errors. A model that leaves cannot run to the bit is refused with an error
// that wraps [basket.ErrModelFormat] and tells the reason.
func Read(r io.Reader, opts ...basket.ModelOption) (*Model, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxModelBytes+1))
	if err != nil {
		return nil, fmt.Errorf("basket: reading a model: %w", err)
	}
	read, err := basket.ReadModel(bytes.NewReader(data), opts...)
	if err != nil {
		return nil, err
	}
	native, ok := read.(*basket.Forest)
	if !ok {
		return nil, fmt.Errorf("basket: %w: leaves: %v: linear models and pipelines are not run on it, only tree ensembles", basket.ErrModelFormat, read)
	}
	m := &Model{native: native}
	if m.engine, err = newEngine(data, native); err != nil {
		return nil, fmt.Errorf("basket: %w: leaves: %w", basket.ErrModelFormat, err)
	}
	e, info := m.engine.ensemble, native.Info()
	if e.NOutputGroups() != m.engine.width || e.NEstimators()*e.NOutputGroups() != info.Trees {
		return nil, fmt.Errorf("basket: %w: leaves: it finds %d trees for each of %d outputs: want %d outputs and %d trees in all",
			basket.ErrModelFormat, e.NEstimators(), e.NOutputGroups(), m.engine.width, info.Trees)
	}
	room := info.Features + m.engine.width + native.Margins()
	m.scratch.New = func() any {
		s := make([]float64, room)
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

// A loadError tells the path where basket.LoadModel tells it: "basket: PATH: bad
// model: ..."
type loadError struct {
	path string
	err  error
}

func (e *loadError) Error() string {
	const prefix = "basket: "
	return prefix + e.path + ": " + strings.TrimPrefix(e.err.Error(), prefix)
}

func (e *loadError) Unwrap() error { return e.err }

// Features returns the names of the columns that Predict wants, in order.
func (m *Model) Features() []string { return m.native.Features() }

// Outputs is the number of predictions a row: 1, but for multi-class models.
func (m *Model) Outputs() int { return m.native.Outputs() }

// Margins is the number of sums before the link.
func (m *Model) Margins() int { return m.native.Margins() }

// Info describes the model, with "leaves" as its engine.
func (m *Model) Info() basket.ModelInfo {
	info := m.native.Info()
	info.Engine = "leaves"
	return info
}

// String tells the format, the size, the digest and the engine: "lightgbm v4, 100
// trees, sha256:1f0c..., leaves".
func (m *Model) String() string { return m.native.String() + ", leaves" }

// Predict sets dst to the predictions for rows, Outputs a row. They are, to the
// bit, those of the [basket.Forest] read from the same file with the same options.
func (m *Model) Predict(ctx context.Context, dst, rows []float64) error {
	return m.each(ctx, dst, rows, m.native.Outputs(), m.native.Link)
}

// Margin sets dst to the margins of rows, Margins a row: the library's raw
// scores, before the link function.
func (m *Model) Margin(ctx context.Context, dst, rows []float64) error {
	return m.each(ctx, dst, rows, m.native.Margins(), nil)
}

// each sets dst to the margins of each row, or to what link makes of them. If
// leaves panics, that is the error.
func (m *Model) each(ctx context.Context, dst, rows []float64, width int, link func(dst, margins []float64) error) (err error) {
	const block = 1024 // rows between looks at ctx
	columns := m.native.Info().Features
	n := len(rows) / columns
	if n*columns != len(rows) || n*width != len(dst) {
		return fmt.Errorf("basket: %d values and room for %d predictions: want %d values and %d predictions a row", len(rows), len(dst), columns, width)
	}
	defer caught(&err)
	scratch := m.scratch.Get().(*[]float64)
	defer m.scratch.Put(scratch)
	row, found := (*scratch)[:columns], (*scratch)[columns:][:m.engine.width]
	margins := found
	if m.engine.margins != nil {
		margins = (*scratch)[columns+len(found):]
	}
	for i := range n {
		if i%block == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		m.engine.clean(row, rows[i*columns:][:columns])
		if err := m.engine.ensemble.Predict(row, 0, found); err != nil {
			return fmt.Errorf("basket: leaves: row %d: %w", i, err)
		}
		if m.engine.margins != nil {
			m.engine.margins(margins, found)
		}
		d := dst[i*width:][:width]
		if link == nil {
			copy(d, margins)
		} else if err := link(d, margins); err != nil {
			return err
		}
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
