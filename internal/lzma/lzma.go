// Package lzma decompresses .xz and .lzma files, which joblib writes with Python's lzma
// module.
//
// The formats are those of the LZMA SDK 9.20 (lzma-specification.txt, by Igor Pavlov,
// public domain) and of "The .xz File Format" 1.1.0. An xz file is one stream whose
// only filter is LZMA2, as Python writes it. The output is one slice, which is also
// the dictionary.
//
//	xz.go          stream, blocks, index, and the chunks of LZMA2
//	lzma.go        the .lzma header; literals, matches and lengths of both formats
//	rangecoder.go  the range decoder and its bits
//
// This is our own reader because ulikunitz/xz allocates what a header claims (4 GiB
// for a 9.9 KB file).
package lzma

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var (
	errDamaged = errors.New("damaged data")
	errShort   = errors.New("the data are truncated")
)

// Decode decompresses a .lzma file. An output of more than limit bytes is an error.
func Decode(data []byte, limit int) ([]byte, error) {
	if len(data) < 13 {
		return nil, errShort
	}
	d := &decoder{limit: limit}
	if err := d.properties(data[0]); err != nil {
		return nil, err
	}
	d.window = max(binary.LittleEndian.Uint32(data[1:]), 4096)
	size := binary.LittleEndian.Uint64(data[5:])
	known := size != math.MaxUint64
	if known && size > uint64(limit) {
		return nil, d.tooLarge()
	}
	d.resetState()
	if err := d.coder.start(data[13:]); err != nil {
		return nil, err
	}
	target := math.MaxInt
	if known {
		target = int(size)
	}
	ended, err := d.run(target)
	switch {
	case err != nil:
		return nil, err
	case !ended && !known:
		return nil, errShort
	case !ended && !d.coder.done():
		// An end marker may follow although the size is known.
		if ended, err = d.run(math.MaxInt); err != nil || !ended || len(d.out) != target {
			return nil, errDamaged
		}
	case ended && known && len(d.out) != target:
		return nil, errDamaged
	}
	if !d.coder.done() {
		return nil, errors.New("bytes after the end of the compressed data")
	}
	return d.out, nil
}

const states = 12

// A decoder decodes the LZMA data of both formats. Names are those of the
// specification.
type decoder struct {
	coder  coder
	out    []byte
	base   int    // start of the dictionary in out
	window uint32 // size of the dictionary: the largest distance of a match
	limit  int    // of len(out)

	lc, lp, pb uint
	state      int
	reps       [4]uint32 // the last distances, minus one

	literals []uint16
	isMatch  [states << 4]uint16
	isRep    [states]uint16
	isRep0   [states]uint16
	isRep1   [states]uint16
	isRep2   [states]uint16
	isLong   [states << 4]uint16
	slots    [4][64]uint16
	special  [115]uint16
	align    [16]uint16
	length   lengths
	repeat   lengths
}

// lengths is the probabilities for the length of a match.
type lengths struct {
	choice [2]uint16
	low    [16][8]uint16
	mid    [16][8]uint16
	high   [256]uint16
}

func (d *decoder) tooLarge() error {
	return fmt.Errorf("the output limit for a file of this size is %d bytes", d.limit)
}

// properties sets lc, lp and pb, which are encoded in one byte.
func (d *decoder) properties(b byte) error {
	if b >= 9*5*5 {
		return fmt.Errorf("properties %d: %w", b, errDamaged)
	}
	d.lc, d.lp, d.pb = uint(b%9), uint(b/9%5), uint(b/45)
	d.literals = make([]uint16, 0x300<<(d.lc+d.lp))
	return nil
}

// resetState sets the state and all probabilities to their initial values.
func (d *decoder) resetState() {
	d.state, d.reps = 0, [4]uint32{}
	for _, bits := range [][]uint16{
		d.literals, d.isMatch[:], d.isRep[:], d.isRep0[:], d.isRep1[:], d.isRep2[:], d.isLong[:],
		d.slots[0][:], d.slots[1][:], d.slots[2][:], d.slots[3][:], d.special[:], d.align[:],
	} {
		resetBits(bits)
	}
	for _, l := range []*lengths{&d.length, &d.repeat} {
		resetBits(l.choice[:])
		resetBits(l.high[:])
		for i := range l.low {
			resetBits(l.low[i][:])
			resetBits(l.mid[i][:])
		}
	}
}

// run decodes until out has target bytes or up to the end marker, and reports whether
// it decoded the marker.
func (d *decoder) run(target int) (bool, error) {
	for len(d.out) < target {
		if d.coder.short {
			return false, errShort
		}
		position := (len(d.out) - d.base) & (1<<d.pb - 1)
		if d.coder.bit(&d.isMatch[d.state<<4+position]) == 0 {
			if len(d.out) >= d.limit {
				return false, d.tooLarge()
			}
			d.literal()
			continue
		}
		n, ended := d.match(position)
		switch {
		case ended:
			return true, nil
		case n <= min(target, d.limit)-len(d.out):
			if err := d.repeatBytes(n); err != nil {
				return false, err
			}
		case target > d.limit:
			return false, d.tooLarge()
		default:
			return false, errDamaged
		}
	}
	if d.coder.short {
		return false, errShort
	}
	return false, nil
}

// grow makes sure that out has capacity for n more bytes.
func (d *decoder) grow(n int) {
	if need := len(d.out) + n; need > cap(d.out) {
		out := make([]byte, len(d.out), max(need, min(2*cap(d.out)+1<<16, d.limit)))
		copy(out, d.out)
		d.out = out
	}
}

// literal decodes a byte. After a match its probabilities depend on the byte at the
// match's distance.
func (d *decoder) literal() {
	at := len(d.out) - d.base
	last := uint(0)
	if at > 0 {
		last = uint(d.out[len(d.out)-1])
	}
	context := (uint(at)&(1<<d.lp-1))<<d.lc + last>>(8-d.lc)
	bits := d.literals[0x300*context:][:0x300]
	symbol := uint32(1)
	if d.state >= 7 && int(d.reps[0]) < at {
		expected := uint32(d.out[len(d.out)-1-int(d.reps[0])])
		for symbol < 0x100 {
			expected <<= 1
			b := d.coder.bit(&bits[0x100+expected&0x100+symbol])
			symbol = symbol<<1 | b
			if expected>>8&1 != b {
				break
			}
		}
	}
	for symbol < 0x100 {
		symbol = symbol<<1 | d.coder.bit(&bits[symbol])
	}
	d.grow(1)
	d.out = append(d.out, byte(symbol))
	switch {
	case d.state < 4:
		d.state = 0
	case d.state < 10:
		d.state -= 3
	default:
		d.state -= 6
	}
}

// match decodes a match: it returns the length and sets reps[0] to the distance. Or it
// decodes the end marker.
func (d *decoder) match(position int) (n int, ended bool) {
	if d.coder.bit(&d.isRep[d.state]) == 0 {
		d.reps[3], d.reps[2], d.reps[1] = d.reps[2], d.reps[1], d.reps[0]
		n = d.lengthOf(&d.length, position)
		d.reps[0] = d.distance(n)
		d.state = after(d.state, 7, 10)
		if d.reps[0] == math.MaxUint32 {
			return 0, true
		}
		return n, false
	}
	if d.coder.bit(&d.isRep0[d.state]) == 0 {
		if d.coder.bit(&d.isLong[d.state<<4+position]) == 0 {
			d.state = after(d.state, 9, 11)
			return 1, false
		}
	} else {
		which := 1
		if d.coder.bit(&d.isRep1[d.state]) == 1 {
			which = 2 + int(d.coder.bit(&d.isRep2[d.state]))
		}
		distance := d.reps[which]
		copy(d.reps[1:], d.reps[:which])
		d.reps[0] = distance
	}
	n = d.lengthOf(&d.repeat, position)
	d.state = after(d.state, 8, 11)
	return n, false
}

// after returns the next state: one if a literal came before, the other if a match.
func after(state, literal, match int) int {
	if state < 7 {
		return literal
	}
	return match
}

func (d *decoder) lengthOf(l *lengths, position int) int {
	if d.coder.bit(&l.choice[0]) == 0 {
		return 2 + int(d.coder.tree(l.low[position][:], 3))
	}
	if d.coder.bit(&l.choice[1]) == 0 {
		return 10 + int(d.coder.tree(l.mid[position][:], 3))
	}
	return 18 + int(d.coder.tree(l.high[:], 8))
}

// distance decodes the distance, minus one, of a match of n bytes.
func (d *decoder) distance(n int) uint32 {
	slot := d.coder.tree(d.slots[min(n-2, 3)][:], 6)
	if slot < 4 {
		return slot
	}
	bits := int(slot>>1 - 1)
	distance := (2 | slot&1) << bits
	if slot < 14 {
		return distance + d.coder.reverse(d.special[distance-slot:], bits)
	}
	distance += d.coder.direct(bits-4) << 4
	return distance + d.coder.reverse(d.align[:], 4)
}

// repeatBytes appends n bytes from distance reps[0].
func (d *decoder) repeatBytes(n int) error {
	distance := d.reps[0]
	if uint64(distance) >= uint64(len(d.out)-d.base) || distance >= d.window {
		return fmt.Errorf("output byte %d: a match at distance %d: %w", len(d.out), uint64(distance)+1, errDamaged)
	}
	d.grow(n)
	for i := len(d.out) - 1 - int(distance); n > 0; n-- {
		d.out = append(d.out, d.out[i])
		i++
	}
	return nil
}
