// Package libm computes exp, log, log1p and expm1 with the same bits as the C library.
//
// LightGBM and XGBoost convert a sum of leaves to a probability with the C library's
// exp. Package math has other algorithms: on amd64 one result of math.Exp in seven
// differs from the C library's in the last bit, and so would one prediction in seven.
// With this package predictions can be compared with ==, and any difference is a
// defect.
//
// # Which C library
//
// The reference is glibc on x86-64 with FMA instructions. Its methods for exp and log,
// float64 and float32, have not changed since release 2.28. log1p and expm1 have builds
// for FMA since 2.39, and in 2.36 of Debian 12, with which this package was compared:
// all 2^32 arguments of the float32 functions and 2^29 of each other function gave equal
// results. In that build the compiler chose which products and sums became one
// instruction. These choices are part of the result, so the code has [math.FMA] in
// exactly these places.
//
// On a CPU without FMA, with another C library or on another architecture, LightGBM
// and XGBoost themselves give results that may differ by an ulp.
//
// # Method
//
// Exp, Log, Exp32 and Log32 are the table methods of Arm Optimized Routines, which
// glibc uses too. The argument is split into one of N points, whose result is in a
// table, and a small rest, for which a polynomial of low degree is enough. Log1p and
// Expm1 are those of Sun's fdlibm of 1993, summed in glibc's order: a polynomial of a
// reduced argument, without a table.
//
// The errors are those that the authors state; correct rounding is 0.5. The last column
// is the time relative to package math, on amd64 with FMA (BenchmarkLibm).
//
//	function  table, bytes  error, ulp  time, math = 1
//	Exp       2048          0.51        0.6
//	Log       2048          0.52        0.6
//	Exp32     256           0.502       0.3
//	Log32     256           0.82        0.5
//	Log1p     none          below 1     0.9
//	Expm1     none          below 1     1.2
//
// # Rules for changes
//
// Each FMA corresponds to one in the compiled glibc. Every other product that is added
// to something is converted by float64(...), because Go may fuse x*y + z on arm64,
// ppc64, s390x, riscv64 and amd64 with GOAMD64=v3, even across statements, and only
// the conversion forbids it. So the results are the same on every architecture. Where
// the hardware has no FMA, math.FMA computes it with integers, and a call takes 0.2 to
// 0.4 µs in place of some ns.
//
// After a change run the long comparison, on amd64 Linux with a C compiler. The short
// one may miss a wrong FMA in Log1p, which can change as few as 16 results of 2^29:
//
//	go test -run Native -v -timeout 30m ./internal/libm -long
//
// # Limits
//
// The rounding mode is to nearest, the only one in Go. No exceptions are signalled. NaN
// gives NaN with any sign and payload.
package libm
