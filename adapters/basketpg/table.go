package basketpg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/basket-go/basket"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Schema returns the SQL that makes the table, for those who make it by other means.
func (s *Store) Schema() string { return s.schema }

// CreateTable makes the table. If a relation of that name exists, it does nothing:
// [Store.Check] tells whether it fits.
func (s *Store) CreateTable(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, s.schema)
	return s.fault(ctx, "create the table", err)
}

// catalog lists the columns of a table: name, type, whether it may be null, whether equal
// text can differ in bytes, and whether it is unique by itself.
const catalog = `
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
	coalesce(NOT c.collisdeterministic, false),
	EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indimmediate
		AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum),
	current_setting('server_encoding')
FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation
WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped`

// Check compares the table with what the store needs. All that does not fit is told, by
// column, in one error that wraps basket.ErrFeatureMismatch. A Store checks its table by
// itself before its first use, so Check is for the start of a program.
func (s *Store) Check(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, catalog, s.table)
	if err != nil {
		return s.fault(ctx, "read the catalog", err)
	}
	found := map[string]column{}
	encoding := ""
	for rows.Next() {
		var name string
		var c column
		if err := rows.Scan(&name, &c.kind, &c.null, &c.fuzzy, &c.unique, &encoding); err != nil {
			rows.Close()
			return s.fault(ctx, "read the catalog", err)
		}
		found[name] = c
	}
	if err := rows.Err(); err != nil {
		return s.fault(ctx, "read the catalog", err)
	}
	if len(found) == 0 {
		return fmt.Errorf("basketpg: %w: table %s does not exist, or not on this user's search_path: CreateTable makes it", basket.ErrFeatureMismatch, s.table)
	}
	if faults := s.tableFaults(found, encoding); len(faults) > 0 {
		return fmt.Errorf("basketpg: %w: table %s: %s", basket.ErrFeatureMismatch, s.table, strings.Join(faults, "; "))
	}
	s.checked.Store(true)
	return nil
}

// A column is what the catalog says of one.
type column struct {
	kind                string
	null, fuzzy, unique bool
}

func (s *Store) tableFaults(found map[string]column, encoding string) []string {
	var faults []string
	check := func(name, kind string, required bool) {
		c, ok := found[name]
		switch {
		case !ok:
			faults = append(faults, fmt.Sprintf("no column %q: want %s", name, kind))
		case c.kind != kind:
			faults = append(faults, fmt.Sprintf("column %q is %s: want %s", name, c.kind, kind))
		case required && c.null:
			faults = append(faults, fmt.Sprintf("column %q may be null: want NOT NULL", name))
		}
	}
	for _, c := range columns {
		check(c.name, c.kind, true)
	}
	for _, name := range s.features {
		check(name, "double precision", false)
	}
	if c, ok := found["user_id"]; ok {
		if !c.unique {
			faults = append(faults, `column "user_id" has no unique index: want PRIMARY KEY`)
		}
		if c.fuzzy {
			faults = append(faults, `column "user_id" has a nondeterministic collation: want COLLATE "C"`)
		}
	}
	if encoding != "UTF8" {
		faults = append(faults, fmt.Sprintf("the database's encoding is %s: want UTF8", encoding))
	}
	return faults
}

// ready checks the table before the first use.
func (s *Store) ready(ctx context.Context) error {
	if s.checked.Load() {
		return s.fault(ctx, "begin", ctx.Err())
	}
	return s.Check(ctx)
}

// Codes of the server, from "PostgreSQL Error Codes" of its documentation.
const (
	uniqueViolation = "23505"
	notSupported    = "0A000"
)

// mismatch are the codes that mean that the table is not as described: undefined
// table, column and schema, wrong types, no unique index, and a table that has changed
// since a statement was prepared.
var mismatch = []string{"42P01", "42703", "3F000", "42804", "42P10", notSupported}

// unavailable are the classes of codes that tell of the server, not of the statement:
// connection, authorization, database, transaction, resources, state, operator, system.
var unavailable = []string{"08", "25", "28", "3D", "40", "53", "55", "57", "58"}

// fault gives an error of pgx its kind, and leaves out what may quote a row.
func (s *Store) fault(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	prefix := "basketpg: table " + s.table + ": " + doing
	if done := ctx.Err(); done != nil {
		return fmt.Errorf("%s: %w", prefix, done)
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		text := strings.Join(strings.Fields(err.Error()), " ") // pgx writes several lines
		if errors.Is(err, context.DeadlineExceeded) {          // the pool's own limit, or ctx's just before its end
			return fmt.Errorf("%s: %w: %s: %w", prefix, basket.ErrUnavailable, text, context.DeadlineExceeded)
		}
		return fmt.Errorf("%s: %w: %s", prefix, basket.ErrUnavailable, text)
	}
	text := "SQLSTATE " + pg.Code
	for _, part := range []struct{ kind, name string }{{"column", pg.ColumnName}, {"constraint", pg.ConstraintName}} {
		if part.name != "" {
			text += fmt.Sprintf(", %s %q", part.kind, part.name)
		}
	}
	class := pg.Code[:min(2, len(pg.Code))]
	switch {
	case class == "22" || class == "23":
		return fmt.Errorf("%s: %w: %s", prefix, basket.ErrData, text)
	case slices.Contains(mismatch, pg.Code):
		return fmt.Errorf("%s: %w: %s: %s", prefix, basket.ErrFeatureMismatch, text, pg.Message)
	case slices.Contains(unavailable, class):
		return fmt.Errorf("%s: %w: %s: %s", prefix, basket.ErrUnavailable, text, pg.Message)
	case class == "42":
		return fmt.Errorf("%s: %s: %s", prefix, text, pg.Message)
	}
	return fmt.Errorf("%s: %s", prefix, text) // of a trigger, say
}

// scanFault is fault for an error of Scan, which may quote a value.
func (s *Store) scanFault(ctx context.Context, err error) error {
	if scan, ok := errors.AsType[pgx.ScanArgError](err); ok {
		return fmt.Errorf("basketpg: %w: table %s: column %q: the value cannot be read", basket.ErrData, s.table, scan.FieldName)
	}
	return s.fault(ctx, "read rows", err)
}
