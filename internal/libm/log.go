package libm

import "math"

// The constants of Log: ln2 in two parts, a polynomial for table entries (A) and one
// for arguments close to 1 (B).
const (
	logLn2High = 0x1.62e42fefa3800p-1
	logLn2Low  = 0x1.ef35793c76730p-45

	logA0 = -0x1.0000000000001p-1
	logA1 = 0x1.555555551305bp-2
	logA2 = -0x1.fffffffeb4590p-3
	logA3 = 0x1.999b324f10111p-3
	logA4 = -0x1.55575e506c89fp-3

	logB0  = -0.5
	logB1  = 0x1.5555555555577p-2
	logB2  = -0x1.ffffffffffdcbp-3
	logB3  = 0x1.999999995dd0cp-3
	logB4  = -0x1.55555556745a7p-3
	logB5  = 0x1.24924a344de30p-3
	logB6  = -0x1.fffffa4423d65p-4
	logB7  = 0x1.c7184282ad6cap-4
	logB8  = -0x1.999eb43b068ffp-4
	logB9  = 0x1.78182f7afd085p-4
	logB10 = -0x1.5521375d145cdp-4
)

// The bits of the ends of logNear's interval around 1 and of the start of logTable's.
const (
	logNearLow  = 0x3fee000000000000 // 1 - 0x1p-4
	logNearHigh = 0x3ff1090000000000 // 1 + 0x1.09p-4
	logOffset   = 0x3fe6000000000000 // 0x1.6p-1
)

// Log returns the natural logarithm of x.
//
//	Log(+Inf) = +Inf, Log(±0) = -Inf, Log(x < 0) = NaN, Log(NaN) = NaN
func Log(x float64) float64 {
	b := math.Float64bits(x)
	if b-logNearLow < logNearHigh-logNearLow {
		return logNear(x)
	}
	if b-0x10000000000000 >= 0x7ff0000000000000-0x10000000000000 { // not a positive normal number
		switch {
		case x == 0:
			return math.Inf(-1)
		case x < 0:
			return math.NaN()
		case x != x, x > math.MaxFloat64:
			return x
		}
		b = math.Float64bits(float64(x*0x1p52)) - 52<<52 // subnormal
	}
	// x = 2^k * z, z in [0x1.6p-1, 0x1.6p0) and near the centre of part i
	d := b - logOffset
	t := &logTable[d>>45&127]
	k := float64(int64(d) >> 52)
	z := math.Float64frombits(b - d&(0xfff<<52))

	// log(x) = log1p(z/c - 1) + log(c) + k*ln2
	r := math.FMA(z, t.invc, -1)
	w := math.FMA(k, logLn2High, t.logc)
	high := w + r
	low := math.FMA(k, logLn2Low, w-high+r)

	r2 := float64(r * r)
	low = math.FMA(r2, logA0, low)
	p := math.FMA(math.FMA(r, logA4, logA3), r2, math.FMA(r, logA2, logA1))
	return math.FMA(float64(r*r2), p, low) + high
}

// logNear is Log of x near 1, where log(c) would cancel most of the result.
// x = 1 gives +0.
func logNear(x float64) float64 {
	r := x - 1
	r2 := float64(r * r)
	r3 := float64(r * r2)
	p := math.FMA(r3, logB10, math.FMA(r2, logB9, math.FMA(r, logB8, logB7)))
	p = math.FMA(p, r3, math.FMA(r2, logB6, math.FMA(r, logB5, logB4)))
	p = math.FMA(p, r3, math.FMA(r2, logB3, math.FMA(r, logB2, logB1)))

	// r + B0*r*r with more than 53 bits: a is r's high half, so that a*a is exact.
	a := math.FMA(-0x1p27, r, math.FMA(r, 0x1p27, r))
	a2 := float64(a * a)
	high := math.FMA(a2, logB0, r)
	low := math.FMA(a2, logB0, r-high)
	low = math.FMA(float64(logB0*(r-a)), r+a, low)
	return high + math.FMA(p, r3, low)
}

// The constants of Log32.
const (
	log32Ln2    = 0x1.62e42fefa39efp-1
	log32A0     = -0x1.00ea348b88334p-2
	log32A1     = 0x1.5575b0be00b6ap-2
	log32A2     = -0x1.ffffef20a4123p-2
	log32Offset = 0x3f330000 // bits of 0x1.66p-1
)

// Log32 returns the natural logarithm of a float32. It computes in float64 and
// rounds once.
//
//	Log32(+Inf) = +Inf, Log32(±0) = -Inf, Log32(x < 0) = NaN, Log32(NaN) = NaN
func Log32(x float32) float32 {
	b := math.Float32bits(x)
	if b-0x00800000 >= 0x7f800000-0x00800000 { // not a positive normal number
		switch {
		case x == 0:
			return float32(math.Inf(-1))
		case x < 0:
			return float32(math.NaN())
		case x != x, x > math.MaxFloat32:
			return x
		}
		b = math.Float32bits(float32(x*0x1p23)) - 23<<23 // subnormal
	}
	d := b - log32Offset
	t := &log32Table[d>>19&15]
	k := float64(int32(d) >> 23)
	z := float64(math.Float32frombits(b - d&(0x1ff<<23)))

	r := math.FMA(z, t.invc, -1)
	y := math.FMA(k, log32Ln2, t.logc)
	r2 := float64(r * r)
	p := math.FMA(r2, log32A0, math.FMA(r, log32A1, log32A2))
	return float32(math.FMA(r2, p, y+r))
}

// The constants of Log1p; ln2High and ln2Low are in exp.go.
const (
	log1pL1 = 0x1.5555555555593p-1
	log1pL2 = 0x1.999999997fa04p-2
	log1pL3 = 0x1.2492494229359p-2
	log1pL4 = 0x1.c71c51d8e78afp-3
	log1pL5 = 0x1.7466496cb03dep-3
	log1pL6 = 0x1.39a09d078c69fp-3
	log1pL7 = 0x1.2f112df3e5244p-3
)

// Log1p returns log(1 + x). It is accurate for x near zero.
//
//	Log1p(±0) = ±0, Log1p(-1) = -Inf, Log1p(x < -1) = NaN, Log1p(+Inf) = +Inf, Log1p(NaN) = NaN
func Log1p(x float64) float64 {
	ax := uint32(math.Float64bits(x)>>32) & 0x7fffffff
	switch {
	case x < -1:
		return math.NaN()
	case x == -1:
		return math.Inf(-1)
	case ax >= 0x7ff00000: // +Inf, NaN
		return x
	case ax < 0x3c900000: // 0x1p-54
		return x
	case ax < 0x3e200000: // 0x1p-29
		return math.FMA(-float64(x*x), 0.5, x)
	}
	f, c, k, m := log1pReduce(x, ax)
	h := float64(float64(0.5*f) * f)
	if m == 0 { // |f| < 0x1p-20
		return log1pNear(f, c, h, k)
	}
	s := f / (2 + f)
	z := float64(s * s)
	z2 := float64(z * z)
	z4 := float64(z2 * z2)
	p := math.FMA(z, log1pL1, float64(z2*math.FMA(z, log1pL3, log1pL2)))
	p = math.FMA(z4, math.FMA(z, log1pL5, log1pL4), p)
	p = math.FMA(float64(z2*z4), math.FMA(z, log1pL7, log1pL6), p)
	t := float64(s * (p + h))
	if k == 0 {
		return f - (h - t)
	}
	kd := float64(k)
	return math.FMA(kd, ln2High, -((h - (t + math.FMA(kd, ln2Low, c))) - f))
}

// log1pReduce returns f, c and k with 1 + x = 2^k * (1 + f) and sqrt(1/2) < 1 + f <
// sqrt(2). c corrects the rounding of 1 + x. m is zero only if f is tiny. ax is the high
// word of |x|.
func log1pReduce(x float64, ax uint32) (f, c float64, k int, m uint32) {
	if ax < 0x3fda827a && (x > 0 || ax < 0x3fd2bec4) { // (sqrt(1/2)-1, sqrt(2)-1)
		return x, 0, 0, 1
	}
	u := x
	if ax < 0x43400000 { // 0x1p53; above it 1 + x is x
		u = 1 + x
	}
	b := math.Float64bits(u)
	k = int(b>>52) - 1023
	switch {
	case ax >= 0x43400000:
	case k > 0:
		c = (1 - (u - x)) / u
	default:
		c = (x - (u - 1)) / u
	}
	m = uint32(b>>32) & 0xfffff
	e := uint64(0x3ff)
	if m >= 0x6a09e { // sqrt(2)
		k++
		e = 0x3fe
		m = (0x100000 - m) >> 2
	}
	return math.Float64frombits(b&(1<<52-1)|e<<52) - 1, c, k, m
}

// log1pNear is the last step of Log1p for a tiny f; h is f*f/2.
func log1pNear(f, c, h float64, k int) float64 {
	kd := float64(k)
	if f == 0 {
		if k == 0 {
			return 0
		}
		return math.FMA(kd, ln2High, math.FMA(kd, ln2Low, c))
	}
	r := float64(h * math.FMA(-0x1.5555555555555p-1, f, 1))
	if k == 0 {
		return f - r
	}
	return math.FMA(kd, ln2High, -((r - math.FMA(kd, ln2Low, c)) - f))
}
