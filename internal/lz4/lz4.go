// Package lz4 decompresses LZ4 frames, which joblib writes with Python's package lz4.
//
// The format is that of lz4_Frame_format.md 1.6.4 and lz4_Block_format.md of LZ4 1.10.
// A file is one frame without a dictionary. The output is one slice, which holds the
// data that matches refer to.
//
// github.com/pierrec/lz4 reads the same files; this package is kept so that the root
// module's importers get no dependency: the root package imports the standard library
// only.
package lz4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

var (
	errDamaged = errors.New("damaged data")
	errShort   = errors.New("the data are truncated")
)

// Flags of a frame's descriptor.
const (
	flagDictionary      = 1 << 0
	flagContentChecksum = 1 << 2
	flagContentSize     = 1 << 3
	flagBlockChecksum   = 1 << 4
)

// Decode decompresses a frame. An output of more than limit bytes is an error.
func Decode(data []byte, limit int) ([]byte, error) {
	const magic = 0x184d2204
	if len(data) < 7 {
		return nil, errShort
	}
	flags := data[4]
	if binary.LittleEndian.Uint32(data) != magic || flags>>6 != 1 {
		return nil, fmt.Errorf("frame header: %w", errDamaged)
	}
	if flags&flagDictionary != 0 {
		return nil, errors.New("frame header: dictionaries are not supported")
	}
	n := 6
	size := uint64(0)
	if flags&flagContentSize != 0 {
		n += 8
		if len(data) < n+1 {
			return nil, errShort
		}
		size = binary.LittleEndian.Uint64(data[6:])
	}
	if data[n] != byte(checksum(data[4:n])>>8) {
		return nil, fmt.Errorf("frame header: %w", errDamaged)
	}
	rest := data[n+1:]
	d := &decoder{limit: limit}
	d.out = make([]byte, 0, min(frameSize(rest, flags), limit))
	for i := 0; ; i++ {
		last, err := d.block(&rest, flags)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", i, err)
		}
		if last {
			break
		}
	}
	if flags&flagContentChecksum != 0 {
		if len(rest) < 4 {
			return nil, errShort
		}
		if checksum(d.out) != binary.LittleEndian.Uint32(rest) {
			return nil, errors.New("the data do not match the checksum")
		}
		rest = rest[4:]
	}
	switch {
	case flags&flagContentSize != 0 && size != uint64(len(d.out)):
		return nil, fmt.Errorf("%d bytes: the size in the header is %d", len(d.out), size)
	case len(rest) > 0:
		return nil, errors.New("bytes after the end of the compressed data")
	}
	return d.out, nil
}

type decoder struct {
	out   []byte
	limit int
}

// frameSize returns the size of the output of all complete blocks.
func frameSize(rest []byte, flags byte) int {
	sum := 0
	for len(rest) >= 4 {
		size := binary.LittleEndian.Uint32(rest)
		n := int(size &^ (1 << 31))
		if rest = rest[4:]; n == 0 || n > len(rest) {
			break
		}
		if size>>31 != 0 {
			sum += n
		} else {
			sum += blockSize(rest[:n])
		}
		if rest = rest[n:]; flags&flagBlockChecksum != 0 {
			rest = rest[min(4, len(rest)):]
		}
	}
	return sum
}

// blockSize returns the size of the output of a compressed block.
func blockSize(in []byte) int {
	sum := 0
	for len(in) > 0 {
		token := in[0]
		in = in[1:]
		n, err := length(token>>4, &in)
		if err != nil || n+2 > len(in) {
			return sum + min(n, len(in))
		}
		in = in[n+2:]
		m, err := length(token&15, &in)
		if err != nil {
			return sum + n
		}
		sum += n + m + 4
	}
	return sum
}

// block decodes the next block, or reports that it was the end mark.
func (d *decoder) block(rest *[]byte, flags byte) (bool, error) {
	if len(*rest) < 4 {
		return false, errShort
	}
	size := binary.LittleEndian.Uint32(*rest)
	in := (*rest)[4:]
	if size == 0 {
		*rest = in
		return true, nil
	}
	n := int(size &^ (1 << 31))
	if n > len(in) {
		return false, errShort
	}
	b := in[:n]
	in = in[n:]
	if flags&flagBlockChecksum != 0 {
		if len(in) < 4 {
			return false, errShort
		}
		if checksum(b) != binary.LittleEndian.Uint32(in) {
			return false, errors.New("the data do not match the checksum")
		}
		in = in[4:]
	}
	*rest = in
	if size>>31 != 0 { // not compressed
		if err := d.grow(n); err != nil {
			return false, err
		}
		d.out = append(d.out, b...)
		return false, nil
	}
	return false, d.sequences(b)
}

// grow makes sure that out has capacity for n more bytes.
func (d *decoder) grow(n int) error {
	if n > d.limit-len(d.out) {
		return fmt.Errorf("the output limit for a file of this size is %d bytes", d.limit)
	}
	if need := len(d.out) + n; need > cap(d.out) {
		out := make([]byte, len(d.out), max(need, min(2*cap(d.out)+1<<16, d.limit)))
		copy(out, d.out)
		d.out = out
	}
	return nil
}

// sequences decodes sequences of literals and a match; the last has no match.
func (d *decoder) sequences(in []byte) error {
	for {
		if len(in) == 0 {
			return errShort
		}
		token := in[0]
		in = in[1:]
		n, err := length(token>>4, &in)
		if err != nil {
			return err
		}
		if n > len(in) {
			return errShort
		}
		if err := d.grow(n); err != nil {
			return err
		}
		d.out = append(d.out, in[:n]...)
		in = in[n:]
		if len(in) == 0 {
			return nil
		}
		if len(in) < 2 {
			return errShort
		}
		back := int(binary.LittleEndian.Uint16(in))
		in = in[2:]
		if n, err = length(token&15, &in); err != nil {
			return err
		}
		if back == 0 || back > len(d.out) {
			return fmt.Errorf("output byte %d: a match at distance %d: %w", len(d.out), back, errDamaged)
		}
		n += 4
		if err := d.grow(n); err != nil {
			return err
		}
		for i := len(d.out) - back; n > 0; n-- {
			d.out = append(d.out, d.out[i])
			i++
		}
	}
}

// length reads the rest of a length: n, plus if n is 15 the bytes that follow, up to
// the first that is not 255.
func length(n byte, in *[]byte) (int, error) {
	sum := int(n)
	if n < 15 {
		return sum, nil
	}
	for {
		if len(*in) == 0 {
			return 0, errShort
		}
		b := (*in)[0]
		*in = (*in)[1:]
		sum += int(b)
		if b < 255 {
			return sum, nil
		}
	}
}

// checksum returns xxHash's XXH32 with seed 0 (doc/xxhash_spec.md 0.1.1).
func checksum(data []byte) uint32 {
	const p1, p2, p3, p4, p5 = 0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1
	n := uint32(len(data))
	sum := uint32(p5)
	if len(data) >= 16 {
		lanes := [4]uint32{0x24234428, p2, 0, 0x61c8864f} // p1+p2, p2, 0, -p1
		for ; len(data) >= 16; data = data[16:] {
			for i := range lanes {
				lanes[i] += binary.LittleEndian.Uint32(data[4*i:]) * p2
				lanes[i] = bits.RotateLeft32(lanes[i], 13) * p1
			}
		}
		sum = bits.RotateLeft32(lanes[0], 1) + bits.RotateLeft32(lanes[1], 7) +
			bits.RotateLeft32(lanes[2], 12) + bits.RotateLeft32(lanes[3], 18)
	}
	sum += n
	for ; len(data) >= 4; data = data[4:] {
		sum = bits.RotateLeft32(sum+binary.LittleEndian.Uint32(data)*p3, 17) * p4
	}
	for _, b := range data {
		sum = bits.RotateLeft32(sum+uint32(b)*p5, 11) * p1
	}
	sum = (sum ^ sum>>15) * p2
	sum = (sum ^ sum>>13) * p3
	return sum ^ sum>>16
}
