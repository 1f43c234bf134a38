package forest

import "math"

// An engine computes margins. It has all data that it needs, and is immutable and
// safe for concurrent use. All engines give the same bits.
//
// Forest.margins calls margins by the engine's type, not through the interface,
// and says why; a new engine needs a case there.
type engine interface {
	margins(dst, rows []float64) // lengths match; see Forest.Margin
	name() string                // one word; see Forest.Engine
	bytes() int                  // of its tables
}

// An engineKind selects an engine.
type engineKind int8

const (
	bestEngine   engineKind = iota // the one with the least estimated cost
	narrowEngine                   // quickscorer with bitvectors of 32 bits
	wideEngine                     // quickscorer with bitvectors of 64 bits
	binnedEngine
	walkEngine
)

// newEngine returns an engine of the kind, or nodeWalk if t does not permit it.
func newEngine(t *trees, kind engineKind) engine {
	if t.sum32 {
		return choose[float32](t, kind)
	}
	return choose[float64](t, kind)
}

// choose is newEngine for sums of type F. Costs are nanoseconds per row, measured
// on one machine; on others their ratios are still a guide. They depend on the
// numbers of trees, features with splits, and splits that an average row passes.
func choose[F float32 | float64](t *trees, kind engineKind) engine {
	shares := t.shares()
	splits, passed := t.splits(shares)
	count := float64(len(t.roots))
	least := math.Inf(1)
	if kind == bestEngine || kind == walkEngine {
		least = 3*count + 5*passed
	}
	var best *quickScorer[F]
	var covered []truncatedTree // what best covers
	for _, wide := range []bool{false, true} {
		exits, only := narrowBits, narrowEngine
		if wide {
			exits, only = wideBits, wideEngine
		}
		if kind != bestEngine && kind != only {
			continue
		}
		truncated, inside, passedInside := t.truncate(exits, shares)
		q := newQuickScorer[F](t, inside, wide)
		if q == nil {
			continue
		}
		features := float64(len(q.intervals))
		cost, perTree := 6*features+0.15*features*float64(q.words), 0.6
		if q.avx512 != nil {
			cost, perTree = 2.6*features+0.04*features*float64(q.words), 0.5
		}
		switch outside := passed - passedInside; {
		case t.linear != nil:
			cost += 13 * count
		case len(inside) == len(splits):
			cost += perTree * count
		case t.plain:
			cost += 1.6*count + 12*outside
		default:
			cost += 1.6*count + 20*outside
		}
		if cost < least {
			best, covered, least = q, truncated, cost
		}
	}
	if kind == binnedEngine || kind == bestEngine && least > 5*count {
		if b := newBinned(t, splits); b != nil {
			cost := 8*float64(len(b.columns)) + 4*count + 0.7*passed
			if 8*len(b.nodes) > 1<<20 {
				cost += 4*count + 0.7*passed // the nodes exceed the second-level cache
			}
			if cost < least {
				return b
			}
		}
	}
	if best == nil {
		return nodeWalk{t}
	}
	best.fill(covered)
	return best
}
