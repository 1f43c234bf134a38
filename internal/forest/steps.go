package forest

import (
	"math"
	"sync"
)

// A stepper walks trees of small nodes, several at a time.
type stepper struct {
	axes   []axis
	ranks  []ranking
	nodes  []uint32
	values []float64 // by node
	pool   sync.Pool
}

// ranking makes the ranks of a slot
type ranking struct {
	axis  int
	ranks []uint8
}

type rankRow [256]uint8

func newStepper(f *Forest, axes []axis) *stepper {
	if len(axes) == 0 || f.linear != nil {
		return nil
	}
	of := make(map[int]int)
	for j := range axes {
		if len(axes[j].cuts) > 255 {
			return nil
		}
		of[axes[j].feature] = j
	}
	s := &stepper{axes: axes}
	s.pool.New = func() any { return new([8]rankRow) }
	type kind struct {
		axis  int
		flags uint32
		cat   int
	}
	slotOf := make(map[kind]int)
	s.nodes = make([]uint32, len(f.nodes))
	s.values = make([]float64, len(f.nodes))
	for tree, root := range f.roots {
		if f.end(tree)-int(root) > 1<<16 {
			return nil
		}
		for i := int(root); i < f.end(tree); i++ {
			n := &f.nodes[i]
			if n.meta&flagLeaf != 0 {
				s.nodes[i] = uint32(i-int(root)) << 8
				s.values[i] = n.threshold
				continue
			}
			j := of[int(n.meta&featureMask)]
			k := kind{j, n.meta &^ featureMask, 0}
			if n.meta&flagCategories != 0 {
				k.cat = i
			}
			slot, ok := slotOf[k]
			a := &axes[j]
			if !ok {
				slot = len(slotOf)
				slotOf[k] = slot
				if slot > 255 {
					return nil
				}
				r := ranking{axis: j, ranks: make([]uint8, len(a.cuts)+1)}
				for q := range r.ranks {
					v := a.at(q)
					r.ranks[q] = uint8(q)
					switch {
					case n.meta&flagCategories != 0:
						r.ranks[q] = 1
						if f.left(n, v) {
							r.ranks[q] = 0
						}
					case v != v || n.meta&flagZeroMissing != 0 && v >= -ZeroBound && v <= ZeroBound:
						r.ranks[q] = 255
						if n.meta&flagMissingLeft != 0 {
							r.ranks[q] = 0
						}
					}
				}
				s.ranks = append(s.ranks, r)
			}
			cut := 0
			if n.meta&flagCategories == 0 {
				cut = a.find(n.threshold)
			}
			s.nodes[i] = uint32(slot)<<24 | uint32(n.left-root)<<8 | uint32(255-cut)
		}
	}
	return s
}

func (s *stepper) rank(r *rankRow, row []float64) {
	var at [256]uint8
	for j := range s.axes {
		a := &s.axes[j]
		at[j&255] = uint8(a.find(row[a.feature]))
	}
	for k := range s.ranks {
		x := &s.ranks[k]
		r[k&255] = x.ranks[at[x.axis&255]]
	}
}

func (s *stepper) margin(f *Forest, dst, rows []float64) {
	n := len(rows) / f.features
	m := len(f.base)
	for i := range n {
		copy(dst[i*m:], f.base)
	}
	i := 0
	const blockRows = 256
	if n >= 8 {
		var ranks []([8]rankRow)
		ranks = make([][8]rankRow, min(n, blockRows)/8)
		for i+8 <= n {
			groups := min(n-i, blockRows) / 8
			for r := range groups * 8 {
				s.rank(&ranks[r/8][r%8], rows[(i+r)*f.features:][:f.features])
			}
			for tree, root := range f.roots {
				nodes := s.nodes[root:f.end(tree)]
				values := s.values[root:f.end(tree)]
				k := f.output(tree)
				for g := range groups {
					walk8(nodes, values, &ranks[g], dst[(i+g*8)*m+k:], m)
				}
			}
			i += groups * 8
		}
	}
	if i < n {
		x := s.pool.Get().(*[8]rankRow)
		for ; i < n; i++ {
			s.rank(&x[0], rows[i*f.features:][:f.features])
			s.one(f, dst[i*m:][:m], &x[0])
		}
		s.pool.Put(x)
	}
}

func walk8(nodes []uint32, values []float64, rk *[8]rankRow, dst []float64, m int) {
	var i0, i1, i2, i3, i4, i5, i6, i7 uint16
	for {
		n0, n1, n2, n3 := nodes[i0], nodes[i1], nodes[i2], nodes[i3]
		n4, n5, n6, n7 := nodes[i4], nodes[i5], nodes[i6], nodes[i7]
		i0 = uint16((n0 + uint32(rk[0][n0>>24])) >> 8)
		i1 = uint16((n1 + uint32(rk[1][n1>>24])) >> 8)
		i2 = uint16((n2 + uint32(rk[2][n2>>24])) >> 8)
		i3 = uint16((n3 + uint32(rk[3][n3>>24])) >> 8)
		i4 = uint16((n4 + uint32(rk[4][n4>>24])) >> 8)
		i5 = uint16((n5 + uint32(rk[5][n5>>24])) >> 8)
		i6 = uint16((n6 + uint32(rk[6][n6>>24])) >> 8)
		i7 = uint16((n7 + uint32(rk[7][n7>>24])) >> 8)
		if (n0|n1|n2|n3|n4|n5|n6|n7)&0xff == 0 {
			break
		}
	}
	dst[0] += values[i0]
	dst[m] += values[i1]
	dst[2*m] += values[i2]
	dst[3*m] += values[i3]
	dst[4*m] += values[i4]
	dst[5*m] += values[i5]
	dst[6*m] += values[i6]
	dst[7*m] += values[i7]
}

func (s *stepper) one(f *Forest, dst []float64, rk *rankRow) {
	nodes := s.nodes
	t := 0
	for ; t+8 <= len(f.roots); t += 8 {
		b := f.roots[t:][:8]
		b0, b1, b2, b3 := uint32(b[0]), uint32(b[1]), uint32(b[2]), uint32(b[3])
		b4, b5, b6, b7 := uint32(b[4]), uint32(b[5]), uint32(b[6]), uint32(b[7])
		i0, i1, i2, i3, i4, i5, i6, i7 := b0, b1, b2, b3, b4, b5, b6, b7
		for {
			n0, n1, n2, n3 := nodes[i0], nodes[i1], nodes[i2], nodes[i3]
			n4, n5, n6, n7 := nodes[i4], nodes[i5], nodes[i6], nodes[i7]
			i0 = b0 + uint32(uint16((n0+uint32(rk[n0>>24]))>>8))
			i1 = b1 + uint32(uint16((n1+uint32(rk[n1>>24]))>>8))
			i2 = b2 + uint32(uint16((n2+uint32(rk[n2>>24]))>>8))
			i3 = b3 + uint32(uint16((n3+uint32(rk[n3>>24]))>>8))
			i4 = b4 + uint32(uint16((n4+uint32(rk[n4>>24]))>>8))
			i5 = b5 + uint32(uint16((n5+uint32(rk[n5>>24]))>>8))
			i6 = b6 + uint32(uint16((n6+uint32(rk[n6>>24]))>>8))
			i7 = b7 + uint32(uint16((n7+uint32(rk[n7>>24]))>>8))
			if (n0|n1|n2|n3|n4|n5|n6|n7)&0xff == 0 {
				break
			}
		}
		dst[f.output(t)] += s.values[i0]
		dst[f.output(t+1)] += s.values[i1]
		dst[f.output(t+2)] += s.values[i2]
		dst[f.output(t+3)] += s.values[i3]
		dst[f.output(t+4)] += s.values[i4]
		dst[f.output(t+5)] += s.values[i5]
		dst[f.output(t+6)] += s.values[i6]
		dst[f.output(t+7)] += s.values[i7]
	}
	for ; t < len(f.roots); t++ {
		b := uint32(f.roots[t])
		i := b
		for {
			n := nodes[i]
			if n&0xff == 0 {
				break
			}
			i = b + uint32(uint16((n+uint32(rk[n>>24]))>>8))
		}
		dst[f.output(t)] += s.values[i]
	}
	_ = math.Inf
}
