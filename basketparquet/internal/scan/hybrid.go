package scan

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A hybrid reads the mixture of run-length and bit-packed numbers in which
// parquet stores levels and dictionary indexes, a batch at a time: a page of
// few bytes may stand for billions of numbers.
type hybrid struct {
	b     []byte
	width uint // bits of a number, at most 32
	pos   int  // of the next run
	run   int  // numbers left in this run
	value uint32
	bit   int // of the next number in this run, or -1 if all are value
}

func newHybrid(b []byte, width uint) hybrid { return hybrid{b: b, width: width} }

// packedBits is a hybrid over a PLAIN page of BOOLEANs: one run without a head.
func packedBits(b []byte) hybrid {
	return hybrid{b: b, width: 1, pos: len(b), run: 8 * len(b)}
}

// next reads the head of a run.
func (h *hybrid) next() error {
	head, n := binary.Uvarint(h.b[h.pos:])
	if n <= 0 || head>>1 == 0 || head>>1 > math.MaxInt32 {
		return fmt.Errorf("a run is empty, too long or cut short")
	}
	h.pos += n
	left := len(h.b) - h.pos
	if head&1 != 0 {
		// Eight numbers are width bytes. Some writers leave out the end of the
		// last eight (arrow-rs, parquet/src/encodings/rle.rs, get_batch).
		eights := int(min(head>>1, math.MaxInt32/8))
		h.bit, h.run = 8*h.pos, 8*eights
		if h.width == 0 {
			return nil
		}
		whole := left / int(h.width)
		switch {
		case eights <= whole:
			h.pos += eights * int(h.width)
		case eights == whole+1 && left%int(h.width) > 0:
			h.run = 8 * left / int(h.width)
			h.pos += left
		default:
			return fmt.Errorf("a run is cut short")
		}
		return nil
	}
	size := int(h.width+7) / 8
	if size > left {
		return fmt.Errorf("a run is cut short")
	}
	h.value = 0
	for i := range size {
		h.value |= uint32(h.b[h.pos+i]) << (8 * i)
	}
	if h.width < 32 && h.value>>h.width != 0 {
		return fmt.Errorf("a run of the number %d; want at most %d bits", h.value, h.width)
	}
	h.run, h.bit = int(head>>1), -1
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

// unpack reads numbers of width bits from bit on, the lowest first.
func unpack[T uint8 | uint32](dst []T, b []byte, bit int, width uint) {
	mask := uint64(1)<<width - 1
	for i := range dst {
		at := bit >> 3
		var v uint64
		if at+8 <= len(b) {
			v = binary.LittleEndian.Uint64(b[at:])
		} else {
			for j := len(b) - 1; j >= at; j-- {
				v = v<<8 | uint64(b[j])
			}
		}
		dst[i] = T(v >> (bit & 7) & mask)
		bit += int(width)
	}
}
