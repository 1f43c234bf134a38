package pickle

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/basket-go/basket/internal/golden"
)

// Pieces of pickles.
const (
	start    = "\x80\x04"
	dtypeF8  = "cnumpy\ndtype\n(\x8c\x02f8\x89\x88tR(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
	dtypeO   = "cnumpy\ndtype\n(\x8c\x02O8\x89\x88tR(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb"
	empty    = "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
	wrapper  = "cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}("
	subclass = "\x8c\x08subclasscnumpy\nndarray\n\x8c\x05order\x8c\x01C"
)

// wrapped returns a NumpyArrayWrapper of a shape and dtype, up to the bytes of the
// array.
func wrapped(shape, dtype string) string {
	return wrapper + subclass + "\x8c\x05shape" + shape + "\x8c\x05dtype" + dtype + "ub"
}

// shaped returns an array of a shape, without its bytes.
func shaped(shape string) string { return wrapped(shape, dtypeF8) + "." }

// dtype returns a dtype whose state ends with rest.
func dtype(code, rest string) string {
	return "cnumpy\ndtype\n(X" + u32(len(code)) + code + "\x89\x88tR(K\x03\x8c\x01<" + rest + "tb"
}

func u32(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

func u64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

func TestRead(t *testing.T) {
	self := &List{}
	self.Items = []Value{self}
	for _, c := range []struct {
		name, pickle string
		want         Value
	}{
		{"none", "N.", nil},
		{"integers", "(K\x07M\x00\x01J\xff\xff\xff\xff\x8a\x00\x8a\x01\x80\x8a\x03\x00\x00\x80\x8a\x08" + u64(1<<63) + "t.",
			Tuple{int64(7), int64(256), int64(-1), int64(0), int64(-128), int64(-1 << 23), int64(math.MinInt64)}},
		{"a long", "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", Long("\x00\x00\x00\x00\x00\x00\x00\x00\x01")},
		{"float", "G\x3f\xf8\x00\x00\x00\x00\x00\x00.", 1.5},
		{"texts", "\x8c\x01aX\x01\x00\x00\x00b\x8d" + u64(2) + "\xc3\xa9\x87.", Tuple{"a", "b", "é"}},
		{"bytes", "C\x01aB\x01\x00\x00\x00b\x8e" + u64(1) + "c\x96" + u64(0) + "\x87\x86.",
			Tuple{Bytes("a"), Tuple{Bytes("b"), Bytes("c"), Bytes{}}}},
		{"containers", "](\x88\x89e}(\x8c\x01aK\x01u\x86.",
			Tuple{&List{[]Value{true, false}}, &Dict{Keys: []Value{"a"}, Values: []Value{int64(1)}}}},
		{"sets", "\x8f(K\x01\x90(K\x02\x91c__builtin__\nset\n](K\x03e\x85R\x87.",
			Tuple{&List{[]Value{int64(1)}}, &List{[]Value{int64(2)}}, &List{[]Value{int64(3)}}}},
		{"a slice", "cbuiltins\nslice\nK\x01K\x02N\x87R.", &Object{Class: "builtins.slice", Args: Tuple{int64(1), int64(2), nil}}},
		{"an object", "\x8c\x03any\x8c\x05Thing\x93)\x81}\x8c\x01aK\x01sb.",
			&Object{Class: "any.Thing", State: &Dict{Keys: []Value{"a"}, Values: []Value{int64(1)}}}},
		{"a list in itself", "]\x94h\x00a.", self},
		{"a scalar", "cnumpy._core.multiarray\nscalar\n" + dtypeF8 + "C\x08\x00\x00\x00\x00\x00\x00\xf8\x3f\x86R.", 1.5},
		{"protocol 2's bytes", "c_codecs\nencode\nX\x02\x00\x00\x00\xc3\xbfX\x06\x00\x00\x00latin1\x86R.", Bytes("\xff")},
	} {
		got, err := Read([]byte(start+c.pickle), map[string]bool{"any.Thing": true})
		if c.name == "a list in itself" {
			if l, ok := got.(*List); err != nil || !ok || len(l.Items) != 1 || l.Items[0] != got {
				t.Errorf("%s: %v, %v", c.name, got, err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v, %v; want %#v", c.name, got, err, c.want)
		}
	}
}

func TestArray(t *testing.T) {
	six := ""
	for i := range 6 {
		six += u64(math.Float64bits(float64(i)))
	}
	big := strings.Replace(dtypeF8, "\x8c\x01<", "\x8c\x01>", 1)
	for _, c := range []struct {
		name, pickle string
		shape        []int
		want         []float64
	}{
		{"row by row", empty + "(K\x01K\x02K\x03\x86" + dtypeF8 + "\x89B" + u32(48) + six + "tb.", []int{2, 3}, []float64{0, 1, 2, 3, 4, 5}},
		{"column by column", empty + "(K\x01K\x02K\x03\x86" + dtypeF8 + "\x88B" + u32(48) + six + "tb.", []int{2, 3}, []float64{0, 2, 4, 1, 3, 5}},
		{"from a buffer", "cnumpy._core.numeric\n_frombuffer\n(\x96" + u64(48) + six + dtypeF8 + "K\x03K\x02\x86\x8c\x01FtR.", []int{3, 2}, []float64{0, 3, 1, 4, 2, 5}},
		{"axes in another order", "cnumpy._core.numeric\n_frombuffer\n(\x96" + u64(48) + six + dtypeF8 + "K\x03K\x02\x86\x8c\x01KK\x01K\x00\x86tR.", []int{2, 3}, []float64{0, 2, 4, 1, 3, 5}},
		{"big-endian", empty + "(K\x01K\x01\x85" + big + "\x89C\x08\x3f\xf8\x00\x00\x00\x00\x00\x00tb.", []int{1}, []float64{1.5}},
		{"in joblib, unaligned", wrapped("K\x02\x85", dtypeF8) + six[:16] + ".", []int{2}, []float64{0, 1}},
		{"in joblib, without axes", wrapped(")", dtypeF8) + six[8:16] + ".", []int{}, []float64{1}},
		{"in joblib, empty", wrapped("K\x00\x85", dtypeF8) + ".", []int{0}, []float64{}},
		{"in joblib, aligned", wrapper + subclass + "\x8c\x05shapeK\x01\x85\x8c\x05dtype" + dtypeF8 + "\x8c\x1bnumpy_array_alignment_bytesK\x10ub\x03\xff\xff\xff" + six[8:16] + ".", []int{1}, []float64{1}},
		{"of objects", wrapped("K\x02\x85", dtypeO) + start + empty + "(K\x01K\x02\x85" + dtypeO + "\x89](K\x01\x88etb..", []int{2}, []float64{1, 1}},
	} {
		v, err := Read([]byte(start+c.pickle), nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		a, ok := v.(*Array)
		if !ok {
			t.Errorf("%s: %s", c.name, Kind(v))
			continue
		}
		got, err := a.Floats()
		if err != nil || !reflect.DeepEqual(got, c.want) || !reflect.DeepEqual(a.Shape, c.shape) {
			t.Errorf("%s: %v of shape %v, %v; want %v of shape %v", c.name, got, a.Shape, err, c.want, c.shape)
		}
	}
}

func TestColumn(t *testing.T) {
	fields := "cnumpy\ndtype\n(\x8c\x02V8\x89\x88tR(K\x03\x8c\x01|N\x8c\x01a\x8c\x01b\x86}(\x8c\x01a" +
		dtype("i4", "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00") + "K\x04\x86\x8c\x01b" +
		dtype("u2", "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00") + "K\x01\x86uK\x08K\x01K\x00tb"
	v, err := Read([]byte(start+wrapped("K\x02\x85", fields)+"?\x01\x02?\xfe\xff\xff\xff????\x07\x00\x00\x00."), nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := v.(*Array).Column("a", "i")
	if err != nil || a.Int(0) != -2 || a.Int(1) != 7 || a.Float(0) != -2 {
		t.Errorf("a: %v", err)
	}
	b, err := v.(*Array).Column("b", "iu")
	if err != nil || b.Int(0) != 0x0201 {
		t.Errorf("b: %v", err)
	}
	if _, err := v.(*Array).Column("b", "f"); err == nil || !strings.Contains(err.Error(), "field b: dtype u2") {
		t.Errorf("b as a float: %v", err)
	}
	if _, err := v.(*Array).Column("c", "f"); err == nil || err.Error() != "field c is missing" {
		t.Errorf("c: %v", err)
	}
}

// zipped compresses with zlib.
func zipped(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// system is os.system("echo"), a pickle that starts a program when Python loads it.
const system = "\x8c\x02os\x8c\x06system\x93\x8c\x04echo\x85R."

func TestRead_refuses(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"a program", start + system, `byte 14: global "os.system": not on the list of names for scikit-learn models`},
		{"a program, protocol 2", "\x80\x02cposix\nsystem\nq\x00.", `global "posix.system": not on the list`},
		{"a program in an array of objects", start + wrapped("K\x01\x85", dtypeO) + start + system, `global "os.system": not on the list of names`},
		{"a program, compressed", zipped(start + system), `global "os.system": not on the list`},
		{"eval", start + "cbuiltins\neval\n.", `global "builtins.eval": not on the list`},
		{"getattr", start + "c__builtin__\ngetattr\n.", `global "__builtin__.getattr": not on the list`},
		{"a name with a dot", start + "\x8c\x05numpy\x8c\x0fdtype.__class__\x93.", `global "numpy.dtype.__class__": not on the list`},
		{"INST", start + "(ios\nsystem\n.", "byte 3: opcode 0x69 (INST): not on the list of opcodes for scikit-learn models"},
		{"OBJ", start + "(\x8c\x01ao.", "opcode 0x6f (OBJ)"},
		{"PERSID", start + "Pid\n.", "opcode 0x50 (PERSID)"},
		{"EXT1", start + "\x82\x01.", "opcode 0x82 (EXT1)"},
		{"NEWOBJ_EX", start + "\x92.", "opcode 0x92 (NEWOBJ_EX)"},
		{"NEXT_BUFFER", start + "\x97.", "opcode 0x97 (NEXT_BUFFER)"},
		{"no opcode", start + "\xff.", "opcode 0xff (unknown)"},
		{"protocol 0", "ccopy_reg\n_reconstructor\n", "pickle protocol 0 or 1: save the model with protocol 2 or newer"},
		{"protocol 6", "\x80\x06N.", "PROTO 6: want 2 to 5"},
		{"old joblib", "ZF0x1  ", "joblib's own compression of before 0.10 is not supported: save the model with a newer joblib"},

		{"nothing", start, "byte 2: want 1 bytes: 0 are left; the file is truncated or damaged"},
		{"an empty stack", start + ".", "STOP with 0 values and 0 marks"},
		{"two values", start + "NN.", "STOP with 2 values"},
		{"a mark left", start + "(N.", "STOP with 1 values and 1 marks"},
		{"no mark", start + "Nt.", "no mark on the stack"},
		{"below the stack", start + "N\x86.", "the stack has too few values"},
		{"below a mark", start + "N(\x85.", "the stack has too few values"},
		{"appends to a tuple", start + ")Na.", "items for a tuple of 0: want a list"},
		{"appends below a mark", start + "](Na.", "the stack has too few values"},
		{"sets in a list", start + "]NNs.", "keys for a list of 0: want a dictionary"},
		{"a key without a value", start + "}(Nu.", "1 keys and values: want pairs"},
		{"calls a list", start + "])R.", "a call of a list of 0: want a name"},
		{"arguments in a list", start + "cnumpy\ndtype\n]R.", "arguments are a list of 0: want a tuple"},
		{"a state for a tuple", start + ")Nb.", "a state for a tuple of 0: want an object"},
		{"two states", start + "cbuiltins\nslice\n)R}b}b.", "builtins.slice: a second state"},
		{"bytes after the end", start + "N.N", "1 bytes after the end of the pickle"},
		{"bytes after the end, compressed", zipped(start + "N.N"), "bytes after the end of the pickle"},

		{"memo not set", start + "h\x00.", "memo 0: only 0 are set"},
		{"memo far off", start + "Nr\xff\xff\xff\x7f.", "memo 2147483647: want 0, the next one"},
		{"memo of nothing", start + "\x94.", "the stack has too few values"},
		{"long text", start + "X\xff\xff\xff\xff.", "want 4294967295 bytes: 1 are left"},
		{"longer text", start + "\x8d" + u64(1<<63) + ".", "want 9223372036854775808 bytes: 1 are left"},
		{"long bytes, compressed", zipped(start + "\x8e" + u64(1<<40) + "."), "want 1099511627776 bytes after 11: the output limit for a file of this size is"},
		{"not UTF-8", start + "\x8c\x01\xff.", `string "\xff": want UTF-8`},
		{"a name of bytes", start + "C\x01aC\x01b\x93.", "the name of a global is bytes and bytes: want two strings"},
		{"a name without end", start + "c" + strings.Repeat("a", 400), "a name of more than 256 bytes"},

		{"shape beyond all bytes", start + shaped("J\xff\xff\xff\x0f\x85"), "want 2147483640 bytes: 1 are left; the file is truncated or damaged"},
		{"shape beyond all counting", start + shaped("J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"), "shape [2147483647 2147483647]: more than 2147483647 items"},
		{"shape below zero", start + shaped("J\xff\xff\xff\xff\x85"), "shape[0] is the integer -1: want 0 to 2147483647"},
		{"shape of text", start + shaped("\x8c\x01a\x85"), "shape[0] is the string \"a\""},
		{"shape of too many axes", start + shaped("("+strings.Repeat("K\x01", 33)+"t"), "want a tuple of at most 32"},
		{"no dtype", start + wrapper + subclass + "ub.", "dtype is None"},
		{"no dtype's state", start + wrapped("K\x01\x85", "cnumpy\ndtype\n\x8c\x02f8\x85R") + ".", "dtype f8: no state"},
		{"another array class", start + wrapper + "\x8c\x08subclasscnumpy\ndtype\nub.", "subclass is numpy.dtype: want numpy.ndarray"},
		{"items of no size", start + dtype("V0", "N") + ".", "dtype \"V0\" is not supported"},
		{"items below no size", start + dtype("V-8", "N") + ".", "dtype \"V-8\" is not supported"},
		{"items of three bytes", start + dtype("f3", "N") + ".", "dtype \"f3\" is not supported"},
		{"items too large", start + dtype("U300000", "N") + ".", "dtype \"U300000\" is not supported"},
		{"items that are arrays", start + dtype("V8", "NNNK\x08K\x01K\x00")[:0] + strings.Replace(dtypeF8, "<NNN", "<)NN", 1) + ".", "items that are arrays are not supported"},
		{"another item size", start + dtype("V8", "NNNK\x09K\x01K\x00") + ".", "dtype V8: item size is the integer 9"},
		{"a field beyond the item", start + dtype("V8", "N\x8c\x01a\x85}\x8c\x01a"+dtypeF8+"K\x01\x86sK\x08K\x01K\x00") + ".", "field \"a\": offset 1: beyond the item of 8 bytes"},
		{"a field before the item", start + dtype("V9", "N\x8c\x01a\x85}\x8c\x01a"+dtypeF8+"J\xff\xff\xff\xff\x86sK\x09K\x01K\x00") + ".", "field \"a\": offset -1: beyond the item of 9 bytes"},
		{"fields that overlap", start + dtype("V9", "N\x8c\x01a\x8c\x01b\x86}(\x8c\x01a"+dtypeF8+"K\x00\x86\x8c\x01b"+dtypeF8+"K\x01\x86uK\x09K\x01K\x00") + ".", "the fields overlap"},
		{"a field of objects", start + dtype("V8", "N\x8c\x01a\x85}\x8c\x01a"+dtypeO+"K\x00\x86sK\x08K\x01K\x00") + ".", "field \"a\": dtype O8: want a number"},
		{"two dtype states", start + dtypeF8 + "(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.", "dtype f8: the state is a tuple of 8: want a tuple of 8, once"},
		{"too few bytes", start + empty + "(K\x01K\x02\x85" + dtypeF8 + "\x89C\x01atb.", "array: 1 bytes for shape [2] of f8: want 16"},
		{"objects as bytes", start + empty + "(K\x01K\x01\x85" + dtypeO + "\x89C\x08aaaaaaaatb.", "8 bytes for shape [1] of O8"},
		{"too few objects", start + empty + "(K\x01K\x02\x85" + dtypeO + "\x89](Netb.", "1 items for shape [2] of O8"},
		{"numbers as objects", start + empty + "(K\x01K\x01\x85" + dtypeF8 + "\x89](Netb.", "1 items for shape [1] of f8"},
		{"an array of objects that is none", start + wrapped("K\x01\x85", dtypeO) + start + "N..", "the nested pickle is None: want an array"},
		{"pickles in pickles", start + strings.Repeat(wrapped("K\x01\x85", dtypeO), 4) + ".", "pickles nested more than 2 deep"},
		{"a cut zlib stream", zipped(start + "N.")[:4], "the file ends in the middle of the pickle"},
		{"a changed zlib stream", zipped(start + "N.")[:len(zipped(start+"N."))-1] + "?", "zlib: invalid checksum"},
	} {
		_, err := Read([]byte(c.data), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestRead_quotes puts terminal escapes, invalid UTF-8 and much text where errors
// show the file's own text.
func TestRead_quotes(t *testing.T) {
	const escape = "\x1b[31m"
	short := func(s string) string { return "\x8c" + string(rune(len(s))) + s }
	long := func(s string) string { return "X" + u32(len(s)) + s }
	line := strings.Repeat("\xef", 200)
	for _, c := range []struct{ name, data, want string }{
		{"a global", start + "c_\xef\r\n" + escape + "\n.", `global "_\xef\r.\x1b[31m": not on the list`},
		{"a long global", start + "c" + line + "\n" + line + "\n.", `global "` + strings.Repeat(`\xef`, 64) + `"...: not on the list`},
		{"a global without an end", start + "c" + strings.Repeat(escape, 80), `...: a name of more than 256 bytes`},
		{"a global of strings", start + short("a\n"+escape) + short("b\u202e") + "\x93.", `global "a\n\x1b[31m.b\u202e": not on the list`},
		{"a string that is not UTF-8", start + "\x8c\x05a\n\xff\x1bb.", `string "a\n\xff\x1bb": want UTF-8`},
		{"a long string that is not UTF-8", start + long(strings.Repeat("\xff", 5000)) + ".", `\xff"...: want UTF-8`},
		{"a call", start + long(escape+strings.Repeat("\n", 5000)) + ")R.", `a call of the string "\x1b[31m\n`},
		{"a dtype", start + dtype("f8"+escape+"\n", "N") + ".", `dtype "f8\x1b[31m\n" is not supported`},
		{"a byte order", start + strings.Replace(dtypeF8, "\x8c\x01<", short(escape), 1) + ".", `byte order is the string "\x1b[31m"`},
		{"a field", start + dtype("V8", "N"+short(escape)+"\x85}"+short(escape)+"NsK\x08K\x01K\x00") + ".", `field "\x1b[31m" is None: want dtype and offset`},
		{"a field's offset", start + dtype("V8", "N"+short(escape)+"\x85}"+short(escape)+dtypeF8+"K\x01\x86sK\x08K\x01K\x00") + ".", `field "\x1b[31m": offset 1`},
		{"a subclass", start + wrapper + "\x8c\x08subclass" + short(escape) + "ub.", `subclass is the string "\x1b[31m": want numpy.ndarray`},
		{"a shape", start + shaped(short(escape)+"\x85"), `shape[0] is the string "\x1b[31m"`},
	} {
		_, err := Read([]byte(c.data), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
			continue
		}
		golden.CheckError(t, err)
	}
}

// gzipped compresses n bytes fill between head and tail.
func gzipped(t *testing.T, head string, fill byte, n int, tail string) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	w.Write([]byte(head))
	block := bytes.Repeat([]byte{fill}, 1<<16)
	for i := 0; i < n; i += len(block) {
		w.Write(block)
	}
	w.Write([]byte(tail))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestRead_memory checks that memory is bounded by the size of the file, whatever
// sizes it states.
func TestRead_memory(t *testing.T) {
	const mega = 1 << 20
	repeat := func(head, body string, n int, tail string) []byte {
		return []byte(start + head + strings.Repeat(body, n) + tail)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string // of the error; "" is none
	}{
		{"zeros", gzipped(t, start+"\x8e"+u64(64*mega), 0, 64*mega, "."), "output limit"},
		{"an array", gzipped(t, start+wrapped("J"+u32(8*mega)+"\x85", dtypeF8), 0, 64*mega, "."), "output limit"},
		{"an array within bounds", gzipped(t, start+wrapped("J"+u32(3*mega)+"\x85", dtypeF8), 0, 24*mega, "."), ""},
		{"empty lists", gzipped(t, start, ']', 4*mega, "."), "more memory than the limit"},
		{"marks", gzipped(t, start, '(', 8*mega, "."), "more memory than the limit"},
		{"nones", gzipped(t, start, 'N', 4*mega, "."), "more memory than the limit"},
		{"plain nones", repeat("(", "N", 5*mega, "t."), "more memory than the limit"},
		{"plain dictionaries", repeat("(", "}", 2*mega, "t."), "more memory than the limit"},
		{"memos", repeat("N", "\x94", 4*mega+9, "."), "more memory than the limit"},
		{"numbers", repeat("](", "J\x00\x01\x00\x00", mega, "e."), ""},
		{"one text often", repeat("\x8c\x01a\x94(", "h\x00", 4*mega, "t."), "more memory than the limit"},
		{"keys", repeat("}(", "NN", 3*mega, "u."), "more memory than the limit"},
		{"objects", repeat("cbuiltins\nslice\n\x94(", "h\x00)\x81", mega, "t."), "more memory than the limit"},
		{"one array's bytes often", repeat("(", "", 0, "\x96"+u64(4*mega)+strings.Repeat("a", 4*mega)+"\x94"+dtype("u1", "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00")+"\x94"+
			strings.Repeat("cnumpy.core.numeric\n_frombuffer\n(h\x00h\x01J"+u32(4*mega)+"\x85\x8c\x01CtR", 100)+"t."), "more memory than the limit"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Read(c.data, nil)
		runtime.ReadMemStats(&after)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		// TotalAlloc includes garbage.
		if n, limit := int(after.TotalAlloc-before.TotalAlloc), 64*mega+16*len(c.data); n > limit {
			t.Errorf("%s: %d bytes of memory for a file of %d: want at most %d", c.name, n, len(c.data), limit)
		}
	}
}

// models returns the models of package sklearn's tests.
func models(t testing.TB) [][]byte {
	var all [][]byte
	for _, name := range []string{"model.joblib", "model.pkl"} {
		paths, err := filepath.Glob("../../testdata/models/sklearn-*/" + name)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no %s: %v", name, err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data)
		}
	}
	return all
}

func TestIs(t *testing.T) {
	for _, data := range models(t) {
		if !Is(data) {
			t.Errorf("%q...: not recognized", data[:8])
		}
	}
	for _, text := range []string{"", "\x80", "tree\nversion=v4", "{\"learner\":", "{L\x00", "binf", "x", "xgboost", "BZ", "PAR1"} {
		if Is([]byte(text)) {
			t.Errorf("%q: recognized", text)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, data := range models(f) {
		if len(data) < 8<<10 {
			f.Add(data)
		}
	}
	f.Add([]byte(start + system))
	f.Add([]byte(start + wrapped("K\x01\x85", dtypeO) + start + system))
	f.Add([]byte(start + "]\x94h\x00a."))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Read(data, map[string]bool{"sklearn.tree._tree.Tree": true})
		errs := []error{err, errors.New(Kind(v))}
		if a, ok := v.(*Array); err == nil && ok {
			_, floatsErr := a.Floats()
			_, stringsErr := a.Strings()
			errs = append(errs, floatsErr, stringsErr)
		}
		for _, err := range errs {
			if err != nil {
				golden.CheckError(t, err)
			}
		}
	})
}
