package basketleaves

import (
	"math"
	"strings"
	"testing"
)

// TestClean is for processors on which Go makes other integers of what is in no
// category: on amd64 leaves would answer alike without it.
func TestClean(t *testing.T) {
	const c = 1.0000000180025095e-35
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		asks    uint8
		v, want float64
	}{
		{asksNumber, nan, nan}, {asksNumber, inf, inf}, {asksNumber, -inf, -inf}, {asksNumber, -1, -1}, {asksNumber, 1 << 40, 1 << 40},
		{asksNumber, c, 0}, {asksNumber, -c, 0}, {asksNumber, math.Nextafter(c, 1), math.Nextafter(c, 1)}, {asksNumber, math.Nextafter(-c, -1), math.Nextafter(-c, -1)},
		{asksCategory, nan, -1}, {asksCategory, inf, -1}, {asksCategory, -inf, -1}, {asksCategory, -1, -1}, {asksCategory, -1 << 40, -1},
		{asksCategory, -0.5, -0.5}, {asksCategory, 0.9, 0.9}, {asksCategory, 31, 31}, {asksCategory, 1<<31 - 2, 1<<31 - 2},
		{asksCategory, 1<<31 - 1, -1}, {asksCategory, 1 << 32, -1}, {asksCategory, 1<<32 + 5, -1},
	}
	for _, test := range tests {
		row, dst := []float64{test.v}, make([]float64, 1)
		clean(dst, row, []uint8{test.asks})
		if got := dst[0]; got != test.want && got == got || math.IsNaN(got) != math.IsNaN(test.want) {
			t.Errorf("clean of %v, asks %d: %v, want %v", test.v, test.asks, got, test.want)
		}
		if row[0] != test.v && test.v == test.v {
			t.Errorf("clean wrote to the row: %v", row)
		}
	}
}

// TestModel_panicIsError: no file is known on which leaves panics, so one is
// made of a model that is not there.
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
