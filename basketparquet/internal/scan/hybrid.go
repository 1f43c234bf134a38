package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A hybrid decodes parquet's hybrid of run-length encoding and bit packing, the
// encoding of levels and dictionary indexes, in batches: a few bytes may encode
// billions of numbers.
type hybrid struct {
	b     []byte
	width uint // bits of a number, at most 32
	pos   int  // of the next run
	run   int  // numbers of the current run that are not read yet
	value uint32
	bit   int // of the next number in a bit-packed run, or -1 in a run of equal numbers
}

func newHybrid(b []byte, width uint) hybrid { return hybrid{b: b, width: width} }

// packedBits decodes a PLAIN page of BOOLEANs: one bit-packed run without a header.
func packedBits(b []byte) hybrid {
	return hybrid{b: b, width: 1, pos: len(b), run: 8 * len(b)}
}

// next reads the header of a run.
func (h *hybrid) next() error {
	header, n := binary.Uvarint(h.b[h.pos:])
	if n <= 0 || header>>1 == 0 || header>>1 > math.MaxInt32 {
		return errors.New("a run is empty, too long or truncated")
	}
	h.pos += n
	available := len(h.b) - h.pos
	if header&1 != 0 {
		// Eight numbers take width bytes. Some writers omit the end of the last
		// eight (arrow-rs, parquet/src/encodings/rle.rs, get_batch).
		eights := int(min(header>>1, math.MaxInt32/8))
		h.bit, h.run = 8*h.pos, 8*eights
		if h.width == 0 {
			return nil
		}
		whole := available / int(h.width)
		switch {
		case eights <= whole:
			h.pos += eights * int(h.width)
		case eights == whole+1 && available%int(h.width) > 0:
			h.run = 8 * available / int(h.width)
			h.pos += available
		default:
			return errTruncated
		}
		return nil
	}
	size := int(h.width+7) / 8
	if size > available {
		return errTruncated
	}
	h.value = 0
	for i := range size {
		h.value |= uint32(h.b[h.pos+i]) << (8 * i)
	}
	if h.width < 32 && h.value>>h.width != 0 {
		return fmt.Errorf("a run of the number %d: want at most %d bits", h.value, h.width)
	}
	h.run, h.bit = int(header>>1), -1
	h.pos += size
	return nil
}

// read fills dst.
func read[T uint8 | uint32](h *hybrid, dst []T) error {
	for len(dst) > 0 {
		if h.run == 0 {
			if err := h.next(); err != nil {
				return err
			}
		}
		n := min(h.run, len(dst))
		if h.bit < 0 {
			for i := range dst[:n] {
				dst[i] = T(h.value)
			}
		} else {
			unpack(dst[:n], h.b, h.bit, h.width)
			h.bit += n * int(h.width)
		}
		h.run -= n
		dst = dst[n:]
	}
	return nil
}

// unpack reads numbers of width bits from a bit offset, the lowest bit first.
func unpack[T uint8 | uint32](dst []T, b []byte, bit int, width uint) {
	mask := uint64(1)<<width - 1
	most := 57 / int(max(width, 1)) // numbers in the 64 bits of any byte offset
	for len(dst) > 0 {
		at := bit >> 3
		var v uint64
		if at+8 <= len(b) {
			v = binary.LittleEndian.Uint64(b[at:])
		} else {
			for j := len(b) - 1; j >= at; j-- {
				v = v<<8 | uint64(b[j])
			}
		}
		v >>= bit & 7
		n := min(most, len(dst))
		for i := range dst[:n] {
			dst[i] = T(v & mask)
			v >>= width
		}
		bit += n * int(width)
		dst = dst[n:]
	}
}
