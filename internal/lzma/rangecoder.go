package lzma

import "encoding/binary"

// A coder is a range decoder. It decodes bits with adaptive probabilities.
type coder struct {
	in    []byte
	span  uint32 // the range
	code  uint32
	short bool // the input ended too early
}

// resetBits sets probabilities to one half.
func resetBits(bits []uint16) {
	for i := range bits {
		bits[i] = 1 << 10
	}
}

// start initializes the coder with the first five bytes of in.
func (c *coder) start(in []byte) error {
	switch {
	case len(in) < 5:
		return errShort
	case in[0] != 0:
		return errDamaged
	}
	*c = coder{in: in[5:], span: 0xffffffff, code: binary.BigEndian.Uint32(in[1:])}
	return nil
}

// done reports whether the input ended where it must end.
func (c *coder) done() bool { return len(c.in) == 0 && c.code == 0 && !c.short }

// fill keeps span at 24 bits or more.
func (c *coder) fill() {
	if c.span >= 1<<24 {
		return
	}
	c.span <<= 8
	c.code <<= 8
	if len(c.in) == 0 {
		c.short = true
		return
	}
	c.code |= uint32(c.in[0])
	c.in = c.in[1:]
}

// bit decodes a bit that is 0 with probability *p/2048, and adapts *p.
func (c *coder) bit(p *uint16) uint32 {
	bound := c.span >> 11 * uint32(*p)
	b := uint32(0)
	if c.code < bound {
		c.span = bound
		*p += (1<<11 - *p) >> 5
	} else {
		c.span -= bound
		c.code -= bound
		*p -= *p >> 5
		b = 1
	}
	c.fill()
	return b
}

// tree decodes n bits, the highest first. The probability of each depends on the bits
// before it.
func (c *coder) tree(bits []uint16, n int) uint32 {
	m := uint32(1)
	for range n {
		m = m<<1 | c.bit(&bits[m])
	}
	return m - 1<<n
}

// reverse is tree with the lowest bit first.
func (c *coder) reverse(bits []uint16, n int) uint32 {
	m, v := uint32(1), uint32(0)
	for i := range n {
		b := c.bit(&bits[m])
		m = m<<1 | b
		v |= b << i
	}
	return v
}

// direct decodes n bits with probability one half.
func (c *coder) direct(n int) uint32 {
	v := uint32(0)
	for range n {
		c.span >>= 1
		b := uint32(0)
		if c.code >= c.span {
			c.code -= c.span
			b = 1
		}
		c.fill()
		v = v<<1 | b
	}
	return v
}
