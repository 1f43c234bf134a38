package xgboost

import (
	"math"
	"testing"
)

// FuzzRead requires that whatever Read takes predicts, and the same on a second
// reading.
func FuzzRead(f *testing.F) {
	for _, dir := range cases(f) {
		for _, data := range formats(f, dir) {
			f.Add(data)
		}
	}
	f.Add([]byte(small))
	f.Add(toUBJ(f, small, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read(data, Options{})
		if err != nil {
			if file != nil {
				t.Error("a file and an error")
			}
			if len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if file, err = Read(data, Options{Margin: true, BestIteration: true}); err != nil {
				return
			}
		}
		if !Is(data) {
			t.Error("is read, but Is is false")
		}
		p := file.predictor()
		if p.Features() > 1<<12 {
			return
		}
		row := make([]float64, p.Features())
		margin, again := make([]float64, p.Margins()), make([]float64, p.Margins())
		out := make([]float64, p.Outputs())
		for _, v := range []float64{0, -0.5, 3, 40, 1e30, math.NaN(), math.Inf(1), math.Inf(-1)} {
			for j := range row {
				row[j] = v + float64(j)
			}
			p.Margin(margin, row)
			p.Predict(out, row)
			p.Margin(again, row)
			wantSame(t, "margin", again, margin)
		}
	})
}
