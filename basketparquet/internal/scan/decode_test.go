package scan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	mathbits "math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

func TestHybrid_read(t *testing.T) {
	tests := map[string]struct {
		width  uint
		b      []byte
		want   []uint32
		err    string
		reason string
	}{
		"run":           {width: 3, b: []byte{5 << 1, 6}, want: []uint32{6, 6, 6, 6, 6}},
		"run-two-bytes": {width: 9, b: []byte{2 << 1, 0x01, 0x01}, want: []uint32{257, 257}},
		"packed":        {width: 3, b: []byte{1<<1 | 1, 0x88, 0xc6, 0xfa}, want: []uint32{0, 1, 2, 3, 4, 5, 6, 7}, reason: "the example of parquet-format's Encodings.md"},
		"both":          {width: 1, b: []byte{1<<1 | 1, 0xa5, 2 << 1, 1}, want: []uint32{1, 0, 1, 0, 0, 1, 0, 1, 1, 1}},
		"no-width":      {width: 0, b: []byte{1<<1 | 1, 2 << 1}, want: make([]uint32, 10), reason: "a dictionary of one value"},
		"wide":          {width: 32, b: []byte{1 << 1, 0xff, 0xff, 0xff, 0xff}, want: []uint32{math.MaxUint32}},
		"last-cut":      {width: 3, b: []byte{1<<1 | 1, 0x88, 0xc6}, want: []uint32{0, 1, 2, 3, 4}, reason: "some writers omit the end of the last eight"},
		"packed-cut":    {width: 1, b: []byte{2<<1 | 1, 0xff}, want: make([]uint32, 9), err: "truncated"},
		"run-cut":       {width: 9, b: []byte{2 << 1, 1}, want: make([]uint32, 2), err: "truncated"},
		"end":           {width: 1, b: []byte{2 << 1, 1}, want: make([]uint32, 3), err: "truncated"},
		"empty-run":     {width: 1, b: []byte{0, 1, 0, 1}, want: make([]uint32, 3), err: "empty"},
		"too-wide":      {width: 1, b: []byte{2 << 1, 2}, want: make([]uint32, 2), err: "want at most 1 bits"},
		"endless":       {width: 1, b: bytes.Repeat([]byte{0xff}, 20), want: make([]uint32, 2), err: "too long"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHybrid(test.b, test.width)
			got := make([]uint32, len(test.want))
			err := read(&h, got)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v: want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s%s", diff, test.reason)
			}
		})
	}
}

// Numbers of every width are read in parts of any length.
func TestHybrid_readsInParts(t *testing.T) {
	for width := range uint(33) {
		var want []uint32
		b := make([]byte, 8*width)
		for i := range 64 {
			v := uint32(i) * 2654435761 & uint32(1<<width-1)
			want = append(want, v)
			for j := range width {
				bit := uint(i)*width + j
				b[bit/8] |= byte(v>>j&1) << (bit % 8)
			}
		}
		h := newHybrid(append([]byte{8<<1 | 1}, b...), width)
		got := make([]uint32, 64)
		for from, n := 0, 1; from < 64; from, n = from+n, n+1 {
			if err := read(&h, got[from:min(from+n, 64)]); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("width %d (-want +got):\n%s", width, diff)
		}
	}
}

// encodeDelta encodes integers as DELTA_BINARY_PACKED, in blocks of 128 integers
// and miniblocks of 32.
func encodeDelta(values []int64) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, 128), 4), uint64(len(values)))
	var deltas []int64
	for i := range values {
		if i == 0 {
			b = binary.AppendVarint(b, values[0])
			continue
		}
		deltas = append(deltas, values[i]-values[i-1])
	}
	for block := range slices.Chunk(deltas, 128) {
		least := slices.Min(block)
		b = binary.AppendVarint(b, least)
		var packed []byte
		widths := make([]byte, 4)
		for i, mini := range slices.Collect(slices.Chunk(block, 32)) {
			for _, d := range mini {
				widths[i] = max(widths[i], byte(mathbits.Len64(uint64(d-least))))
			}
			bytes := make([]byte, 4*int(widths[i]))
			for j, d := range mini {
				for k := range int(widths[i]) {
					bit := j*int(widths[i]) + k
					bytes[bit/8] |= byte(uint64(d-least)>>k&1) << (bit % 8)
				}
			}
			packed = append(packed, bytes...)
		}
		b = append(append(b, widths...), packed...)
	}
	return b
}

func TestDeltaDecoder_integers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 3000 {
		if n > 300 && n%100 != 0 {
			continue
		}
		var values []int64
		var want []byte
		for range n {
			v := int64(r.Uint64()) >> r.IntN(64)
			values = append(values, v)
			want = binary.LittleEndian.AppendUint64(want, uint64(v))
		}
		var d deltaDecoder
		if n == 0 {
			values = nil
		}
		page := encodeDelta(values)
		if n == 0 {
			page = append(page, 0) // the header has a first value even if there are none
		}
		if err := d.reset(page, format.DeltaBinaryPacked, &element{typ: format.Int64}, n); err != nil {
			t.Fatal(n, err)
		}
		var got []byte
		for left, size := n, 1; left > 0; left, size = left-size, min(left-size, 2*size, batch) {
			var err error
			if got, err = d.next(got, size); err != nil {
				t.Fatal(n, err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d integers: others are read than were written", n)
		}
		if _, err := d.next(nil, 1); err == nil {
			t.Errorf("%d integers: no error after the last", n)
		}
	}
}

func TestDeltaDecoder_byteArrays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var prefixes, lengths []int64
	var data, want []byte
	previous := ""
	const n = 3 * batch
	for range n {
		prefix := r.IntN(len(previous) + 1)
		v := previous[:prefix] + strings.Repeat("x", r.IntN(3)) + string(rune('a'+r.IntN(26)))
		prefixes, lengths = append(prefixes, int64(prefix)), append(lengths, int64(len(v)-prefix))
		data = append(data, v[prefix:]...)
		want = append(binary.LittleEndian.AppendUint32(want, uint32(len(v))), v...)
		previous = v
	}
	var d deltaDecoder
	page := slices.Concat(encodeDelta(prefixes), encodeDelta(lengths), data)
	if err := d.reset(page, format.DeltaByteArray, &element{typ: format.ByteArray}, n); err != nil {
		t.Fatal(err)
	}
	var got, part []byte
	for range n / batch {
		var err error
		if part, err = d.next(part[:0], batch); err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if !bytes.Equal(got, want) {
		t.Error("other byte arrays are read than were written")
	}
}

func TestDeltaDecoder_faults(t *testing.T) {
	const n, long = 1 << 16, 1 << 16
	lengths, prefixes := make([]int64, n), slices.Repeat([]int64{long}, n)
	lengths[0], prefixes[0] = long, 0
	bytes, fixed := &element{typ: format.ByteArray}, &element{typ: format.FixedLenByteArray, length: 3}
	x := func(values ...int64) []byte { return encodeDelta(values) }
	tests := map[string]struct {
		page     []byte
		encoding format.Encoding
		e        *element
		n        int
		err      string
		reason   string
	}{
		"bomb":        {slices.Concat(encodeDelta(prefixes), encodeDelta(lengths), make([]byte, long)), format.DeltaByteArray, bytes, n, "over 8388608 bytes", "4 GiB of values"},
		"prefix":      {slices.Concat(x(0, 4), x(3, 0), []byte("abc")), format.DeltaByteArray, bytes, 2, "want at most 3 and 0", "more than the value before"},
		"first":       {slices.Concat(x(1), x(3), []byte("abc")), format.DeltaByteArray, bytes, 1, "want at most 0 and 3", "no value before"},
		"length":      {slices.Concat(x(4), []byte("abc")), format.DeltaLengthByteArray, bytes, 1, "want at most 0 and 3", ""},
		"negative":    {slices.Concat(x(-1), []byte("abc")), format.DeltaLengthByteArray, bytes, 1, "want at most 0 and 3", ""},
		"fixed":       {slices.Concat(x(0), x(2), []byte("abc")), format.DeltaByteArray, fixed, 1, "want 3", ""},
		"counts":      {slices.Concat(x(0, 0), x(1), []byte("a")), format.DeltaByteArray, bytes, 2, "2 prefixes", ""},
		"many":        {x(1, 2, 3), format.DeltaBinaryPacked, &element{typ: format.Int32}, 2, "3 integers: want at most 2", ""},
		"few":         {x(1, 2), format.DeltaBinaryPacked, &element{typ: format.Int32}, 3, "truncated", ""},
		"type":        {x(1), format.DeltaBinaryPacked, bytes, 1, "not supported", ""},
		"no-encoding": {x(1), 77, bytes, 1, "not supported", ""},
		"cut":         {encodeDelta(lengths)[:9], format.DeltaBinaryPacked, &element{typ: format.Int64}, n, "truncated", ""},
		"width":       {[]byte{128, 1, 4, 2, 0, 0, 65, 0, 0, 0}, format.DeltaBinaryPacked, &element{typ: format.Int64}, 2, "want at most 64", ""},
		"block":       {[]byte{127, 4, 1, 0}, format.DeltaBinaryPacked, &element{typ: format.Int64}, 2, "want multiples of 128 and of 32", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var err error
			allocated := allocated(func() {
				var d deltaDecoder
				if err = d.reset(test.page, test.encoding, test.e, test.n); err == nil {
					_, err = d.next(nil, min(test.n, batch))
				}
			})
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v: want one with %q (%s)", err, test.err, test.reason)
			}
			if allocated > 64<<20 {
				t.Errorf("%d bytes allocated", allocated)
			}
		})
	}
}

func TestDecompress_refuses(t *testing.T) {
	data := bytes.Repeat([]byte("basket "), 1000)
	packed := make([]byte, lz4.CompressBlockBound(len(data)))
	n, err := lz4.CompressBlock(data, packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	block := packed[:n]
	hadoop := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	hadoop = append(binary.BigEndian.AppendUint32(hadoop, uint32(n)), block...)
	snap := snappy.Encode(nil, data)
	tests := map[string]struct {
		codec  format.CompressionCodec
		src    []byte
		size   int
		err    string // or the data
		reason string
	}{
		"lz4":           {codec: format.Lz4Raw, src: block, size: len(data)},
		"lz4-short":     {codec: format.Lz4Raw, src: block, size: len(data) + 1, err: "want 7001"},
		"lz4-long":      {codec: format.Lz4Raw, src: block, size: len(data) - 1, err: "LZ4_RAW"},
		"lz4-cut":       {codec: format.Lz4Raw, src: block[:n/2], size: len(data), err: "LZ4_RAW"},
		"lz4-bomb":      {codec: format.Lz4Raw, src: block, size: maxInflated, err: "cannot decompress"},
		"hadoop":        {codec: format.Lz4, src: hadoop, size: len(data)},
		"hadoop-bare":   {codec: format.Lz4, src: block, size: len(data), reason: "Arrow wrote such files for a while"},
		"hadoop-cut":    {codec: format.Lz4, src: hadoop[:n], size: len(data), err: "LZ4"},
		"snappy":        {codec: format.Snappy, src: snap, size: len(data)},
		"snappy-short":  {codec: format.Snappy, src: snap, size: len(data) + 1, err: "want 7001"},
		"snappy-cut":    {codec: format.Snappy, src: snap[:len(snap)-1], size: len(data), err: "SNAPPY"},
		"snappy-bomb":   {codec: format.Snappy, src: binary.AppendUvarint(nil, maxInflated), size: maxInflated, err: "cannot decompress"},
		"snappy-repeat": {codec: format.Snappy, src: []byte{9, 0, 'a', 1, 1, 1, 0}, size: 9, err: "corrupt", reason: "valid in S2, not in Snappy"},
		"zstd":          {codec: format.Zstd, src: []byte("not zstd"), size: 9, err: "ZSTD"},
		"gzip":          {codec: format.Gzip, src: []byte("not gzip but long"), size: 9, err: "GZIP"},
		"brotli":        {codec: format.Brotli, src: []byte("not brotli"), size: 9, err: "BROTLI"},
		"lzo":           {codec: format.LZO, src: []byte("x"), size: 9, err: "LZO is not supported"},
		"unknown":       {codec: 77, src: []byte("x"), size: 9, err: "is not supported"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var d decompressor
			got, err := d.decompress(nil, test.src, test.codec, test.size)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v: want one with %q", err, test.err)
				}
				return
			}
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, error %v: want the data (%s)", len(got), err, test.reason)
			}
		})
	}
}

func TestDecimal_nearest(t *testing.T) {
	tests := []struct {
		b     []byte
		scale int32
		want  float64
	}{
		{nil, 2, 0},
		{[]byte{159}, 2, -0.97},
		{[]byte{0, 159}, 2, 1.59},
		{[]byte{0xff}, 0, -1},
		{[]byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 4, 922337203685477.5807},
		{[]byte{0x01, 0, 0, 0, 0, 0, 0, 0, 0}, 20, 0.18446744073709551616},
		{[]byte{0xff, 0, 0, 0, 0, 0, 0, 0, 0}, 20, -0.18446744073709551616},
		{[]byte{0x20, 0, 0, 0, 0, 0, 1}, 3, 9007199254740.993},
	}
	for _, test := range tests {
		if got := bigDecimal(test.b, test.scale); got != test.want {
			t.Errorf("%x of scale %d is %v: want %v", test.b, test.scale, got, test.want)
		}
	}
}

func TestFloat16_values(t *testing.T) {
	for bits, want := range map[uint16]float64{
		0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0001: math.Ldexp(1, -24), 0x0400: math.Ldexp(1, -14), 0x3555: 0.333251953125, 0xfc00: math.Inf(-1),
	} {
		if got := float16(binary.LittleEndian.AppendUint16(nil, bits)); got != want {
			t.Errorf("%#x is %v: want %v", bits, got, want)
		}
	}
}

func TestInt96_range(t *testing.T) {
	b := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, 86399999999999), 2440589)
	if got, err := int96(b); err != nil || got.String() != "1970-01-02 23:59:59.999999999 +0000 UTC" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := int96(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(nil, 86400000000000), 2440589)); err == nil {
		t.Error("no error for nanoseconds of more than a day")
	}
}

func TestThrift_faults(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":       {},
		"no-end":      {0x15, 2},
		"long-string": {0x18, 0xff, 0xff, 0xff, 0xff, 0x0f, 'x'},
		"long-list":   {0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f, 1},
		"long-map":    {0x1b, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x55, 1},
		"double":      {0x17, 1, 2, 3},
	} {
		r := &thrift{b: b}
		r.fields(func(int16, byte) bool { return false })
		if !errors.Is(r.err, errTruncated) {
			t.Errorf("%s: error %v: want %v", name, r.err, errTruncated)
		}
	}
	for name, b := range map[string][]byte{
		"type":   {0x1e, 0},
		"number": append([]byte{0x15}, bytes.Repeat([]byte{0xff}, 12)...),
		"deep":   bytes.Repeat([]byte{0x1c}, 100_000),
	} {
		r := &thrift{b: b}
		r.fields(func(int16, byte) bool { return false })
		if r.err == nil || errors.Is(r.err, errTruncated) {
			t.Errorf("%s: error %v: want another", name, r.err)
		}
	}
}
