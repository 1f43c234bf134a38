// Package pickle reads the files of scikit-learn models: Python pickles of protocols
// 2 to 5, and joblib's files, which are pickles with arrays between the opcodes,
// compressed or not.
//
// Python's own pickle module calls what a pickle names. This package calls and
// constructs nothing: a name is a token, a call is a record of the name and its
// arguments, and both names and opcodes must be on a closed list. Only numpy's
// arrays, scalars and dtypes are converted to values.
//
//	in the file                             here
//	None True 7 7.5 "a" b"a"                nil bool int64 float64 string Bytes
//	2**70                                   Long
//	(1, 2)   [1, 2]   {1, 2}   {"a": 1}     Tuple *List *List *Dict
//	numpy.log1p                             Global
//	Ridge(), slice(0, 3)                    *Object
//	numpy.array([1.5])   numpy.float64(1.5) *Array float64
//
// The opcodes are those of CPython 3.11's Lib/pickletools.py. The arrays follow
// joblib 1.1 to 1.6 (joblib/numpy_pickle.py, NumpyArrayWrapper) and numpy 1.17 to
// 2.4 (numpy/_core/src/multiarray/methods.c, array_setstate; descriptor.c,
// arraydescr_setstate).
package pickle

import (
	"errors"
	"fmt"
	"strings"

	"github.com/basket-go/basket/internal/filetext"
)

// Limits. With them a file takes at most some 64 MB and 16 times its own size of
// memory, including the forest that is made of it.
const (
	maxNested   = 2       // pickles in pickles: arrays of objects
	maxItemSize = 1 << 20 // bytes of an array's item
	maxFields   = 64      // of an array's item
	maxAxes     = 32
	maxName     = 256 // bytes of a global's name
)

// budget returns the bytes of memory that a file of n bytes may take: half of them
// for its values, half for a forest, which takes as much as its arrays.
func budget(n int) int { return 60<<20 + 15*n }

// maxOutput returns how many bytes a compressed file of n bytes may decompress to.
// Real models are compressed to a third of their size, fully grown forests to a
// tenth.
func maxOutput(n int) int { return budget(n) / 2 }

// A Value is nil, bool, int64, float64, string, Bytes, Long, Tuple, *List, *Dict,
// Global, *Object, *Array or *Dtype. Values may be shared, and a *List, *Dict or
// *Object may contain itself: whoever walks them must bound the depth.
type Value any

// Bytes is a byte string.
type Bytes []byte

// Long is an integer beyond int64, as little-endian two's complement.
type Long []byte

// A Tuple is an immutable sequence.
type Tuple []Value

// A List is a list or a set.
type List struct{ Items []Value }

// A Global is "module.name", one of the allowed names.
type Global string

// An Object records a call of a class. The call is not made.
type Object struct {
	Class string // module and name
	Args  Tuple
	State Value // set after the call; nil if there is none
}

// Attr returns an attribute if the object's state is a dictionary that has it.
func (o *Object) Attr(name string) (Value, bool) {
	d, ok := o.State.(*Dict)
	if !ok {
		return nil, false
	}
	return d.Get(name)
}

// Name returns the class without its module.
func (o *Object) Name() string {
	return o.Class[strings.LastIndexByte(o.Class, '.')+1:]
}

// fewKeys is the largest number of keys that Get searches without an index.
const fewKeys = 40

// A Dict is a dictionary, in the file's order.
type Dict struct {
	Keys, Values []Value
	index        map[string]int // of the keys that are strings; built by Get if there are many
}

// Get returns the value of key, the last one of duplicates.
func (d *Dict) Get(key string) (Value, bool) {
	if len(d.Keys) > fewKeys {
		if d.index == nil {
			d.index = make(map[string]int)
			for i, k := range d.Keys {
				if s, ok := k.(string); ok {
					d.index[s] = i
				}
			}
		}
		i, ok := d.index[key]
		if !ok {
			return nil, false
		}
		return d.Values[i], true
	}
	for i := len(d.Keys) - 1; i >= 0; i-- {
		if s, ok := d.Keys[i].(string); ok && s == key {
			return d.Values[i], true
		}
	}
	return nil, false
}

// Is reports whether data looks like a pickle or a compressed joblib file.
func Is(data []byte) bool {
	return len(data) > 1 && data[0] == opProto && data[1] < 16 ||
		hasPrefix(data, "ccopy_reg\n") || compression(data) != ""
}

// Read reads a pickle or joblib file. It allows the names of numpy, joblib and
// Python that a model's arrays, scalars and random states need, and those in
// globals, "module.name". The result may share memory with data.
func Read(data []byte, globals map[string]bool) (Value, error) {
	if hasPrefix(data, "ccopy_reg\n") {
		return nil, errors.New("pickle protocol 0 or 1: save the model with protocol 2 or newer")
	}
	in, err := open(data)
	if err != nil {
		return nil, err
	}
	m := &machine{in: in, globals: globals, budget: budget(len(data)) - in.allocated}
	v, err := m.run(0)
	if err != nil {
		return nil, err
	}
	if err := in.end(); err != nil {
		return nil, err
	}
	return v, nil
}

// Kind describes a value for an error message. The description is one line of
// printable text.
func Kind(v Value) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return fmt.Sprintf("the bool %v", v)
	case int64:
		return fmt.Sprintf("the integer %d", v)
	case float64:
		return fmt.Sprintf("the float %v", v)
	case string:
		return "the string " + filetext.Quote(v)
	case Bytes:
		return "bytes"
	case Long:
		return "a long integer"
	case Tuple:
		return fmt.Sprintf("a tuple of %d", len(v))
	case *List:
		return fmt.Sprintf("a list of %d", len(v.Items))
	case *Dict:
		return fmt.Sprintf("a dictionary of %d", len(v.Keys))
	case Global:
		return string(v) // on the list
	case *Object:
		return v.Class // on the list
	case *Array:
		return fmt.Sprintf("an array of %s, shape %v", v.Dtype, v.Shape)
	case *Dtype:
		return "a dtype"
	}
	return "something unknown"
}
