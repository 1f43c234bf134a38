package basketleaves

import (
	"math"
	"strings"
	"testing"
)

// TestClean: the conversion of a value that is in no category to an integer
// depends on the processor; on amd64 leaves would give the same answers without
// clean.
func TestClean(t *testing.T) {
	const c = 1.0000000180025095e-35
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		kinds   uint8
		v, want float64
	}{
		{numerical, nan, nan}, {numerical, inf, inf}, {numerical, -inf, -inf}, {numerical, -1, -1}, {numerical, 1 << 40, 1 << 40},
		{numerical, c, 0}, {numerical, -c, 0}, {numerical, math.Nextafter(c, 1), math.Nextafter(c, 1)}, {numerical, math.Nextafter(-c, -1), math.Nextafter(-c, -1)},
		{categorical, nan, -1}, {categorical, inf, -1}, {categorical, -inf, -1}, {categorical, -1, -1}, {categorical, -1 << 40, -1},
		{categorical, -0.5, -0.5}, {categorical, 0.9, 0.9}, {categorical, 31, 31}, {categorical, 1<<31 - 2, 1<<31 - 2},
		{categorical, 1<<31 - 1, -1}, {categorical, 1 << 32, -1}, {categorical, 1<<32 + 5, -1},
	}
	for _, test := range tests {
		row, dst := []float64{test.v}, make([]float64, 1)
		clean(dst, row, []uint8{test.kinds})
		if got := dst[0]; got != test.want && got == got || math.IsNaN(got) != math.IsNaN(test.want) {
			t.Errorf("clean of %v, kinds %d: %v, want %v", test.v, test.kinds, got, test.want)
		}
		if row[0] != test.v && test.v == test.v {
			t.Errorf("clean wrote to the row: %v", row)
		}
	}
}

// TestModel_panicIsError: no file is known on which leaves panics, so a missing
// ensemble stands in.
func TestModel_panicIsError(t *testing.T) {
	m, err := Load("../testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	m.engine.ensemble = nil
	dst, rows := make([]float64, 1), make([]float64, 4)
	if err := m.Predict(t.Context(), dst, rows); err == nil || !strings.Contains(err.Error(), "leaves: panic") {
		t.Errorf("error %v", err)
	}
}
