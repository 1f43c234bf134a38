package forest

import "math"

// ZeroBound is the float32 nearest to 1e-35: LightGBM takes values up to it, on
// both sides, for zero (include/LightGBM/meta.h, kZeroThreshold, stored as float).
const ZeroBound = 1.0000000180025095e-35

// AtMostSnapped returns the threshold t' for which v <= t' holds exactly when
// snap(v) <= t does, where snap makes values from -ZeroBound to ZeroBound zero.
func AtMostSnapped(t float64) float64 {
	switch {
	case t >= 0 && t < ZeroBound:
		return ZeroBound // all that snaps to zero goes left
	case t < 0 && t >= -ZeroBound:
		return math.Nextafter(-ZeroBound, math.Inf(-1)) // nothing that does
	}
	return t
}

// AtMostRounded returns the threshold t' for which v <= t' holds exactly when
// float64(float32(v)) <= t does. If v rounds to an infinity, so it is compared.
func AtMostRounded(t float64) float64 {
	// below is the largest float32 that is at most t; all v that round to it or
	// lower go left. They end halfway to the next float32, which itself goes left
	// if the tie goes to below, the one with an even last bit.
	below := float32(t)
	if float64(below) > t {
		below = math.Nextafter32(below, float32(math.Inf(-1)))
	}
	switch {
	case math.IsNaN(t), math.IsInf(float64(below), 1):
		return t
	case math.IsInf(float64(below), -1):
		// What rounds to -Inf: from half a step beyond the largest float32 down.
		return -(math.MaxFloat32 + 0x1p103)
	}
	next := float64(math.Nextafter32(below, float32(math.Inf(1))))
	if math.IsInf(next, 1) {
		next = 0x1p128 // as if the exponent went on
	}
	half := float64(below) + (next-float64(below))/2 // exact: 25 bits
	if math.Float32bits(below)&1 == 0 {
		return half
	}
	return math.Nextafter(half, math.Inf(-1))
}

// Below32 returns the largest float32 below t, so that v <= Below32(t) holds
// exactly when v < t does, for float32 v.
func Below32(t float32) float32 {
	return math.Nextafter32(t, float32(math.Inf(-1)))
}
