package libm

import "math"

// The constants of Exp. The polynomial is for exp(r)-1-r, |r| < ln2/256.
const (
	expInvLn2N  = 0x1.71547652b82fep+7  // 128/ln2
	expLn2NHigh = 0x1.62e42fefa0000p-8  // ln2/128, the high bits
	expLn2NLow  = 0x1.cf79abc9e3b3ap-47 // and the rest
	expShift    = 0x1.8p52              // adding it rounds to an integer, in the low bits of the sum
	expC2       = 0x1.ffffffffffdbdp-2
	expC3       = 0x1.555555555543cp-3
	expC4       = 0x1.55555cf172b91p-5
	expC5       = 0x1.1111167a4d017p-7
)

// Exp returns e**x.
//
//	Exp(+Inf) = +Inf, Exp(-Inf) = 0, Exp(NaN) = NaN
//
// It is +Inf above 0x1.62e42fefa39efp+9 (709.78) and 0 below -745.13; between that
// and -708.4 the result is subnormal.
func Exp(x float64) float64 {
	e := uint32(math.Float64bits(x)>>52) & 0x7ff
	if e-0x3c9 > 0x3e { // not in [0x1p-54, 512)
		if e < 0x3c9 {
			return 1 + x
		}
		if e >= 0x409 { // 1024 and up
			return expFar(x)
		}
	}
	// x = k*ln2/128 + r
	kd := math.FMA(x, expInvLn2N, expShift)
	k := math.Float64bits(kd)
	kd -= expShift
	r := math.FMA(kd, -expLn2NHigh, x)
	r = math.FMA(kd, -expLn2NLow, r)
	t := &expTable[k&127]
	bits := t.bits + k<<45

	r2 := float64(r * r)
	p := math.FMA(math.FMA(r, expC3, expC2), r2, t.tail+r)
	p = math.FMA(float64(r2*r2), math.FMA(r, expC5, expC4), p)
	if e >= 0x408 {
		return expScale(p, bits, k)
	}
	s := math.Float64frombits(bits)
	return math.FMA(s, p, s)
}

// expFar is Exp for |x| >= 1024, infinities and NaN.
func expFar(x float64) float64 {
	switch {
	case x != x:
		return x
	case x > 0:
		return math.Inf(1)
	}
	return 0
}

// expScale returns s + s*p for s = 2^(k/128) and |x| >= 512, where the exponent in bits
// has overflowed.
func expScale(p float64, bits, k uint64) float64 {
	if k&0x80000000 == 0 { // k > 0
		s := math.Float64frombits(bits - 1009<<52)
		return float64(0x1p1009 * math.FMA(s, p, s))
	}
	s := math.Float64frombits(bits + 1022<<52)
	sp := float64(s * p) // glibc uses it twice and does not fuse it
	y := s + sp
	if y < 1 {
		// Round to the precision of a subnormal before scaling, so that the result
		// is rounded once.
		low := s - y + sp
		high := 1 + y
		low = 1 - high + y + low
		y = (high + low) - 1
	}
	return float64(0x1p-1022 * y)
}

// The constants of Exp32. The polynomial is for 2^(r/32).
const (
	exp32InvLn2N = 0x1.71547652b82fep+5 // 32/ln2
	exp32C0      = 0x1.c6af84b912394p-20
	exp32C1      = 0x1.ebfce50fac4f3p-13
	exp32C2      = 0x1.62e42ff0c52d6p-6
)

// Exp32 returns e**x for float32. It computes in float64 and rounds once.
//
//	Exp32(+Inf) = +Inf, Exp32(-Inf) = 0, Exp32(NaN) = NaN
//
// It is +Inf above 0x1.62e42ep6 (88.72) and 0 below -0x1.9fe368p6 (-103.97).
func Exp32(x float32) float32 {
	if e := math.Float32bits(x) >> 20 & 0x7ff; e > 0x42a { // |x| >= 88
		switch {
		case x != x:
			return x
		case x > 0x1.62e42ep6:
			return float32(math.Inf(1))
		case x < -0x1.9fe368p6:
			return 0
		}
	}
	// x = k*ln2/32 + r*ln2/32
	xd := float64(x)
	kd := math.FMA(xd, exp32InvLn2N, expShift)
	k := math.Float64bits(kd)
	kd -= expShift
	r := math.FMA(xd, exp32InvLn2N, -kd)
	s := math.Float64frombits(exp32Table[k&31] + k<<47)

	p := math.FMA(math.FMA(r, exp32C0, exp32C1), float64(r*r), math.FMA(r, exp32C2, 1))
	return float32(p * s)
}

// The constants of Expm1.
const (
	ln2High   = 0x1.62e42feep-1
	ln2Low    = 0x1.a39ef35793c76p-33
	invLn2    = 0x1.71547652b82fep+0
	expm1Q1   = -0x1.11111111110f4p-5
	expm1Q2   = 0x1.a01a019fe5585p-10
	expm1Q3   = -0x1.4ce199eaadbb7p-14
	expm1Q4   = 0x1.0cfca86e65239p-18
	expm1Q5   = -0x1.afdb76e09c32dp-23
	expm1Over = 0x1.62e42fefa39efp+9
)

// Expm1 returns e**x - 1. It is accurate for x near zero.
//
//	Expm1(±0) = ±0, Expm1(+Inf) = +Inf, Expm1(-Inf) = -1, Expm1(NaN) = NaN
func Expm1(x float64) float64 {
	hx := uint32(math.Float64bits(x)>>32) & 0x7fffffff
	switch {
	case x != x:
		return x
	case x > expm1Over:
		return math.Inf(1)
	case hx >= 0x4043687a && x < 0: // -56*ln2
		return -1
	case hx < 0x3c900000: // 0x1p-54
		return x
	}
	x, c, k := expm1Reduce(x, hx)

	h := float64(0.5 * x)
	z := float64(x * h)
	z2 := float64(z * z)
	p := math.FMA(z2, math.FMA(z, expm1Q3, expm1Q2), math.FMA(z, expm1Q1, 1))
	p = math.FMA(float64(z2*z2), math.FMA(z, expm1Q5, expm1Q4), p)
	t := math.FMA(-p, h, 3)
	e := float64(z * ((p - t) / math.FMA(-x, t, 6)))
	if k == 0 {
		return x - math.FMA(x, e, -z)
	}
	e = math.FMA(x, e-c, -c) - z
	return expm1Scale(x, e, k)
}

// expm1Reduce returns r, c and k with x = k*ln2 + r + c, |r| at most about ln2/2 and
// c the rounding error of r. hx is the high word of |x|.
func expm1Reduce(x float64, hx uint32) (r, c float64, k int) {
	var high, low float64
	switch {
	case hx <= 0x3fd62e42: // ln2/2
		return x, 0, 0
	case hx > 0x3ff0a2b1: // 3/2*ln2
		half := math.Copysign(0.5, x)
		k = int(float64(invLn2*x) + half)
		high = math.FMA(-float64(k), ln2High, x)
		low = float64(float64(k) * ln2Low)
	case x > 0:
		k, high, low = 1, x-ln2High, ln2Low
	default:
		k, high, low = -1, x+ln2High, -ln2Low
	}
	r = high - low
	return r, (high - r) - low, k
}

// expm1Scale returns 2^k * (1 + x - e) - 1 for k other than 0, in the order of
// operations that loses least for each k.
func expm1Scale(x, e float64, k int) float64 {
	switch {
	case k == -1:
		return math.FMA(0.5, x-e, -0.5)
	case k == 1 && x < -0.25:
		return float64(-2 * (e - (x + 0.5)))
	case k == 1:
		return math.FMA(2, x-e, 1)
	case k < -1 || k > 56:
		return timesPow2(1-(e-x), k) - 1
	case k < 20:
		return timesPow2((1-math.Float64frombits(uint64(0x3ff-k)<<52))-(e-x), k)
	}
	return timesPow2((x-(e+math.Float64frombits(uint64(0x3ff-k)<<52)))+1, k)
}

// timesPow2 returns y * 2^k by adding to y's exponent, which does not overflow or become
// subnormal here. A product cannot replace it: for k = 1024 the factor is no float64.
func timesPow2(y float64, k int) float64 {
	return math.Float64frombits(math.Float64bits(y) + uint64(int64(k))<<52)
}
