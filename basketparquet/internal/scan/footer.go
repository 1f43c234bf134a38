package scan

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go/format"
)

// maxFooter bounds the footer, which is read whole.
const maxFooter = 32 << 20

// A footer holds the used parts of parquet's FileMetaData.
type footer struct {
	schema []element
	rows   int64
	groups []rowGroup
}

// An element is one node of the schema, in depth-first order.
type element struct {
	name        string
	leaf        bool
	typ         format.Type
	length      int32 // of FIXED_LEN_BYTE_ARRAY
	repetition  format.FieldRepetitionType
	numChildren int32
	converted   int32 // deprecated.ConvertedType, or -1
	scale       int32
	logical     logical
}

// A logical is a LogicalType: the number of its field in the union, or zero, and
// its parameters.
type logical struct {
	kind   int16
	unit   int16 // of TIMESTAMP: 1 ms, 2 us, 3 ns
	scale  int32 // of DECIMAL
	signed bool  // of INTEGER
}

// A rowGroup is a range of rows, with a chunk for each leaf of the schema.
type rowGroup struct {
	rows   int64
	chunks []chunk
}

// A chunk is the pages of one column in one row group.
type chunk struct {
	external   bool // in another file
	encrypted  bool
	typ        format.Type
	codec      format.CompressionCodec
	values     int64
	size       int64
	dataPage   int64
	dictionary int64 // offset of the dictionary page, or 0
}

// start returns the offset of the chunk's first page. Some old writers set a
// wrong dictionary offset, past the data; it is ignored, as in Arrow's reader
// (cpp/src/parquet/file_reader.cc, ComputeColumnChunkRange).
func (c *chunk) start() int64 {
	if 0 < c.dictionary && c.dictionary < c.dataPage {
		return c.dictionary
	}
	return c.dataPage
}

func readFooter(r io.ReaderAt, size int64) (*footer, error) {
	if size < 12 {
		return nil, fmt.Errorf("%d bytes: want at least 12; the file may be truncated", size)
	}
	var head [4]byte
	if err := readAt(r, head[:], 0); err != nil {
		return nil, err
	}
	if string(head[:]) != "PAR1" && string(head[:]) != "PARE" {
		return nil, fmt.Errorf("not parquet: the first bytes are %q: want \"PAR1\"", head)
	}
	var tail [8]byte
	if err := readAt(r, tail[:], size-8); err != nil {
		return nil, err
	}
	switch magic := string(tail[4:]); magic {
	case "PAR1":
	case "PARE":
		return nil, fmt.Errorf("encrypted parquet is not supported")
	default:
		return nil, fmt.Errorf("the last bytes are %q: want \"PAR1\"; the file may be truncated", magic)
	}
	n := int64(binary.LittleEndian.Uint32(tail[:4]))
	if most := min(size-12, maxFooter); n > most {
		return nil, fmt.Errorf("a footer of %d bytes in a file of %d: want at most %d", n, size, most)
	}
	b := make([]byte, n)
	if err := readAt(r, b, size-8-n); err != nil {
		return nil, err
	}
	t := &thrift{b: b}
	f := readMetadata(t)
	if t.err != nil {
		return nil, fmt.Errorf("footer: byte %d: %w", t.pos, t.err)
	}
	return f, f.check(size - 8 - n)
}

// check checks the footer for consistency. End is the offset of the footer,
// before which all pages must lie.
func (f *footer) check(end int64) error {
	leaves := make([]*element, 0, len(f.schema))
	for i := range f.schema {
		if f.schema[i].leaf {
			leaves = append(leaves, &f.schema[i])
		}
	}
	rows := int64(0)
	for g := range f.groups {
		group := &f.groups[g]
		if group.rows < 0 || group.rows > math.MaxInt64-rows {
			return fmt.Errorf("footer: row group %d has %d rows", g, group.rows)
		}
		rows += group.rows
		if len(group.chunks) != len(leaves) {
			return fmt.Errorf("footer: row group %d has %d columns: want %d, as in the schema", g, len(group.chunks), len(leaves))
		}
		for i := range group.chunks {
			c := &group.chunks[i]
			if c.encrypted || c.external || c.values == 0 {
				continue // an error only if the column is read
			}
			if c.typ != leaves[i].typ {
				return fmt.Errorf("footer: row group %d: column %.64q is of type %v: want %v, as in the schema", g, leaves[i].name, c.typ, leaves[i].typ)
			}
			if start := c.start(); start < 4 || c.size < 0 || start > end || c.size > end-start || c.values < 0 {
				return fmt.Errorf("footer: row group %d: column %.64q has %d values in %d bytes from byte %d: want bytes 4 to %d",
					g, leaves[i].name, c.values, c.size, start, end)
			}
		}
	}
	if rows != f.rows {
		return fmt.Errorf("footer: %d rows in the row groups: want %d, the file's number of rows", rows, f.rows)
	}
	return nil
}

// The field numbers below are those of parquet-format's parquet.thrift.

func readMetadata(t *thrift) *footer {
	f := new(footer)
	found := t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == typeI32:
			t.i32()
		case id == 2 && typ == typeList:
			f.schema = nil
			t.structs(func() { f.schema = append(f.schema, readElement(t)) })
		case id == 3 && typ == typeI64:
			f.rows = t.i64()
		case id == 4 && typ == typeList:
			f.groups = nil
			t.structs(func() { f.groups = append(f.groups, readRowGroup(t)) })
		default:
			return false
		}
		return true
	})
	t.require("the file's metadata", found, 1, 2, 3, 4)
	return f
}

func readElement(t *thrift) element {
	e := element{converted: -1}
	found := t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == typeI32:
			e.typ, e.leaf = format.Type(t.i32()), true
		case id == 2 && typ == typeI32:
			e.length = t.i32()
		case id == 3 && typ == typeI32:
			e.repetition = format.FieldRepetitionType(t.i32())
		case id == 4 && typ == typeBinary:
			e.name = string(t.binary())
		case id == 5 && typ == typeI32:
			e.numChildren = t.i32()
		case id == 6 && typ == typeI32:
			e.converted = t.i32()
		case id == 7 && typ == typeI32:
			e.scale = t.i32()
		case id == 10 && typ == typeStruct:
			e.logical = readLogical(t)
		default:
			return false
		}
		return true
	})
	t.require("a schema element", found, 4)
	e.leaf = e.leaf && e.numChildren == 0
	return e
}

func readLogical(t *thrift) logical {
	var l logical
	t.fields(func(id int16, typ byte) bool {
		if typ != typeStruct {
			return false
		}
		l.kind = id
		t.fields(func(field int16, typ byte) bool {
			switch {
			case id == logicalDecimal && field == 1 && typ == typeI32:
				l.scale = t.i32()
			case id == logicalTimestamp && field == 2 && typ == typeStruct:
				t.fields(func(unit int16, _ byte) bool {
					l.unit = unit
					return false
				})
			case id == logicalInteger && field == 2 && (typ == typeTrue || typ == typeFalse):
				l.signed = typ == typeTrue
			default:
				return false
			}
			return true
		})
		return true
	})
	return l
}

func readRowGroup(t *thrift) rowGroup {
	var g rowGroup
	found := t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == typeList:
			g.chunks = nil
			t.structs(func() { g.chunks = append(g.chunks, readChunk(t)) })
		case id == 3 && typ == typeI64:
			g.rows = t.i64()
		default:
			return false
		}
		return true
	})
	t.require("a row group", found, 1, 3)
	return g
}

func readChunk(t *thrift) chunk {
	var c chunk
	found := t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == typeBinary:
			c.external = len(t.binary()) > 0
		case id == 3 && typ == typeStruct:
			readChunkMetadata(t, &c)
		case id == 8 && typ == typeStruct:
			c.encrypted = true
			t.skip(typ, 0)
		default:
			return false
		}
		return true
	})
	if !c.encrypted {
		t.require("a column chunk", found, 3)
	}
	return c
}

func readChunkMetadata(t *thrift, c *chunk) {
	found := t.fields(func(id int16, typ byte) bool {
		switch {
		case id == 1 && typ == typeI32:
			c.typ = format.Type(t.i32())
		case id == 4 && typ == typeI32:
			c.codec = format.CompressionCodec(t.i32())
		case id == 5 && typ == typeI64:
			c.values = t.i64()
		case id == 7 && typ == typeI64:
			c.size = t.i64()
		case id == 9 && typ == typeI64:
			c.dataPage = t.i64()
		case id == 11 && typ == typeI64:
			c.dictionary = t.i64()
		default:
			return false
		}
		return true
	})
	t.require("a column chunk's metadata", found, 1, 4, 5, 7, 9)
}

// readAt fills b from an offset.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil // an io.ReaderAt may return io.EOF with the last bytes
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("bytes %d to %d: %w", offset, offset+int64(len(b)), err)
}
