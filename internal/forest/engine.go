package forest

import (
	"fmt"
	"math"
)

// An engine is a way to predict. All give the same bits.
type engine int8

const (
	engineBest   engine = iota // what the others are expected to cost decides
	engineNarrow               // a table with masks of 32 bits
	engineWide                 // a table with masks of 64 bits
	engineStairs
	engineWalk
)

// Bounds of the table: of its size, which should be that of a core's cache, or of
// its share in that of all cores; and of the work of making it, some nanoseconds a
// question.
const (
	maxTableBytes = 8 << 20
	maxQuestions  = 16 << 20
)

// Engine tells how f predicts: "table, 92 KB", say; "table, 3688 KB, and walk" if
// the table covers the trees' crowns only; "stairs, 137 KB"; or "walk". With
// "lanes" after its size a table is read by AVX-512.
func (f *Forest) Engine() string {
	switch {
	case f.table != nil:
		return f.table.String()
	case f.table32 != nil:
		return f.table32.String()
	case f.stairs != nil:
		return fmt.Sprintf("stairs, %d KB", (8*len(f.stairs.nodes)+1023)/1024)
	}
	return "walk"
}

// String tells the size of the masks.
func (t *table[F]) String() string {
	s := fmt.Sprintf("table, %d KB", (8*len(t.masks)+1023)/1024)
	if t.lanes != nil {
		s += ", lanes"
	}
	if t.rest != nil {
		s += ", and walk"
	}
	return s
}

// compile makes the engine e.
func (f *Forest) compile(e engine) {
	f.plain = f.linear == nil
	for i := range f.nodes {
		n := &f.nodes[i]
		f.plain = f.plain && n.meta&flagsRare == 0 && n.threshold == n.threshold
	}
	if f.sum32 {
		f.table32 = choose[float32](f, e)
	} else {
		f.table = choose[float64](f, e)
	}
}

// choose makes the engine e, or the one that costs least: it returns the table, or
// sets f.stairs, or does neither. Costs are in nanoseconds a row, as measured on
// one machine; on others they are a measure still. Met is how many splits an
// average row meets, as far as the file tells what is average.
func choose[F float32 | float64](f *Forest, e engine) *table[F] {
	splits, met := f.allSplits()
	trees := float64(len(f.roots))
	least := math.Inf(1)
	if e == engineBest || e == engineWalk {
		least = 3*trees + 5*met
	}
	var best *table[F]
	var crowns []crown
	for _, wide := range []bool{false, true} {
		if e != engineBest && e != engineNarrow && !wide || e != engineBest && e != engineWide && wide {
			continue
		}
		exits := 32
		if wide {
			exits = 64
		}
		c := f.crowns(exits)
		covered, metThere := f.splits(c)
		t := newTable[F](f, covered, wide)
		if t == nil {
			continue
		}
		axes := float64(len(t.axes))
		cost, add := 6*axes+0.15*axes*float64(t.words), 0.6
		if t.lanes != nil {
			cost, add = 2.6*axes+0.04*axes*float64(t.words), 0.5
		}
		switch below := met - metThere; {
		case f.linear != nil:
			cost += 13 * trees
		case len(covered) == len(splits):
			cost += add * trees
		case f.plain:
			cost += 1.6*trees + 12*below
		default:
			cost += 1.6*trees + 20*below
		}
		if cost < least {
			best, crowns, least = t, c, cost
		}
	}
	if e == engineStairs || e == engineBest && least > 5*trees {
		if s := newStairs(f, splits); s != nil {
			cost := 8*float64(len(s.slots)) + 4*trees + 0.7*met
			if 8*len(s.nodes) > 1<<20 {
				cost += 4*trees + 0.7*met // waits for a cache that is farther away
			}
			if cost < least {
				f.stairs = s
				return nil
			}
		}
	}
	if best != nil {
		best.fill(f, crowns)
	}
	return best
}
