package basketredis

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/basket-go/basket"
)

// Types of fields on the wire of protocol buffers.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

// Numbers of the fields of feast.types.Value in Feast 0.67: those that are numbers, null,
// and the last.
const (
	fieldInt32, fieldInt64, fieldDouble, fieldFloat = 3, 4, 5, 6
	fieldBool, fieldUnixTimestamp, fieldNull        = 7, 8, 19
	fieldLast                                       = 48
)

// readValue reads a feast.types.Value as a number. Null and no bytes are NaN. The message
// is one of several kinds of values, of which the last counts; fields that Feast does not
// have are skipped if there is one that it has.
func readValue(b []byte) (float64, error) {
	if len(b) == 0 {
		return math.NaN(), nil
	}
	var kind, unknown field
	for len(b) > 0 {
		f, rest, err := readField(b)
		if err != nil {
			return 0, err
		}
		if b = rest; f.number <= fieldLast {
			kind = f
		} else {
			unknown = f
		}
	}
	if kind.number == 0 {
		return 0, fmt.Errorf("%w: the value is of the unknown kind %d: want a number", basket.ErrData, unknown.number)
	}
	return kind.value()
}

// readTimestamp reads a google.protobuf.Timestamp.
func readTimestamp(b []byte) (time.Time, error) {
	var sec, nsec int64
	for len(b) > 0 {
		f, rest, err := readField(b)
		if err != nil {
			return time.Time{}, err
		}
		b = rest
		if f.wire != wireVarint {
			continue
		}
		switch f.number {
		case 1:
			sec = int64(f.bits)
		case 2:
			nsec = int64(f.bits)
		}
	}
	if err := checkEventTime(sec, nsec); err != nil {
		return time.Time{}, err
	}
	return time.Unix(sec, nsec).UTC(), nil
}

func appendTimestamp(b []byte, t time.Time) []byte {
	if sec := t.Unix(); sec != 0 {
		b = binary.AppendUvarint(append(b, 1<<3|wireVarint), uint64(sec))
	}
	if nsec := t.Nanosecond(); nsec != 0 {
		b = binary.AppendUvarint(append(b, 2<<3|wireVarint), uint64(nsec))
	}
	return b
}

// A field is a field of a message.
type field struct {
	number uint64
	wire   int
	bits   uint64 // the payload, unless wire is wireBytes
}

// readField reads the field that b begins with, and returns the bytes after it.
func readField(b []byte) (f field, rest []byte, err error) {
	damaged := func(what string) (field, []byte, error) {
		return field{}, nil, fmt.Errorf("%w: damaged protocol buffer: %s", basket.ErrData, what)
	}
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 || tag>>3 >= 1<<29 {
		return damaged("a tag cannot be read")
	}
	f, b = field{number: tag >> 3, wire: int(tag & 7)}, b[n:]
	switch f.wire {
	case wireVarint:
		if f.bits, n = binary.Uvarint(b); n <= 0 {
			return damaged("a varint has no end, or more than 64 bits")
		}
		return f, b[n:], nil
	case wire64:
		if len(b) < 8 {
			return damaged("less than 8 bytes are left")
		}
		f.bits = binary.LittleEndian.Uint64(b)
		return f, b[8:], nil
	case wire32:
		if len(b) < 4 {
			return damaged("less than 4 bytes are left")
		}
		f.bits = uint64(binary.LittleEndian.Uint32(b))
		return f, b[4:], nil
	case wireBytes:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return damaged("a length is larger than the message")
		}
		return f, b[n+int(size):], nil
	}
	return damaged(fmt.Sprintf("wire type %d", f.wire))
}

// value returns the number that a kind of value is.
func (f field) value() (float64, error) {
	switch {
	case f.number == fieldDouble && f.wire == wire64:
		return math.Float64frombits(f.bits), nil
	case f.number == fieldFloat && f.wire == wire32:
		return float64(math.Float32frombits(uint32(f.bits))), nil
	case f.number == fieldNull && f.wire == wireVarint:
		return math.NaN(), nil
	case f.number == fieldBool && f.wire == wireVarint:
		if f.bits != 0 {
			return 1, nil
		}
		return 0, nil
	case (f.number == fieldInt64 || f.number == fieldUnixTimestamp) && f.wire == wireVarint:
		v := float64(int64(f.bits))
		if v == 1<<63 || int64(v) != int64(f.bits) {
			return 0, fmt.Errorf("%w: the value is an integer that float64 cannot hold: want one up to 2^53", basket.ErrData)
		}
		return v, nil
	case f.number == fieldInt32 && f.wire == wireVarint:
		if v := int64(f.bits); v != int64(int32(v)) {
			return 0, fmt.Errorf("%w: the value is an int32 of more than 32 bits", basket.ErrData)
		}
		return float64(int32(f.bits)), nil
	}
	return 0, fmt.Errorf("%w: the value is %s: want a number", basket.ErrData, f.kind())
}

// kind names a kind of value that is no number.
func (f field) kind() string {
	switch {
	case f.number == 1:
		return "of type bytes"
	case f.number == 2:
		return "a string"
	case f.number == 44:
		return "a decimal"
	}
	return fmt.Sprintf("of kind %d, wire type %d", f.number, f.wire)
}
