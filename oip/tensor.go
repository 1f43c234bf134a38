package oip

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strconv"
)

// sizes are the bytes of an element, of the datatypes that features may have.
var sizes = map[string]int{
	"FP64": 8, "FP32": 4, "INT64": 8, "INT32": 4, "INT16": 2, "INT8": 1, "UINT64": 8, "UINT32": 4, "UINT16": 2, "UINT8": 1,
}

// A tensor is an input of any transport.
type tensor struct {
	name, datatype string
	dims           []int

	// The elements, in one of two forms.
	json     json.RawMessage
	binary   []byte
	isBinary bool
}

// maxElements is beyond what any body has, so that sizes can be multiplied.
const maxElements = 1 << 30

// checkSize returns what is wrong with the shape itself.
func (t *tensor) checkSize() *Error {
	n := 1
	for _, d := range t.dims {
		if d < 0 {
			return bad("input %.100q: dimension %d: want a whole number from 0", t.name, d)
		}
		if d > 0 && n > maxElements/d {
			return bad("input %.100q: the shape has over %d elements", t.name, maxElements)
		}
		n *= d
	}
	return nil
}

// numbers appends the n elements of a tensor.
func (t *tensor) numbers(dst []float64, n int) ([]float64, *Error) {
	size := sizes[t.datatype]
	if size == 0 {
		return nil, bad("input %.100q: datatype %.40q: want FP64, FP32 or a type of integers", t.name, t.datatype)
	}
	if t.isBinary {
		if len(t.binary) != n*size {
			return nil, bad("input %.100q: %d bytes: want %d, the shape's %d elements of %s", t.name, len(t.binary), n*size, n, t.datatype)
		}
		return t.binaryNumbers(dst, size), nil
	}
	if n > len(t.json) { // an element takes a character or more
		return nil, t.wrongCount(n)
	}
	dst = slices.Grow(dst, n)
	start := len(dst)
	fail := t.each(n, func(element []byte) *Error {
		v, ok := t.number(element)
		if !ok {
			return bad("input %.100q: element %d is %.40s: want a number of %s", t.name, len(dst)-start, element, t.datatype)
		}
		dst = append(dst, v)
		return nil
	})
	return dst, fail
}

func (t *tensor) binaryNumbers(dst []float64, size int) []float64 {
	data := t.binary
	n := len(data) / size
	dst = slices.Grow(dst, n)[:len(dst)+n]
	out := dst[len(dst)-n:]
	le := binary.LittleEndian
	switch t.datatype {
	case "FP64":
		for i := range out {
			out[i] = math.Float64frombits(le.Uint64(data[8*i:]))
		}
	case "FP32":
		for i := range out {
			out[i] = float64(math.Float32frombits(le.Uint32(data[4*i:])))
		}
	case "INT64":
		for i := range out {
			out[i] = float64(int64(le.Uint64(data[8*i:])))
		}
	case "UINT64":
		for i := range out {
			out[i] = float64(le.Uint64(data[8*i:]))
		}
	case "INT32":
		for i := range out {
			out[i] = float64(int32(le.Uint32(data[4*i:])))
		}
	case "UINT32":
		for i := range out {
			out[i] = float64(le.Uint32(data[4*i:]))
		}
	case "INT16":
		for i := range out {
			out[i] = float64(int16(le.Uint16(data[2*i:])))
		}
	case "UINT16":
		for i := range out {
			out[i] = float64(le.Uint16(data[2*i:]))
		}
	case "INT8":
		for i := range out {
			out[i] = float64(int8(data[i]))
		}
	case "UINT8":
		for i := range out {
			out[i] = float64(data[i])
		}
	}
	return dst
}

// number reads an element of JSON.
func (t *tensor) number(element []byte) (float64, bool) {
	text := string(element)
	if c := text[0]; c != '-' && (c < '0' || c > '9') {
		return math.NaN(), text == "null" && (t.datatype == "FP64" || t.datatype == "FP32")
	}
	bits := 8 * sizes[t.datatype]
	switch t.datatype {
	case "FP64", "FP32":
		v, err := strconv.ParseFloat(text, bits)
		return v, err == nil
	case "UINT64", "UINT32", "UINT16", "UINT8":
		v, err := strconv.ParseUint(text, 10, bits)
		return float64(v), err == nil
	}
	v, err := strconv.ParseInt(text, 10, bits)
	return float64(v), err == nil
}

// texts returns the n elements of a BYTES tensor.
func (t *tensor) texts(n int) ([]string, *Error) {
	if t.datatype != "BYTES" {
		return nil, bad("input %.100q: datatype %.40q: want BYTES", t.name, t.datatype)
	}
	if data := t.binary; t.isBinary {
		if n > len(data)/4 {
			return nil, t.wrongCount(n)
		}
		list := make([]string, 0, n)
		for len(data) > 0 {
			if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
				return nil, bad("input %.100q: element %d is longer than its tensor", t.name, len(list))
			}
			end := 4 + int(binary.LittleEndian.Uint32(data))
			if len(list) == n {
				return nil, t.wrongCount(n)
			}
			list, data = append(list, string(data[4:end])), data[end:]
		}
		if len(list) != n {
			return nil, t.wrongCount(n)
		}
		return list, nil
	}
	if n > len(t.json) {
		return nil, t.wrongCount(n)
	}
	list := make([]string, 0, n)
	fail := t.each(n, func(element []byte) *Error {
		var s string
		if element[0] != '"' || json.Unmarshal(element, &s) != nil {
			return bad("input %.100q: element %d is %.40s: want a string", t.name, len(list), element)
		}
		list = append(list, s)
		return nil
	})
	return list, fail
}

func (t *tensor) wrongCount(n int) *Error {
	return bad("input %.100q: data has not the %d elements of its shape", t.name, n)
}

// each calls f for each element of data, which is valid JSON: an array of the elements,
// or arrays nested as the shape is.
func (t *tensor) each(n int, f func(element []byte) *Error) *Error {
	text := t.json
	notNested := func() *Error {
		return bad("input %.100q: data is not nested as its shape is: want that, or one flat array", t.name)
	}
	if len(text) == 0 || text[0] != '[' {
		return bad("input %.100q: data is no array", t.name)
	}
	var counts []int // of the elements of each open array
	depth := 0       // of the elements; 0 if there was none
	seen := 0
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case ' ', '\t', '\r', '\n', ',':
			i++
		case '[':
			if len(counts) > 0 {
				counts[len(counts)-1]++
			}
			if counts = append(counts, 0); len(counts) > max(len(t.dims), 1) {
				return notNested()
			}
			i++
		case ']':
			level := len(counts) - 1
			if (level > 0 || depth > 1) && counts[level] != t.dims[level] {
				return notNested()
			}
			counts = counts[:level]
			i++
		default:
			end := i + elementLength(text[i:])
			if depth == 0 {
				depth = len(counts)
			}
			if depth != len(counts) || depth > 1 && depth != len(t.dims) {
				return notNested()
			}
			counts[depth-1]++
			if seen++; seen > n {
				return t.wrongCount(n)
			}
			if fail := f(text[i:end]); fail != nil {
				return fail
			}
			i = end
		}
	}
	if seen != n {
		return t.wrongCount(n)
	}
	return nil
}

// elementLength returns the length of the number, literal, string or object at the start
// of valid JSON.
func elementLength(text []byte) int {
	if text[0] == '"' {
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return len(text)
	}
	for i, c := range text {
		if c == ',' || c == ']' || c == ' ' || c == '\n' || c == '\t' || c == '\r' {
			return max(i, 1)
		}
	}
	return len(text)
}
