package scan

import (
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/parquet-go/parquet-go/format"
)

// Bounds on a page, in bytes. Most writers end a page at about a megabyte.
const (
	maxPage       = 128 << 20 // uncompressed
	maxDictionary = 32 << 20  // uncompressed
	maxHeader     = 16 << 20
)

// pages reads the pages of one column in all row groups. It checks every size in
// the file against the available bytes before it is used.
type pages struct {
	f              *File
	leaf           *node
	name           string
	maxRep, maxDef uint8

	group       int   // row groups started
	row         int64 // rows read of all row groups
	pos         int64 // of the next page
	end         int64 // of the chunk
	inChunk     int64 // values in the chunk's pages not read yet
	compression format.CompressionCodec

	pageStart                int64 // of the current page, for errors
	header                   []byte
	compressed, uncompressed []byte // the page; its memory is used again, unless keep is set
	keep                     bool   // the column's values are the page's memory, and must stay
	dec                      decompressor
}

// A page is the parts of a page, valid until the next page is read.
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
	uncompressed int32 // bytes
	compressed   int32
	crc          uint32
	hasCRC       bool
	values       int32
	encoding     format.Encoding
	defEncoding  format.Encoding
	repEncoding  format.Encoding
	defSize      int32 // of version 2
	repSize      int32
	notPacked    bool // of version 2: the data is not compressed, whatever the codec
}

// nextGroup goes to the first page of the next row group, and reports whether
// there is one.
func (p *pages) nextGroup() (bool, error) {
	if p.group == len(p.f.groups) {
		return false, nil
	}
	c := &p.f.groups[p.group].chunks[p.leaf.index]
	p.group++
	p.pageStart = 0
	switch {
	case c.encrypted:
		return false, errors.New("encryption is not supported")
	case c.external:
		return false, errors.New("data in another file is not supported")
	}
	p.pos, p.end, p.inChunk, p.compression = c.start(), c.start()+c.size, c.values, c.codec
	return true, nil
}

// next reads the next data or dictionary page of the chunk.
func (p *pages) next() (page, error) {
	for {
		p.pageStart = p.pos
		h, size, err := p.readHeader()
		if err != nil {
			return page{}, err
		}
		start := p.pos + int64(size)
		p.pos = start + int64(h.compressed)
		if h.typ != format.DataPage && h.typ != format.DataPageV2 && h.typ != format.DictionaryPage {
			continue // an index page, or a type of later versions
		}
		if cap(p.compressed) < int(h.compressed) {
			p.compressed = make([]byte, h.compressed)
		}
		p.compressed = p.compressed[:h.compressed]
		if err := readAt(p.f.r, p.compressed, start); err != nil {
			return page{}, err
		}
		if h.hasCRC {
			if sum := crc32.ChecksumIEEE(p.compressed); sum != h.crc {
				return page{}, fmt.Errorf("checksum %08x: want %08x; the file is damaged", sum, h.crc)
			}
		}
		split := p.version1
		if h.typ == format.DataPageV2 {
			split = p.version2
		}
		pg, err := split(h)
		if p.keep || h.typ == format.DictionaryPage {
			p.uncompressed = nil
			if h.notPacked || p.compression == format.Uncompressed {
				p.compressed = nil
			}
		}
		return pg, err
	}
}

// version1 decompresses a dictionary page or a page of version 1, whose levels
// are compressed with the data.
func (p *pages) version1(h pageHeader) (page, error) {
	data, err := p.decompress(p.compressed, int(h.uncompressed), h)
	if err != nil {
		return page{}, err
	}
	pg := page{dictionary: h.typ == format.DictionaryPage, values: int(h.values), encoding: h.encoding, data: data}
	if pg.dictionary {
		return pg, nil
	}
	p.inChunk -= int64(h.values)
	if p.maxRep > 0 {
		if pg.rep, pg.data, err = splitLevels(pg.data, h.repEncoding); err != nil {
			return page{}, fmt.Errorf("repetition levels: %w", err)
		}
	}
	if p.maxDef > 0 {
		if pg.def, pg.data, err = splitLevels(pg.data, h.defEncoding); err != nil {
			return page{}, fmt.Errorf("definition levels: %w", err)
		}
	}
	return pg, nil
}

// version2 splits a page of version 2, whose levels come before the compressed
// data, and decompresses it.
func (p *pages) version2(h pageHeader) (page, error) {
	b, rep, def := p.compressed, int64(h.repSize), int64(h.defSize)
	if rep < 0 || def < 0 || rep+def > min(int64(len(b)), int64(h.uncompressed)) {
		return page{}, fmt.Errorf("levels of %d and %d bytes in a page of %d bytes, %d uncompressed", rep, def, len(b), h.uncompressed)
	}
	data, err := p.decompress(b[rep+def:], int(int64(h.uncompressed)-rep-def), h)
	if err != nil {
		return page{}, err
	}
	p.inChunk -= int64(h.values)
	return page{values: int(h.values), encoding: h.encoding, rep: b[:rep], def: b[rep : rep+def], data: data}, nil
}

func (p *pages) decompress(src []byte, size int, h pageHeader) ([]byte, error) {
	if h.notPacked || p.compression == format.Uncompressed {
		if len(src) != size {
			return nil, fmt.Errorf("%d bytes without compression: want %d, as in the page header", len(src), size)
		}
		return src, nil
	}
	b, err := p.dec.decompress(p.uncompressed, src, p.compression, size)
	if err != nil {
		return nil, err
	}
	p.uncompressed = b
	return b, nil
}

// splitLevels splits off levels of version 1, which begin with their size.
func splitLevels(b []byte, encoding format.Encoding) (levels, rest []byte, err error) {
	if encoding != format.RLE {
		return nil, nil, fmt.Errorf("encoding %v: want RLE", encoding)
	}
	levels, err = byteArray(b)
	if err != nil {
		return nil, nil, err
	}
	return levels, b[4+len(levels):], nil
}

// readHeader reads and checks the page header at pos, and returns its size.
func (p *pages) readHeader() (pageHeader, int, error) {
	if p.pos >= p.end {
		return pageHeader{}, 0, fmt.Errorf("the pages lack %d values of the footer's number; the file is damaged", p.inChunk)
	}
	t := &thrift{}
	var h pageHeader
	for window := 1 << 12; ; window *= 16 {
		n := int(min(int64(window), p.end-p.pos))
		if cap(p.header) < n {
			p.header = make([]byte, n)
		}
		p.header = p.header[:n]
		if err := readAt(p.f.r, p.header, p.pos); err != nil {
			return h, 0, err
		}
		*t = thrift{b: p.header}
		h = readPageHeader(t)
		if t.err == nil {
			break
		}
		if !errors.Is(t.err, errTruncated) || int64(n) == p.end-p.pos || window >= maxHeader {
			return h, 0, fmt.Errorf("page header: %w", t.err)
		}
	}
	available := p.end - p.pos - int64(t.pos)
	most := int32(maxPage)
	if h.typ == format.DictionaryPage {
		most = maxDictionary
	}
	switch data := h.typ == format.DataPage || h.typ == format.DataPageV2; {
	case h.compressed < 0 || int64(h.compressed) > available:
		return h, 0, fmt.Errorf("a page of %d bytes: want at most %d, the rest of the column", h.compressed, available)
	case h.uncompressed < 0 || h.uncompressed > most:
		return h, 0, fmt.Errorf("a page of %d bytes, uncompressed: want at most %d", h.uncompressed, most)
	case h.values < 0 || data && int64(h.values) > p.inChunk:
		return h, 0, fmt.Errorf("a page of %d values: want at most %d, the rest of the footer's number", h.values, p.inChunk)
	}
	return h, t.pos, nil
}

func readPageHeader(t *thrift) pageHeader {
	var h pageHeader
	body := int16(-1)
	found := t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == typeI32:
			h.typ = format.PageType(t.i32())
		case id == 2 && typ == typeI32:
			h.uncompressed = t.i32()
		case id == 3 && typ == typeI32:
			h.compressed = t.i32()
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
	t.require("a page header", found, 1, 2, 3)
	if want := map[format.PageType]int16{format.DataPage: 5, format.DictionaryPage: 7, format.DataPageV2: 8}[h.typ]; want != 0 && body != want {
		t.fail(fmt.Errorf("a header of a %v lacks field %d", h.typ, want))
	}
	return h
}

// readPageBody reads the structure in a page header that belongs to the type of
// page, which is the header's field id.
func readPageBody(t *thrift, h *pageHeader, id int16) {
	v2 := id == 8
	found := t.fields(func(field int16, typ byte) bool {
		switch {
		case field == 1 && typ == typeI32:
			h.values = t.i32()
		case (field == 2 && !v2 || field == 4 && v2) && typ == typeI32:
			h.encoding = format.Encoding(t.i32())
		case field == 3 && id == 5 && typ == typeI32:
			h.defEncoding = format.Encoding(t.i32())
		case field == 4 && id == 5 && typ == typeI32:
			h.repEncoding = format.Encoding(t.i32())
		case field == 5 && v2 && typ == typeI32:
			h.defSize = t.i32()
		case field == 6 && v2 && typ == typeI32:
			h.repSize = t.i32()
		case field == 7 && v2 && (typ == typeTrue || typ == typeFalse):
			h.notPacked = typ == typeFalse
		default:
			return false
		}
		return true
	})
	if v2 {
		t.require("a page header", found, 1, 4, 5, 6)
	} else {
		t.require("a page header", found, 1, 2)
	}
}
