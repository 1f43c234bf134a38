package xgboost

import (
	"fmt"

	"github.com/basket-go/basket/internal/forest"
)

// A Linear is a model of the booster gblinear: for each output, the bias plus the
// sum of weight times feature. It is immutable and safe for concurrent use.
type Linear struct {
	features int
	weights  []float32 // of feature j for output k: weights[j*Margins()+k]; the biases last
	start    []float32 // of each output: bias and base score
	link     forest.Link
}

// Features is the number of columns of a row.
func (l *Linear) Features() int { return l.features }

// Margins is the number of sums that a row gives.
func (l *Linear) Margins() int { return len(l.start) }

// Outputs is the number of predictions that a row gives.
func (l *Linear) Outputs() int { return l.link.Outputs(len(l.start)) }

// Margin sets dst to the margins of rows: dst[i*Margins()+k] is the k-th of row
// i, which is rows[i*Features():][:Features()]. Both lengths must fit; it panics
// if they do not.
func (l *Linear) Margin(dst, rows []float64) {
	n := l.check(dst, rows, l.Margins())
	for i := range n {
		l.sum(dst[i*l.Margins():][:l.Margins()], rows[i*l.features:][:l.features])
	}
}

// Predict sets dst to the predictions for rows: dst[i*Outputs()+k] is the k-th of
// row i.
func (l *Linear) Predict(dst, rows []float64) {
	width := l.Outputs()
	n := l.check(dst, rows, width)
	var few [8]float64
	sums := few[:]
	if l.Margins() > len(few) {
		sums = make([]float64, l.Margins())
	}
	sums = sums[:l.Margins()]
	for i := range n {
		l.sum(sums, rows[i*l.features:][:l.features])
		l.link.Apply(sums, 0)
		copy(dst[i*width:][:width], sums)
	}
}

// Explain sets dst to weight times value of each feature of row, and returns the
// bias (src/gbm/gblinear.cc, GBLinear::PredictContribution, 3.2.0). What is missing
// contributes nothing.
func (l *Linear) Explain(dst, row []float64) (bias float64, err error) {
	switch {
	case len(dst) != l.features || len(row) != l.features:
		return 0, fmt.Errorf("%d values and room for %d contributions: want %d of each", len(row), len(dst), l.features)
	case len(l.start) != 1:
		return 0, fmt.Errorf("%d margins: only a model of one can be explained", len(l.start))
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

func (l *Linear) check(dst, rows []float64, width int) int {
	n := len(rows) / l.features
	if n*l.features != len(rows) || n*width != len(dst) {
		panic("xgboost: lengths of dst and rows do not fit")
	}
	return n
}

// sum sets s to the margins of one row, in float32 and in the features' order.
// What is missing adds nothing (src/gbm/gblinear.cc, GBLinear::Pred, 3.2.0).
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
