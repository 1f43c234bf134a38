package lzma

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"math"
)

const xzMagic = "\xfd7zXZ\x00"

// Types of a block's check: section 2.1.1.2.
const (
	checkNone   = 0
	checkCRC32  = 1
	checkCRC64  = 4
	checkSHA256 = 10
)

// A block is the record of a block in the index.
type block struct {
	unpadded, size uint64
}

// DecodeXZ decompresses a .xz file. An output of more than limit bytes is an error.
func DecodeXZ(data []byte, limit int) ([]byte, error) {
	if len(data) < 12 {
		return nil, errShort
	}
	flags := data[6:8]
	if string(data[:6]) != xzMagic || flags[0] != 0 || flags[1]&0xf0 != 0 || !crcOf(flags, data[8:12]) {
		return nil, fmt.Errorf("stream header: %w", errDamaged)
	}
	check := int(flags[1])
	size := map[int]int{checkNone: 0, checkCRC32: 4, checkCRC64: 8, checkSHA256: 32}
	if _, ok := size[check]; !ok {
		return nil, fmt.Errorf("stream header: unknown check %d", check)
	}
	d := &decoder{limit: limit, out: make([]byte, 0, outputSize(data, limit))}
	var blocks []block
	rest := data[12:]
	for {
		if len(rest) == 0 {
			return nil, errShort
		}
		if rest[0] == 0 {
			break
		}
		before, start := len(rest), len(d.out)
		if err := d.blockHeader(&rest); err != nil {
			return nil, fmt.Errorf("block %d: header: %w", len(blocks), err)
		}
		if err := d.chunks(&rest); err != nil {
			return nil, fmt.Errorf("block %d: %w", len(blocks), err)
		}
		n := before - len(rest)
		if err := padding(&rest, n); err != nil {
			return nil, fmt.Errorf("block %d: %w", len(blocks), err)
		}
		if len(rest) < size[check] {
			return nil, errShort
		}
		if !sums(check, d.out[start:], rest[:size[check]]) {
			return nil, fmt.Errorf("block %d: the data do not match the check", len(blocks))
		}
		rest = rest[size[check]:]
		blocks = append(blocks, block{uint64(n + size[check]), uint64(len(d.out) - start)})
	}
	n, err := index(&rest, blocks)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	// Footer: its CRC, the length of the index, the flags again, "YZ".
	switch {
	case len(rest) < 12:
		return nil, errShort
	case string(rest[10:12]) != "YZ" || !bytes.Equal(rest[8:10], flags) || !crcOf(rest[4:10], rest[:4]),
		4*(uint64(binary.LittleEndian.Uint32(rest[4:]))+1) != uint64(n):
		return nil, fmt.Errorf("stream footer: %w", errDamaged)
	case len(rest) > 12:
		return nil, errors.New("bytes after the end of the compressed data")
	}
	return d.out, nil
}

// outputSize returns the size of the output by the index, which is at the end. It
// returns 0 if that is damaged or above limit; decoding then finds the error.
func outputSize(data []byte, limit int) uint64 {
	n := 4 * (uint64(binary.LittleEndian.Uint32(data[len(data)-8:])) + 1)
	if n > uint64(len(data)-12) {
		return 0
	}
	in := data[len(data)-12-int(n)+1:]
	sum := uint64(0)
	for blocks, err := number(&in); blocks > 0 && err == nil; blocks-- {
		size := uint64(0)
		if _, err = number(&in); err == nil {
			size, err = number(&in)
		}
		if sum += size; err != nil || sum > uint64(limit) || size > uint64(limit) {
			return 0
		}
	}
	return sum
}

func crcOf(data, sum []byte) bool {
	return crc32.ChecksumIEEE(data) == binary.LittleEndian.Uint32(sum)
}

func sums(check int, data, sum []byte) bool {
	switch check {
	case checkCRC32:
		return crcOf(data, sum)
	case checkCRC64:
		return crc64.Checksum(data, crc64.MakeTable(crc64.ECMA)) == binary.LittleEndian.Uint64(sum)
	case checkSHA256:
		s := sha256.Sum256(data)
		return bytes.Equal(s[:], sum)
	}
	return true
}

// padding skips the zeros that pad n bytes to a multiple of four.
func padding(rest *[]byte, n int) error {
	for ; n%4 != 0; n++ {
		if len(*rest) == 0 {
			return errShort
		}
		if (*rest)[0] != 0 {
			return errDamaged
		}
		*rest = (*rest)[1:]
	}
	return nil
}

// number reads a number of seven bits per byte, the lowest first.
func number(rest *[]byte) (uint64, error) {
	v, n := binary.Uvarint((*rest)[:min(len(*rest), 9)])
	switch {
	case n == 0 && len(*rest) < 9:
		return 0, errShort
	case n <= 0 || v > math.MaxInt64:
		return 0, errDamaged
	}
	*rest = (*rest)[n:]
	return v, nil
}

// blockHeader reads the header of a block: section 3.1.
func (d *decoder) blockHeader(rest *[]byte) error {
	n := 4 * (int((*rest)[0]) + 1)
	if len(*rest) < n {
		return errShort
	}
	h := (*rest)[1 : n-4]
	if !crcOf((*rest)[:n-4], (*rest)[n-4:n]) {
		return errDamaged
	}
	*rest = (*rest)[n:]
	flags := h[0]
	h = h[1:]
	if flags&0x3f != 0 {
		return errors.New("filters other than LZMA2 are not supported")
	}
	for _, present := range []byte{0x40, 0x80} { // sizes, which are in the index too
		if flags&present != 0 {
			if _, err := number(&h); err != nil {
				return err
			}
		}
	}
	filter, err := number(&h)
	if err != nil {
		return err
	}
	size, err := number(&h)
	if err != nil {
		return err
	}
	if filter != 0x21 || size != 1 || len(h) < 1 || h[0] > 40 {
		return errors.New("filters other than LZMA2 are not supported")
	}
	d.window = math.MaxUint32
	if h[0] < 40 {
		d.window = (2 | uint32(h[0])&1) << (h[0]/2 + 11)
	}
	for _, b := range h[1:] {
		if b != 0 {
			return errDamaged
		}
	}
	return nil
}

// chunks decodes the chunks of LZMA2. The first byte of each is its type and what it
// resets.
func (d *decoder) chunks(rest *[]byte) error {
	// What must be set before the next chunk.
	needDictionary, needProperties, needState := true, true, true
	for {
		in := *rest
		if len(in) == 0 {
			return errShort
		}
		control := in[0]
		if control == 0 {
			*rest = in[1:]
			return nil
		}
		if control == 1 || control >= 0xe0 {
			d.base = len(d.out)
			needDictionary = false
		}
		if needDictionary || control > 2 && control < 0x80 {
			return errDamaged
		}
		head := 3
		if control >= 0x80 {
			head = 5
			if control >= 0xc0 {
				head = 6
			}
		}
		if len(in) < head {
			return errShort
		}
		n := int(binary.BigEndian.Uint16(in[1:])) + 1
		if control < 0x80 { // not compressed
			if len(in) < head+n {
				return errShort
			}
			if n > d.limit-len(d.out) {
				return d.tooLarge()
			}
			d.grow(n)
			d.out = append(d.out, in[head:head+n]...)
			*rest = in[head+n:]
			continue
		}
		n += int(control&0x1f) << 16
		packed := int(binary.BigEndian.Uint16(in[3:])) + 1
		if len(in) < head+packed {
			return errShort
		}
		if n > d.limit-len(d.out) {
			return d.tooLarge()
		}
		if control >= 0xc0 {
			if err := d.properties(in[5]); err != nil {
				return err
			}
			if d.lc+d.lp > 4 {
				return errDamaged
			}
			needProperties = false
		}
		if control >= 0xa0 && !needProperties {
			d.resetState()
			needState = false
		}
		if needProperties || needState {
			return errDamaged
		}
		if err := d.coder.start(in[head : head+packed]); err != nil {
			return err
		}
		if ended, err := d.run(len(d.out) + n); err != nil {
			return err
		} else if ended || !d.coder.done() {
			return errDamaged
		}
		*rest = in[head+packed:]
	}
}

// index compares the index with the blocks and returns its length: section 4.
func index(rest *[]byte, blocks []block) (int, error) {
	all := *rest
	in := all[1:]
	n, err := number(&in)
	if err != nil {
		return 0, err
	}
	if n != uint64(len(blocks)) {
		return 0, fmt.Errorf("%d blocks: the file has %d", n, len(blocks))
	}
	for i, b := range blocks {
		unpadded, err := number(&in)
		if err != nil {
			return 0, err
		}
		size, err := number(&in)
		if err != nil {
			return 0, err
		}
		if (block{unpadded, size}) != b {
			return 0, fmt.Errorf("block %d: %w", i, errDamaged)
		}
	}
	if err := padding(&in, len(all)-len(in)); err != nil {
		return 0, err
	}
	size := len(all) - len(in)
	if len(in) < 4 {
		return 0, errShort
	}
	if !crcOf(all[:size], in[:4]) {
		return 0, errDamaged
	}
	*rest = in[4:]
	return size + 4, nil
}
