package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/basket-go/basket/internal/filetext"
)

// A Dtype is the type of an array's items.
type Dtype struct {
	Kind   byte // numpy's letter: b i u f for numbers, O for objects, V for fields, U for strings ...
	Size   int  // bytes of an item
	Fields []Field

	ready bool // the state is set
	big   bool // big-endian
}

// A Field is a named part of each item.
type Field struct {
	Name   string
	Dtype  *Dtype
	Offset int
}

// String returns the dtype as numpy writes it: "f8", say.
func (d *Dtype) String() string {
	if d == nil {
		return "nothing"
	}
	return string(d.Kind) + strconv.Itoa(d.Size)
}

// An Array is a numpy array.
type Array struct {
	Shape []int
	Dtype *Dtype
	Items []Value // of an array of objects, in the order of the indices

	strides []int  // by axis, in items
	data    []byte // of all other arrays
}

// newDtype does what numpy.dtype does with ("f8", False, True).
func newDtype(args Tuple) (*Dtype, error) {
	if len(args) == 0 {
		return nil, errArguments
	}
	code, ok := args[0].(string)
	if !ok || code == "" {
		return nil, errArguments
	}
	d := &Dtype{Kind: code[0]}
	n, err := strconv.Atoi(code[1:])
	switch {
	case code == "O":
		n, err = 8, nil
	case code == "?":
		d.Kind, n, err = 'b', 1, nil
	}
	if d.Kind == 'U' {
		n *= 4
	}
	valid := false
	switch d.Kind {
	case 'b':
		valid = n == 1
	case 'i', 'u':
		valid = n == 1 || n == 2 || n == 4 || n == 8
	case 'f':
		valid = n == 2 || n == 4 || n == 8 || n == 16
	case 'c':
		valid = n == 8 || n == 16 || n == 32
	case 'm', 'M', 'O':
		valid = n == 8 || n == 4 && d.Kind == 'O'
	case 'S', 'U', 'V':
		valid = n > 0 && n <= maxItemSize
	}
	if err != nil || !valid {
		return nil, fmt.Errorf("dtype %s is not supported", filetext.Quote(code))
	}
	d.Size = n
	return d, nil
}

// setState sets the state (version, byte order, subdtype, names, fields, size,
// alignment, flags), which metadata may follow.
func (d *Dtype) setState(state Value) error {
	s, ok := state.(Tuple)
	if d.ready || !ok || len(s) < 8 {
		return fmt.Errorf("dtype %s: the state is %s: want a tuple of 8, once", d, Kind(state))
	}
	switch s[1] {
	case "<", "|":
	case ">":
		d.big = true
	default:
		return fmt.Errorf("dtype %s: byte order is %s: want <, > or |", d, Kind(s[1]))
	}
	if s[2] != nil {
		return fmt.Errorf("dtype %s: items that are arrays are not supported", d)
	}
	if size, ok := s[5].(int64); !ok || size >= 0 && size != int64(d.Size) {
		return fmt.Errorf("dtype %s: item size is %s", d, Kind(s[5]))
	}
	if s[3] != nil {
		if err := d.setFields(s[3], s[4]); err != nil {
			return fmt.Errorf("dtype %s: %w", d, err)
		}
	}
	d.ready = true
	return nil
}

func (d *Dtype) setFields(names, fields Value) error {
	list, ok1 := names.(Tuple)
	dict, ok2 := fields.(*Dict)
	if !ok1 || !ok2 || d.Kind != 'V' || len(list) > maxFields {
		return fmt.Errorf("fields are %s and %s: want at most %d names and a dictionary", Kind(names), Kind(fields), maxFields)
	}
	total := 0
	for _, v := range list {
		name, ok := v.(string)
		if !ok {
			return fmt.Errorf("the name of a field is %s: want a string", Kind(v))
		}
		value, _ := dict.Get(name)
		pair, ok := value.(Tuple)
		if !ok || len(pair) < 2 {
			return fmt.Errorf("field %s is %s: want dtype and offset", filetext.Quote(name), Kind(value))
		}
		f, ok1 := pair[0].(*Dtype)
		offset, ok2 := pair[1].(int64)
		switch {
		case !ok1 || !ok2:
			return fmt.Errorf("field %s is %s at %s: want dtype and offset", filetext.Quote(name), Kind(pair[0]), Kind(pair[1]))
		case !f.ready || f.Kind == 'O' || f.Kind == 'V':
			return fmt.Errorf("field %s: dtype %s: want a number", filetext.Quote(name), f)
		case offset < 0 || offset > int64(d.Size-f.Size):
			return fmt.Errorf("field %s: offset %d: beyond the item of %d bytes", filetext.Quote(name), offset, d.Size)
		}
		total += f.Size
		d.Fields = append(d.Fields, Field{name, f, int(offset)})
	}
	if total > d.Size {
		return errors.New("the fields overlap")
	}
	return nil
}

// setShape sets the shape and the strides.
func (a *Array) setShape(shape Value, fortran bool) error {
	s, ok := shape.(Tuple)
	if !ok || len(s) > maxAxes {
		return fmt.Errorf("shape is %s: want a tuple of at most %d", Kind(shape), maxAxes)
	}
	a.Shape = make([]int, len(s))
	a.strides = make([]int, len(s))
	n := int64(1)
	for i, v := range s {
		size, ok := v.(int64)
		if !ok || size < 0 || size > math.MaxInt32 {
			return fmt.Errorf("shape[%d] is %s: want 0 to %d", i, Kind(v), math.MaxInt32)
		}
		a.Shape[i] = int(size)
		if n *= size; n > math.MaxInt32 {
			return fmt.Errorf("shape %v: more than %d items", a.Shape[:i+1], math.MaxInt32)
		}
	}
	if n == 0 {
		return nil // without items, there are no strides
	}
	stride := 1
	for k := range s {
		i := len(s) - 1 - k
		if fortran {
			i = k
		}
		a.strides[i] = stride
		stride *= a.Shape[i]
	}
	return nil
}

// Len returns the number of items.
func (a *Array) Len() int {
	n := 1
	for _, size := range a.Shape {
		n *= size
	}
	return n
}

// size returns the number of bytes of the items.
func (a *Array) size() (int, error) {
	if !a.Dtype.ready {
		return 0, fmt.Errorf("dtype %s: no state", a.Dtype)
	}
	if n := a.Len(); n <= math.MaxInt/a.Dtype.Size {
		return n * a.Dtype.Size, nil
	}
	return 0, fmt.Errorf("shape %v of %s: the size overflows an int", a.Shape, a.Dtype)
}

// setState sets the state (1, shape, dtype, order is Fortran's, bytes or items).
func (a *Array) setState(state Value) error {
	s, ok := state.(Tuple)
	if a.Dtype != nil || !ok || len(s) != 5 {
		return fmt.Errorf("array: the state is %s: want a tuple of 5, once", Kind(state))
	}
	dtype, ok := s[2].(*Dtype)
	if !ok {
		return fmt.Errorf("array: dtype is %s", Kind(s[2]))
	}
	fortran, ok := s[3].(bool)
	if !ok {
		return fmt.Errorf("array: order is %s: want a bool", Kind(s[3]))
	}
	b := Array{Dtype: dtype}
	if err := b.setShape(s[1], fortran); err != nil {
		return fmt.Errorf("array: %w", err)
	}
	var err error
	switch raw := s[4].(type) {
	case *List:
		// numpy lists objects in the order of the indices, whatever the array's order.
		if dtype.Kind != 'O' || len(raw.Items) != b.Len() {
			return fmt.Errorf("array: %d items for shape %v of %s", len(raw.Items), b.Shape, dtype)
		}
		b.Items = raw.Items
	case Bytes:
		err = b.setData(raw)
	default:
		err = fmt.Errorf("items are %s: want bytes or a list", Kind(raw))
	}
	if err != nil {
		return fmt.Errorf("array: %w", err)
	}
	*a = b
	return nil
}

func (a *Array) setData(raw Bytes) error {
	size, err := a.size()
	if err != nil {
		return err
	}
	if a.Dtype.Kind == 'O' || len(raw) != size {
		return fmt.Errorf("%d bytes for shape %v of %s: want %d", len(raw), a.Shape, a.Dtype, size)
	}
	a.data = raw
	return nil
}

// fromBuffer does what numpy 1.17's numpy.core.numeric._frombuffer does with (bytes,
// dtype, shape, order). numpy 2.4 has order K: the shape is that of the bytes, and a
// fifth argument is a permutation of the axes.
func fromBuffer(args Tuple) (*Array, error) {
	if len(args) < 4 {
		return nil, errArguments
	}
	raw, ok1 := args[0].(Bytes)
	dtype, ok2 := args[1].(*Dtype)
	order, ok3 := args[3].(string)
	if !ok1 || !ok2 || !ok3 || order != "C" && order != "F" && order != "K" {
		return nil, errArguments
	}
	a := &Array{Dtype: dtype}
	if err := a.setShape(args[2], order == "F"); err != nil {
		return nil, err
	}
	if err := a.setData(raw); err != nil {
		return nil, err
	}
	if len(args) > 4 && args[4] != nil {
		return a, a.transpose(args[4])
	}
	return a, nil
}

// transpose moves axis axes[i] to position i.
func (a *Array) transpose(axes Value) error {
	s, ok := axes.(Tuple)
	if !ok || len(s) != len(a.Shape) {
		return errArguments
	}
	shape, strides := make([]int, len(s)), make([]int, len(s))
	var seen uint64
	for i, v := range s {
		axis, ok := v.(int64)
		if !ok || axis < 0 || axis >= int64(len(s)) || seen>>axis&1 != 0 {
			return errArguments
		}
		seen |= 1 << axis
		shape[i], strides[i] = a.Shape[axis], a.strides[axis]
	}
	a.Shape, a.strides = shape, strides
	return nil
}

// scalar returns the value of (dtype, bytes).
func scalar(args Tuple) (Value, error) {
	if len(args) != 2 {
		return nil, errArguments
	}
	dtype, ok1 := args[0].(*Dtype)
	raw, ok2 := args[1].(Bytes)
	if !ok1 || !ok2 {
		return nil, errArguments
	}
	a := &Array{Dtype: dtype}
	if err := a.setData(raw); err != nil {
		return nil, err
	}
	switch dtype.Kind {
	case 'b', 'i', 'u', 'f', 'U':
		return a.item(0), nil
	}
	return Tuple{Global(nameScalar), dtype}, nil // never used; a valid value for error messages
}

// position returns the position in memory of item i in the order of the indices.
func (a *Array) position(i int) int {
	p := 0
	for k := len(a.Shape) - 1; k >= 0; k-- {
		p += i % a.Shape[k] * a.strides[k]
		i /= a.Shape[k]
	}
	return p
}

// item returns item i in the order of the indices: a number, a bool or a string, or
// nil for other types.
func (a *Array) item(i int) Value {
	if a.Dtype.Kind == 'O' {
		return a.Items[i]
	}
	c := Column{data: a.data, stride: a.Dtype.Size, dtype: a.Dtype}
	i = a.position(i)
	switch a.Dtype.Kind {
	case 'b':
		return c.Int(i) != 0
	case 'i':
		return c.Int(i)
	case 'u':
		if c.bits(i) <= math.MaxInt64 {
			return c.Int(i)
		}
		return c.Float(i)
	case 'f':
		return c.Float(i)
	case 'U':
		return c.text(i)
	}
	return nil
}

// Floats returns the items in the order of the indices. All must be numbers or bools.
func (a *Array) Floats() ([]float64, error) {
	if a.Dtype == nil {
		return nil, errors.New("an array without a state")
	}
	values := make([]float64, a.Len())
	for i := range values {
		v, ok := Number(a.item(i))
		if !ok {
			return nil, fmt.Errorf("item %d is %s: want a number", i, Kind(a.item(i)))
		}
		values[i] = v
	}
	return values, nil
}

// Strings returns the items in the order of the indices. All must be strings.
func (a *Array) Strings() ([]string, error) {
	if a.Dtype == nil {
		return nil, errors.New("an array without a state")
	}
	values := make([]string, a.Len())
	for i := range values {
		v, ok := a.item(i).(string)
		if !ok {
			return nil, fmt.Errorf("item %d is %s: want a string", i, Kind(a.item(i)))
		}
		values[i] = v
	}
	return values, nil
}

// Number returns the value of a number, or 0 or 1 for a bool.
func Number(v Value) (float64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// A Column is one number of each item of an array, in the order of memory.
type Column struct {
	data   []byte
	stride int
	dtype  *Dtype
}

// Column returns a field of an array of one axis, or the items themselves if field
// is "". kinds is the letters of the accepted dtypes.
func (a *Array) Column(field, kinds string) (Column, error) {
	if a.Dtype == nil || len(a.Shape) != 1 {
		return Column{}, fmt.Errorf("%s: want one axis", Kind(a))
	}
	c := Column{data: a.data, stride: a.Dtype.Size, dtype: a.Dtype}
	if field != "" {
		c.dtype = nil
		for _, f := range a.Dtype.Fields {
			if f.Name == field {
				c.dtype = f.Dtype
				c.data = a.data[min(f.Offset, len(a.data)):]
			}
		}
		if c.dtype == nil {
			return Column{}, fmt.Errorf("field %s is missing", field)
		}
	}
	for _, kind := range []byte(kinds) {
		if c.dtype.Kind == kind && (kind != 'f' || c.dtype.Size == 4 || c.dtype.Size == 8) {
			return c, nil
		}
	}
	return Column{}, fmt.Errorf("field %s: dtype %s: want one of %q", field, c.dtype, kinds)
}

// Int returns the number of item i, for the dtypes b, i and u.
func (c Column) Int(i int) int64 {
	v := c.bits(i)
	if shift := 64 - 8*c.dtype.Size; c.dtype.Kind == 'i' && shift > 0 {
		return int64(v<<shift) >> shift
	}
	return int64(v)
}

// Float returns the number of item i. Types float16 and float128 give NaN.
func (c Column) Float(i int) float64 {
	switch {
	case c.dtype.Kind == 'u':
		return float64(uint64(c.Int(i)))
	case c.dtype.Kind != 'f':
		return float64(c.Int(i))
	}
	switch c.dtype.Size {
	case 4:
		return float64(math.Float32frombits(uint32(c.bits(i))))
	case 8:
		return math.Float64frombits(c.bits(i))
	}
	return math.NaN()
}

// bits returns the bytes of item i, at most 8, as a number.
func (c Column) bits(i int) uint64 {
	v, b := uint64(0), c.data[i*c.stride:][:min(c.dtype.Size, 8)]
	for i := range b {
		j := len(b) - 1 - i
		if c.dtype.big {
			j = i
		}
		v = v<<8 | uint64(b[j])
	}
	return v
}

// text returns the string of item i, for the dtype U. The item is padded with zeros.
func (c Column) text(i int) string {
	b := c.data[i*c.stride:][:c.dtype.Size]
	var text []byte
	for ; len(b) >= 4; b = b[4:] {
		r := binary.LittleEndian.Uint32(b)
		if c.dtype.big {
			r = binary.BigEndian.Uint32(b)
		}
		if r == 0 {
			break
		}
		text = utf8.AppendRune(text, rune(min(r, math.MaxInt32)))
	}
	return string(text)
}
