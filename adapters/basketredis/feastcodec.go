package basketredis

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// A KeyType is the type of a join key in Feast.
type KeyType int

// The types of join keys. A user ID of an integer type is its shortest decimal text;
// other user IDs have no row. KeyBytes has the bytes of the user ID.
const (
	KeyString KeyType = iota
	KeyInt64
	KeyInt32
	KeyBytes
)

// String returns the type's name in Feast.
func (t KeyType) String() string {
	return nameOf([]string{"String", "Int64", "Int32", "Bytes"}, int(t))
}

// A ValueType is the type of a feature in Feast.
type ValueType int

// The types of features that can be written.
const (
	Float64 ValueType = iota
	Float32
	Int64
	Int32
)

// String returns the type's name in Feast.
func (t ValueType) String() string {
	return nameOf([]string{"Float64", "Float32", "Int64", "Int32"}, int(t))
}

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return strconv.Itoa(i)
	}
	return names[i]
}

// entityKeys makes the keys of hashes: Feast's serialized entity key, and the name of
// the project.
type entityKeys struct {
	project, joinKey string
	keyType          KeyType
	version          int
}

// append appends the key of a user. It returns false if the text is none of the key's
// type.
func (k *entityKeys) append(b []byte, userID string) ([]byte, bool) {
	const typeString, typeBytes, typeInt32, typeInt64 = 2, 1, 3, 4 // of Feast's ValueType
	u32 := binary.LittleEndian.AppendUint32
	if k.version >= 3 {
		b = u32(b, 1) // join keys
	}
	b = u32(b, typeString)
	if k.version >= 3 {
		b = u32(b, uint32(len(k.joinKey)))
	}
	b = append(b, k.joinKey...)
	switch k.keyType {
	case KeyInt64, KeyInt32:
		size := 64
		if k.keyType == KeyInt32 {
			size = 32
		}
		n, err := strconv.ParseInt(userID, 10, size)
		if err != nil || strconv.FormatInt(n, 10) != userID {
			return b, false
		}
		if size == 32 {
			b = u32(u32(u32(b, typeInt32), 4), uint32(n))
		} else {
			b = binary.LittleEndian.AppendUint64(u32(u32(b, typeInt64), 8), uint64(n))
		}
	case KeyBytes:
		b = append(u32(u32(b, typeBytes), uint32(len(userID))), userID...)
	default:
		b = append(u32(u32(b, typeString), uint32(len(userID))), userID...)
	}
	return append(b, k.project...), true
}

// fieldName returns the name of a feature's field in a hash.
func fieldName(view, feature string) string {
	return string(binary.LittleEndian.AppendUint32(nil, murmur3(view+":"+feature)))
}

// murmur3 is MurmurHash3_x86_32 of Austin Appleby, with seed 0.
func murmur3(s string) uint32 {
	mix := func(k uint32) uint32 { return bits.RotateLeft32(k*0xcc9e2d51, 15) * 0x1b873593 }
	var h uint32
	b := []byte(s)
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h^mix(binary.LittleEndian.Uint32(b)), 13)*5 + 0xe6546b64
	}
	var tail uint32
	for i, c := range b {
		tail |= uint32(c) << (8 * i)
	}
	h ^= mix(tail)
	h ^= uint32(len(s))
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// holds reports whether a value can be written as the type; a missing value can.
func (t ValueType) holds(v float64) bool {
	switch t {
	case Float32:
		return math.IsNaN(v) || math.IsInf(v, 0) || !math.IsInf(float64(float32(v)), 0)
	case Int64:
		return math.IsNaN(v) || v == math.Trunc(v) && v >= -1<<63 && v < 1<<63
	case Int32:
		return math.IsNaN(v) || v == math.Trunc(v) && v >= -1<<31 && v < 1<<31
	}
	return true
}

// append appends a feast.types.Value; that of a missing value is empty, a null.
func (t ValueType) append(b []byte, v float64) []byte {
	if math.IsNaN(v) {
		return b
	}
	switch t {
	case Float32:
		return binary.LittleEndian.AppendUint32(append(b, fieldFloat<<3|wire32), math.Float32bits(float32(v)))
	case Int64:
		return binary.AppendUvarint(append(b, fieldInt64<<3|wireVarint), uint64(int64(v)))
	case Int32:
		return binary.AppendUvarint(append(b, fieldInt32<<3|wireVarint), uint64(int64(v)))
	}
	return binary.LittleEndian.AppendUint64(append(b, fieldDouble<<3|wire64), math.Float64bits(v))
}
