package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// errShort says that the bytes end before the structure does.
var errShort = errors.New("cut short")

// A thrift reads the compact protocol of Apache Thrift, in which parquet
// writes its footer and page headers. Every length is checked against the
// bytes that are there before anything is made from it. After the first fault
// it reads zeros, and err holds the fault.
type thrift struct {
	b   []byte
	pos int
	err error
}

// The compact protocol's types.
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

// maxDepth bounds the nesting of what skip passes over; parquet needs five.
const maxDepth = 32

func (t *thrift) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *thrift) byte() byte {
	if t.err != nil || t.pos >= len(t.b) {
		t.fail(errShort)
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
		t.fail(errShort)
		return 0
	case n < 0:
		t.fail(errors.New("a number is over 64 bits"))
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
		t.fail(fmt.Errorf("the number %d is over 32 bits", v))
		return 0
	}
	return int32(v)
}

// binary returns a part of t.b.
func (t *thrift) binary() []byte {
	n := t.uvarint()
	if t.err != nil || n > uint64(len(t.b)-t.pos) {
		t.fail(errShort)
		return nil
	}
	t.pos += int(n)
	return t.b[t.pos-int(n) : t.pos]
}

// list reads a list's head. Its items take a byte each at least, so n is
// never more than the bytes left.
func (t *thrift) list() (typ byte, n int) {
	b := t.byte()
	size := uint64(b >> 4)
	if size == 15 {
		size = t.uvarint()
	}
	if t.err != nil || size > uint64(len(t.b)-t.pos) {
		t.fail(errShort)
		return 0, 0
	}
	return b & 15, int(size)
}

// structs calls read for every item of a list of structures.
func (t *thrift) structs(read func(i, n int)) {
	typ, n := t.list()
	if n > 0 && typ != typeStruct {
		t.fail(fmt.Errorf("a list has items of type %d; want structures", typ))
	}
	for i := 0; i < n && t.err == nil; i++ {
		read(i, n)
	}
}

// fields reads a structure. Take reads the value of a field that it knows and
// reports true; the others are passed over, as are fields of another type than
// expected. The answer has a bit for each field taken.
func (t *thrift) fields(take func(id int16, typ byte) bool) (taken uint64) {
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
		if !take(id, b&15) {
			t.skip(b&15, 0)
		} else if 0 <= id && id < 64 {
			taken |= 1 << id
		}
	}
	return taken
}

// want fails unless all the numbered fields of a structure were taken.
func (t *thrift) want(what string, taken uint64, ids ...int) {
	for _, id := range ids {
		if t.err == nil && taken&(1<<id) == 0 {
			t.fail(fmt.Errorf("%s lacks field %d", what, id))
		}
	}
}

// skip passes over a field's value.
func (t *thrift) skip(typ byte, depth int) {
	if depth > maxDepth {
		t.fail(fmt.Errorf("structures are nested over %d deep", maxDepth))
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
			t.fail(errShort)
			return
		}
		t.pos += 8
	case typeBinary:
		t.binary()
	case typeList, typeSet:
		item, n := t.list()
		t.skipItems(n, depth, item)
	case typeMap:
		n := t.uvarint()
		if n == 0 {
			return
		}
		kinds := t.byte()
		if n > uint64(len(t.b)-t.pos) {
			t.fail(errShort)
			return
		}
		t.skipItems(int(n), depth, kinds>>4, kinds&15)
	case typeStruct:
		t.fields(func(_ int16, typ byte) bool {
			t.skip(typ, depth+1)
			return true
		})
	default:
		t.fail(fmt.Errorf("a field has the unknown type %d", typ))
	}
}

// skipItems passes over n items of a collection, of one type or, in a map, two.
func (t *thrift) skipItems(n, depth int, types ...byte) {
	for i := 0; i < n && t.err == nil; i++ {
		for _, typ := range types {
			if typ == typeTrue || typ == typeFalse {
				typ = typeByte // in a collection, a boolean has a byte
			}
			t.skip(typ, depth+1)
		}
	}
}
