package scan

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go/format"
)

// batch is the number of values that are decoded at a time.
const batch = 1024

// plainDictionary is the older name of RLE_DICTIONARY in a data page, and of
// PLAIN in a dictionary page. Format's constant is marked as deprecated.
const plainDictionary format.Encoding = 2

// A Column reads the values of one column in order. It is not safe for
// concurrent use, but two columns of a file are independent.
type Column[T any] struct {
	pages
	codec codec[T]
	dict  []T // of this row group
	out   []T // what Read returns
	null  []bool

	// The current page.
	inPage     int // levels not read yet
	reps, defs hybrid
	indexed    bool          // values are indexes into table
	indexes    hybrid        // if indexed
	table      []T           // if indexed
	plain      []byte        // otherwise, values of PLAIN encoding not read yet
	delta      *deltaDecoder // the source of plain, in a DELTA encoding
	isDelta    bool
	buf        []byte // memory for plain

	rep, def [batch]uint8
	index    [batch]uint32
	present  [batch]T // values that are not null
}

// Read returns the next n values, and whether each is null, where the value is
// zero. The slices are valid until the next call. A column has as many values as
// the file has rows; more is an error.
func (c *Column[T]) Read(n int) (values []T, null []bool, err error) {
	defer c.addPlace(&err)
	if cap(c.out) < n {
		c.out, c.null = make([]T, n), make([]bool, n)
	}
	values, null = c.out[:n], c.null[:n]
	for i := 0; i < n; {
		if c.inPage == 0 {
			if ok, err := c.load(); err != nil {
				return nil, nil, err
			} else if !ok {
				return nil, nil, errors.New("fewer values than rows")
			}
			continue
		}
		k := min(batch, c.inPage, n-i)
		if err := c.read(values[i:i+k], null[i:i+k]); err != nil {
			return nil, nil, err
		}
		i += k
		c.row += int64(k)
	}
	return values, null, nil
}

// A Part is some values of a column: either Values, or Indexes of values in a
// Dictionary, or nothing but the number of values before the first null.
type Part[T any] struct {
	Values     []T
	Dictionary []T
	Indexes    []uint32

	HasNull bool
	Null    int // where the null is
}

// ReadPart returns the next values, at least one and at most n, which must be
// positive. They are of one page, and valid until the next call; a dictionary is
// valid for longer, and the same slice for all parts that use it. After a null
// there is nothing more to read.
func (c *Column[T]) ReadPart(n int) (p Part[T], err error) {
	defer c.addPlace(&err)
	for c.inPage == 0 {
		if ok, err := c.load(); err != nil {
			return p, err
		} else if !ok {
			return p, errors.New("fewer values than rows")
		}
	}
	n = min(n, batch, c.inPage)
	present, err := c.levels(n)
	if err != nil {
		return p, err
	}
	if present < n {
		return Part[T]{HasNull: true, Null: slices.IndexFunc(c.def[:n], func(d uint8) bool { return d != c.maxDef })}, nil
	}
	if c.indexed {
		p.Dictionary, p.Indexes, err = c.table, c.index[:n], c.readIndexes(n)
	} else {
		if cap(c.out) < n {
			c.out = make([]T, batch)
		}
		p.Values = c.out[:n]
		err = c.values(p.Values)
	}
	c.row += int64(n)
	return p, err
}

// read reads values of the current page, at most a batch.
func (c *Column[T]) read(dst []T, null []bool) error {
	n, err := c.levels(len(dst))
	if err != nil {
		return err
	}
	if n == len(dst) {
		clear(null)
		return c.values(dst)
	}
	if err := c.values(c.present[:n]); err != nil {
		return err
	}
	var zero T
	j := 0
	for i := range dst {
		null[i] = c.def[i] != c.maxDef
		dst[i] = zero
		if !null[i] {
			dst[i] = c.present[j]
			j++
		}
	}
	return nil
}

// addPlace adds the column, the row group, the next row and the page to an error.
// Deferred, it also turns a panic of a decoder into an error, because a damaged
// file must not end the process.
func (c *Column[T]) addPlace(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("the decoder panicked: %v", v)
	}
	if *err == nil {
		return
	}
	if c.pageStart > 0 {
		*err = fmt.Errorf("page at byte %d: %w", c.pageStart, *err)
	}
	if c.group > 0 {
		*err = fmt.Errorf("row group %d, from row %d: %w", c.f.firstGroup+c.group-1, c.f.firstRow+c.row, *err)
	}
	*err = fmt.Errorf("column %.64q: %w", c.name, *err)
}

// load reads the next data page, and reports false at the end of the column. It
// also returns after a dictionary page or the start of a row group, with inPage
// zero.
func (c *Column[T]) load() (bool, error) {
	if c.inChunk == 0 {
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
	c.inPage = p.values
	return true, c.start(p)
}

// start prepares to read a page's values.
func (c *Column[T]) start(p page) (err error) {
	boolean := c.leaf.typ == format.Boolean
	c.indexed, c.isDelta = false, false
	switch e := p.encoding; {
	case boolean && (e == format.Plain || e == format.RLE):
		c.indexed, c.table, c.indexes = true, make([]T, 2), hybrid{}
		if _, err := c.codec.decode(c.table, []byte{0, 1}); err != nil {
			return err
		}
		if e == format.Plain {
			c.indexes = packedBits(p.data)
		} else if len(p.data) > 0 {
			var runs []byte
			runs, err = byteArray(p.data)
			c.indexes = newHybrid(runs, 1)
		}
	case e == format.Plain:
		c.plain = p.data
	case e == format.RLEDictionary || e == plainDictionary:
		c.indexed, c.table, c.indexes = true, c.dict, hybrid{}
		if len(p.data) == 0 {
			return nil // all values are null
		}
		width := p.data[0]
		if width > 32 {
			return fmt.Errorf("dictionary indexes of %d bits: want at most 32", width)
		}
		c.indexes = newHybrid(p.data[1:], uint(width))
	case e == format.ByteStreamSplit:
		c.buf, err = decodeByteStreamSplit(c.buf[:0], p.data, c.leaf.element)
		c.plain = c.buf
	default:
		if c.delta == nil {
			c.delta = new(deltaDecoder)
		}
		c.isDelta = true
		err = c.delta.reset(p.data, e, c.leaf.element, p.values)
	}
	return err
}

func (c *Column[T]) readDictionary(p page) error {
	switch {
	case c.dict != nil:
		return errors.New("a second dictionary")
	case p.encoding != format.Plain && p.encoding != plainDictionary:
		return fmt.Errorf("a dictionary in the encoding %v: want PLAIN", p.encoding)
	case c.leaf.typ == format.Boolean || p.values > len(p.data)/c.codec.size:
		return fmt.Errorf("a dictionary of %d values in %d bytes", p.values, len(p.data))
	}
	c.dict = make([]T, p.values)
	_, err := c.codec.decode(c.dict, p.data)
	return err
}

// levels reads the levels of the next n values of the page into rep and def, and
// returns the number of values that are not null.
func (c *Column[T]) levels(n int) (present int, err error) {
	c.inPage -= n
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
		return 0, errors.New("definition level 3: want at most 2")
	}
	return present, nil
}

// values reads the next values that are not null, at most a batch.
func (c *Column[T]) values(dst []T) (err error) {
	if c.indexed {
		if err := c.readIndexes(len(dst)); err != nil {
			return err
		}
		for i := range dst {
			dst[i] = c.table[c.index[i]]
		}
		return nil
	}
	if c.isDelta {
		if c.keep {
			c.buf = nil
		}
		if c.buf, err = c.delta.next(c.buf[:0], len(dst)); err != nil {
			return err
		}
		c.plain = c.buf
	}
	if len(c.plain)/c.codec.size < len(dst) {
		return fmt.Errorf("%d values in %d bytes: want at least %d bytes each", len(dst), len(c.plain), c.codec.size)
	}
	used, err := c.codec.decode(dst, c.plain)
	c.plain = c.plain[used:]
	return err
}

// readIndexes reads the next n indexes, at most a batch, into index.
func (c *Column[T]) readIndexes(n int) error {
	indexes := c.index[:n]
	if n == 0 {
		return nil
	}
	if err := read(&c.indexes, indexes); err != nil {
		return fmt.Errorf("dictionary indexes: %w", err)
	}
	if most := slices.Max(indexes); uint64(most) >= uint64(len(c.table)) {
		return fmt.Errorf("dictionary index %d: want less than %d, the size of the dictionary", most, len(c.table))
	}
	return nil
}
