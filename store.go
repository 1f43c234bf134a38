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

// A Store finds a user's newest feature row. Safe for concurrent use.
//
// An implementation may return any error; the [Predictor] takes one that wraps
// ErrUserNotFound as the answer that there is no row, and any other as
// ErrUnavailable. It must not change the Values of a row that it has returned.
type Store interface {
	// Features names the values of every row, in order. It never changes.
	Features() []string

	// Row returns the newest row of userID, or an error wrapping ErrUserNotFound.
	Row(ctx context.Context, userID string) (Row, error)
}

// A BatchStore is a Store that reads many users in one round trip.
type BatchStore interface {
	Store

	// Rows returns rows[i] for userIDs[i]; a user that is not found has the zero Row.
	Rows(ctx context.Context, userIDs []string) ([]Row, error)
}

// errNoRow is what a store of this package says of a user without a row.
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
		err = fmt.Errorf("%d rows for %d user IDs", len(got), len(userIDs))
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

// A MemoryStore is a BatchStore that holds every row in memory: some 50 bytes a
// user besides the ID and the values, in a few flat arrays without a pointer, so
// that the garbage collector has nothing to walk. Reads take no lock and
// allocate nothing. Safe for concurrent use.
type MemoryStore struct {
	names []string
	seed  maphash.Seed
	table atomic.Pointer[table]
	write sync.Mutex // held by those who change the table
}

// NewMemoryStore keeps the newest of each user's rows, by OrderedAt, and of
// rows of equal time the last; names defaults to [FeatureNames].
func NewMemoryStore(rows iter.Seq[Row], names ...string) (*MemoryStore, error) {
	if len(names) == 0 {
		names = FeatureNames()
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

// Row returns the newest row of userID. Its Values are part of the store.
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

// Rows returns the newest rows of userIDs. All are of one state of the store
// as far as Replace goes.
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

// Replace swaps in new rows at once; readers see all of the old or all of the
// new. On error the old ones stay.
func (s *MemoryStore) Replace(rows iter.Seq[Row]) error {
	t := newTable(len(s.names), 64, 0)
	for row := range rows {
		if err := s.check(row); err != nil {
			return err
		}
		t = t.put(s.seed, row)
	}
	// A table made for growth is cut to size: the rows may stay for long.
	t = t.grown(s.seed, t.users, 0)
	s.write.Lock()
	defer s.write.Unlock()
	s.table.Store(t)
	return nil
}

// Put sets the newest rows of some users while others read: a real-time feature
// update. A row older than the one that is there is left out, so that updates
// may arrive in any order. If a row cannot be used, none of them is. Readers see
// each row whole, but may see some of the rows before the others.
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

func (s *MemoryStore) check(row Row) error {
	if len(row.Values) != len(s.names) {
		return fmt.Errorf("basket: %w: row of user %q has %d values: want %d, %q", ErrData, clip(row.UserID), len(row.Values), len(s.names), s.names)
	}
	return nil
}

// A table is the rows of a MemoryStore. Records, values and keys are logs of a
// fixed capacity: what is written is never changed, so readers need no lock. A
// user's new row is a new record, and becomes the user's when its number is
// stored, atomically, in the user's slot. A full table is copied to a larger
// one, without the records that no slot tells of.
type table struct {
	slots   []uint64 // hash table with open addressing: high half of the hash, record number plus one
	records []record
	values  []float64 // len(names) a record
	keys    []byte    // user IDs
	width   int

	// Of the writer only.
	next, nextKey int
	users         int
}

type record struct {
	sec    int64 // OrderedAt
	orders int64
	key    int // where the user ID starts
	keyLen int32
	nsec   int32
}

// newTable has room for n records and their keys of keyBytes.
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

// slot returns the slot of userID, and its content; zero if there is none yet.
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
		Orders:    int(r.orders),
		Values:    t.values[i*t.width : (i+1)*t.width : (i+1)*t.width],
	}, true
}

// put returns the table with row in it: t, or a larger copy.
func (t *table) put(seed maphash.Seed, row Row) *table {
	hash := maphash.String(seed, row.UserID)
	p, s := t.slot(hash, row.UserID)
	r := record{
		sec: row.OrderedAt.Unix(), nsec: int32(row.OrderedAt.Nanosecond()),
		orders: int64(row.Orders), keyLen: int32(len(row.UserID)),
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

// grown returns a copy of t with room for n records and keyBytes, or for what
// is there if that is more.
func (t *table) grown(seed maphash.Seed, n, keyBytes int) *table {
	big := newTable(t.width, max(n, t.users), max(keyBytes, t.nextKey))
	for i := range t.slots {
		s := t.slots[i]
		if s == 0 {
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
	return big
}

// clip shortens what goes into an error message.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

var _ BatchStore = (*MemoryStore)(nil)
