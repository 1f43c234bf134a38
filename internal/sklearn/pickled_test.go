package sklearn

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// The values of test models, which pickled encodes.
type (
	pyObject struct {
		class string
		args  tuple
		state any
	}
	attrs []any // alternating names and values
	list  []any
	tuple []any
	name  string // of a global
	again int    // the memo with that number
	memo  struct{ value any }
	array struct {
		shape tuple
		code  string // of the dtype
		names []string
		codes []string
		data  []byte
	}
)

// pickled returns v as a pickle of protocol 4.
func pickled(v any) []byte {
	return append(put([]byte("\x80\x04"), v), '.')
}

func put(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 'N')
	case bool:
		if v {
			return append(b, 0x88)
		}
		return append(b, 0x89)
	case int:
		return binary.LittleEndian.AppendUint32(append(b, 'J'), uint32(v))
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'G'), math.Float64bits(v))
	case string:
		b = binary.LittleEndian.AppendUint32(append(b, 'X'), uint32(len(v)))
		return append(b, v...)
	case []byte:
		b = binary.LittleEndian.AppendUint32(append(b, 'B'), uint32(len(v)))
		return append(b, v...)
	case name:
		i := strings.LastIndexByte(string(v), '.')
		return fmt.Appendf(b, "c%s\n%s\n", v[:i], v[i+1:])
	case tuple:
		b = append(b, '(')
		for _, item := range v {
			b = put(b, item)
		}
		return append(b, 't')
	case list:
		b = append(b, ']', '(')
		for _, item := range v {
			b = put(b, item)
		}
		return append(b, 'e')
	case attrs:
		b = append(b, '}', '(')
		for _, item := range v {
			b = put(b, item)
		}
		return append(b, 'u')
	case memo:
		return append(put(b, v.value), 0x94)
	case again:
		return append(b, 'h', byte(v))
	case pyObject:
		b = append(put(put(b, name(v.class)), v.args), 'R')
		if v.state == nil {
			return b
		}
		return append(put(b, v.state), 'b')
	case array:
		return v.put(b)
	}
	panic(fmt.Sprintf("%T", v))
}

func (a array) put(b []byte) []byte {
	b = append(put(put(b, name("numpy.core.multiarray._reconstruct")), tuple{name("numpy.ndarray"), tuple{0}, []byte("b")}), 'R')
	var fields, names any
	if a.names != nil {
		var of attrs
		var list tuple
		offset := 0
		for i, n := range a.names {
			list = append(list, n)
			of = append(of, n, tuple{dtype(a.codes[i], nil, nil), offset})
			offset += int(a.codes[i][1] - '0')
		}
		names, fields = list, of
	}
	return append(put(b, tuple{1, a.shape, dtype(a.code, names, fields), false, a.data}), 'b')
}

// dtype returns a numpy.dtype with its state.
func dtype(code string, names, fields any) pyObject {
	size := -1
	if names != nil {
		fmt.Sscanf(code[1:], "%d", &size)
	}
	return pyObject{"numpy.dtype", tuple{code, false, true}, tuple{3, "<", nil, names, fields, size, -1, 0}}
}

// floats returns an array of float64 with one axis.
func floats(v ...float64) array {
	a := array{shape: tuple{len(v)}, code: "f8"}
	for _, x := range v {
		a.data = binary.LittleEndian.AppendUint64(a.data, math.Float64bits(x))
	}
	return a
}
