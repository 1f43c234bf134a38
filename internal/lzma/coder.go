package lzma

import "encoding/binary"

// A coder decodes bits of which each has a probability of its own, which is
// learned as it goes.
type coder struct {
	in    []byte
	span  uint32
	code  uint32
	short bool // more bits were asked for than there are
}

// fresh sets probabilities to a half.
func fresh(bits []uint16) {
	for i := range bits {
		bits[i] = 1 << 10
	}
}

// start takes the first five bytes of in.
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

// done reports whether all of the input is used up, and the code with it.
func (c *coder) done() bool { return len(c.in) == 0 && c.code == 0 && !c.short }

// fill keeps at least 24 bits in span.
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

// bit decodes a bit whose probability of being 0 is *p/2048.
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

// tree decodes n bits, the highest first, each with a probability that depends
// on those before.
func (c *coder) tree(bits []uint16, n int) uint32 {
	m := uint32(1)
	for range n {
		m = m<<1 | c.bit(&bits[m])
	}
	return m - 1<<n
}

// reverse is tree, the lowest bit first.
func (c *coder) reverse(bits []uint16, n int) uint32 {
	m, v := uint32(1), uint32(0)
	for i := range n {
		b := c.bit(&bits[m])
		m = m<<1 | b
		v |= b << i
	}
	return v
}

// direct decodes n bits that are 0 and 1 alike.
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
