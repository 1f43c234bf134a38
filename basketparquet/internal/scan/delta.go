package scan

import (
	"encoding/binary"
	"fmt"

	"github.com/parquet-go/parquet-go/format"
)

// A deltaReader decodes DELTA_BINARY_PACKED integers. Sums wrap around, as the
// format requires.
type deltaReader struct {
	in         thrift // has the same variable-length integers
	remaining  int    // integers not read yet
	miniblocks int    // of a block
	size       int    // integers of a miniblock
	value      int64  // the last integer read, at first the first one
	started    bool   // the first integer has been read
	minDelta   int64
	widths     []byte // of the block's miniblocks not read yet
	width      uint   // of the integers of the current miniblock
	bit        int    // of the next one
	packed     int    // integers of the current miniblock not read yet
}

// newDeltaReader reads the header of at most n integers. It also returns the
// bytes that follow the integers: unused miniblocks of the last block are not stored.
func newDeltaReader(b []byte, n int) (d deltaReader, rest []byte, err error) {
	d.in.b = b
	block, miniblocks, total, first := d.in.uvarint(), d.in.uvarint(), d.in.uvarint(), d.in.i64()
	switch {
	case d.in.err != nil:
		return d, nil, d.in.err
	case block == 0 || block > 1<<24 || block%128 != 0 || miniblocks == 0 || miniblocks > block/32 || block/miniblocks%32 != 0 || block%miniblocks != 0:
		return d, nil, fmt.Errorf("blocks of %d integers in %d miniblocks: want multiples of 128 and of 32", block, miniblocks)
	case total > uint64(n):
		return d, nil, fmt.Errorf("%d integers: want at most %d", total, n)
	}
	d.remaining, d.value, d.miniblocks, d.size = int(total), first, int(miniblocks), int(block/miniblocks)
	end := d
	for i := 1; i < d.remaining; i += d.size {
		if err := end.next(); err != nil {
			return d, nil, err
		}
	}
	return d, b[end.in.pos:], nil
}

// next reads the header of the next miniblock.
func (d *deltaReader) next() error {
	if len(d.widths) == 0 {
		d.minDelta = d.in.i64()
		if d.in.err != nil || len(d.in.b)-d.in.pos < d.miniblocks {
			return errTruncated
		}
		d.widths = d.in.b[d.in.pos : d.in.pos+d.miniblocks]
		d.in.pos += d.miniblocks
	}
	d.width, d.widths = uint(d.widths[0]), d.widths[1:]
	if d.width > 64 {
		return fmt.Errorf("integers of %d bits: want at most 64", d.width)
	}
	bytes := d.size / 8 * int(d.width)
	if bytes > len(d.in.b)-d.in.pos {
		return errTruncated
	}
	d.bit, d.packed = 8*d.in.pos, d.size
	d.in.pos += bytes
	return nil
}

// read fills dst.
func (d *deltaReader) read(dst []int64) error {
	if len(dst) > d.remaining {
		return errTruncated
	}
	d.remaining -= len(dst)
	for i := range dst {
		if d.started {
			if d.packed == 0 {
				if err := d.next(); err != nil {
					return err
				}
			}
			d.value += d.minDelta + int64(bits(d.in.b, d.bit, d.width))
			d.bit += int(d.width)
			d.packed--
		}
		d.started = true
		dst[i] = d.value
	}
	return nil
}

// bits reads a number of up to 64 bits, the lowest bit first.
func bits(b []byte, bit int, width uint) uint64 {
	v := uint64(0)
	for got := uint(0); got < width; {
		n := min(8-uint(bit&7), width-got)
		v |= uint64(b[bit>>3]>>(bit&7)&(1<<n-1)) << got
		got += n
		bit += int(n)
	}
	return v
}

// maxDeltaBytes bounds the byte arrays of one batch: with shared prefixes, a few
// bytes can encode many long values.
const maxDeltaBytes = 8 << 20

// A deltaDecoder converts a page of a DELTA encoding to PLAIN, in batches because
// a few bytes can encode millions of integers.
type deltaDecoder struct {
	e          *element
	ints       deltaReader // values; of byte arrays, their lengths without the prefix
	prefixes   deltaReader // how many bytes a byte array has in common with the one before
	prefixed   bool        // DELTA_BYTE_ARRAY
	data       []byte      // the byte arrays without their prefixes
	previous   []byte      // the last byte array of the batch before
	v, lengths [batch]int64
}

// reset starts a page of at most n values.
func (d *deltaDecoder) reset(src []byte, encoding format.Encoding, e *element, n int) (err error) {
	d.e, d.prefixed, d.previous = e, false, d.previous[:0]
	switch typ := e.typ; {
	case encoding == format.DeltaByteArray && (typ == format.ByteArray || typ == format.FixedLenByteArray):
		d.prefixed = true
		if d.prefixes, src, err = newDeltaReader(src, n); err != nil {
			return err
		}
	case encoding == format.DeltaBinaryPacked && (typ == format.Int32 || typ == format.Int64):
	case encoding == format.DeltaLengthByteArray && typ == format.ByteArray:
	default:
		return fmt.Errorf("encoding %v of %v is not supported", encoding, typ)
	}
	d.ints, d.data, err = newDeltaReader(src, n)
	if err == nil && d.prefixed && d.prefixes.remaining != d.ints.remaining {
		return fmt.Errorf("%d prefixes of byte arrays: want %d, the number of suffixes", d.prefixes.remaining, d.ints.remaining)
	}
	return err
}

// next appends the next n values, at most a batch, to dst.
func (d *deltaDecoder) next(dst []byte, n int) ([]byte, error) {
	if d.prefixed {
		if err := d.prefixes.read(d.lengths[:n]); err != nil {
			return nil, err
		}
	}
	if err := d.ints.read(d.v[:n]); err != nil {
		return nil, err
	}
	previous := d.previous
	for i, v := range d.v[:n] {
		switch d.e.typ {
		case format.Int32:
			dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
			continue
		case format.Int64:
			dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
			continue
		}
		prefix := int64(0)
		if d.prefixed {
			prefix = d.lengths[i]
		}
		if v < 0 || v > int64(len(d.data)) || prefix < 0 || prefix > int64(len(previous)) {
			return nil, fmt.Errorf("a byte array of %d bytes of the one before and %d more: want at most %d and %d", prefix, v, len(previous), len(d.data))
		}
		if size := int64(len(dst)) + prefix + v; size > maxDeltaBytes {
			return nil, fmt.Errorf("%d byte arrays of over %d bytes in all: want at most that", n, maxDeltaBytes)
		}
		if d.e.typ == format.ByteArray {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(prefix+v))
		} else if prefix+v != int64(d.e.length) {
			return nil, fmt.Errorf("a byte array of %d bytes: want %d", prefix+v, d.e.length)
		}
		start := len(dst)
		dst = append(append(dst, previous[:prefix]...), d.data[:v]...)
		d.data = d.data[v:]
		previous = dst[start:]
	}
	d.previous = append(d.previous[:0], previous...)
	return dst, nil
}

// decodeByteStreamSplit converts a page to PLAIN: it has the first bytes of all
// values, then the second ones, and so on.
func decodeByteStreamSplit(dst, src []byte, e *element) ([]byte, error) {
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
