package libm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var long = flag.Bool("long", false, "compare with the C library on 2^29 arguments, for float32 on all 2^32")

// TestNative compares with the C library of this machine for some millions of
// arguments, with -long for billions. It needs a C compiler, a CPU with FMA, and a C
// library that gives the committed results for the committed arguments: other versions
// and builds are not the reference.
func TestNative(t *testing.T) {
	program := buildNative(t)
	version, err := exec.Command(program, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("C library: %s", bytes.TrimSpace(version))
	samples := golden(t)
	for _, f := range functions {
		t.Run(f.name, func(t *testing.T) {
			args := samples[f.name]
			other := 0
			native(t, program, f, uint64(len(args)), func(i uint64) uint64 { return args[i].arg }, func(i, result uint64) {
				if !f.same(result, args[i].want) {
					other++
				}
			})
			if other > 0 {
				t.Skipf("%s of %s has other results for %d of %d committed arguments",
					f.name, bytes.TrimSpace(version), other, len(args))
			}
			n, arg := arguments(f)
			differ := 0
			native(t, program, f, n, arg, func(i, want uint64) {
				if got := f.eval(arg(i)); !f.same(got, want) {
					if differ++; differ <= 10 {
						t.Errorf("%s(%x) = %x, C has %x", f.name, f.float(arg(i)), f.float(got), f.float(want))
					}
				}
			})
			t.Logf("%d of %d results differ", differ, n)
		})
	}
}

// buildNative compiles testdata/make.c and returns the program's path, or skips.
func buildNative(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "386" {
		t.Skip("the C library to compare with is that of x86-64 Linux")
	}
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skipf("cannot detect FMA: %v", err)
	}
	if !strings.Contains(string(cpu), " fma ") || !strings.Contains(string(cpu), " avx2 ") {
		t.Skip("the CPU has no FMA, so the C library has other results")
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler (cc) on PATH")
	}
	program := filepath.Join(t.TempDir(), "make")
	out, err := exec.Command(cc, "-O1", "-fno-builtin", "-o", program, "testdata/make.c", "-lm").CombinedOutput()
	if err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return program
}

// native calls the C function for n arguments and calls check with each result. Two
// goroutines call arg.
func native(t *testing.T, program string, f function, n uint64, arg func(i uint64) uint64, check func(i, result uint64)) {
	t.Helper()
	cmd := exec.Command(program, "eval", f.name)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	size := 8
	if f.f32 != nil {
		size = 4
	}
	sent := make(chan error, 1)
	go func() {
		w := bufio.NewWriterSize(stdin, 1<<16)
		var word [8]byte
		for i := range n {
			binary.LittleEndian.PutUint64(word[:], arg(i))
			if _, err := w.Write(word[:size]); err != nil {
				break // Flush returns it as well
			}
		}
		sent <- errors.Join(w.Flush(), stdin.Close())
	}()
	r := bufio.NewReaderSize(stdout, 1<<16)
	var word [8]byte
	for i := range n {
		if _, err := io.ReadFull(r, word[:size]); err != nil {
			t.Fatalf("result %d of %d: %v", i, n, err)
		}
		check(i, binary.LittleEndian.Uint64(word[:]))
	}
	if err := errors.Join(<-sent, cmd.Wait()); err != nil {
		t.Fatal(err)
	}
}

// arguments returns the number of arguments for f, and a function that returns
// argument i.
func arguments(f function) (n uint64, arg func(i uint64) uint64) {
	if f.f32 != nil {
		stride := uint64(1021)
		switch {
		case *long:
			stride = 1
		case testing.Short():
			stride = 10007
		}
		return 1 << 32 / stride, func(i uint64) uint64 { return i * stride }
	}
	switch {
	case *long:
		n = 1 << 29
	case testing.Short():
		n = 1 << 18
	default:
		n = 1 << 22
	}
	return n, func(i uint64) uint64 {
		z := mix(i)
		switch i % 8 {
		case 0:
			return uniform(z, -20, 20)
		case 1:
			return uniform(z, -745, 710)
		case 2:
			return uniform(z, -746, -707) // subnormal results
		case 3:
			return uniform(z, -1, 1)
		case 4:
			return uniform(z, 0.9, 1.1)
		case 5:
			return uniform(z, 0.4, 3)
		case 6: // any sign and magnitude from 2^-64 to 2^63
			return z&(1<<63|1<<52-1) | (0x3bf+z>>52&0x7f)<<52
		}
		return z
	}
}

// mix is the output function of splitmix64.
func mix(i uint64) uint64 {
	z := (i + 1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// uniform returns the bits of a value between low and high that depends on z.
func uniform(z uint64, low, high float64) uint64 {
	return math.Float64bits(low + float64((high-low)*float64(z>>11)*0x1p-53))
}
