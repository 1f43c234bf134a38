package main

import (
	"math"
	"testing"
)

func TestCheckEqual(t *testing.T) {
	nan := math.NaN()
	next := math.Nextafter(1, 2)
	for _, c := range []struct {
		name      string
		got, want []float64
		tolerance float64
		wrong     bool
	}{
		{"equal", []float64{1, nan, math.Inf(1)}, []float64{1, -nan, math.Inf(1)}, 0, false},
		{"one ulp", []float64{1, next}, []float64{1, 1}, 0, true},
		{"one ulp within the tolerance", []float64{1, next}, []float64{1, 1}, 1e-12, false},
		{"beyond the tolerance", []float64{1 + 1e-11}, []float64{1}, 1e-12, true},
		{"zero and minus zero", []float64{0}, []float64{math.Copysign(0, -1)}, 0, true},
		{"NaN instead of a number", []float64{nan}, []float64{1}, 1e-12, true},
		{"too few", []float64{1}, []float64{1, 1}, 0, true},
	} {
		if err := checkEqual("batch", c.got, c.want, c.tolerance); (err != nil) != c.wrong {
			t.Errorf("%s: error %v, want one: %v", c.name, err, c.wrong)
		}
	}
}
