package xgboost

import (
	"context"
	"fmt"

	"github.com/basket-go/basket/internal/forest"
)

// A Linear is a model of the booster gblinear: for each margin, the bias plus the
// sum of weight times feature. It is immutable and safe for concurrent use.
type Linear struct {
	features int
	weights  []float32 // of feature j for margin k: weights[j*len(start)+k]; the biases last
	start    []float32 // by margin: bias plus base score
	link     forest.Link
}

// Features returns the number of columns of a row.
func (l *Linear) Features() int { return l.features }

// Outputs returns the number of predictions per row.
func (l *Linear) Outputs() int { return l.link.Outputs(len(l.start)) }

// Predict sets dst[i*Outputs()+k] to the k-th prediction for row i, which is
// rows[i*Features():][:Features()]. It panics if the lengths do not agree.
func (l *Linear) Predict(dst, rows []float64) {
	width := l.Outputs()
	n := len(rows) / l.features
	if n*l.features != len(rows) || n*width != len(dst) {
		panic("xgboost: the lengths of dst and rows do not agree")
	}
	var few [8]float64
	sums := few[:]
	if len(l.start) > len(few) {
		sums = make([]float64, len(l.start))
	}
	sums = sums[:len(l.start)]
	for i := range n {
		l.sum(sums, rows[i*l.features:][:l.features])
		l.link.Apply(sums, 0)
		copy(dst[i*width:][:width], sums)
	}
}

// Explain sets dst to weight times value of each feature of row, and returns the
// bias (src/gbm/gblinear.cc, GBLinear::PredictContribution, 3.2.0). A missing value
// contributes nothing.
func (l *Linear) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case len(dst) != l.features || len(row) != l.features:
		return 0, fmt.Errorf("dst has length %d and row %d: want %d", len(dst), len(row), l.features)
	case len(l.start) != 1:
		return 0, fmt.Errorf("%d margins: only models of one margin can be explained", len(l.start))
	}
	for j, v := range row {
		dst[j] = 0
		if v == v {
			dst[j] = float64(float32(v)) * float64(l.weights[j])
		}
	}
	var margin [1]float64
	l.sum(margin[:], row)
	return forest.Share(dst, float64(l.start[0]), margin[0]), nil
}

// sum sets s to the margins of one row, in float32 and in the order of the features.
// A missing value adds nothing (src/gbm/gblinear.cc, GBLinear::Pred, 3.2.0).
func (l *Linear) sum(s, row []float64) {
	for k := range s {
		acc := l.start[k]
		for j, v := range row {
			if v == v {
				acc += float32(float32(v) * l.weights[j*len(s)+k])
			}
		}
		s[k] = float64(acc)
	}
}
