package xgboost

import (
	"errors"
	"math"
	"testing"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/golden"
)

// checkText checks the strings that Read returns, or its error.
func checkText(t *testing.T, file *File, err error) {
	t.Helper()
	if err != nil {
		golden.CheckError(t, err)
	} else if err := errors.Join(filetext.CheckLabel(file.Version), filetext.CheckLabel(file.Objective), filetext.CheckNames(file.Names)); err != nil {
		t.Errorf("%+v: %v", file, err)
	}
}

// FuzzRead checks that Read returns a model that predicts or a printable error, and
// that margins are the same in two predictions.
func FuzzRead(f *testing.F) {
	for _, c := range golden.Cases(f, models) {
		for _, data := range formats(f, c.Dir) {
			f.Add(data)
		}
	}
	f.Add([]byte(small))
	f.Add(toUBJ(f, small, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read(data, Options{})
		checkText(t, file, err)
		marginFile, marginErr := Read(data, Options{Margin: true, BestIteration: true})
		checkText(t, marginFile, marginErr)
		for _, r := range []struct {
			file *File
			err  error
		}{{file, err}, {marginFile, marginErr}} {
			if r.err != nil {
				if r.file != nil {
					t.Error("a file and an error")
				}
				continue
			}
			if !Is(data) {
				t.Error("Is returns false for a file that Read accepts")
			}
			p := r.file.predictor()
			if p.Features() > 1<<12 {
				return
			}
			row := make([]float64, p.Features())
			first, second := make([]float64, p.Outputs()), make([]float64, p.Outputs())
			for _, v := range []float64{0, -0.5, 3, 40, 1e30, math.NaN(), math.Inf(1), math.Inf(-1)} {
				for j := range row {
					row[j] = v + float64(j)
				}
				p.Predict(first, row)
				p.Predict(second, row)
				golden.Compare(t, "predictions", second, first)
			}
		}
	})
}
