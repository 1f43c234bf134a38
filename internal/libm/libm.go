// Package libm computes exp, log, log1p and expm1 as the C library does, to the
// last bit.
//
// LightGBM and XGBoost turn a sum of leaves into a probability with the C
// library's exp. Package math has other algorithms: on amd64 one result of math.Exp
// in seven is a neighbour of the C library's, and so would be one prediction in
// seven. With this package a prediction can be compared with == and a difference
// is a defect.
//
// # Which C library
//
// glibc, as it answers on x86-64 with FMA instructions. Its methods for exp and
// log, float64 and float32, have been the same since release 2.28; log1p and expm1
// have had builds for FMA since 2.39, and in 2.36 as Debian 12 ships it, which is
// what this package was compared with: all 2^32 arguments of the float32
// functions and 2^29 of each other one, without a difference. There a compiler
// chose which products and sums became one instruction. Those choices are part of
// the result, so the code has [math.FMA] in just those places and nowhere else.
//
// The same model on a CPU without FMA, on another C library or on another
// architecture may differ from this package by an ulp, because there the C++
// library differs from itself.
//
// # Method
//
// Exp and Log, and their float32 sisters, are the table methods of Arm Optimized
// Routines, from where glibc took them. The argument is split into one of N
// points, whose result is in a table, and a small rest, for which a polynomial of
// low degree is enough. Log1p and Expm1 are those of Sun's fdlibm of 1993, summed in
// glibc's order: a polynomial on a reduced argument and no table.
//
// The errors are those that the authors state, with correct rounding at 0.5. The
// price is in time against math.Exp and so on, on amd64 with FMA (BenchmarkLibm).
//
//	function  table, bytes  error, ulp  price, math = 1
//	Exp       2048          0.51        0.6
//	Log       2048          0.52        0.6
//	Exp32     256           0.502       0.3
//	Log32     256           0.82        0.5
//	Log1p     none          below 1     0.9
//	Expm1     none          below 1     1.2
//
// # Rules for changes
//
// Every FMA here is one the compiled glibc has, and every product that is added to
// something outside of an FMA stands in float64(...). Go may fuse x*y + z on
// arm64, ppc64, s390x, riscv64 and amd64 with GOAMD64=v3, even across
// statements; only the conversion forbids it. The results are thus the same on
// every architecture. Where the hardware has no FMA, math.FMA computes it in
// integers, exactly and slowly: there a call costs 0.2 to 0.4 µs and not a few ns.
//
// After a change run the long comparison, on amd64 Linux with a C compiler; a wrong
// FMA in Log1p can show in as few as 16 results of 2^29, and so pass the short one:
//
//	go test -run Native -v -timeout 30m ./internal/libm -long
//
// # Limits
//
// The results are for rounding to nearest, which is all that Go has. Nothing is
// signalled. NaN gives NaN, but its sign and payload are not promised.
package libm
