package basketpg_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketpg"
	"github.com/basket-go/basket/baskettest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestStore runs the suite in each of pgx's modes, of which poolers need some.
func TestStore(t *testing.T) {
	s := newServer(t)
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			pool := s.pool(t, "&default_query_exec_mode="+mode)
			baskettest.TestStore(t, func(t *testing.T) baskettest.Store { return newStore(t, pool) })
		})
	}
}

// TestStore_faults closes the pool, stops the server and locks the table.
func TestStore_faults(t *testing.T) {
	server := newServer(t)
	baskettest.TestStoreFaults(t, func(t *testing.T) (baskettest.Store, baskettest.Faults) {
		name := fmt.Sprintf("faulty_%d", tables.Add(1))
		newStore(t, server.pool(t, ""), basketpg.WithTable(name))
		pool := server.pool(t, "") // of the store alone, to be closed
		s, err := basketpg.NewStore(pool, basketpg.WithTable(name))
		if err != nil {
			t.Fatal(err)
		}
		unlock := func() {}
		return s, baskettest.Faults{
			Close: pool.Close,
			Down:  func() { server.stop(t) },
			Up:    func() { server.start(t) },
			Slow: func(d time.Duration) {
				unlock()
				unlock = func() {}
				if d > 0 {
					unlock = lockTable(t, server, name)
				}
			},
		}
	})
}

// lockTable makes all calls wait until unlock is called.
func lockTable(t *testing.T, s *server, name string) (unlock func()) {
	tx, err := s.pool(t, "").Begin(context.Background())
	if err == nil {
		_, err = tx.Exec(context.Background(), "LOCK TABLE "+name+" IN ACCESS EXCLUSIVE MODE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestStore_exact stores what other types would round: nanoseconds, and all bits of values,
// by Put and by PutAll.
func TestStore_exact(t *testing.T) {
	server := newServer(t)
	rows := []basket.Row{
		{UserID: "ann", OrderedAt: time.Date(2024, 2, 29, 23, 59, 59, 999_999_999, time.UTC), Number: math.MaxInt32, Values: []float64{math.Copysign(0, -1), math.Inf(1), math.Inf(-1), 0.1 + 0.2}},
		{UserID: "bob", OrderedAt: time.Time{}, Number: 0, Values: []float64{math.NaN(), math.NaN(), math.SmallestNonzeroFloat64, math.MaxFloat64}},
		{UserID: "cat", OrderedAt: time.Date(9999, 12, 31, 23, 59, 59, 999_999_001, time.UTC), Number: -1, Values: []float64{1, 2, 3, 4}},
		{UserID: "\u0301 of\ttab", OrderedAt: time.Date(1969, 12, 31, 23, 59, 59, 1, time.UTC), Number: 1, Values: []float64{1, 2, 3, 4}},
		{UserID: "", OrderedAt: time.Unix(1, 0).UTC(), Number: 1, Values: []float64{1, 2, 3, 4}},
	}
	for _, mode := range []string{"cache_statement", "exec", "simple_protocol"} {
		for _, zone := range []string{"UTC", "Asia/Kathmandu"} {
			pool := server.pool(t, "&default_query_exec_mode="+mode+"&timezone="+zone)
			put, putAll := newStore(t, pool), newStore(t, pool)
			if err := put.Put(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			if err := putAll.PutAll(t.Context(), basket.Values(rows)); err != nil {
				t.Fatal(err)
			}
			for name, s := range map[string]*basketpg.Store{"Put": put, "PutAll": putAll} {
				if newest, err := s.Newest(t.Context()); err != nil || !newest.Equal(rows[2].OrderedAt) {
					t.Errorf("%s: newest %v, %v, want %v", name, newest, err, rows[2].OrderedAt)
				}
				hasRows(t, mode+" "+zone+" "+name, s, rows)
			}
		}
	}
}

// TestStore_repeated: of rows of equal time the last wins, also if only the sign of a zero,
// or NaN, is new.
func TestStore_repeated(t *testing.T) {
	s := newStore(t, newServer(t).pool(t, ""))
	row := someRow(1)
	for _, v := range []float64{0, math.Copysign(0, -1), math.NaN(), 0, 0} {
		row.Values[3] = v
		if err := s.Put(t.Context(), []basket.Row{row}); err != nil {
			t.Fatal(err)
		}
		hasRows(t, "put again", s, []basket.Row{row})
	}
	stale := row
	stale.OrderedAt, stale.Number = row.OrderedAt.Add(-1), 77
	if err := s.Put(t.Context(), []basket.Row{stale}); err != nil {
		t.Fatal(err)
	}
	hasRows(t, "after a row that is a nanosecond older", s, []basket.Row{row})
}

// hasRows checks that the store has these rows.
func hasRows(t *testing.T, name string, s *basketpg.Store, want []basket.Row) {
	t.Helper()
	ids := make([]string, len(want))
	for i, row := range want {
		ids[i] = row.UserID
	}
	got, err := s.Rows(t.Context(), ids)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for i := range want {
		if !sameRow(got[i], want[i]) {
			t.Errorf("%s: row %d: got %v, want %v", name, i, got[i], want[i])
			return
		}
	}
}

// sameRow compares values by their bits, NaN being equal to NaN.
func sameRow(a, b basket.Row) bool {
	return a.UserID == b.UserID && a.OrderedAt == b.OrderedAt && a.Number == b.Number && slices.EqualFunc(a.Values, b.Values, func(v, w float64) bool {
		return math.Float64bits(v) == math.Float64bits(w) || v != v && w != w
	})
}

// TestStore_missing: absent, stale and missing are three things. NULL and NaN are both
// NaN, never zero; a missing value is written as NULL.
func TestStore_missing(t *testing.T) {
	pool := newServer(t).pool(t, "")
	s := newStore(t, pool, basketpg.WithTable("features"), basketpg.WithFeatures("a", "b"))
	ctx := t.Context()
	if _, err := pool.Exec(ctx, `INSERT INTO features VALUES ('ann', '2024-01-01 00:00:00Z', 5, 7, NULL, 'NaN')`); err != nil {
		t.Fatal(err)
	}
	hasRows(t, "written by SQL", s, []basket.Row{{UserID: "ann", OrderedAt: time.Date(2024, 1, 1, 0, 0, 0, 5, time.UTC), Number: 7, Values: []float64{math.NaN(), math.NaN()}}})
	if err := s.Put(ctx, []basket.Row{{UserID: "bob", OrderedAt: time.Unix(1, 0), Number: 1, Values: []float64{math.NaN(), 0}}}); err != nil {
		t.Fatal(err)
	}
	var nulls int
	if err := pool.QueryRow(ctx, "SELECT num_nulls(a, b) FROM features WHERE user_id = 'bob'").Scan(&nulls); err != nil || nulls != 1 {
		t.Errorf("%d NULLs in a row with a missing value, %v: want 1", nulls, err)
	}
}

// TestStore_unstorable: user IDs that no text of the database can be are absent, and do
// not make a batch fail.
func TestStore_unstorable(t *testing.T) {
	s := newStore(t, newServer(t).pool(t, ""))
	ctx := t.Context()
	ann := someRow(1)
	if err := s.Put(ctx, []basket.Row{ann}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"a\x00b", "\xff", ann.UserID + "\x00", strings.Repeat("x", 1e6)} {
		if _, err := s.Row(ctx, bad); !errors.Is(err, basket.ErrUserNotFound) {
			t.Errorf("Row of %.20q: %v, want ErrUserNotFound", bad, err)
		}
		rows, err := s.Rows(ctx, []string{bad, ann.UserID, bad})
		if diff := cmp.Diff([]basket.Row{{}, ann, {}}, rows, cmpopts.EquateNaNs()); diff != "" || err != nil {
			t.Errorf("Rows with %.20q: %v, -want +got\n%s", bad, err, diff)
		}
		if err := s.Delete(ctx, []string{bad}); err != nil {
			t.Errorf("Delete of %.20q: %v", bad, err)
		}
	}
	for want, row := range map[string]basket.Row{
		"row 1 has a user ID that is not UTF-8 or has a zero byte":                                               {UserID: "a\x00b", Values: ann.Values},
		"row 1 has a user ID of 2000 bytes: want at most 1024":                                                   {UserID: strings.Repeat("x", 2000), Values: ann.Values},
		"row 1 has an event time in year 10000: want 1 to 9999":                                                  {UserID: "bob", OrderedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), Values: ann.Values},
		"row 1 has 0 values: want 4, prior_basket_value, prior_item_count, prior_regulars_count, regulars_count": {UserID: "bob"},
	} {
		rows := []basket.Row{someRow(2), row}
		for name, err := range map[string]error{"Put": s.Put(ctx, rows), "PutAll": s.PutAll(ctx, basket.Values(rows))} {
			if !errors.Is(err, basket.ErrData) || err.Error() != "basketpg: bad data: "+want {
				t.Errorf("%s: %v\nwant %s", name, err, want)
			}
		}
	}
	if _, err := s.Row(ctx, someRow(2).UserID); !errors.Is(err, basket.ErrUserNotFound) {
		t.Errorf("the row before one that cannot be stored: %v, want ErrUserNotFound", err)
	}
}

// TestNewStore_faults: names that cannot be used are told together.
func TestNewStore_faults(t *testing.T) {
	for _, test := range []struct {
		opts []basketpg.Option
		want []string
	}{
		{[]basketpg.Option{basketpg.WithTable("")}, []string{`table "": a name is empty`}},
		{[]basketpg.Option{basketpg.WithTable("a.b.c")}, []string{`table "a.b.c": want a name, or a schema, a dot and a name`}},
		{[]basketpg.Option{basketpg.WithTable("a.")}, []string{`table "a.": a name is empty`}},
		{[]basketpg.Option{basketpg.WithTable(strings.Repeat("a", 64))}, []string{"has 64 bytes: want at most 63"}},
		{[]basketpg.Option{basketpg.WithFeatures()}, []string{"no features: want one or more"}},
		{
			[]basketpg.Option{basketpg.WithTable("a\x00"), basketpg.WithFeatures("x", "", "number", "x", "ctid", "\xff")},
			[]string{`table "a\x00": a name is not UTF-8 or has a zero byte`, `feature "": the name is empty`, `feature "number": the name is that of another column`, `feature "x": the name is repeated`, `feature "ctid"`, `feature "\xff": the name is not UTF-8`},
		},
	} {
		_, err := basketpg.NewStore(nil, test.opts...)
		if !errors.Is(err, basket.ErrInvalidConfig) {
			t.Errorf("%v: want ErrInvalidConfig", err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q\nlacks %q", err, want)
			}
		}
	}
}

// TestNewStore_names: names are identifiers, whatever is in them.
func TestNewStore_names(t *testing.T) {
	pool := newServer(t).pool(t, "")
	ctx := t.Context()
	if _, err := pool.Exec(ctx, `CREATE SCHEMA "my ""schema"; CREATE TABLE victim (x int)`); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`my "schema.Rows`, `rows"; DROP TABLE victim; --`, "select", "日本", "{features}", "$1", "%s"} {
		features := []string{`f"; DROP TABLE victim; --`, "Order", "user", "excluded", "{table}", "%d", "'"}
		s, err := basketpg.NewStore(pool, basketpg.WithTable(name), basketpg.WithFeatures(features...))
		if err != nil {
			t.Fatal(err)
		}
		row := basket.Row{UserID: "ann", OrderedAt: time.Unix(5, 0).UTC(), Number: 1, Values: []float64{1, 2, 3, 4, 5, 6, 7}}
		for range 2 { // by COPY, then by INSERT
			err = errors.Join(err, s.CreateTable(ctx), s.Check(ctx), s.PutAll(ctx, basket.Values([]basket.Row{row})))
			row.OrderedAt = row.OrderedAt.Add(time.Second)
		}
		if err != nil {
			t.Errorf("table %q: %v", name, err)
			continue
		}
		row.OrderedAt = time.Unix(6, 0).UTC()
		hasRows(t, name, s, []basket.Row{row})
		if err := s.Delete(ctx, []string{"ann"}); err != nil {
			t.Error(err)
		}
	}
	if _, err := pool.Exec(ctx, "SELECT x FROM victim"); err != nil {
		t.Error(err)
	}
}
