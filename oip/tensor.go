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

// numbers appends the n elements of a tensor.
func (t *inputTensor) numbers(dst []float64, dims []int, n int, data []byte, isBinary bool) ([]float64, *failure) {
	size := sizes[t.Datatype]
	if size == 0 {
		return nil, bad("input %.100q: datatype %.40q: want FP64, FP32 or a type of integers", t.Name, t.Datatype)
	}
	if isBinary {
		if len(data) != n*size {
			return nil, bad("input %.100q: %d bytes: want %d, the shape's %d elements of %s", t.Name, len(data), n*size, n, t.Datatype)
		}
		return t.binaryNumbers(dst, data, size), nil
	}
	if n > len(t.Data) { // an element takes a character or more
		return nil, t.wrongCount(n)
	}
	dst = slices.Grow(dst, n)
	start := len(dst)
	fail := t.each(dims, n, func(element []byte) *failure {
		v, ok := t.number(element)
		if !ok {
			return bad("input %.100q: element %d is %.40s: want a number of %s", t.Name, len(dst)-start, element, t.Datatype)
		}
		dst = append(dst, v)
		return nil
	})
	return dst, fail
}

func (t *inputTensor) binaryNumbers(dst []float64, data []byte, size int) []float64 {
	dst = slices.Grow(dst, len(data)/size)
	le := binary.LittleEndian
	switch t.Datatype {
	case "FP64":
		for ; len(data) >= 8; data = data[8:] {
			dst = append(dst, math.Float64frombits(le.Uint64(data)))
		}
	case "FP32":
		for ; len(data) >= 4; data = data[4:] {
			dst = append(dst, float64(math.Float32frombits(le.Uint32(data))))
		}
	case "INT64":
		for ; len(data) >= 8; data = data[8:] {
			dst = append(dst, float64(int64(le.Uint64(data))))
		}
	case "UINT64":
		for ; len(data) >= 8; data = data[8:] {
			dst = append(dst, float64(le.Uint64(data)))
		}
	case "INT32":
		for ; len(data) >= 4; data = data[4:] {
			dst = append(dst, float64(int32(le.Uint32(data))))
		}
	case "UINT32":
		for ; len(data) >= 4; data = data[4:] {
			dst = append(dst, float64(le.Uint32(data)))
		}
	case "INT16":
		for ; len(data) >= 2; data = data[2:] {
			dst = append(dst, float64(int16(le.Uint16(data))))
		}
	case "UINT16":
		for ; len(data) >= 2; data = data[2:] {
			dst = append(dst, float64(le.Uint16(data)))
		}
	case "INT8":
		for _, b := range data {
			dst = append(dst, float64(int8(b)))
		}
	case "UINT8":
		for _, b := range data {
			dst = append(dst, float64(b))
		}
	}
	return dst
}

// number reads an element of JSON.
func (t *inputTensor) number(element []byte) (float64, bool) {
	text := string(element)
	if c := text[0]; c != '-' && (c < '0' || c > '9') {
		return math.NaN(), text == "null" && (t.Datatype == "FP64" || t.Datatype == "FP32")
	}
	bits := 8 * sizes[t.Datatype]
	switch t.Datatype {
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
func (t *inputTensor) texts(dims []int, n int, data []byte, isBinary bool) ([]string, *failure) {
	if t.Datatype != "BYTES" {
		return nil, bad("input %.100q: datatype %.40q: want BYTES", t.Name, t.Datatype)
	}
	if isBinary {
		if n > len(data)/4 {
			return nil, t.wrongCount(n)
		}
		list := make([]string, 0, n)
		for len(data) > 0 {
			if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
				return nil, bad("input %.100q: element %d is longer than its tensor", t.Name, len(list))
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
	if n > len(t.Data) {
		return nil, t.wrongCount(n)
	}
	list := make([]string, 0, n)
	fail := t.each(dims, n, func(element []byte) *failure {
		var s string
		if element[0] != '"' || json.Unmarshal(element, &s) != nil {
			return bad("input %.100q: element %d is %.40s: want a string", t.Name, len(list), element)
		}
		list = append(list, s)
		return nil
	})
	return list, fail
}

func (t *inputTensor) wrongCount(n int) *failure {
	return bad("input %.100q: data has not the %d elements of its shape", t.Name, n)
}

// each calls f for each element of data, which is valid JSON: an array of the elements,
// or arrays nested as the shape is.
func (t *inputTensor) each(dims []int, n int, f func(element []byte) *failure) *failure {
	text := t.Data
	notNested := func() *failure {
		return bad("input %.100q: data is not nested as its shape is: want that, or one flat array", t.Name)
	}
	if len(text) == 0 || text[0] != '[' {
		return bad("input %.100q: data is no array", t.Name)
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
			if counts = append(counts, 0); len(counts) > max(len(dims), 1) {
				return notNested()
			}
			i++
		case ']':
			level := len(counts) - 1
			if (level > 0 || depth > 1) && counts[level] != dims[level] {
				return notNested()
			}
			counts = counts[:level]
			i++
		default:
			end := i + elementLength(text[i:])
			if depth == 0 {
				depth = len(counts)
			}
			if depth != len(counts) || depth > 1 && depth != len(dims) {
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
