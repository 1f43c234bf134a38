// Package pickle reads what scikit-learn models are saved as: Python pickles of
// protocols 2 to 5, and joblib's files, which are pickles with arrays between the
// opcodes, compressed or not.
//
// Python's own pickle module runs what a pickle tells it to run. Here nothing is
// run and nothing is constructed by name: a name is an inert token, a call is a
// record of the name and its arguments, and both names and opcodes must stand on a
// closed list. The one thing that is computed is numpy's: arrays, scalars and
// dtypes become values that a reader can use.
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
)

// Limits. A file that keeps to them takes memory of some 64 MB and 16 times its
// own size at most, the reader's forest included.
const (
	maxNested   = 2       // pickles within pickles, which arrays of objects are
	maxItemSize = 1 << 20 // bytes of an array's item
	maxFields   = 64      // of an array's item
	maxAxes     = 32
	maxName     = 256 // bytes of a global's name
)

// budget is how many bytes of memory a file of n bytes may take: its values and,
// where the model is one, the forest that is made of its arrays, which takes as much
// as they do.
func budget(n int) int { return 60<<20 + 15*n }

// output is how many bytes may come out of a compressed file of n bytes. Real
// models are compressed to a third of their size, fully grown forests to a tenth.
func output(n int) int { return budget(n) / 2 }

// A Value is nil, bool, int64, float64, string, Bytes, Long, Tuple, *List, *Dict,
// Global, *Object, *Array or *Dtype. Values may be shared and, by way of *List,
// *Dict and *Object, hold themselves: whoever walks them minds the depth.
type Value any

// Bytes is a byte string.
type Bytes []byte

// Long is an integer beyond int64, as its little-endian two's complement.
type Long []byte

// A Tuple is a sequence that does not change.
type Tuple []Value

// A List is a sequence, or a set.
type List struct{ Items []Value }

// A Global is a name, module and all, that was on the list.
type Global string

// An Object is what a name was called with. It stands for the result of a
// call that was never made.
type Object struct {
	Class string // module and name
	Args  Tuple
	State Value // given after the call; nil if nothing was
}

// Attr returns the attribute of an object whose state is a dictionary.
func (o *Object) Attr(name string) (Value, bool) {
	d, ok := o.State.(*Dict)
	if !ok {
		return nil, false
	}
	return d.Get(name)
}

// Name is the class without its module.
func (o *Object) Name() string {
	return o.Class[strings.LastIndexByte(o.Class, '.')+1:]
}

// fewKeys is how many keys a dictionary has at most that is searched key by key.
const fewKeys = 40

// A Dict is a dictionary, in the order in which the file fills it.
type Dict struct {
	Keys, Values []Value
	index        map[string]int // of the keys that are strings; built by Get if there are many
}

// Get returns the value of key. Of several the last one counts.
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

// Read reads the pickle or joblib file that data is. Of the names in it,
// "module.name", those of numpy, joblib and Python that the arrays, scalars and
// random states of a model are made of are known here; globals holds the others.
// What Read returns may keep parts of data.
func Read(data []byte, globals map[string]bool) (Value, error) {
	if hasPrefix(data, "ccopy_reg\n") {
		return nil, errors.New("pickle protocol 0 or 1: save the model with protocol 2 or newer")
	}
	s, err := open(data)
	if err != nil {
		return nil, err
	}
	m := &machine{source: s, globals: globals, left: budget(len(data)) - s.taken}
	v, err := m.run(0)
	if err != nil {
		return nil, err
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	return v, nil
}

// Kind names the kind of a value for an error message.
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
		return fmt.Sprintf("the text %q", clip(v))
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
		return string(v)
	case *Object:
		return v.Class
	case *Array:
		return fmt.Sprintf("an array of %s, shape %v", v.Dtype, v.Shape)
	case *Dtype:
		return "a dtype"
	}
	return "something unknown"
}

// clip shortens what goes into an error message.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
