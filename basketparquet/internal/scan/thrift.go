package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// errTruncated means that the bytes end before the structure does.
var errTruncated = errors.New("truncated")

// A thrift decodes the compact protocol of Apache Thrift, in which parquet writes
// its footer and page headers. Lengths are checked against the remaining bytes
// before anything is allocated. After the first error, which err holds, it
// returns zeros.
type thrift struct {
	b   []byte
	pos int
	err error
}

// The types of the compact protocol.
const (
	typeTrue   = 1
	typeFalse  = 2
	typeByte   = 3
	typeI16    = 4
	typeI32    = 5
	typeI64    = 6
	typeDouble = 7
	typeBinary = 8
	typeList   = 9
	typeSet    = 10
	typeMap    = 11
	typeStruct = 12
)

// maxDepth bounds the nesting of skipped structures, and of columns.
const maxDepth = 32

func (t *thrift) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *thrift) byte() byte {
	if t.err != nil || t.pos >= len(t.b) {
		t.fail(errTruncated)
		return 0
	}
	t.pos++
	return t.b[t.pos-1]
}

func (t *thrift) uvarint() uint64 {
	if t.err != nil {
		return 0
	}
	v, n := binary.Uvarint(t.b[t.pos:])
	switch {
	case n == 0:
		t.fail(errTruncated)
		return 0
	case n < 0:
		t.fail(errors.New("an integer of over 64 bits"))
		return 0
	}
	t.pos += n
	return v
}

func (t *thrift) i64() int64 {
	u := t.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (t *thrift) i32() int32 {
	v := t.i64()
	if v < math.MinInt32 || v > math.MaxInt32 {
		t.fail(fmt.Errorf("the integer %d: want at most 32 bits", v))
		return 0
	}
	return int32(v)
}

// binary returns a subslice of t.b.
func (t *thrift) binary() []byte {
	n := t.uvarint()
	if t.err != nil || n > uint64(len(t.b)-t.pos) {
		t.fail(errTruncated)
		return nil
	}
	t.pos += int(n)
	return t.b[t.pos-int(n) : t.pos]
}

// list reads the header of a list. An element takes at least one byte, so n is
// at most the number of remaining bytes.
func (t *thrift) list() (typ byte, n int) {
	b := t.byte()
	size := uint64(b >> 4)
	if size == 15 {
		size = t.uvarint()
	}
	if t.err != nil || size > uint64(len(t.b)-t.pos) {
		t.fail(errTruncated)
		return 0, 0
	}
	return b & 15, int(size)
}

// structs calls read for each element of a list of structures.
func (t *thrift) structs(read func()) {
	typ, n := t.list()
	if n > 0 && typ != typeStruct {
		t.fail(fmt.Errorf("a list of elements of type %d: want structures", typ))
	}
	for i := 0; i < n && t.err == nil; i++ {
		read()
	}
}

// fields reads a structure. For each field it calls read, which reads the value
// and returns true, or returns false if it does not know a field of that number
// and type, which is then skipped. Bit i of found is set if field i was read.
func (t *thrift) fields(read func(id int16, typ byte) bool) (found uint64) {
	id := int16(0)
	for t.err == nil {
		b := t.byte()
		if b == 0 {
			break
		}
		if b>>4 != 0 {
			id += int16(b >> 4)
		} else {
			id = int16(t.i32())
		}
		if t.err != nil {
			break
		}
		if !read(id, b&15) {
			t.skip(b&15, 0)
		} else if 0 <= id && id < 64 {
			found |= 1 << id
		}
	}
	return found
}

// require fails unless all the fields were found.
func (t *thrift) require(structure string, found uint64, ids ...int) {
	for _, id := range ids {
		if t.err == nil && found&(1<<id) == 0 {
			t.fail(fmt.Errorf("%s lacks field %d", structure, id))
		}
	}
}

// skip skips the value of a field.
func (t *thrift) skip(typ byte, depth int) {
	if depth > maxDepth {
		t.fail(fmt.Errorf("nesting depth over %d", maxDepth))
	}
	if t.err != nil {
		return
	}
	switch typ {
	case typeTrue, typeFalse: // the type is the value
	case typeByte:
		t.byte()
	case typeI16, typeI32, typeI64:
		t.uvarint()
	case typeDouble:
		if len(t.b)-t.pos < 8 {
			t.fail(errTruncated)
			return
		}
		t.pos += 8
	case typeBinary:
		t.binary()
	case typeList, typeSet:
		element, n := t.list()
		t.skipElements(n, depth, element)
	case typeMap:
		n := t.uvarint()
		if n == 0 {
			return
		}
		types := t.byte()
		if n > uint64(len(t.b)-t.pos) {
			t.fail(errTruncated)
			return
		}
		t.skipElements(int(n), depth, types>>4, types&15)
	case typeStruct:
		t.fields(func(_ int16, typ byte) bool {
			t.skip(typ, depth+1)
			return true
		})
	default:
		t.fail(fmt.Errorf("a field of unknown type %d", typ))
	}
}

// skipElements skips n elements of a collection, of one type or, in a map, two.
func (t *thrift) skipElements(n, depth int, types ...byte) {
	for i := 0; i < n && t.err == nil; i++ {
		for _, typ := range types {
			if typ == typeTrue || typ == typeFalse {
				typ = typeByte // in a collection, a boolean is one byte
			}
			t.skip(typ, depth+1)
		}
	}
}
