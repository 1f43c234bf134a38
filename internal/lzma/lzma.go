// Package lzma decompresses .xz and .lzma files, as Python's lzma module and so
// joblib writes them.
//
// The whole output is one slice, which serves as the dictionary as well: nothing is
// kept twice. The formats are those of the LZMA SDK 9.20 (lzma-specification.txt, by
// Igor Pavlov, public domain) and of "The .xz File Format" 1.1.0. Of xz, one stream
// whose only filter is LZMA2 is read, which is what Python writes.
//
//	xz.go    stream, blocks, index, and the chunks of LZMA2
//	lzma.go  the .lzma header, and what both have in common: literals, matches, lengths
//	coder.go the range coder and its bits
package lzma

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var (
	errDamaged = errors.New("damaged data")
	errShort   = errors.New("the data are cut off")
)

// Decode decompresses a .lzma file. It fails when more than limit bytes come out.
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
		return nil, d.over()
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
		// The end may be marked although the size is known.
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

// A decoder holds what the two formats have in common.
type decoder struct {
	coder  coder
	out    []byte
	base   int    // where the dictionary begins in out
	window uint32 // bytes back that a match may reach
	limit  int

	lc, lp, pb uint
	state      int
	reps       [4]uint32 // the last distances, less one

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

// lengths are the bits of a match's length.
type lengths struct {
	choice [2]uint16
	low    [16][8]uint16
	mid    [16][8]uint16
	high   [256]uint16
}

func (d *decoder) over() error {
	return fmt.Errorf("more than %d bytes come out of so small a file only by design", d.limit)
}

// properties sets lc, lp and pb, which one byte holds.
func (d *decoder) properties(b byte) error {
	if b >= 9*5*5 {
		return fmt.Errorf("properties %d: %w", b, errDamaged)
	}
	d.lc, d.lp, d.pb = uint(b%9), uint(b/9%5), uint(b/45)
	d.literals = make([]uint16, 0x300<<(d.lc+d.lp))
	return nil
}

// resetState forgets all that was learned of the data.
func (d *decoder) resetState() {
	d.state, d.reps = 0, [4]uint32{}
	for _, bits := range [][]uint16{
		d.literals, d.isMatch[:], d.isRep[:], d.isRep0[:], d.isRep1[:], d.isRep2[:], d.isLong[:],
		d.slots[0][:], d.slots[1][:], d.slots[2][:], d.slots[3][:], d.special[:], d.align[:],
	} {
		fresh(bits)
	}
	for _, l := range []*lengths{&d.length, &d.repeat} {
		fresh(l.choice[:])
		fresh(l.high[:])
		for i := range l.low {
			fresh(l.low[i][:])
			fresh(l.mid[i][:])
		}
	}
}

// run decodes until out is target bytes long, or up to the end marker, and
// reports whether it met that.
func (d *decoder) run(target int) (bool, error) {
	for len(d.out) < target {
		if d.coder.short {
			return false, errShort
		}
		position := (len(d.out) - d.base) & (1<<d.pb - 1)
		if d.coder.bit(&d.isMatch[d.state<<4+position]) == 0 {
			if len(d.out) >= d.limit {
				return false, d.over()
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
			return false, d.over()
		default:
			return false, errDamaged
		}
	}
	if d.coder.short {
		return false, errShort
	}
	return false, nil
}

// grow makes room for n more bytes.
func (d *decoder) grow(n int) {
	if need := len(d.out) + n; need > cap(d.out) {
		out := make([]byte, len(d.out), max(need, min(2*cap(d.out)+1<<16, d.limit)))
		copy(out, d.out)
		d.out = out
	}
}

// literal decodes a byte. After a match its bits are told apart by those of the
// byte that the match would have gone on with.
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

// match decodes a match: its length, with its distance in reps[0]; or the marker
// of the end.
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

// after is the state after a match: one if a literal came before, or the other.
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

// distance decodes the distance, less one, of a match of n bytes.
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

// repeatBytes appends n bytes from the distance reps[0].
func (d *decoder) repeatBytes(n int) error {
	distance := d.reps[0]
	if uint64(distance) >= uint64(len(d.out)-d.base) || distance >= d.window {
		return fmt.Errorf("byte %d: a match %d back: %w", len(d.out), uint64(distance)+1, errDamaged)
	}
	d.grow(n)
	for i := len(d.out) - 1 - int(distance); n > 0; n-- {
		d.out = append(d.out, d.out[i])
		i++
	}
	return nil
}
