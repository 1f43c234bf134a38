package basket

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Store returns users' newest feature rows. It must be safe for concurrent
// use.
//
// An implementation may return any error; the [Predictor] takes one that wraps
// ErrUserNotFound as the answer that there is no row, and any other as
// ErrUnavailable. It must not change the Values of a row after it has returned
// it, nor keep a row that was given to it.
//
// A Store may also be a [BatchStore] and a [Deleter].
type Store interface {
	// Features names the values of every row, in order. It always returns the
	// same names.
	Features() []string

	// Row returns the newest row of userID, or an error that wraps
	// ErrUserNotFound. It returns soon after ctx is done, with an error that wraps
	// ctx.Err().
	Row(ctx context.Context, userID string) (Row, error)
}

// A BatchStore is a Store that reads many users in one round trip.
type BatchStore interface {
	Store

	// Rows returns rows[i] for userIDs[i], which may repeat; a user that is not
	// found has the zero Row.
	Rows(ctx context.Context, userIDs []string) ([]Row, error)
}

// A Deleter is a Store that can forget users.
type Deleter interface {
	// Delete removes the rows of userIDs, which may repeat; a user without a row is no
	// error. After it has returned nil, Row and Rows do not find these users, and the
	// store holds neither their values nor their IDs. On error some of the users may
	// have been removed, and Delete may be called again. A row that is stored later,
	// of any event time, is a new row: who must not come back is kept out by the
	// caller.
	//
	// If ctx is done, it returns an error that wraps ctx.Err() and removes nobody.
	Delete(ctx context.Context, userIDs []string) error
}

// errNoRow is the error of a MemoryStore for a user without a row.
var errNoRow = fmt.Errorf("basket: %w: no feature row in the store", ErrUserNotFound)

// readRows sets rows[i] and errs[i] for userIDs[i]. It is the one place that
// asks whether a Store is a BatchStore.
func readRows(ctx context.Context, s Store, userIDs []string, rows []Row, errs []error) {
	batch, ok := s.(BatchStore)
	if !ok {
		for i, userID := range userIDs {
			rows[i], errs[i] = s.Row(ctx, userID)
		}
		return
	}
	got, err := batch.Rows(ctx, userIDs)
	if err == nil && len(got) != len(userIDs) {
		err = fmt.Errorf("the store returned %d rows for %d user IDs", len(got), len(userIDs))
	}
	for i := range userIDs {
		switch {
		case err != nil:
			errs[i] = err
		case got[i].Values == nil:
			errs[i] = errNoRow
		default:
			rows[i] = got[i]
		}
	}
}

// A MemoryStore is a BatchStore that holds every row in memory: some 50 bytes per
// user besides the ID and the values, in a few flat arrays without pointers, which
// the garbage collector does not scan. Row takes no lock and allocates nothing. A
// MemoryStore is safe for concurrent use. It keeps user IDs that a Predictor
// refuses, because one invalid ID in the data must not stop a server.
type MemoryStore struct {
	names []string
	seed  maphash.Seed
	table atomic.Pointer[table]
	write sync.Mutex // held while the table is changed
}

// NewMemoryStore returns a store of the newest of each user's rows, by OrderedAt,
// and of rows of equal time the last. It copies the rows. Names are those of the
// values, [FeatureNames] by default; a repeated name is an ErrFeatureMismatch.
// An error of the sequence is returned as it is.
func NewMemoryStore(rows iter.Seq2[Row, error], names ...string) (*MemoryStore, error) {
	if len(names) == 0 {
		names = FeatureNames()
	}
	if name, ok := repeated(names); ok {
		return nil, fmt.Errorf("basket: %w: two features of the store are named %q", ErrFeatureMismatch, name)
	}
	s := &MemoryStore{names: slices.Clone(names), seed: maphash.MakeSeed()}
	if err := s.Replace(rows); err != nil {
		return nil, err
	}
	return s, nil
}

// Features returns the names of the values of every row.
func (s *MemoryStore) Features() []string { return slices.Clone(s.names) }

// Len returns the number of users.
func (s *MemoryStore) Len() int {
	s.write.Lock()
	defer s.write.Unlock()
	return s.table.Load().users
}

// Row returns the newest row of userID. Its Values are the store's own memory.
func (s *MemoryStore) Row(ctx context.Context, userID string) (Row, error) {
	if err := ctx.Err(); err != nil {
		return Row{}, err
	}
	row, ok := s.table.Load().row(s.seed, userID)
	if !ok {
		return Row{}, errNoRow
	}
	return row, nil
}

// Rows returns the newest rows of userIDs, all from before or all from after a
// concurrent Replace or Delete.
func (s *MemoryStore) Rows(ctx context.Context, userIDs []string) ([]Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := s.table.Load()
	rows := make([]Row, len(userIDs))
	for i, userID := range userIDs {
		rows[i], _ = t.row(s.seed, userID)
	}
	return rows, nil
}

// Replace replaces all rows at once: readers see all of the old or all of the new
// ones. On error the old ones stay; an error of the sequence is returned as it is.
func (s *MemoryStore) Replace(rows iter.Seq2[Row, error]) error {
	t := newTable(len(s.names), 64, 0)
	for row, err := range rows {
		if err == nil {
			err = s.check(row)
		}
		if err != nil {
			return err
		}
		t = t.put(s.seed, row)
	}
	// Free capacity is dropped, because the rows may stay for long.
	t = t.grown(s.seed, t.users, 0)
	s.write.Lock()
	defer s.write.Unlock()
	s.table.Store(t)
	return nil
}

// Put sets the newest rows of some users, while other goroutines read. A row
// older than the user's present one is ignored, so updates may arrive in any
// order. If a row cannot be used, none of them is stored. Readers see each row
// whole, but may see some of the rows before the others. Put copies the rows.
func (s *MemoryStore) Put(ctx context.Context, rows []Row) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, row := range rows {
		if err := s.check(row); err != nil {
			return err
		}
	}
	s.write.Lock()
	defer s.write.Unlock()
	t := s.table.Load()
	for _, row := range rows {
		t = t.put(s.seed, row)
	}
	s.table.Store(t)
	return nil
}

// Delete removes users while other goroutines read: readers see all of them or none.
// It copies the rows of all other users, some 0.3 seconds and once more the memory
// for a million of them, so that neither ID nor values of a removed user remain;
// the old memory is released when the last row that was read from it is. Put and
// Replace wait meanwhile. So many users are better removed by one call. If none of
// them has a row, nothing is copied.
func (s *MemoryStore) Delete(ctx context.Context, userIDs []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	t := s.table.Load()
	drop := map[uint32]bool{} // record numbers plus one, as in slots
	for _, userID := range userIDs {
		if _, slot := t.slot(maphash.String(s.seed, userID), userID); slot != 0 {
			drop[uint32(slot)] = true
		}
	}
	if len(drop) > 0 {
		s.table.Store(t.without(s.seed, drop))
	}
	return nil
}

func (s *MemoryStore) check(row Row) error {
	if len(row.Values) != len(s.names) {
		return fmt.Errorf("basket: %w: row of user %.64q has %d values: want %d, %s", ErrData, row.UserID, len(row.Values), len(s.names), quoted(s.names))
	}
	return nil
}

// A table is the rows of a MemoryStore. Records, values and keys are append-only
// arrays of a fixed capacity: what is written never changes, so readers need no
// lock. A user's new row is a new record, and becomes current when its number is
// stored, atomically, in the user's slot. A full table is copied to a larger one,
// without the records that are no longer current, and so is one from which users are
// deleted.
type table struct {
	slots   []uint64 // hash table with open addressing: high half of the hash, record number plus one
	records []record
	values  []float64 // len(names) a record
	keys    []byte    // user IDs
	width   int

	// Only the writer uses these.
	next, nextKey int // lengths of records and keys
	users         int
}

type record struct {
	sec    int64 // OrderedAt
	number int64
	key    int // where the user ID starts
	keyLen int32
	nsec   int32
}

// newTable returns an empty table for n records and keyBytes of keys.
func newTable(width, n, keyBytes int) *table {
	slots := 1
	for slots < 2*n {
		slots *= 2
	}
	return &table{
		slots:   make([]uint64, slots),
		records: make([]record, n),
		values:  make([]float64, n*width),
		keys:    make([]byte, keyBytes),
		width:   width,
	}
}

// slot returns the slot of userID and its content, which is 0 for a new user.
func (t *table) slot(hash uint64, userID string) (*uint64, uint64) {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		p := &t.slots[i]
		s := atomic.LoadUint64(p)
		if s == 0 {
			return p, 0
		}
		if s>>32 == hash>>32 {
			r := &t.records[uint32(s)-1]
			if string(t.keys[r.key:r.key+int(r.keyLen)]) == userID {
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
	i := int(uint32(s) - 1)
	r := &t.records[i]
	return Row{
		UserID:    userID,
		OrderedAt: time.Unix(r.sec, int64(r.nsec)).UTC(),
		Number:    int(r.number),
		Values:    t.values[i*t.width : (i+1)*t.width : (i+1)*t.width],
	}, true
}

// put returns the table with row in it: t, or a larger copy.
func (t *table) put(seed maphash.Seed, row Row) *table {
	hash := maphash.String(seed, row.UserID)
	p, s := t.slot(hash, row.UserID)
	r := record{
		sec: row.OrderedAt.Unix(), nsec: int32(row.OrderedAt.Nanosecond()),
		number: int64(row.Number), keyLen: int32(len(row.UserID)),
	}
	keyBytes := len(row.UserID)
	if s != 0 {
		old := &t.records[uint32(s)-1]
		if r.sec < old.sec || r.sec == old.sec && r.nsec < old.nsec {
			return t
		}
		r.key, keyBytes = old.key, 0
	}
	if t.next == len(t.records) || t.nextKey+keyBytes > len(t.keys) {
		return t.grown(seed, max(64, 2*(t.users+1)), 2*(t.nextKey+len(row.UserID))).put(seed, row)
	}
	if s == 0 {
		r.key = t.nextKey
		t.nextKey += copy(t.keys[t.nextKey:], row.UserID)
		t.users++
	}
	t.records[t.next] = r
	copy(t.values[t.next*t.width:], row.Values)
	t.next++
	atomic.StoreUint64(p, hash&^math.MaxUint32|uint64(t.next))
	return t
}

// grown returns a copy of t for at least n records and keyBytes of keys.
func (t *table) grown(seed maphash.Seed, n, keyBytes int) *table {
	big := newTable(t.width, max(n, t.users), max(keyBytes, t.nextKey))
	t.copyTo(big, seed, nil)
	return big
}

// without returns a copy of t without the users whose record numbers plus one are in
// drop.
func (t *table) without(seed maphash.Seed, drop map[uint32]bool) *table {
	rest := newTable(t.width, len(t.records)-len(drop), len(t.keys))
	t.copyTo(rest, seed, drop)
	return rest
}

// copyTo adds to big the current records of t that are not in drop.
func (t *table) copyTo(big *table, seed maphash.Seed, drop map[uint32]bool) {
	for i := range t.slots {
		s := t.slots[i]
		if s == 0 || len(drop) > 0 && drop[uint32(s)] {
			continue
		}
		from := int(uint32(s) - 1)
		r := t.records[from]
		key := t.keys[r.key : r.key+int(r.keyLen)]
		r.key = big.nextKey
		big.nextKey += copy(big.keys[big.nextKey:], key)
		big.records[big.next] = r
		copy(big.values[big.next*t.width:], t.values[from*t.width:(from+1)*t.width])
		big.next++
		big.users++
		hash := maphash.Bytes(seed, key)
		p, _ := big.slot(hash, string(key))
		*p = hash&^math.MaxUint32 | uint64(big.next)
	}
}

var (
	_ BatchStore = (*MemoryStore)(nil)
	_ Deleter    = (*MemoryStore)(nil)
)
