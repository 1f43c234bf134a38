// Package columns is the form in which package basketparquet hands regulars and
// orders to a basket.Materializer. It saves what a sequence of single orders costs:
// a string for each user ID, and a look-up for each row that refers to a
// dictionary. It is not public, because the strings of a Batch do not stay as they
// are, which strings must.
package columns

import (
	"sync/atomic"
	"unsafe"
)

// A Batch is regulars or orders, by column.
type Batch struct {
	// IDs are the user IDs of the rows or, if Dictionary is not nil, are empty.
	IDs      []string
	Volatile bool // the IDs are in memory that the reader uses again after Pass

	Dictionary *Dictionary
	Indexes    []uint32 // of the rows' user IDs in the dictionary

	// Check, if it is not nil, returns what is wrong with the ID of a row. It is called
	// once for each user, because a user that is known has a good ID.
	Check func(row int) error

	Items []int64 // the items of all orders; of regulars, the variant of each
	Ends  []int   // of orders: where the items of each end
	Times []Time  // of orders

	memory []byte // see Own
}

// A Time is a number of seconds of Unix time, and nanoseconds.
type Time struct {
	Sec  int64
	Nsec int32
}

// A Dictionary is user IDs to which rows refer by index.
type Dictionary struct {
	IDs []string

	// Users is what the Materializer has found of each ID, or zero.
	Users []atomic.Uint64
}

// NewDictionary returns a dictionary of IDs, which must not change.
func NewDictionary(ids []string) *Dictionary {
	return &Dictionary{ids, make([]atomic.Uint64, len(ids))}
}

// Len returns the number of rows.
func (b *Batch) Len() int { return len(b.IDs) + len(b.Indexes) }

// ID returns the user ID of a row.
func (b *Batch) ID(i int) string {
	if b.Dictionary != nil {
		return b.Dictionary.IDs[b.Indexes[i]]
	}
	return b.IDs[i]
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	clear(b.IDs)
	*b = Batch{IDs: b.IDs[:0], Indexes: b.Indexes[:0], Items: b.Items[:0], Ends: b.Ends[:0], Times: b.Times[:0], memory: b.memory}
}

// A Part reads a part of a table. It fills b, passes it on, fills the batch that
// Pass returns, which is empty, and so on; it ends when Pass returns nil.
type Part func(b *Batch, pass Pass) error

// A Pass takes a batch and returns the next one.
type Pass func(*Batch) *Batch

// AddRegulars and AddOrders add the rows of parts to a *basket.Materializer, as its
// methods AddRegulars and AddAll do. Package basket sets them.
var AddRegulars, AddOrders func(materializer any, parts []Part) error

// Own copies volatile IDs to memory of the batch.
func (b *Batch) Own() {
	if !b.Volatile {
		return
	}
	b.memory = b.memory[:0]
	for _, id := range b.IDs {
		b.memory = append(b.memory, id...)
	}
	pos := 0
	for i, id := range b.IDs {
		b.IDs[i] = unsafe.String(unsafe.SliceData(b.memory[pos:]), len(id))
		pos += len(id)
	}
	b.Volatile = false
}
