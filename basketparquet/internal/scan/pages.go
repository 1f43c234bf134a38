package scan

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/parquet-go/parquet-go/format"
)

// What a page may be at most. Writers cut pages at about a megabyte.
const (
	maxPage       = 128 << 20
	maxDictionary = 32 << 20
	maxHeader     = 16 << 20
)

// pages walks the pages of one column through all row groups. It is the place
// where no size from the file is believed before it is held against the bytes
// that are there.
type pages struct {
	f              *File
	leaf           *node
	name           string
	maxRep, maxDef uint8

	group int   // row groups begun
	pos   int64 // of the next page
	end   int64 // of the chunk
	left  int64 // values in the chunk's pages to come
	codec format.CompressionCodec

	at            int64 // of the page just read, for messages
	head          []byte
	packed, plain []byte // the page's bytes before and after decompression; reused
	dec           decompressor
}

// A page is a page's parts, valid until the next page is read.
type page struct {
	dictionary bool
	values     int
	encoding   format.Encoding
	rep, def   []byte
	data       []byte
}

// A pageHeader is parquet's PageHeader and the structures in it.
type pageHeader struct {
	typ          format.PageType
	plain        int32 // bytes
	packed       int32
	crc          uint32
	hasCRC       bool
	values       int32
	encoding     format.Encoding
	defEncoding  format.Encoding
	repEncoding  format.Encoding
	defSize      int32 // of version 2
	repSize      int32
	uncompressed bool // version 2 says that the data is, in spite of the codec
}

// nextGroup goes to the first page of the next row group; false if none is left.
func (p *pages) nextGroup() (bool, error) {
	if p.group == len(p.f.meta.groups) {
		return false, nil
	}
	c := &p.f.meta.groups[p.group].chunks[p.leaf.index]
	p.group++
	switch {
	case c.encrypted:
		return false, fmt.Errorf("row group %d is encrypted, which is not supported", p.group-1)
	case c.elsewhere:
		return false, fmt.Errorf("row group %d is in another file, which is not supported", p.group-1)
	}
	p.pos, p.end, p.left, p.codec = c.start(), c.start()+c.size, c.values, c.codec
	return true, nil
}

// next reads the next page of the chunk that is of use.
func (p *pages) next() (page, error) {
	for {
		p.at = p.pos
		h, size, err := p.header()
		if err != nil {
			return page{}, err
		}
		start := p.pos + int64(size)
		p.pos = start + int64(h.packed)
		if h.typ != format.DataPage && h.typ != format.DataPageV2 && h.typ != format.DictionaryPage {
			continue // an index page, or something yet to be invented
		}
		if cap(p.packed) < int(h.packed) {
			p.packed = make([]byte, h.packed)
		}
		p.packed = p.packed[:h.packed]
		if err := readAt(p.f.r, p.packed, start); err != nil {
			return page{}, err
		}
		if sum := crc32.ChecksumIEEE(p.packed); h.hasCRC && sum != h.crc {
			return page{}, fmt.Errorf("checksum %08x; want %08x; the file is damaged", sum, h.crc)
		}
		if h.typ == format.DataPageV2 {
			return p.version2(h)
		}
		data, err := p.decompress(p.packed, int(h.plain), h)
		if err != nil {
			return page{}, err
		}
		pg := page{dictionary: h.typ == format.DictionaryPage, values: int(h.values), encoding: h.encoding, data: data}
		if pg.dictionary {
			return pg, nil
		}
		p.left -= int64(h.values)
		if p.maxRep > 0 {
			if h.repEncoding != format.RLE {
				return page{}, fmt.Errorf("repetition levels are encoded as %v; want RLE", h.repEncoding)
			}
			if pg.rep, pg.data, err = levels(pg.data); err != nil {
				return page{}, fmt.Errorf("repetition levels: %w", err)
			}
		}
		if p.maxDef > 0 {
			if h.defEncoding != format.RLE {
				return page{}, fmt.Errorf("definition levels are encoded as %v; want RLE", h.defEncoding)
			}
			if pg.def, pg.data, err = levels(pg.data); err != nil {
				return page{}, fmt.Errorf("definition levels: %w", err)
			}
		}
		return pg, nil
	}
}

// version2 takes a page apart whose levels lie before the compressed data.
func (p *pages) version2(h pageHeader) (page, error) {
	b, rep, def := p.packed, int64(h.repSize), int64(h.defSize)
	if rep < 0 || def < 0 || rep+def > int64(len(b)) || rep+def > int64(h.plain) {
		return page{}, fmt.Errorf("%d and %d bytes of levels in a page of %d bytes", rep, def, len(b))
	}
	data, err := p.decompress(b[rep+def:], int(int64(h.plain)-rep-def), h)
	if err != nil {
		return page{}, err
	}
	p.left -= int64(h.values)
	return page{values: int(h.values), encoding: h.encoding, rep: b[:rep], def: b[rep : rep+def], data: data}, nil
}

func (p *pages) decompress(src []byte, size int, h pageHeader) ([]byte, error) {
	if h.uncompressed || p.codec == format.Uncompressed {
		if len(src) != size {
			return nil, fmt.Errorf("%d bytes without compression; the page header says %d", len(src), size)
		}
		return src, nil
	}
	b, err := p.dec.decompress(p.plain, src, p.codec, size)
	if err != nil {
		return nil, err
	}
	p.plain = b
	return b, nil
}

// levels cuts off levels of version 1, which begin with their size.
func levels(b []byte) (levels, rest []byte, err error) {
	levels, err = byteArray(b)
	if err != nil {
		return nil, nil, err
	}
	return levels, b[4+len(levels):], nil
}

// header reads and checks the page header at pos, and tells its size.
func (p *pages) header() (pageHeader, int, error) {
	if p.pos >= p.end {
		return pageHeader{}, 0, fmt.Errorf("the column's pages end %d values short of the footer's count; the file is damaged", p.left)
	}
	t := &thrift{}
	var h pageHeader
	for window := 1 << 12; ; window *= 16 {
		n := int(min(int64(window), p.end-p.pos))
		if cap(p.head) < n {
			p.head = make([]byte, n)
		}
		p.head = p.head[:n]
		if err := readAt(p.f.r, p.head, p.pos); err != nil {
			return h, 0, err
		}
		*t = thrift{b: p.head}
		h = readPageHeader(t)
		if t.err == nil {
			break
		}
		if !errors.Is(t.err, errShort) || int64(n) == p.end-p.pos || window >= maxHeader {
			return h, 0, fmt.Errorf("page header: %w", t.err)
		}
	}
	room := p.end - p.pos - int64(t.pos)
	most := int32(maxPage)
	if h.typ == format.DictionaryPage {
		most = maxDictionary
	}
	switch data := h.typ == format.DataPage || h.typ == format.DataPageV2; {
	case h.packed < 0 || int64(h.packed) > room:
		return h, 0, fmt.Errorf("a page of %d bytes; the column has %d left", h.packed, room)
	case h.plain < 0 || h.plain > most:
		return h, 0, fmt.Errorf("a page of %d bytes, uncompressed; want at most %d", h.plain, most)
	case h.values < 0 || data && int64(h.values) > p.left:
		return h, 0, fmt.Errorf("a page of %d values; the footer says that %d are left", h.values, p.left)
	}
	return h, t.pos, nil
}

func readPageHeader(t *thrift) pageHeader {
	var h pageHeader
	body := int16(-1)
	taken := t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == typeI32:
			h.typ = format.PageType(t.i32())
		case id == 2 && typ == typeI32:
			h.plain = t.i32()
		case id == 3 && typ == typeI32:
			h.packed = t.i32()
		case id == 4 && typ == typeI32:
			h.crc, h.hasCRC = uint32(t.i32()), true
		case (id == 5 || id == 7 || id == 8) && typ == typeStruct:
			body = id
			readPageBody(t, &h, id)
		default:
			return false
		}
		return true
	})
	t.want("a page header", taken, 1, 2, 3)
	switch want := map[format.PageType]int16{format.DataPage: 5, format.DictionaryPage: 7, format.DataPageV2: 8}[h.typ]; {
	case want != 0 && body != want:
		t.fail(fmt.Errorf("a header of %v without its part", h.typ))
	}
	return h
}

// readPageBody reads the header's part for one type of page.
func readPageBody(t *thrift, h *pageHeader, part int16) {
	taken := t.fields(func(id int16, typ byte) bool {
		v2 := part == 8
		switch {
		case id == 1 && typ == typeI32:
			h.values = t.i32()
		case (id == 2 && !v2 || id == 4 && v2) && typ == typeI32:
			h.encoding = format.Encoding(t.i32())
		case id == 3 && part == 5 && typ == typeI32:
			h.defEncoding = format.Encoding(t.i32())
		case id == 4 && part == 5 && typ == typeI32:
			h.repEncoding = format.Encoding(t.i32())
		case id == 5 && v2 && typ == typeI32:
			h.defSize = t.i32()
		case id == 6 && v2 && typ == typeI32:
			h.repSize = t.i32()
		case id == 7 && v2 && (typ == typeTrue || typ == typeFalse):
			h.uncompressed = typ == typeFalse
		default:
			return false
		}
		return true
	})
	if part == 8 {
		t.want("a page header", taken, 1, 4, 5, 6)
	} else {
		t.want("a page header", taken, 1, 2)
	}
}
