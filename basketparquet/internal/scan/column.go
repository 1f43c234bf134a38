package scan

import (
	"bytes"
	"fmt"

	"github.com/parquet-go/parquet-go/format"
)

// batch is how many values are decoded at a time.
const batch = 1024

// plainDictionary is the older name of RLE_DICTIONARY in a data page, and of
// PLAIN in a dictionary page; format has it, but calls it deprecated.
const plainDictionary format.Encoding = 2

// A Column reads the values of one column in order. It is not safe for
// concurrent use, but two columns of a file are independent.
type Column[T any] struct {
	pages
	codec codec[T]
	dict  []T // of this row group

	// The page at hand.
	left       int // levels to come
	reps, defs hybrid
	coded      bool   // values are indexes into table
	ids        hybrid // if coded
	table      []T    // if coded
	vals       []byte // if not: values of PLAIN encoding to come
	unpacked   []byte // memory for vals

	rep, def [batch]uint8
	id       [batch]uint32
	dense    [batch]T // values that are not null
}

// Close frees the column's memory outside Go's. It is not to be used later.
func (c *Column[T]) Close() { c.dec.close() }

// Read fills dst with the next values, and null, which must be as long, with
// whether they are null. It fills all of dst unless the column ends; at the
// end n is zero.
func (c *Column[T]) Read(dst []T, null []bool) (n int, err error) {
	defer c.explain(&err)
	for n < len(dst) {
		if c.left == 0 {
			if ok, err := c.load(); err != nil || !ok {
				return n, err
			}
			continue
		}
		k := min(batch, c.left, len(dst)-n)
		present, err := c.levels(k)
		if err != nil {
			return n, err
		}
		out, outNull := dst[n:n+k], null[n:n+k]
		n += k
		if present == k {
			clear(outNull)
			if err := c.values(out); err != nil {
				return 0, err
			}
			continue
		}
		if err := c.values(c.dense[:present]); err != nil {
			return 0, err
		}
		var zero T
		j := 0
		for i := range out {
			outNull[i] = c.def[i] != c.maxDef
			out[i] = zero
			if !outNull[i] {
				out[i] = c.dense[j]
				j++
			}
		}
	}
	return n, nil
}

// explain says in which column and where an error came up. It turns a panic of
// a decoder into an error: what is damaged must not take the process down.
func (c *Column[T]) explain(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("the decoder failed: %v", v)
	}
	switch {
	case *err != nil && c.at > 0:
		*err = fmt.Errorf("column %s: page at byte %d: %w", c.name, c.at, *err)
	case *err != nil:
		*err = fmt.Errorf("column %s: %w", c.name, *err)
	}
}

// load goes to the next data page; false at the end of the column. The first
// load that enters a row group returns without a page, and with left zero.
func (c *Column[T]) load() (bool, error) {
	if c.pages.left == 0 {
		c.dict = nil
		return c.nextGroup()
	}
	p, err := c.next()
	if err != nil {
		return false, err
	}
	if p.dictionary {
		return true, c.readDictionary(p)
	}
	c.reps, c.defs = newHybrid(p.rep, 1), newHybrid(p.def, 1)
	if c.maxDef > 1 {
		c.defs.width = 2
	}
	c.left = p.values
	return true, c.start(p)
}

// start prepares to read a page's values.
func (c *Column[T]) start(p page) error {
	boolean := c.leaf.typ == format.Boolean
	c.coded = false
	switch e := p.encoding; {
	case boolean && (e == format.Plain || e == format.RLE):
		c.coded = true
		c.table = make([]T, 2)
		if _, err := c.codec.plain(c.table, []byte{0, 1}); err != nil {
			return err
		}
		if e == format.Plain {
			c.ids = packedBits(p.data)
			return nil
		}
		if len(p.data) == 0 {
			c.ids = hybrid{}
			return nil
		}
		runs, err := byteArray(p.data)
		c.ids = newHybrid(runs, 1)
		return err
	case e == format.Plain:
		c.vals = p.data
	case e == format.RLEDictionary || e == plainDictionary:
		c.coded, c.table, c.ids = true, c.dict, hybrid{}
		if len(p.data) == 0 {
			return nil // all values are null
		}
		width := p.data[0]
		if width > 32 {
			return fmt.Errorf("dictionary indexes of %d bits; want at most 32", width)
		}
		c.ids = newHybrid(p.data[1:], uint(width))
	default:
		b, err := undelta(c.unpacked[:0], p.data, e, c.leaf.element, p.values)
		if err != nil {
			return err
		}
		c.unpacked, c.vals = b, b
	}
	return nil
}

func (c *Column[T]) readDictionary(p page) error {
	if c.dict != nil {
		return fmt.Errorf("a second dictionary")
	}
	if p.encoding != format.Plain && p.encoding != plainDictionary {
		return fmt.Errorf("a dictionary is encoded as %v; want PLAIN", p.encoding)
	}
	if c.leaf.typ == format.Boolean || p.values > len(p.data)/c.codec.size {
		return fmt.Errorf("a dictionary of %d values in %d bytes", p.values, len(p.data))
	}
	c.dict = make([]T, p.values)
	_, err := c.codec.plain(c.dict, p.data)
	return err
}

// levels reads the levels of the next n values of the page into rep and def,
// and counts the values that are not null.
func (c *Column[T]) levels(n int) (present int, err error) {
	c.left -= n
	if c.maxRep > 0 {
		if err := read(&c.reps, c.rep[:n]); err != nil {
			return 0, fmt.Errorf("repetition levels: %w", err)
		}
	}
	if c.maxDef == 0 {
		return n, nil
	}
	if err := read(&c.defs, c.def[:n]); err != nil {
		return 0, fmt.Errorf("definition levels: %w", err)
	}
	present = bytes.Count(c.def[:n], []byte{c.maxDef})
	if present < n && c.maxDef == 2 && bytes.IndexByte(c.def[:n], 3) >= 0 {
		return 0, fmt.Errorf("definition level 3; want at most 2")
	}
	return present, nil
}

// values reads the next values that are not null.
func (c *Column[T]) values(dst []T) error {
	if !c.coded {
		used, err := c.codec.plain(dst, c.vals)
		c.vals = c.vals[used:]
		return err
	}
	for len(dst) > 0 {
		n := min(batch, len(dst))
		ids := c.id[:n]
		if err := read(&c.ids, ids); err != nil {
			return fmt.Errorf("dictionary indexes: %w", err)
		}
		for i, id := range ids {
			if uint64(id) >= uint64(len(c.table)) {
				return fmt.Errorf("dictionary index %d; the dictionary has %d values", id, len(c.table))
			}
			dst[i] = c.table[id]
		}
		dst = dst[n:]
	}
	return nil
}

// Name is the column's name.
func (c *Column[T]) Name() string { return c.name }
