package pickle

import (
	"errors"
	"fmt"
	"strings"
)

// What the machine itself does something about. numpy 2 writes numpy._core for
// what numpy 1 calls numpy.core; here both are numpy._core.
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

// known are the names that arrays, scalars, random states and a few of Python's
// own values are made of.
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

// canonical gives a name the spelling of the lists: Python 3 and numpy 2.
func canonical(module, name string) string {
	switch {
	case module == "__builtin__":
		module = "builtins"
	case strings.HasPrefix(module, "numpy.core."):
		module = "numpy._core." + module[len("numpy.core."):]
	}
	return module + "." + name
}

// global pushes the token of a name that is on the lists.
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
			return fmt.Errorf("a global called %s and %s: want two texts", Kind(words[0]), Kind(words[1]))
		}
	}
	full := canonical(module, name)
	if !known[full] && !m.globals[full] {
		return fmt.Errorf("global %s.%s: not on the list of what a scikit-learn model is made of", clip(module), clip(name))
	}
	return m.push(Global(full), 16+len(full))
}

// line reads up to a newline.
func (m *machine) line() (string, error) {
	var text []byte
	for {
		c, err := m.source.byte()
		switch {
		case err != nil:
			return "", err
		case c == '\n':
			return string(text), nil
		case len(text) == maxName:
			return "", fmt.Errorf("global %s: a name of more than %d bytes", clip(string(text)), maxName)
		}
		text = append(text, c)
	}
}

// call records what a name is called with.
func (m *machine) call(op byte) error {
	pair, err := m.popN(2)
	if err != nil {
		return err
	}
	name, ok := pair[0].(Global)
	if !ok {
		return fmt.Errorf("calls %s: want a name", Kind(pair[0]))
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

var errArguments = errors.New("other arguments than numpy gives")

// result is the value of a call, and the memory that it takes.
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
		// Protocol 2 has no bytes: it writes the text that has the same code points.
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

// build gives a state to what is on top of the stack.
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
	return fmt.Errorf("gives a state to %s: want an object", Kind(*top))
}

// wrapped reads the array that joblib wrote after its wrapper:
// joblib/numpy_pickle.py, NumpyArrayWrapper.read_array.
func (m *machine) wrapped(state Value, depth int) (*Array, error) {
	d, ok := state.(*Dict)
	if !ok {
		return nil, fmt.Errorf("its state is %s: want a dictionary", Kind(state))
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
	// joblib before 1.2 aligns nothing and does not say so.
	if align, ok := d.Get("numpy_array_alignment_bytes"); ok && align != nil {
		n, err := m.source.byte()
		if err != nil {
			return nil, err
		}
		if _, err := m.source.take(int(n)); err != nil {
			return nil, err
		}
	}
	size, err := a.size()
	if err != nil {
		return nil, err
	}
	if a.data, err = m.take(size); err != nil {
		return nil, err
	}
	return a, m.charge(160 + size)
}

// nested reads an array of objects: a pickle of its own, with a memo of its own,
// under the same lists.
func (m *machine) nested(depth int) (*Array, error) {
	if depth == maxNested {
		return nil, fmt.Errorf("pickles more than %d deep", maxNested)
	}
	inner := &machine{source: m.source, globals: m.globals, left: m.left}
	v, err := inner.run(depth + 1)
	if err != nil {
		return nil, err
	}
	m.left = inner.left
	a, ok := v.(*Array)
	if !ok {
		return nil, fmt.Errorf("the pickle in it is %s: want an array", Kind(v))
	}
	return a, nil
}
