package scan

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/parquet-go/parquet-go/format"
)

// The encodings of this file are rare in what basket reads. A page of them is
// written out as PLAIN, up to maxPage, so that the rest need not know them.

// undelta turns a page of n values or fewer into PLAIN encoding.
func undelta(dst, src []byte, encoding format.Encoding, e *element, n int) ([]byte, error) {
	switch {
	case encoding == format.DeltaBinaryPacked && e.typ == format.Int32:
		v, _, err := binaryPacked(src, n)
		for _, v := range v {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
		}
		return dst, err
	case encoding == format.DeltaBinaryPacked && e.typ == format.Int64:
		v, _, err := binaryPacked(src, n)
		for _, v := range v {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
		}
		return dst, err
	case encoding == format.DeltaLengthByteArray && e.typ == format.ByteArray:
		lengths, used, err := binaryPacked(src, n)
		if err != nil {
			return nil, err
		}
		return suffixes(dst, src[used:], nil, lengths, e)
	case encoding == format.DeltaByteArray && (e.typ == format.ByteArray || e.typ == format.FixedLenByteArray):
		prefixes, used, err := binaryPacked(src, n)
		if err != nil {
			return nil, err
		}
		src = src[used:]
		lengths, used, err := binaryPacked(src, n)
		if err != nil {
			return nil, err
		}
		if len(prefixes) != len(lengths) {
			return nil, fmt.Errorf("%d prefixes and %d suffixes", len(prefixes), len(lengths))
		}
		return suffixes(dst, src[used:], prefixes, lengths, e)
	case encoding == format.ByteStreamSplit:
		return unsplit(dst, src, e)
	}
	return nil, fmt.Errorf("encoding %v of %v is not supported", encoding, e.typ)
}

// binaryPacked reads DELTA_BINARY_PACKED numbers, at most n, and tells how
// many bytes they took. Sums wrap around, as the format asks.
func binaryPacked(b []byte, n int) (values []int64, used int, err error) {
	t := &thrift{b: b} // has the same integers
	block, minis, total, first := t.uvarint(), t.uvarint(), t.uvarint(), t.i64()
	switch {
	case t.err != nil:
		return nil, 0, t.err
	case block == 0 || block > 1<<24 || block%128 != 0 || minis == 0 || minis > block/32 || block/minis%32 != 0 || block%minis != 0:
		return nil, 0, fmt.Errorf("blocks of %d numbers in %d parts; want a multiple of 128 and of 32", block, minis)
	case total > uint64(n) || total > maxPage/8:
		return nil, 0, fmt.Errorf("%d numbers; want at most %d", total, min(n, maxPage/8))
	case total == 0:
		return nil, t.pos, nil
	}
	size := int(block / minis)
	values = append(values, first)
	for len(values) < int(total) {
		least := t.i64()
		if t.err != nil || len(b)-t.pos < int(minis) {
			return nil, 0, errShort
		}
		widths := b[t.pos : t.pos+int(minis)]
		t.pos += int(minis)
		for _, width := range widths {
			if len(values) == int(total) {
				break // parts that are not needed are not stored
			}
			if width > 64 {
				return nil, 0, fmt.Errorf("numbers of %d bits; want at most 64", width)
			}
			bytes := size / 8 * int(width)
			if bytes > len(b)-t.pos {
				return nil, 0, errShort
			}
			part := b[t.pos : t.pos+bytes]
			t.pos += bytes
			for i := range min(size, int(total)-len(values)) {
				first += least + int64(bits(part, i*int(width), uint(width)))
				values = append(values, first)
			}
		}
	}
	return values, t.pos, nil
}

// bits reads one number of up to 64 bits.
func bits(b []byte, bit int, width uint) uint64 {
	v := uint64(0)
	for got := uint(0); got < width; {
		take := min(8-uint(bit&7), width-got)
		v |= uint64(b[bit>>3]>>(bit&7)&(1<<take-1)) << got
		got += take
		bit += int(take)
	}
	return v
}

// suffixes joins values from their own bytes in src and, if there are
// prefixes, the first bytes of the value before.
func suffixes(dst, src []byte, prefixes, lengths []int64, e *element) ([]byte, error) {
	last := 0 // where the value before begins
	end := 0
	for i, n := range lengths {
		p := int64(0)
		if prefixes != nil {
			p = prefixes[i]
		}
		if n < 0 || n > int64(len(src)) || p < 0 || p > int64(end-last) || int64(len(dst))+4+p+n > maxPage {
			return nil, fmt.Errorf("value %d is %d bytes of the value before and %d of %d bytes left", i, p, n, len(src))
		}
		if e.typ == format.FixedLenByteArray {
			if p+n != int64(e.length) {
				return nil, fmt.Errorf("value %d is of %d bytes; want %d", i, p+n, e.length)
			}
		} else {
			if p+n > math.MaxInt32 {
				return nil, errShort
			}
			dst = binary.LittleEndian.AppendUint32(dst, uint32(p+n))
		}
		start := len(dst)
		dst = append(dst, dst[last:last+int(p)]...)
		dst = append(dst, src[:n]...)
		src = src[n:]
		last, end = start, len(dst)
	}
	return dst, nil
}

// unsplit undoes BYTE_STREAM_SPLIT: first the first bytes of all values, then
// the second, and so on.
func unsplit(dst, src []byte, e *element) ([]byte, error) {
	size := 0
	switch e.typ {
	case format.Int32, format.Float:
		size = 4
	case format.Int64, format.Double:
		size = 8
	case format.FixedLenByteArray:
		size = int(e.length)
	}
	if size <= 0 || len(src)%size != 0 {
		return nil, fmt.Errorf("%d bytes of %v in BYTE_STREAM_SPLIT", len(src), e.typ)
	}
	n := len(src) / size
	for i := range n {
		for j := range size {
			dst = append(dst, src[j*n+i])
		}
	}
	return dst, nil
}
