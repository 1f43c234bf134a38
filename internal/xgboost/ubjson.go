package xgboost

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/basket-go/basket/internal/filetext"
)

// A ubjReader decodes UBJSON, draft 12: all that XGBoost writes, and other forms of
// arrays and numbers (src/common/json.cc, UBJReader and UBJWriter). Numbers are
// big-endian.
type ubjReader struct {
	data  string
	at    int
	depth int
	kind  byte // type of all elements of the current array; 0 if each has its own
}

func (r *ubjReader) fail(format string, args ...any) error {
	return fmt.Errorf("byte %d: %w", r.at, fmt.Errorf(format, args...))
}

// next returns the next n bytes.
func (r *ubjReader) next(n int) (string, error) {
	if n > len(r.data)-r.at {
		return "", r.fail("want %d bytes: the file has %d left", n, len(r.data)-r.at)
	}
	s := r.data[r.at : r.at+n]
	r.at += n
	return s, nil
}

// peek returns the next byte that is not a no-op, or 0 at the end.
func (r *ubjReader) peek() byte {
	for r.at < len(r.data) && r.data[r.at] == 'N' {
		r.at++
	}
	if r.at == len(r.data) {
		return 0
	}
	return r.data[r.at]
}

// marker returns the type of the value that follows.
func (r *ubjReader) marker() (byte, error) {
	if r.kind != 0 {
		return r.kind, nil
	}
	m := r.peek()
	if r.at == len(r.data) {
		return 0, r.fail("the file ends: want a value")
	}
	r.at++
	return m, nil
}

// width returns the size of a number of type m, or 0 if m is no type of number.
func width(m byte) int {
	switch m {
	case 'i', 'U':
		return 1
	case 'I':
		return 2
	case 'l', 'd':
		return 4
	case 'L', 'D':
		return 8
	}
	return 0
}

// whole reads an integer of type m, and reports whether m is such a type.
func (r *ubjReader) whole(m byte) (int64, bool, error) {
	if m == 'd' || m == 'D' || width(m) == 0 {
		return 0, false, nil
	}
	s, err := r.next(width(m))
	if err != nil {
		return 0, true, err
	}
	var bits [8]byte
	copy(bits[8-len(s):], s)
	v := binary.BigEndian.Uint64(bits[:])
	switch m {
	case 'i':
		return int64(int8(v)), true, nil
	case 'I':
		return int64(int16(v)), true, nil
	case 'l':
		return int64(int32(v)), true, nil
	}
	return int64(v), true, nil
}

// length reads a number of elements of at least size bytes. The rest of the file
// is large enough for them.
func (r *ubjReader) length(size int) (int, error) {
	start := r.at
	if r.at == len(r.data) {
		return 0, r.fail("the file ends: want a length")
	}
	m := r.data[r.at]
	r.at++
	n, ok, err := r.whole(m)
	if err != nil {
		return 0, err
	}
	if most := (len(r.data) - r.at) / size; !ok || n < 0 || n > int64(most) {
		r.at = start
		if !ok {
			return 0, r.fail("%q: want the marker of an integer", m)
		}
		return 0, r.fail("length %d: want 0 to %d, by the size of the file", n, most)
	}
	return int(n), nil
}

func (r *ubjReader) open(bracket byte) error {
	m, err := r.marker()
	if err != nil {
		return err
	}
	if m != bracket {
		r.at--
		return r.fail("%q: want %q", m, bracket)
	}
	if r.depth++; r.depth > maxDepth {
		return r.fail("nested more than %d deep", maxDepth)
	}
	return nil
}

func (r *ubjReader) object(each func(key string) error) error {
	if err := r.open('{'); err != nil {
		return err
	}
	var keys keySet
	for r.peek() != '}' {
		n, err := r.length(1)
		if err != nil {
			return err
		}
		key, err := r.next(n)
		if err != nil {
			return err
		}
		if !keys.add(key) {
			return r.fail("key %s is a duplicate", filetext.Quote(key))
		}
		if err := each(key); err != nil {
			return err
		}
	}
	r.at++
	r.depth--
	return nil
}

func (r *ubjReader) array(each func(i, n int) error) error {
	kind, n, err := r.openArray()
	if err != nil {
		return err
	}
	r.kind = kind
	for i := 0; i != n; i++ {
		if n < 0 && r.peek() == ']' {
			r.at++
			break
		}
		if err := each(i, max(n, 1)); err != nil {
			return err
		}
	}
	r.kind = 0 // of an outer array too: only arrays of numbers have a kind
	r.depth--
	return nil
}

// openArray reads the start of an array: the type of its elements, or 0 if each has
// its own, and their number, or -1 if a bracket ends the array. Only numbers may
// share a type, because elements of other types may have no bytes.
func (r *ubjReader) openArray() (kind byte, n int, err error) {
	if err := r.open('['); err != nil {
		return 0, 0, err
	}
	size := 1
	if r.peek() == '$' {
		r.at++
		s, err := r.next(1)
		if err != nil {
			return 0, 0, err
		}
		kind = s[0]
		if size = width(kind); size == 0 {
			r.at--
			return 0, 0, r.fail("array of type %q: want one of a number's types", kind)
		}
		if r.peek() != '#' {
			return 0, 0, r.fail("array of type %q without a count", kind)
		}
	}
	if r.peek() != '#' {
		return 0, -1, nil
	}
	r.at++
	n, err = r.length(size)
	return kind, n, err
}

func (r *ubjReader) integer() (int64, error) {
	m, err := r.marker()
	if err != nil {
		return 0, err
	}
	v, ok, err := r.whole(m)
	if !ok {
		return 0, r.fail("type %q: want an integer", m)
	}
	return v, err
}

func (r *ubjReader) float() (float32, error) {
	m, err := r.marker()
	if err != nil {
		return 0, err
	}
	switch m {
	case 'd', 'D':
		s, err := r.next(width(m))
		if err != nil {
			return 0, err
		}
		if m == 'd' {
			return math.Float32frombits(binary.BigEndian.Uint32([]byte(s))), nil
		}
		return float32(math.Float64frombits(binary.BigEndian.Uint64([]byte(s)))), nil
	}
	v, ok, err := r.whole(m)
	if !ok {
		return 0, r.fail("type %q: want a number", m)
	}
	return float32(v), err
}

func (r *ubjReader) flag() (bool, error) {
	m, err := r.marker()
	if err != nil {
		return false, err
	}
	if m == 'T' || m == 'F' {
		return m == 'T', nil
	}
	v, ok, err := r.whole(m)
	if !ok || err == nil && v != 0 && v != 1 {
		return false, r.fail("type %q: want true, false, 0 or 1", m)
	}
	return v == 1, err
}

func (r *ubjReader) text() (string, error) {
	m, err := r.marker()
	if err != nil {
		return "", err
	}
	n := 1
	switch m {
	case 'S':
		if n, err = r.length(1); err != nil {
			return "", err
		}
	case 'C': // one character
	default:
		return "", r.fail("type %q: want a string", m)
	}
	return r.next(n)
}

func (r *ubjReader) skip() error {
	m, err := r.marker()
	if err != nil {
		return err
	}
	n := width(m)
	switch m {
	case '{':
		r.at--
		return r.object(func(string) error { return r.skip() })
	case '[':
		r.at--
		return r.skipArray()
	case 'T', 'F', 'Z':
	case 'C':
		n = 1
	case 'S', 'H':
		if n, err = r.length(1); err != nil {
			return err
		}
	default:
		if n == 0 {
			return r.fail("type %q: not one of UBJSON", m)
		}
	}
	_, err = r.next(n)
	return err
}

// skipArray skips an array, in one step if its elements are numbers of one type.
func (r *ubjReader) skipArray() error {
	start, depth := r.at, r.depth
	kind, n, err := r.openArray()
	if err != nil {
		return err
	}
	if kind == 0 {
		r.at, r.depth = start, depth
		return r.array(func(int, int) error { return r.skip() })
	}
	r.depth--
	_, err = r.next(n * width(kind)) // openArray has checked that the file has them
	return err
}

func (r *ubjReader) end() error {
	if r.at < len(r.data) {
		return r.fail("%d bytes after the end of the model", len(r.data)-r.at)
	}
	return nil
}
