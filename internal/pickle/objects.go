package pickle

import (
	"errors"
	"fmt"
	"strings"

	"github.com/basket-go/basket/internal/filetext"
)

// Names with a meaning for the machine. Module numpy.core of numpy 1 is numpy._core
// in numpy 2; here both are numpy._core.
const (
	nameWrapper     = "joblib.numpy_pickle.NumpyArrayWrapper"
	nameArray       = "numpy.ndarray"
	nameDtype       = "numpy.dtype"
	nameScalar      = "numpy._core.multiarray.scalar"
	nameReconstruct = "numpy._core.multiarray._reconstruct"
	nameFromBuffer  = "numpy._core.numeric._frombuffer"
	nameEncode      = "_codecs.encode"
	nameBytes       = "builtins.bytes"
	nameSet         = "builtins.set"
	nameFrozenSet   = "builtins.frozenset"
)

// known is the names that arrays, scalars, random states and some values of Python
// itself need.
var known = map[string]bool{
	nameWrapper: true, nameArray: true, nameDtype: true, nameScalar: true, nameReconstruct: true,
	nameFromBuffer: true, nameEncode: true, nameBytes: true, nameSet: true, nameFrozenSet: true,

	"builtins.slice": true,

	"numpy.random._pickle.__randomstate_ctor":                true,
	"numpy.random._pickle.__generator_ctor":                  true,
	"numpy.random._pickle.__bit_generator_ctor":              true,
	"numpy.random._mt19937.MT19937":                          true,
	"numpy.random._pcg64.PCG64":                              true,
	"numpy.random.bit_generator.SeedSequence":                true,
	"numpy.random.bit_generator.__pyx_unpickle_SeedSequence": true,
}

// canonical converts a name to that of Python 3 and numpy 2.
func canonical(module, name string) string {
	switch {
	case module == "__builtin__":
		module = "builtins"
	case strings.HasPrefix(module, "numpy.core."):
		module = "numpy._core." + module[len("numpy.core."):]
	}
	return module + "." + name
}

// global pushes a name if it is allowed.
func (m *machine) global(op byte) error {
	var module, name string
	if op == opGlobal {
		for _, word := range []*string{&module, &name} {
			line, err := m.line()
			if err != nil {
				return err
			}
			*word = line
		}
	} else {
		words, err := m.popN(2)
		if err != nil {
			return err
		}
		var ok1, ok2 bool
		module, ok1 = words[0].(string)
		name, ok2 = words[1].(string)
		if !ok1 || !ok2 {
			return fmt.Errorf("the name of a global is %s and %s: want two strings", Kind(words[0]), Kind(words[1]))
		}
	}
	full := canonical(module, name)
	if !known[full] && !m.globals[full] {
		return fmt.Errorf("global %s: not on the list of names for scikit-learn models", filetext.Quote(module+"."+name))
	}
	return m.push(Global(full), 16+len(full))
}

// line reads up to a newline.
func (m *machine) line() (string, error) {
	var text []byte
	for {
		c, err := m.in.byte()
		switch {
		case err != nil:
			return "", err
		case c == '\n':
			return string(text), nil
		case len(text) == maxName:
			return "", fmt.Errorf("global %s: a name of more than %d bytes", filetext.Quote(string(text)), maxName)
		}
		text = append(text, c)
	}
}

// call pushes the result of a call, or a record of it.
func (m *machine) call(op byte) error {
	pair, err := m.popN(2)
	if err != nil {
		return err
	}
	name, ok := pair[0].(Global)
	if !ok {
		return fmt.Errorf("a call of %s: want a name", Kind(pair[0]))
	}
	args, ok := pair[1].(Tuple)
	if !ok {
		return fmt.Errorf("%s: arguments are %s: want a tuple", name, Kind(pair[1]))
	}
	if op == opNewObj {
		return m.push(&Object{Class: string(name), Args: args}, 80)
	}
	v, size, err := m.result(string(name), args)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return m.push(v, size)
}

var errArguments = errors.New("other arguments than those that numpy and Python write")

// result returns the value of a call and its size in memory.
func (m *machine) result(name string, args Tuple) (Value, int, error) {
	switch name {
	case nameDtype:
		d, err := newDtype(args)
		return d, 120, err
	case nameScalar:
		v, err := scalar(args)
		return v, 16, err
	case nameReconstruct:
		if len(args) != 3 || args[0] != Global(nameArray) {
			return nil, 0, errArguments
		}
		return &Array{}, 120, nil
	case nameFromBuffer:
		a, err := fromBuffer(args)
		if err != nil {
			return nil, 0, err
		}
		return a, 160 + len(a.data), nil
	case nameEncode:
		// Protocol 2 has no bytes: it writes a string with the same code points.
		if len(args) == 2 && args[1] == "latin1" {
			if text, ok := args[0].(string); ok {
				b, err := latin1(text)
				return b, 24 + len(b), err
			}
		}
		return nil, 0, errArguments
	case nameBytes:
		if len(args) != 0 {
			return nil, 0, errArguments
		}
		return Bytes(nil), 24, nil
	case nameSet, nameFrozenSet:
		if len(args) == 1 {
			if list, ok := args[0].(*List); ok {
				return list, 0, nil
			}
		}
		return nil, 0, errArguments
	}
	return &Object{Class: name, Args: args}, 80, nil
}

func latin1(text string) (Bytes, error) {
	b := make(Bytes, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, fmt.Errorf("character %U: want a byte", r)
		}
		b = append(b, byte(r))
	}
	return b, nil
}

// build sets the state of the value on top of the stack.
func (m *machine) build(depth int) error {
	state, err := m.pop()
	if err != nil {
		return err
	}
	top, err := m.top()
	if err != nil {
		return err
	}
	switch v := (*top).(type) {
	case *Object:
		if v.Class == nameWrapper {
			a, err := m.wrapped(state, depth)
			if err != nil {
				return fmt.Errorf("%s: %w", v.Name(), err)
			}
			*top = a
			return nil
		}
		if v.State != nil {
			return fmt.Errorf("%s: a second state", v.Class)
		}
		v.State = state
		return nil
	case *Dtype:
		return v.setState(state)
	case *Array:
		if err := v.setState(state); err != nil {
			return err
		}
		return m.charge(48 + len(v.data))
	}
	return fmt.Errorf("a state for %s: want an object", Kind(*top))
}

// wrapped reads the array that follows joblib's wrapper in the file:
// joblib/numpy_pickle.py, NumpyArrayWrapper.read_array.
func (m *machine) wrapped(state Value, depth int) (*Array, error) {
	d, ok := state.(*Dict)
	if !ok {
		return nil, fmt.Errorf("the state is %s: want a dictionary", Kind(state))
	}
	if class, _ := d.Get("subclass"); class != Global(nameArray) {
		return nil, fmt.Errorf("subclass is %s: want %s", Kind(class), nameArray)
	}
	value, _ := d.Get("dtype")
	dtype, ok := value.(*Dtype)
	if !ok {
		return nil, fmt.Errorf("dtype is %s", Kind(value))
	}
	order, _ := d.Get("order")
	if order != "C" && order != "F" {
		return nil, fmt.Errorf("order is %s: want C or F", Kind(order))
	}
	shape, _ := d.Get("shape")
	if dtype.Kind == 'O' {
		return m.nested(depth)
	}
	a := &Array{Dtype: dtype}
	if err := a.setShape(shape, order == "F"); err != nil {
		return nil, err
	}
	// joblib before 1.2 has no alignment and no such key.
	if align, ok := d.Get("numpy_array_alignment_bytes"); ok && align != nil {
		n, err := m.in.byte()
		if err != nil {
			return nil, err
		}
		if _, err := m.in.next(int(n)); err != nil {
			return nil, err
		}
	}
	size, err := a.size()
	if err != nil {
		return nil, err
	}
	if a.data, err = m.next(size); err != nil {
		return nil, err
	}
	return a, m.charge(160 + size)
}

// nested reads an array of objects, which is a pickle with its own memo.
func (m *machine) nested(depth int) (*Array, error) {
	if depth == maxNested {
		return nil, fmt.Errorf("pickles nested more than %d deep", maxNested)
	}
	inner := &machine{in: m.in, globals: m.globals, budget: m.budget}
	v, err := inner.run(depth + 1)
	if err != nil {
		return nil, err
	}
	m.budget = inner.budget
	a, ok := v.(*Array)
	if !ok {
		return nil, fmt.Errorf("the nested pickle is %s: want an array", Kind(v))
	}
	return a, nil
}
