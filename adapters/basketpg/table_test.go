package basketpg_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketpg"
)

// TestStore_Check: what does not fit is told by name, by Check and by the first call.
func TestStore_Check(t *testing.T) {
	pool := newServer(t).pool(t, "")
	ctx := t.Context()
	if _, err := pool.Exec(ctx, `CREATE COLLATION fuzzy (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`); err != nil {
		t.Fatal(err)
	}
	const good = "user_id text PRIMARY KEY, ordered_at timestamptz NOT NULL, ordered_ns smallint NOT NULL, number bigint NOT NULL, a float8, b float8"
	for _, test := range []struct{ name, columns, want string }{
		{"good", good, ""},
		{"more columns", good + ", c jsonb", ""},
		{"other order", "b float8, a float8 NOT NULL, number bigint NOT NULL, ordered_ns smallint NOT NULL, ordered_at timestamptz NOT NULL, user_id text NOT NULL UNIQUE", ""},
		{"no table", "", `table "wrong" does not exist, or not on this user's search_path: CreateTable makes it`},
		{"no feature", strings.Replace(good, "b float8", "bb float8", 1), `table "wrong": no column "b": want double precision`},
		{"wrong types", strings.NewReplacer("a float8", "a real", "b float8", "b numeric(10,2)").Replace(good), `table "wrong": column "a" is real: want double precision; column "b" is numeric(10,2): want double precision`},
		{"times without zone", strings.Replace(good, "timestamptz", "timestamp", 1), `column "ordered_at" is timestamp without time zone: want timestamp with time zone`},
		{"nullable", strings.Replace(good, "bigint NOT NULL", "bigint", 1), `column "number" may be null: want NOT NULL`},
		{"no key", strings.Replace(good, "PRIMARY KEY", "NOT NULL", 1), `column "user_id" has no unique index: want PRIMARY KEY`},
		{"part of a key", strings.Replace(good, "PRIMARY KEY", "NOT NULL", 1) + ", PRIMARY KEY (user_id, number)", `column "user_id" has no unique index`},
		{"ignores case", strings.Replace(good, "text", "text COLLATE fuzzy", 1), `column "user_id" has a nondeterministic collation: want COLLATE "C"`},
		{"all at once", "x int", `no column "user_id": want text; no column "ordered_at": want timestamp with time zone; no column "ordered_ns": want smallint; no column "number": want bigint; no column "a"`},
	} {
		if _, err := pool.Exec(ctx, "DROP TABLE IF EXISTS wrong"); err != nil {
			t.Fatal(err)
		}
		if test.columns != "" {
			if _, err := pool.Exec(ctx, "CREATE TABLE wrong ("+test.columns+")"); err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
		}
		s, err := basketpg.NewStore(pool, basketpg.WithTable("wrong"), basketpg.WithFeatures("a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		_, rowErr := s.Row(ctx, "ann")
		for name, err := range map[string]error{"Row": rowErr, "Check": s.Check(ctx)} {
			switch {
			case test.want != "" && (!errors.Is(err, basket.ErrFeatureMismatch) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%s: %s: %v\nwant %s", test.name, name, err, test.want)
			case test.want == "" && err != nil && !errors.Is(err, basket.ErrUserNotFound):
				t.Errorf("%s: %s: %v", test.name, name, err)
			}
		}
	}
}

// TestStore_changedTable: a table that changes after the check gives errors that name the
// column, not wrong values.
func TestStore_changedTable(t *testing.T) {
	server := newServer(t)
	ctx := t.Context()
	for _, test := range []struct {
		change, want string
		kind         basket.Error
	}{
		{"ALTER TABLE changed ALTER prior_item_count TYPE real", `column "prior_item_count" has another type: want double precision`, basket.ErrFeatureMismatch},
		{"ALTER TABLE changed ALTER regulars_count TYPE text", `column "regulars_count" has another type`, basket.ErrFeatureMismatch},
		{"ALTER TABLE changed DROP regulars_count", `SQLSTATE 42703: column "regulars_count" does not exist`, basket.ErrFeatureMismatch},
		{"DROP TABLE changed", "SQLSTATE 42P01", basket.ErrFeatureMismatch},
		{"UPDATE changed SET ordered_at = 'infinity'", `column "ordered_at" is null or infinite: want a time`, basket.ErrData},
		{"ALTER TABLE changed ALTER number DROP NOT NULL; UPDATE changed SET number = NULL", `column "number" is null`, basket.ErrData},
		{"ALTER TABLE changed DROP CONSTRAINT changed_ordered_ns_check; UPDATE changed SET ordered_ns = 1000", `column "ordered_ns" is null or no number of nanoseconds: want 0 to 999`, basket.ErrData},
	} {
		pool := server.pool(t, "&pool_max_conns=1") // no prepared statement of the test before
		s := newStore(t, pool, basketpg.WithTable("changed"))
		row := someRow(1)
		if err := s.Put(ctx, []basket.Row{row}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Row(ctx, row.UserID); err != nil {
			t.Fatal(err)
		}
		if _, err := pool.Exec(ctx, test.change); err != nil {
			t.Fatal(err)
		}
		// A connection's first call after a change may only say that there was one.
		for _, err := range []error{second(s.Row(ctx, row.UserID)), second(s.Rows(ctx, []string{row.UserID}))} {
			if !errors.Is(err, test.kind) {
				t.Errorf("the first call after %s: %v, want %v", test.change, err, test.kind)
			}
		}
		_, one := s.Row(ctx, row.UserID)
		_, many := s.Rows(ctx, []string{"bob", row.UserID})
		for name, err := range map[string]error{"Row": one, "Rows": many} {
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `table "changed"`) {
				t.Errorf("%s after %s: %v\nwant %s", name, test.change, err, test.want)
			}
		}
		if _, err := pool.Exec(ctx, "DROP TABLE IF EXISTS changed"); err != nil {
			t.Fatal(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestStore_errors: what the server says about a row may quote others' data, which errors
// do not pass on.
func TestStore_errors(t *testing.T) {
	pool := newServer(t).pool(t, "")
	ctx := t.Context()
	for _, test := range []struct {
		change, want string
		kind         basket.Error // if any
	}{
		{"ALTER TABLE rejecting ADD CONSTRAINT small CHECK (number < 5)", `SQLSTATE 23514, constraint "small"`, basket.ErrData},
		{"ALTER TABLE rejecting ADD more int NOT NULL", `SQLSTATE 23502, column "more"`, basket.ErrData},
		{`CREATE FUNCTION reject() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not %', new; END $$;
			CREATE TRIGGER reject BEFORE INSERT ON rejecting FOR EACH ROW EXECUTE FUNCTION reject()`, "SQLSTATE P0001", ""},
		{"ALTER DATABASE postgres SET default_transaction_read_only = on", "SQLSTATE 25006: cannot execute", basket.ErrUnavailable},
	} {
		s := newStore(t, pool, basketpg.WithTable("rejecting"))
		if _, err := pool.Exec(ctx, test.change); err != nil {
			t.Fatal(err)
		}
		pool.Reset()
		row := someRow(48)
		row.UserID = "secret"
		row.Values[0] = 12345.678
		for name, err := range map[string]error{"Put": s.Put(ctx, []basket.Row{row}), "PutAll": s.PutAll(ctx, basket.Values([]basket.Row{row}))} {
			if err == nil || !strings.Contains(err.Error(), test.want) || test.kind != "" && !errors.Is(err, test.kind) {
				t.Errorf("%s after %.60s: %v\nwant %s", name, test.change, err, test.want)
				continue
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "12345") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: the error quotes the row or has several lines: %v", name, err)
			}
		}
		if _, err := pool.Exec(ctx, "BEGIN; SET TRANSACTION READ WRITE; DROP TABLE rejecting; COMMIT"); err != nil {
			t.Fatal(err)
		}
	}
}
