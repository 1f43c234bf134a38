package basketpg

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// chunkRows is how many rows PutAll stores by one transaction.
const chunkRows = 20_000

// Put stores the newest rows of some users by one statement: all of them or, on error,
// none. A row older than the user's present one, by OrderedAt, is ignored, and of rows of
// equal time the last is kept, so updates may arrive in any order. Event times are of the
// years 1 to 9999, and user IDs are UTF-8 without zero bytes, of at most
// basket.MaxUserID bytes; else the error wraps basket.ErrData. Put does not keep rows.
// For more than some 10,000 rows use [Store.PutAll].
func (s *Store) Put(ctx context.Context, rows []basket.Row) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	for i, row := range rows {
		if err := s.checkRow(i, row); err != nil {
			return err
		}
	}
	return s.put(ctx, newest(slices.Clone(rows)))
}

// PutAll stores rows as Put does, of any number, in transactions of 20,000. If the table
// is empty when it begins, it uses COPY, until a user comes twice. On error, some of the
// rows may have been stored; PutAll may then be called again with all of them, and
// leaves the same rows as if it had not failed. An error of the sequence is returned as
// it is. PutAll copies the rows, and keeps no more than 20,000 of them.
func (s *Store) PutAll(ctx context.Context, rows iter.Seq2[basket.Row, error]) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	empty, err := s.empty(ctx)
	if err != nil {
		return err
	}
	l := loader{store: s, direct: empty}
	n := 0
	for row, err := range rows {
		if err == nil {
			err = s.checkRow(n, row)
		}
		if err != nil {
			return err
		}
		n++
		l.values = append(l.values, row.Values...)
		row.Values = l.values[len(l.values)-len(row.Values):]
		l.rows = append(l.rows, row)
		if len(l.rows) == chunkRows {
			if err := l.flush(ctx); err != nil {
				return err
			}
		}
	}
	return l.flush(ctx)
}

// empty reports whether the table has no rows.
func (s *Store) empty(ctx context.Context) (bool, error) {
	rows, err := s.pool.Query(ctx, "SELECT FROM "+s.table+" LIMIT 1")
	if err != nil {
		return false, s.fault(ctx, "read the table", err)
	}
	defer rows.Close()
	found := rows.Next()
	rows.Close()
	return !found, s.fault(ctx, "read the table", rows.Err())
}

// checkRow tells what is wrong with row number i, but not whose it is.
func (s *Store) checkRow(i int, row basket.Row) error {
	fault := ""
	switch year := row.OrderedAt.UTC().Year(); {
	case len(row.Values) != len(s.features):
		fault = fmt.Sprintf("has %d values: want %d, %s", len(row.Values), len(s.features), strings.Join(s.features, ", "))
	case len(row.UserID) > basket.MaxUserID:
		fault = fmt.Sprintf("has a user ID of %d bytes: want at most %d", len(row.UserID), basket.MaxUserID)
	case !storable(row.UserID):
		fault = "has a user ID that is not UTF-8 or has a zero byte"
	case year < 1 || year > 9999:
		fault = fmt.Sprintf("has an event time in year %d: want 1 to 9999", year)
	default:
		return nil
	}
	return fmt.Errorf("basketpg: %w: row %d %s", basket.ErrData, i, fault)
}

// newest sorts rows by user ID, which prevents deadlocks with other calls, and removes all
// but the newest of each user.
func newest(rows []basket.Row) []basket.Row {
	increasing := true
	for i := 1; i < len(rows) && increasing; i++ {
		increasing = rows[i-1].UserID < rows[i].UserID
	}
	if increasing {
		return rows
	}
	slices.SortStableFunc(rows, func(a, b basket.Row) int {
		if c := strings.Compare(a.UserID, b.UserID); c != 0 {
			return c
		}
		return a.OrderedAt.Compare(b.OrderedAt)
	})
	n := 0
	for i, row := range rows {
		if i == len(rows)-1 || rows[i+1].UserID != row.UserID {
			rows[n] = row
			n++
		}
	}
	return rows[:n]
}

// put stores rows that newest returned.
func (s *Store) put(ctx context.Context, rows []basket.Row) error {
	if len(rows) == 0 {
		return nil
	}
	userIDs, times := make([]string, len(rows)), make([]time.Time, len(rows))
	rests, numbers := make([]int16, len(rows)), make([]int64, len(rows))
	args := []any{userIDs, times, rests, numbers}
	for i, row := range rows {
		rest := row.OrderedAt.Nanosecond() % 1000
		userIDs[i], times[i] = row.UserID, row.OrderedAt.Add(-time.Duration(rest)).UTC()
		rests[i], numbers[i] = int16(rest), int64(row.Number)
	}
	for j := range s.features {
		column := make([]pgtype.Float8, len(rows))
		for i, row := range rows {
			v := row.Values[j]
			column[i] = pgtype.Float8{Float64: v, Valid: v == v}
		}
		args = append(args, column)
	}
	_, err := s.pool.Exec(ctx, s.upsert, args...)
	return s.fault(ctx, "put rows", err)
}

// A loader is the state of PutAll.
type loader struct {
	store  *Store
	rows   []basket.Row
	values []float64 // of rows
	direct bool      // by COPY
	data   []byte    // what COPY sends
}

// flush stores the rows that were gathered.
func (l *loader) flush(ctx context.Context) error {
	rows := newest(l.rows)
	if l.direct && len(rows) > 0 {
		err := l.copy(ctx, rows)
		if err == nil {
			rows = nil
		} else if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == uniqueViolation || pg.Code == notSupported) {
			// Some user is in the table by now, or the table has row-level security,
			// for which the server has no COPY.
			l.direct = false
		} else {
			return l.store.fault(ctx, "copy rows", err)
		}
	}
	if err := l.store.put(ctx, rows); err != nil {
		return err
	}
	l.rows, l.values = l.rows[:0], l.values[:0]
	return nil
}

// copy adds rows of new users by one transaction.
func (l *loader) copy(ctx context.Context, rows []basket.Row) error {
	l.data = append(l.data[:0], copyHeader...)
	for i := range rows {
		l.data = appendRow(l.data, &rows[i])
	}
	l.data = append(l.data, copyTrailer...)
	tx, err := l.store.pool.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(l.data), l.store.copyRows); err != nil {
		_ = tx.Rollback(ctx) // the error of COPY is the cause
		return err
	}
	return tx.Commit(ctx)
}

// The format is that of COPY's documentation, "Binary Format": a signature, flags and the
// length of an extension; for each row the number of its fields, and each field's length
// and bytes; a count of -1 at the end.
const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyTrailer = "\xff\xff"
)

func appendRow(b []byte, row *basket.Row) []byte {
	const epoch = 946_684_800 // the server's, 2000-01-01, in seconds
	ns := row.OrderedAt.Nanosecond()
	b = binary.BigEndian.AppendUint16(b, uint16(len(columns)+len(row.Values)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(row.UserID)))
	b = append(b, row.UserID...)
	b = appendInt64(b, (row.OrderedAt.Unix()-epoch)*1_000_000+int64(ns/1000))
	b = binary.BigEndian.AppendUint32(b, 2)
	b = binary.BigEndian.AppendUint16(b, uint16(ns%1000))
	b = appendInt64(b, int64(row.Number))
	for _, v := range row.Values {
		if v != v {
			b = binary.BigEndian.AppendUint32(b, math.MaxUint32) // NULL
			continue
		}
		b = appendInt64(b, int64(math.Float64bits(v)))
	}
	return b
}

func appendInt64(b []byte, v int64) []byte {
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, uint64(v))
}
