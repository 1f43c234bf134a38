package basket

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// A userTable numbers users by their IDs and holds their regulars. What an order
// needs of a user lies in one place, the user's record, because each place is a
// miss of the processor's caches if there are many users.
type userTable struct {
	slots   []uint64            // hash table with open addressing: low half of the ID's hash, address of the record plus one
	chunks  [][]int64           // of records, which stay where they are
	records []uint32            // addresses by user number
	spilled chunks[userVariant] // regulars of users who have more than inlineRegulars, until seal
	tables  []int64             // the same after seal: the slots of each regularSet
	sealed  bool
	loaded  int64 // see find
}

// A record is: the user number and, in the high half, the length of the ID; the
// number of regulars and, in the high half, where their slots start in tables if
// they are more than inlineRegulars; they themselves if not; the ID.
const (
	inlineRegulars = 6
	recordHead     = 2 + inlineRegulars // words
)

// An address is the number of a chunk and, in the low bits, of a unit of it.
const (
	unitWords  = 4  // words
	unitBits   = 10 // of an address
	chunkWords = unitWords << unitBits
	lineWords  = 8 // of a cache line
	maxChunks  = 1 << (32 - unitBits - 1)
)

type userVariant struct {
	variant int64
	address uint32
}

// Bounds of the orders, users and regulars of a shard.
const (
	maxShard    = math.MaxInt32
	maxRegulars = math.MaxInt32 / 4 // of users with many: a variant takes up to four slots
)

const unknownUser = math.MaxUint32 // is no address

// record returns a user's record, and what follows it in its chunk.
func (t *userTable) record(address uint32) []int64 {
	return t.chunks[address>>unitBits][address&(1<<unitBits-1)*unitWords:]
}

// recordID returns the ID of a record: the table's own memory, which is not written
// again.
func recordID(r []int64) string {
	return unsafe.String((*byte)(unsafe.Pointer(unsafe.SliceData(r[recordHead:]))), uint64(r[0])>>32)
}

// id returns the ID of a user.
func (t *userTable) id(user uint32) string { return recordID(t.record(t.records[user])) }

// find sets the addresses of the users of a batch's rows that are unknownUser; a
// new user is added. Hashes are those of the user IDs.
//
// It makes each step for all rows before the next step: so the loads of one row do
// not wait for those of the row before. Rows should be few enough for their records
// to stay in the first cache.
func (t *userTable) find(b *batch, hashes []uint64, rows, addresses []uint32) error {
	if len(t.records) > maxShard-len(rows) || len(t.chunks) > maxChunks-len(rows) {
		return fmt.Errorf("basket: %w: more than %d users of one shard", ErrData, maxShard)
	}
	if need := 2 * (len(t.records) + len(rows)); need > len(t.slots) {
		t.grow(need)
	}
	mask := uint64(len(t.slots) - 1)
	var guesses [dealRows]uint32
	for k, i := range rows {
		if addresses[i] == unknownUser {
			guesses[k] = uint32(t.slots[hashes[i]&mask])
		} else {
			guesses[k] = addresses[i] + 1
		}
	}
	loaded := int64(0)
	for _, guess := range guesses[:len(rows)] {
		if guess == 0 {
			continue
		}
		r := t.record(guess - 1)
		r = r[:min(len(r), 4*lineWords)]
		for k := 0; k < len(r); k += lineWords {
			loaded |= r[k]
		}
	}
	t.loaded |= loaded // or the compiler would omit the loads
	for _, i := range rows {
		if addresses[i] == unknownUser {
			var err error
			if addresses[i], err = t.findOne(b, int(i), hashes[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// findOne returns the address of the user of a row, a new one for a new user. The
// hash table has an empty slot.
func (t *userTable) findOne(b *batch, row int, hash uint64) (uint32, error) {
	id := b.ID(row)
	mask, tag := uint64(len(t.slots)-1), hash<<32
	for i := hash & mask; ; i = (i + 1) & mask {
		switch slot := t.slots[i]; {
		case slot == 0:
			if b.Check != nil {
				if err := b.Check(row); err != nil {
					return 0, err
				}
			}
			address := t.add(id)
			t.slots[i] = tag | uint64(address+1)
			return address, nil
		case slot&^math.MaxUint32 == tag && recordID(t.record(uint32(slot)-1)) == id:
			return uint32(slot) - 1, nil
		}
	}
}

// add adds a user.
func (t *userTable) add(id string) uint32 {
	const least = chunkWords / 32
	words := recordHead + (len(id)+7)/8
	last, pos := len(t.chunks)-1, 0
	if last >= 0 {
		// A record is in as few cache lines as possible.
		pos = (len(t.chunks[last]) + unitWords - 1) / unitWords * unitWords
		if pos%lineWords+words > (words+lineWords-1)/lineWords*lineWords {
			pos += lineWords - pos%lineWords
		}
	}
	if last < 0 || pos+words > cap(t.chunks[last]) {
		size := least
		if last >= 0 {
			size = min(2*cap(t.chunks[last]), chunkWords)
		}
		t.chunks = append(t.chunks, make([]int64, 0, max(size, words)))
		last, pos = last+1, 0
	}
	t.chunks[last] = t.chunks[last][:pos+words]
	r := t.chunks[last][pos:]
	r[0] = int64(len(t.records)) | int64(len(id))<<32
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&r[recordHead-1])), 8+len(id))[8:], id)
	address := uint32(last<<unitBits | pos/unitWords)
	t.records = append(t.records, address)
	return address
}

// grow makes the hash table at least n long.
func (t *userTable) grow(n int) {
	size := max(64, len(t.slots))
	for size < n {
		size *= 2
	}
	old := t.slots
	t.slots = make([]uint64, size)
	mask := uint64(size - 1)
	for _, slot := range old {
		if slot == 0 {
			continue
		}
		i := slot >> 32 & mask // the table is at most 1<<32 long
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = slot
	}
}

// addRegular adds a regular, before seal.
func (t *userTable) addRegular(address uint32, variant int64) error {
	r := t.record(address)
	n := int(uint32(r[1]))
	switch {
	case n <= inlineRegulars && slices.Contains(r[2:2+n], variant):
		return nil
	case n < inlineRegulars:
		r[2+n] = variant
		r[1]++
		return nil
	case n == inlineRegulars:
		for _, v := range r[2:recordHead] {
			t.spilled.append(userVariant{v, address})
		}
		r[1]++
	}
	if t.spilled.n >= maxRegulars-inlineRegulars {
		return fmt.Errorf("basket: %w: more than %d regulars of one shard", ErrData, maxRegulars)
	}
	t.spilled.append(userVariant{variant, address})
	return nil
}

// seal ends the addition of regulars.
func (t *userTable) seal() {
	if t.sealed {
		return
	}
	t.sealed = true
	all := make([]userVariant, 0, t.spilled.n)
	for part := range t.spilled.all(0, t.spilled.n) {
		all = append(all, part...)
	}
	t.spilled = chunks[userVariant]{}
	slices.SortFunc(all, func(a, b userVariant) int {
		return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(a.variant, b.variant))
	})
	all = slices.Compact(all)
	var variants []int64 // of one user
	for i, v := range all {
		variants = append(variants, v.variant)
		if i+1 == len(all) || all[i+1].address != v.address {
			t.record(v.address)[1] = int64(len(variants)) | int64(len(t.tables))<<32
			t.tables = appendSlots(t.tables, variants)
			variants = variants[:0]
		}
	}
	t.tables = slices.Clip(t.tables)
}

// regulars returns a user's regulars, after seal.
func (t *userTable) regulars(record []int64) regularSet {
	n := int(uint32(record[1]))
	if n <= inlineRegulars {
		return regularSet{n: n, few: record[2 : 2+n]}
	}
	return regularSet{n: n, slots: t.tables[uint64(record[1])>>32:][:slotCount(n)]}
}
