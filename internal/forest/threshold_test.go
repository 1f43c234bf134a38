package forest

import (
	"math"
	"math/rand/v2"
	"testing"
)

// around returns v and its neighbours, the float64 and float32 ones.
func around(v float64) []float64 {
	out := []float64{v}
	for _, dir := range []float64{math.Inf(-1), math.Inf(1)} {
		a, b := v, float32(v)
		for range 3 {
			a = math.Nextafter(a, dir)
			b = math.Nextafter32(b, float32(dir))
			half := (float64(b) + v) / 2
			out = append(out, a, float64(b), half, math.Nextafter(half, dir), math.Nextafter(half, -dir))
		}
	}
	return out
}

// thresholds returns special ones and random ones of every size.
func thresholds(r *rand.Rand) []float64 {
	ts := []float64{
		0, math.Copysign(0, -1), ZeroBound, -ZeroBound, 1e-35, -1e-35, 1e-300, -1e-300, 5e-324, -5e-324,
		1e-45, -1e-45, 0x1p-149, -0x1p-149, 0x1p-150, 0x1p-126, 1, -1, 0.1, 6.5000000000000009,
		math.MaxFloat32, -math.MaxFloat32, math.MaxFloat32 + 0x1p103, -(math.MaxFloat32 + 0x1p103),
		1e300, -1e300, math.MaxFloat64, -math.MaxFloat64, math.Inf(1), math.Inf(-1),
	}
	for range 2000 {
		ts = append(ts, math.Float64frombits(r.Uint64()), float64(math.Float32frombits(r.Uint32())), r.NormFloat64()*100)
	}
	return ts
}

// TestThresholds compares the lowered thresholds with the rules that they replace, at
// and around each threshold.
func TestThresholds(t *testing.T) {
	snap := func(v float64) float64 {
		if v >= -ZeroBound && v <= ZeroBound {
			return 0
		}
		return v
	}
	rules := []struct {
		name    string
		lowered func(t float64) float64
		left    func(v, t float64) bool
	}{
		{"snapped", AtMostSnapped, func(v, t float64) bool { return snap(v) <= t }},
		{"rounded", AtMostRounded, func(v, t float64) bool { return float64(float32(v)) <= t }},
		{
			"below, in float32",
			func(t float64) float64 { return AtMostRounded(float64(Below32(float32(t)))) },
			func(v, t float64) bool { return float32(v) < float32(t) },
		},
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, threshold := range thresholds(r) {
				if math.IsNaN(threshold) || rule.name == "below, in float32" && math.IsInf(float64(float32(threshold)), -1) {
					continue // readers reject both
				}
				lowered := rule.lowered(threshold)
				values := append(around(threshold), around(0)...)
				values = append(values, around(ZeroBound)...)
				values = append(values, around(-ZeroBound)...)
				values = append(values, math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64)
				for _, v := range values {
					if math.IsNaN(v) {
						continue
					}
					if got, want := v <= lowered, rule.left(v, threshold); got != want {
						t.Fatalf("threshold %v (%x) lowered to %v: %v (%x) goes left: %v, want %v",
							threshold, math.Float64bits(threshold), lowered, v, math.Float64bits(v), got, want)
					}
				}
			}
		})
	}
}
