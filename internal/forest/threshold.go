package forest

import "math"

// ZeroBound is the float32 nearest to 1e-35. LightGBM treats values from -ZeroBound
// to ZeroBound as zero (include/LightGBM/meta.h, kZeroThreshold, stored as float).
const ZeroBound = 1.0000000180025095e-35

// AtMostSnapped returns the threshold t' for which v <= t' holds exactly when
// snap(v) <= t does, where snap sets values from -ZeroBound to ZeroBound to zero.
func AtMostSnapped(t float64) float64 {
	switch {
	case t >= 0 && t < ZeroBound:
		return ZeroBound // all values that snap to zero go left
	case t < 0 && t >= -ZeroBound:
		return math.Nextafter(-ZeroBound, math.Inf(-1)) // no value that snaps to zero goes left
	}
	return t
}

// AtMostRounded returns the threshold t' for which v <= t' holds exactly when
// float64(float32(v)) <= t does. A v that rounds to an infinity is compared as that.
func AtMostRounded(t float64) float64 {
	// below is the largest float32 that is at most t, and values that round to it or
	// lower go left. They extend to the midpoint between below and the next float32.
	// The midpoint itself rounds to the one with an even last bit.
	below := float32(t)
	if float64(below) > t {
		below = math.Nextafter32(below, float32(math.Inf(-1)))
	}
	switch {
	case math.IsNaN(t), math.IsInf(float64(below), 1):
		return t
	case math.IsInf(float64(below), -1):
		// Values that round to -Inf: at least half a step below the lowest float32.
		return -(math.MaxFloat32 + 0x1p103)
	}
	next := float64(math.Nextafter32(below, float32(math.Inf(1))))
	if math.IsInf(next, 1) {
		next = 0x1p128 // what follows MaxFloat32 if the exponent is not limited
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
