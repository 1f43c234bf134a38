package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
	"unsafe"

	"github.com/basket-go/basket/internal/filetext"
)

// The supported opcodes: those that scikit-learn 1.2 to 1.9 writes in protocols 2 to
// 5. All others of CPython are errors.
const (
	opMark           = '('
	opStop           = '.'
	opBinFloat       = 'G'
	opBinInt         = 'J'
	opBinInt1        = 'K'
	opBinInt2        = 'M'
	opNone           = 'N'
	opReduce         = 'R'
	opBinUnicode     = 'X'
	opAppend         = 'a'
	opBuild          = 'b'
	opGlobal         = 'c'
	opAppends        = 'e'
	opBinGet         = 'h'
	opLongBinGet     = 'j'
	opBinPut         = 'q'
	opLongBinPut     = 'r'
	opSetItem        = 's'
	opTuple          = 't'
	opSetItems       = 'u'
	opEmptyDict      = '}'
	opEmptyList      = ']'
	opEmptyTuple     = ')'
	opBinBytes       = 'B'
	opShortBinBytes  = 'C'
	opProto          = 0x80
	opNewObj         = 0x81
	opTuple1         = 0x85
	opTuple2         = 0x86
	opTuple3         = 0x87
	opNewTrue        = 0x88
	opNewFalse       = 0x89
	opLong1          = 0x8a
	opShortBinString = 0x8c
	opBinUnicode8    = 0x8d
	opBinBytes8      = 0x8e
	opEmptySet       = 0x8f
	opAddItems       = 0x90
	opFrozenSet      = 0x91
	opStackGlobal    = 0x93
	opMemoize        = 0x94
	opFrame          = 0x95
	opByteArray8     = 0x96
)

// refused is the names of CPython's other opcodes.
var refused = map[byte]string{
	'0': "POP", '1': "POP_MARK", '2': "DUP", 'F': "FLOAT", 'I': "INT", 'L': "LONG", 'P': "PERSID", 'Q': "BINPERSID",
	'S': "STRING", 'T': "BINSTRING", 'U': "SHORT_BINSTRING", 'V': "UNICODE", 'd': "DICT", 'g': "GET", 'i': "INST",
	'l': "LIST", 'o': "OBJ", 'p': "PUT", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x8b: "LONG4", 0x92: "NEWOBJ_EX",
	0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}

// A machine runs one pickle. It recurses only for arrays of objects, which are
// nested pickles, to depth maxNested.
type machine struct {
	in      *input
	globals map[string]bool
	budget  int // bytes of memory that values may still take

	stack []Value
	marks []int // lengths of the stack at each MARK
	memo  []Value
}

// charge takes n bytes of memory from the budget.
func (m *machine) charge(n int) error {
	if m.budget -= n; m.budget < 0 {
		return errors.New("the values take more memory than the limit for a file of this size")
	}
	return nil
}

// grow returns s with capacity for n more items. It charges each allocation, so
// that garbage counts too.
func grow[T any](m *machine, s []T, n int) ([]T, error) {
	if len(s)+n <= cap(s) {
		return s, nil
	}
	size := max(len(s)+n, 2*cap(s), 4)
	var item T
	if err := m.charge(size * int(unsafe.Sizeof(item))); err != nil {
		return s, err
	}
	return append(make([]T, 0, size), s...), nil
}

// run executes opcodes up to STOP and returns the value on the stack.
func (m *machine) run(depth int) (Value, error) {
	for {
		at := m.in.offset
		op, err := m.in.byte()
		if err == nil && op == opStop {
			break
		}
		if err == nil {
			err = m.step(op, depth)
		}
		if err != nil {
			return nil, fmt.Errorf("byte %d: %w", at, err)
		}
	}
	if len(m.stack) != 1 || len(m.marks) != 0 {
		return nil, fmt.Errorf("byte %d: STOP with %d values and %d marks: want 1 and 0", m.in.offset-1, len(m.stack), len(m.marks))
	}
	return m.stack[0], nil
}

// step executes one opcode.
func (m *machine) step(op byte, depth int) error {
	switch op {
	case opProto:
		version, err := m.in.byte()
		if err == nil && (version < 2 || version > 5) {
			err = fmt.Errorf("PROTO %d: want 2 to 5", version)
		}
		return err
	case opFrame:
		_, err := m.in.short(8) // the frame's length is not needed
		return err
	case opMark:
		marks, err := grow(m, m.marks, 1)
		m.marks = append(marks, len(m.stack))
		return err

	case opNone:
		return m.push(nil, 0)
	case opNewTrue:
		return m.push(true, 0)
	case opNewFalse:
		return m.push(false, 0)
	case opBinInt1:
		return m.integer(1)
	case opBinInt2:
		return m.integer(2)
	case opBinInt:
		return m.integer(4)
	case opLong1:
		return m.long()
	case opBinFloat:
		b, err := m.in.short(8)
		if err != nil {
			return err
		}
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)), 8)
	case opShortBinString, opBinUnicode, opBinUnicode8:
		return m.string(op)
	case opShortBinBytes, opBinBytes, opBinBytes8, opByteArray8:
		b, err := m.prefixed(op)
		if err != nil {
			return err
		}
		return m.push(Bytes(b), 24)

	case opEmptyTuple:
		return m.push(Tuple(nil), 0)
	case opTuple1:
		return m.tuple(1)
	case opTuple2:
		return m.tuple(2)
	case opTuple3:
		return m.tuple(3)
	case opTuple:
		items, err := m.popMark()
		if err != nil {
			return err
		}
		return m.pushTuple(items)
	case opEmptyList, opEmptySet:
		return m.push(&List{}, 24)
	case opFrozenSet:
		items, err := m.popMark()
		if err != nil {
			return err
		}
		list := &List{}
		if list.Items, err = grow(m, list.Items, len(items)); err != nil {
			return err
		}
		list.Items = append(list.Items, items...)
		return m.push(list, 24)
	case opAppend:
		v, err := m.pop()
		if err != nil {
			return err
		}
		return m.extend([]Value{v})
	case opAppends, opAddItems:
		items, err := m.popMark()
		if err != nil {
			return err
		}
		return m.extend(items)
	case opEmptyDict:
		return m.push(&Dict{}, 64)
	case opSetItem:
		pair, err := m.popN(2)
		if err != nil {
			return err
		}
		return m.set(pair)
	case opSetItems:
		pairs, err := m.popMark()
		if err != nil {
			return err
		}
		return m.set(pairs)

	case opMemoize:
		return m.put(len(m.memo))
	case opBinPut, opLongBinPut, opBinGet, opLongBinGet:
		return m.access(op)

	case opGlobal, opStackGlobal:
		return m.global(op)
	case opReduce, opNewObj:
		return m.call(op)
	case opBuild:
		return m.build(depth)
	}
	name := refused[op]
	if name == "" {
		name = "unknown"
	}
	return fmt.Errorf("opcode 0x%02x (%s): not on the list of opcodes for scikit-learn models", op, name)
}

// push pushes v and charges size bytes besides those of the stack.
func (m *machine) push(v Value, size int) error {
	stack, err := grow(m, m.stack, 1)
	if err != nil {
		return err
	}
	m.stack = append(stack, v)
	return m.charge(size)
}

var errUnderflow = errors.New("the stack has too few values")

// floor returns the height of the stack at the last mark, below which nothing may be
// popped.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

// popN pops n values, which are valid until the next push.
func (m *machine) popN(n int) ([]Value, error) {
	if len(m.stack)-n < m.floor() {
		return nil, errUnderflow
	}
	items := m.stack[len(m.stack)-n:]
	m.stack = m.stack[:len(m.stack)-n]
	return items, nil
}

func (m *machine) pop() (Value, error) {
	items, err := m.popN(1)
	if err != nil {
		return nil, err
	}
	return items[0], nil
}

// popMark pops the last mark and all values above it.
func (m *machine) popMark() ([]Value, error) {
	if len(m.marks) == 0 {
		return nil, errors.New("no mark on the stack")
	}
	items, err := m.popN(len(m.stack) - m.floor())
	m.marks = m.marks[:len(m.marks)-1]
	return items, err
}

// top returns the value on top of the stack.
func (m *machine) top() (*Value, error) {
	if len(m.stack) <= m.floor() {
		return nil, errUnderflow
	}
	return &m.stack[len(m.stack)-1], nil
}

// uint reads a little-endian number of size bytes.
func (m *machine) uint(size int) (uint64, error) {
	b, err := m.in.short(size)
	n := uint64(0)
	for i, c := range b {
		n |= uint64(c) << (8 * i)
	}
	return n, err
}

func (m *machine) integer(size int) error {
	v, err := m.uint(size)
	switch {
	case err != nil:
		return err
	case size == 1:
		return m.push(int64(v), 0)
	}
	return m.push(int64(int32(v)), 8)
}

// long pushes an integer in little-endian two's complement.
func (m *machine) long() error {
	n, err := m.in.byte()
	if err != nil {
		return err
	}
	b, err := m.in.next(int(n))
	if err != nil {
		return err
	}
	if n > 8 {
		return m.push(Long(b), 24)
	}
	v := int64(0)
	for i, c := range b {
		v |= int64(c) << (8 * i)
	}
	if n > 0 && n < 8 && b[n-1]&0x80 != 0 {
		v -= 1 << (8 * n)
	}
	return m.push(v, 8)
}

// prefixed reads bytes after their length, whose own size depends on op.
func (m *machine) prefixed(op byte) ([]byte, error) {
	size := 8
	switch op {
	case opShortBinString, opShortBinBytes:
		size = 1
	case opBinUnicode, opBinBytes:
		size = 4
	}
	n, err := m.uint(size)
	if err != nil {
		return nil, err
	}
	if n > uint64(m.in.left) {
		return nil, m.in.tooFew(n)
	}
	return m.next(int(n))
}

// next reads n bytes. It charges those of a decompressor, which are allocated.
func (m *machine) next(n int) ([]byte, error) {
	if m.in.stream != nil && n <= m.in.left {
		if err := m.charge(n); err != nil {
			return nil, err
		}
	}
	return m.in.next(n)
}

func (m *machine) string(op byte) error {
	b, err := m.prefixed(op)
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("string %s: want UTF-8", filetext.Quote(string(b)))
	}
	return m.push(string(b), 16+len(b))
}

func (m *machine) tuple(n int) error {
	items, err := m.popN(n)
	if err != nil {
		return err
	}
	return m.pushTuple(items)
}

func (m *machine) pushTuple(items []Value) error {
	if err := m.charge(24 + 16*len(items)); err != nil {
		return err
	}
	return m.push(append(Tuple(nil), items...), 0)
}

// extend appends items to the list on top of the stack.
func (m *machine) extend(items []Value) error {
	top, err := m.top()
	if err != nil {
		return err
	}
	list, ok := (*top).(*List)
	if !ok {
		return fmt.Errorf("items for %s: want a list", Kind(*top))
	}
	if list.Items, err = grow(m, list.Items, len(items)); err != nil {
		return err
	}
	list.Items = append(list.Items, items...)
	return nil
}

// set adds pairs of key and value to the dictionary on top of the stack.
func (m *machine) set(pairs []Value) error {
	top, err := m.top()
	if err != nil {
		return err
	}
	d, ok := (*top).(*Dict)
	switch {
	case !ok:
		return fmt.Errorf("keys for %s: want a dictionary", Kind(*top))
	case len(pairs)%2 != 0:
		return fmt.Errorf("%d keys and values: want pairs", len(pairs))
	}
	if d.Keys, err = grow(m, d.Keys, len(pairs)/2); err != nil {
		return err
	}
	if d.Values, err = grow(m, d.Values, len(pairs)/2); err != nil {
		return err
	}
	for i := 0; i < len(pairs); i += 2 {
		d.Keys = append(d.Keys, pairs[i])
		d.Values = append(d.Values, pairs[i+1])
	}
	if len(d.Keys) > fewKeys {
		return m.charge(32 * len(pairs)) // the index
	}
	return nil
}

// access sets or pushes the memo whose number follows op.
func (m *machine) access(op byte) error {
	size := 1
	if op == opLongBinPut || op == opLongBinGet {
		size = 4
	}
	i, err := m.uint(size)
	switch {
	case err != nil:
		return err
	case op == opBinPut || op == opLongBinPut:
		return m.put(int(i))
	case i >= uint64(len(m.memo)):
		return fmt.Errorf("memo %d: only %d are set", i, len(m.memo))
	}
	return m.push(m.memo[i], 0)
}

// put sets memo i to the value on top of the stack. Python numbers memos from 0
// without gaps and sets none twice.
func (m *machine) put(i int) error {
	top, err := m.top()
	if err != nil {
		return err
	}
	if i != len(m.memo) {
		return fmt.Errorf("memo %d: want %d, the next one", i, len(m.memo))
	}
	memo, err := grow(m, m.memo, 1)
	if err != nil {
		return err
	}
	m.memo = append(memo, *top)
	return nil
}
