package basket

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Store returns users' newest feature rows. It must be safe for concurrent
// use.
//
// An implementation may return any error; the [Predictor] takes one that wraps
// ErrUserNotFound as the answer that there is no row, one that wraps ErrData or
// ErrFeatureMismatch as a row that cannot be used however often it is read, and any
// other as ErrUnavailable. It must not change the Values of a row after it has returned
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
	// found has the zero Row. With an error it returns no rows, or as many as userIDs, of
	// which those with Values can be used, and the error is that of the others.
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
	if len(got) != len(userIDs) {
		if err == nil {
			err = fmt.Errorf("the store returned %d rows for %d user IDs", len(got), len(userIDs))
		}
		got = make([]Row, len(userIDs))
	}
	for i := range userIDs {
		switch {
		case got[i].Values != nil:
			rows[i] = got[i]
		case err != nil:
			errs[i] = err
		default:
			errs[i] = errNoRow
		}
	}
}

// A MemoryStore is a BatchStore that holds every row in memory: 48 to 64 bytes per
// user besides the ID and the values, in arrays without pointers, which the garbage
// collector does not scan. Rows that Put has replaced take up to a fourth of the memory
// of the others until they are removed. Row takes no lock and allocates nothing. A
// MemoryStore is safe for concurrent use. It keeps user IDs that a Predictor
// refuses, because one invalid ID in the data must not stop a server.
//
// WriteSnapshot writes all rows, and [ReadSnapshot] makes a store of them, faster than
// they can be computed.
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

// Newest returns the latest OrderedAt of all rows, which tells how old the data is; the
// zero time if there is no row.
func (s *MemoryStore) Newest() time.Time {
	s.write.Lock()
	defer s.write.Unlock()
	t := s.table.Load()
	if t.users == 0 {
		return time.Time{}
	}
	return t.newest.time()
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
	t := newTable(len(s.names))
	for row, err := range rows {
		if err == nil {
			err = s.check(row)
		}
		if err != nil {
			return err
		}
		t = t.put(s.seed, row)
	}
	t.trim() // the rows may stay for long
	s.write.Lock()
	defer s.write.Unlock()
	s.table.Store(t)
	return nil
}

// Put sets the newest rows of some users, while other goroutines read. A row
// older than the user's present one is ignored, so updates may arrive in any
// order; Row.Age is ignored. If a row cannot be used, none of them is stored. Readers see each row
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
		s.table.Store(t.without(drop))
	}
	return nil
}

func (s *MemoryStore) check(row Row) error {
	if len(row.Values) != len(s.names) {
		return fmt.Errorf("basket: %w: row of user %.64q has %d values: want %d, %s", ErrData, row.UserID, len(row.Values), len(s.names), quoted(s.names))
	}
	return nil
}

var (
	_ BatchStore = (*MemoryStore)(nil)
	_ Deleter    = (*MemoryStore)(nil)
)
