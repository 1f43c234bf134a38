package libm

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A function is a function under test and its name in the C library.
// Either f64 or f32 is set.
type function struct {
	name string
	f64  func(float64) float64
	f32  func(float32) float32
}

var functions = []function{
	{name: "exp", f64: Exp},
	{name: "log", f64: Log},
	{name: "log1p", f64: Log1p},
	{name: "expm1", f64: Expm1},
	{name: "expf", f32: Exp32},
	{name: "logf", f32: Log32},
}

// eval returns the bits of the result for the bits of an argument.
func (f function) eval(arg uint64) uint64 {
	if f.f64 != nil {
		return math.Float64bits(f.f64(math.Float64frombits(arg)))
	}
	return uint64(math.Float32bits(f.f32(math.Float32frombits(uint32(arg)))))
}

// float returns the value of bits, for messages and to find NaN.
func (f function) float(bits uint64) float64 {
	if f.f64 != nil {
		return math.Float64frombits(bits)
	}
	return float64(math.Float32frombits(uint32(bits)))
}

// same reports whether two results have the same bits or are both NaN.
func (f function) same(a, b uint64) bool {
	return a == b || math.IsNaN(f.float(a)) && math.IsNaN(f.float(b))
}

// A sample is an argument and the C library's result, as bits.
type sample struct{ arg, want uint64 }

// golden reads testdata/golden.txt, which testdata/make.c wrote.
func golden(t *testing.T) map[string][]sample {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.txt")
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string][]sample{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		field := strings.Fields(line)
		if len(field) != 3 {
			t.Fatalf("golden.txt:%d: %d fields", n, len(field))
		}
		arg, err := strconv.ParseUint(field[1], 16, 64)
		if err != nil {
			t.Fatalf("golden.txt:%d: %v", n, err)
		}
		want, err := strconv.ParseUint(field[2], 16, 64)
		if err != nil {
			t.Fatalf("golden.txt:%d: %v", n, err)
		}
		samples[field[0]] = append(samples[field[0]], sample{arg, want})
	}
	return samples
}

func TestGolden(t *testing.T) {
	samples := golden(t)
	for _, f := range functions {
		t.Run(f.name, func(t *testing.T) {
			if len(samples[f.name]) < 1000 {
				t.Fatalf("only %d samples", len(samples[f.name]))
			}
			for _, s := range samples[f.name] {
				if got := f.eval(s.arg); !f.same(got, s.want) {
					t.Errorf("%s(%x) = %x, C has %x", f.name, f.float(s.arg), f.float(got), f.float(s.want))
				}
			}
		})
	}
}

func TestSpecial(t *testing.T) {
	inf, nan, negZero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	tests := []struct {
		name      string
		arg, want float64
	}{
		{"exp", 0, 1}, {"exp", negZero, 1}, {"exp", inf, inf}, {"exp", -inf, 0}, {"exp", nan, nan},
		{"exp", 0x1.62e42fefa39efp+9, 0x1.fffffffffff2ap+1023}, {"exp", 0x1.62e42fefa39fp+9, inf},
		{"exp", -745.13, 0x1p-1074}, {"exp", -745.14, 0}, {"exp", 1e300, inf}, {"exp", -1e300, 0},
		{"expf", 0, 1}, {"expf", negZero, 1}, {"expf", inf, inf}, {"expf", -inf, 0}, {"expf", nan, nan},
		{"expf", 88.72284, inf}, {"expf", -104, 0}, {"expf", -103.9, 0x1p-149},
		{"log", 1, 0}, {"log", 0, -inf}, {"log", negZero, -inf}, {"log", inf, inf}, {"log", -inf, nan}, {"log", -1, nan},
		{"log", nan, nan}, {"log", 0x1p-1074, -0x1.74385446d71c3p+9},
		{"logf", 1, 0}, {"logf", 0, -inf}, {"logf", negZero, -inf}, {"logf", inf, inf}, {"logf", -inf, nan}, {"logf", -1, nan},
		{"logf", nan, nan},
		{"log1p", 0, 0}, {"log1p", negZero, negZero}, {"log1p", -1, -inf}, {"log1p", -1.5, nan}, {"log1p", -inf, nan},
		{"log1p", inf, inf}, {"log1p", nan, nan}, {"log1p", 0x1p-1074, 0x1p-1074}, {"log1p", -0x1p-1074, -0x1p-1074},
		{"expm1", 0, 0}, {"expm1", negZero, negZero}, {"expm1", -inf, -1}, {"expm1", inf, inf}, {"expm1", nan, nan},
		{"expm1", -50, -1}, {"expm1", 710, inf}, {"expm1", 0x1p-1074, 0x1p-1074},
	}
	bits := func(f function, x float64) uint64 {
		if f.f64 != nil {
			return math.Float64bits(x)
		}
		return uint64(math.Float32bits(float32(x)))
	}
	for _, f := range functions {
		for _, test := range tests {
			if test.name != f.name {
				continue
			}
			if got, want := f.eval(bits(f, test.arg)), bits(f, test.want); !f.same(got, want) {
				t.Errorf("%s(%x) = %x, want %x", f.name, test.arg, f.float(got), test.want)
			}
		}
	}
}

var (
	sink64 float64
	sink32 float32
)

// BenchmarkLibm measures throughput: arguments differ from call to call, and no call
// depends on another. Names with "math" are functions of package math.
func BenchmarkLibm(b *testing.B) {
	var args [1024]float64
	for i := range args {
		args[i] = -10 + 20*float64(i*389%1024)/1024
	}
	abs := args
	for i := range abs {
		abs[i] = math.Abs(abs[i]) + 0x1p-10
	}
	run64 := func(name string, f func(float64) float64, args *[1024]float64) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var s float64
			for i := range b.N {
				s += f(args[i&1023])
			}
			sink64 = s
		})
	}
	run32 := func(name string, f func(float32) float32, args *[1024]float64) {
		var args32 [1024]float32
		for i, x := range args {
			args32[i] = float32(x)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var s float32
			for i := range b.N {
				s += f(args32[i&1023])
			}
			sink32 = s
		})
	}
	run64("func=Exp", Exp, &args)
	run64("func=math.Exp", math.Exp, &args)
	run64("func=Log", Log, &abs)
	run64("func=math.Log", math.Log, &abs)
	run64("func=Log1p", Log1p, &abs)
	run64("func=math.Log1p", math.Log1p, &abs)
	run64("func=Expm1", Expm1, &args)
	run64("func=math.Expm1", math.Expm1, &args)
	run32("func=Exp32", Exp32, &args)
	run32("func=float32(math.Exp)", func(x float32) float32 { return float32(math.Exp(float64(x))) }, &args)
	run32("func=Log32", Log32, &abs)
	run32("func=float32(math.Log)", func(x float32) float32 { return float32(math.Log(float64(x))) }, &abs)
}
