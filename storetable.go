package basket

import (
	"hash/maphash"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// A table is the rows of a MemoryStore. What is written of a row never changes, so
// readers need no lock. A user's new row is a new record, and becomes current when its
// number is stored, atomically, in the user's slot. A table whose slots are half full
// continues as one with more of them and the same rows.
type table struct {
	slots []uint64 // hash table with open addressing: high half of the hash, record number plus one
	rows  atomic.Pointer[rowChunks]
	width int // values of a row
	shift int // 1<<shift records are a chunk

	// Only the writer uses these.
	next    int // number of the next record
	nextKey int // where the next ID starts in the last chunk of keys
	users   int
	newest  record // of the latest event time, if there is a record
}

// rowChunks are the records, values and user IDs of a table, in chunks, so that a table
// grows without a copy of all. Chunks may be added, and the last one of records may be
// replaced by a longer one. So a reader loads them after the slot that leads to a record.
type rowChunks struct {
	records [][]record
	values  [][]float64 // width a record
	keys    [][]byte    // an ID is within one chunk
}

type record struct {
	sec    int64 // OrderedAt
	number int64
	chunk  uint32 // of keys
	start  uint32 // of the user ID in it
	keyLen int32
	nsec   int32
}

// Sizes of chunks: large enough that there are few, small enough that the free end of
// the last one does not matter.
const (
	firstRecords = 64
	maxRecords   = 4096
	firstKeys    = 1 << 10 // bytes
	maxKeys      = 1 << 20
)

// newTable returns an empty table.
func newTable(width int) *table {
	t := &table{slots: make([]uint64, slotsOf(firstRecords)), width: width}
	for t.shift = 12; t.shift > 0 && width<<t.shift > maxKeys/8; t.shift-- {
	}
	t.rows.Store(&rowChunks{})
	return t
}

// slotsOf returns how many slots users have: at least two each.
func slotsOf(users int) int {
	n := 1
	for n < 2*max(users, 1) {
		n *= 2
	}
	return n
}

// at returns the record of a number and its values.
func (c *rowChunks) at(t *table, i int) (*record, []float64) {
	chunk, pos := i>>t.shift, i&(1<<t.shift-1)
	return &c.records[chunk][pos], c.values[chunk][pos*t.width : (pos+1)*t.width : (pos+1)*t.width]
}

// key returns the user ID of a record.
func (c *rowChunks) key(r *record) []byte {
	return c.keys[r.chunk][r.start:][:r.keyLen]
}

// home is where the search for a hash, of which the high half counts, begins: a table
// can grow by its slots alone.
func (t *table) home(hash uint64) uint64 { return hash >> 32 & uint64(len(t.slots)-1) }

// slot returns the slot of userID and its content, which is 0 for a new user.
func (t *table) slot(hash uint64, userID string) (*uint64, uint64) {
	mask := uint64(len(t.slots) - 1)
	for i := t.home(hash); ; i = (i + 1) & mask {
		p := &t.slots[i]
		s := atomic.LoadUint64(p)
		if s == 0 {
			return p, 0
		}
		if s>>32 == hash>>32 {
			c := t.rows.Load()
			i := int(uint32(s) - 1)
			if r := &c.records[i>>t.shift][i&(1<<t.shift-1)]; string(c.key(r)) == userID {
				return p, s
			}
		}
	}
}

func (t *table) row(seed maphash.Seed, userID string) (Row, bool) {
	_, s := t.slot(maphash.String(seed, userID), userID)
	if s == 0 {
		return Row{}, false
	}
	r, values := t.rows.Load().at(t, int(uint32(s)-1))
	return Row{UserID: userID, OrderedAt: r.time(), Number: int(r.number), Values: values}, true
}

// before reports whether the event time of r is before that of other.
func (r *record) before(other *record) bool {
	return r.sec < other.sec || r.sec == other.sec && r.nsec < other.nsec
}

func (r *record) time() time.Time { return time.Unix(r.sec, int64(r.nsec)).UTC() }

// put returns the table with row in it: t, or one that continues it.
func (t *table) put(seed maphash.Seed, row Row) *table {
	hash := maphash.String(seed, row.UserID)
	p, s := t.slot(hash, row.UserID)
	r := record{
		sec: row.OrderedAt.Unix(), nsec: int32(row.OrderedAt.Nanosecond()),
		number: int64(row.Number), keyLen: int32(len(row.UserID)),
	}
	if s != 0 {
		old, _ := t.rows.Load().at(t, int(uint32(s)-1))
		if r.before(old) {
			return t
		}
		r.chunk, r.start = old.chunk, old.start
		// Records that are no longer current may take a fourth of the memory of the
		// others.
		if t.next-t.users > t.users/4+firstRecords {
			t = t.compact()
			p, _ = t.slot(hash, row.UserID)
		}
	} else {
		if t.full() {
			t = t.grown()
			p, _ = t.slot(hash, row.UserID)
		}
		r.chunk, r.start = addKey(t, row.UserID)
		t.users++
	}
	t.add(r, row.Values)
	atomic.StoreUint64(p, hash&^math.MaxUint32|uint64(t.next))
	return t
}

// full reports whether the slots are too few for one more user.
func (t *table) full() bool { return 2*(t.users+1) > len(t.slots) }

// grown returns t with twice the slots.
func (t *table) grown() *table {
	big := &table{
		slots: make([]uint64, 2*len(t.slots)), width: t.width, shift: t.shift,
		next: t.next, nextKey: t.nextKey, users: t.users, newest: t.newest,
	}
	big.rows.Store(t.rows.Load())
	for _, s := range t.slots {
		if s != 0 {
			big.insert(s)
		}
	}
	return big
}

// insert adds a slot of a user who has none. No other goroutine uses t.
func (t *table) insert(s uint64) {
	i := t.home(s)
	for t.slots[i] != 0 {
		i = (i + 1) & uint64(len(t.slots)-1)
	}
	t.slots[i] = s
}

// add adds a record, its ID apart, and its values.
func (t *table) add(r record, values []float64) {
	c := t.rows.Load()
	chunk, pos := t.next>>t.shift, t.next&(1<<t.shift-1)
	if chunk == len(c.records) || pos == len(c.records[chunk]) {
		c = c.withRecords(t, chunk, min(max(firstRecords, 2*pos), 1<<t.shift))
		t.rows.Store(c)
	}
	c.records[chunk][pos] = r
	copy(c.values[chunk][pos*t.width:], values)
	t.next++
	if t.next == 1 || t.newest.before(&r) {
		t.newest = r
	}
}

// withRecords returns c with n records in its last chunk, which it may not have yet.
// Chunks after the first are made as long as they may be.
func (c *rowChunks) withRecords(t *table, chunk, n int) *rowChunks {
	if chunk > 0 {
		n = 1 << t.shift
	}
	records, values := make([]record, n), make([]float64, n*t.width)
	more := *c
	if chunk == len(c.records) {
		// Readers of c do not look beyond its length.
		more.records, more.values = append(c.records, records), append(c.values, values)
		return &more
	}
	copy(records, c.records[chunk])
	copy(values, c.values[chunk])
	more.records, more.values = slices.Clone(c.records), slices.Clone(c.values)
	more.records[chunk], more.values[chunk] = records, values
	return &more
}

// addKey adds a user ID and returns its chunk and where it starts.
func addKey[T string | []byte](t *table, userID T) (chunk, start uint32) {
	c := t.rows.Load()
	last := len(c.keys) - 1
	if last < 0 || t.nextKey+len(userID) > len(c.keys[last]) {
		n := firstKeys
		if last >= 0 {
			n = min(2*max(len(c.keys[last]), firstKeys), maxKeys)
		}
		more := *c
		more.keys = append(c.keys, make([]byte, max(n, len(userID))))
		t.rows.Store(&more)
		c, last, t.nextKey = &more, last+1, 0
	}
	start = uint32(t.nextKey)
	t.nextKey += copy(c.keys[last][t.nextKey:], userID)
	return uint32(last), start
}

// trim drops the free ends of the last chunks. No other goroutine uses t.
func (t *table) trim() {
	c := *t.rows.Load()
	if chunk := len(c.records) - 1; chunk >= 0 {
		n := t.next - chunk<<t.shift
		c.records[chunk] = slices.Clone(c.records[chunk][:n])
		c.values[chunk] = slices.Clone(c.values[chunk][:n*t.width])
	}
	if chunk := len(c.keys) - 1; chunk >= 0 {
		c.keys[chunk] = slices.Clone(c.keys[chunk][:t.nextKey])
	}
	t.rows.Store(&c)
}

// current returns, for each record, the content of its slot, or 0 if it is not current.
// It is called by the writer.
func (t *table) current() []uint64 {
	slots := make([]uint64, t.next)
	for _, s := range t.slots {
		if s != 0 {
			slots[uint32(s)-1] = s
		}
	}
	return slots
}

// compact returns a copy of t without the records that are not current. It shares the
// user IDs, all of which are in use.
func (t *table) compact() *table {
	c := t.rows.Load()
	rest := &table{slots: make([]uint64, len(t.slots)), width: t.width, shift: t.shift, nextKey: t.nextKey, users: t.users}
	rest.rows.Store(&rowChunks{keys: c.keys})
	for i, s := range t.current() {
		if s != 0 {
			r, values := c.at(t, i)
			rest.add(*r, values)
			rest.insert(s&^math.MaxUint32 | uint64(rest.next))
		}
	}
	return rest
}

// without returns a copy of t without the users whose record numbers plus one are in
// drop. It shares nothing with t.
func (t *table) without(drop map[uint32]bool) *table {
	c := t.rows.Load()
	rest := newTable(t.width)
	rest.slots = make([]uint64, slotsOf(t.users-len(drop)))
	for i, s := range t.current() {
		if s == 0 || drop[uint32(s)] {
			continue
		}
		r, values := c.at(t, i)
		moved := *r
		moved.chunk, moved.start = addKey(rest, c.key(r))
		rest.add(moved, values)
		rest.users++
		rest.insert(s&^math.MaxUint32 | uint64(rest.next))
	}
	rest.trim()
	return rest
}
