package basket

import (
	"math"
	"testing"
)

// TestPairwiseSum compares sums with numpy's:
// x = np.arange(n)*0.1 + 0.3; (x*x*x).sum(), as repr gives it.
func TestPairwiseSum(t *testing.T) {
	for n, want := range numpySums {
		a := make([]float64, n)
		for i := range a {
			x := float64(float64(i)*0.1) + 0.3
			a[i] = float64(x*x) * x
		}
		if got := pairwiseSum(a); math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("sum of %d: %v, want %v", n, got, want)
		}
	}
	if s := pairwiseSum(nil); s != 0 || !math.Signbit(s) {
		t.Errorf("sum of nothing: %v, want -0", s)
	}
}

// numpySums are numpy's sums at lengths where its method changes.
var numpySums = map[int]float64{
	1:     0.027,
	2:     0.09100000000000001,
	7:     2.0160000000000005,
	8:     3.0160000000000005,
	9:     4.347000000000001,
	15:    23.400000000000006,
	16:    29.232000000000006,
	17:    36.09100000000001,
	127:   70308.21600000001,
	128:   72505.21600000001,
	129:   74753.30700000003,
	135:   89359.20000000006,
	136:   91987.27200000004,
	137:   94672.89100000005,
	255:   1099121.4000000004,
	256:   1116294.9120000002,
	257:   1133668.8910000003,
	1000:  252509265.0,
	1023:  276491930.616,
	1024:  277571976.192,
	1025:  278655182.875,
	4095:  70471877931.00003,
	4096:  70540698120.19202,
	4097:  70609568702.49103,
	68257: 5427407364811310.0,
}
