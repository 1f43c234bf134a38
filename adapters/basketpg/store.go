// Package basketpg keeps feature rows in a table of a PostgreSQL database, with pgx.
//
// A [Store] has one table, with a row per user: the newest. [Store.Schema] is its SQL,
// and [Store.CreateTable] makes it; nothing else here changes a schema. Before its
// first use a Store compares the table with what it needs, as [Store.Check] does.
//
//	user_id     text, the primary key
//	ordered_at  timestamptz, the event time, cut to the microsecond
//	ordered_ns  smallint, 0 to 999, the nanoseconds that ordered_at lacks
//	number      bigint
//	...         double precision, one column per feature, by its name
//
// The table may have more columns. Reading needs the privilege SELECT, Put and PutAll need
// SELECT, INSERT and UPDATE, Delete SELECT, UPDATE and DELETE. A missing value, NaN, is written as NULL; NULL and
// NaN are read as NaN, never as zero.
//
// # Poolers
//
// Every call is one statement or one transaction, so a pooler between pgx and the
// server may give each transaction another connection. A pooler that does not know
// prepared statements (PgBouncer before 1.21, or with max_prepared_statements = 0)
// needs a pool whose DefaultQueryExecMode is pgx.QueryExecModeExec or
// pgx.QueryExecModeSimpleProtocol; rows keep every bit in each mode, at the price of
// text in place of binary values.
//
// # Errors
//
// Errors wrap basket.ErrUserNotFound for a user without a row; ErrUnavailable if the
// server cannot be reached or refuses for now; ErrFeatureMismatch if the table is not
// as described; ErrData if a row cannot be stored or read; and the context's error if
// that is the cause. They name table, column and SQLSTATE, but no values: what the
// server says about a row may quote another user's.
package basketpg

import (
	"context"
	_ "embed" // schema.sql
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/basket-go/basket"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// A Pool is what a Store uses of a [pgxpool.Pool].
//
// [pgxpool.Pool]: https://pkg.go.dev/github.com/jackc/pgx/v5/pgxpool#Pool
type Pool interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Begin(ctx context.Context) (pgx.Tx, error)
}

// A Store is a basket.BatchStore and a basket.Deleter over a table. It is safe for
// concurrent use, also by several processes. It starts no goroutine and needs no Close:
// the pool is its maker's to close.
type Store struct {
	pool     Pool
	table    string // quoted
	features []string
	checked  atomic.Bool

	schema, one, many, upsert, remove, copyRows string // SQL
}

// An Option configures [NewStore].
type Option func(*config)

type config struct {
	table    string
	features []string
}

// WithTable sets the name of the table, "basket_rows" by default: a name or a schema's
// name, a dot and a name. It is used as it is, upper and lower case included; a name has
// at most 63 bytes.
func WithTable(name string) Option { return func(c *config) { c.table = name } }

// WithFeatures sets the names of the features, basket.FeatureNames() by default. They
// are the names of columns, used as they are, of at most 63 bytes each.
func WithFeatures(names ...string) Option {
	return func(c *config) { c.features = slices.Clone(names) }
}

//go:embed schema.sql
var schema string

// columns are those before the features.
var columns = []struct {
	name, kind string
	oid        uint32
}{
	{"user_id", "text", pgtype.TextOID},
	{"ordered_at", "timestamp with time zone", pgtype.TimestamptzOID},
	{"ordered_ns", "smallint", pgtype.Int2OID},
	{"number", "bigint", pgtype.Int8OID},
}

// reserved are names that no feature's column may have: the columns above, and those
// that every table has.
var reserved = []string{"user_id", "ordered_at", "ordered_ns", "number", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

// NewStore returns a store over a table. It does not connect. Options that cannot be used
// are a basket.ErrInvalidConfig that tells all of them.
func NewStore(pool Pool, opts ...Option) (*Store, error) {
	c := config{table: "basket_rows", features: basket.FeatureNames()}
	for _, o := range opts {
		o(&c)
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("basketpg: %w: %w", basket.ErrInvalidConfig, err)
	}
	s := &Store{pool: pool, table: pgx.Identifier(strings.Split(c.table, ".")).Sanitize(), features: c.features}
	s.prepare()
	return s, nil
}

func (c *config) validate() error {
	var faults []error
	parts := strings.Split(c.table, ".")
	if len(parts) > 2 {
		faults = append(faults, fmt.Errorf("table %q: want a name, or a schema, a dot and a name", c.table))
	}
	for _, part := range parts {
		if fault := nameFault(part); fault != "" {
			faults = append(faults, fmt.Errorf("table %q: a name %s", c.table, fault))
		}
	}
	if len(c.features) == 0 {
		faults = append(faults, errors.New("no features: want one or more"))
	}
	for i, name := range c.features {
		fault := nameFault(name)
		switch {
		case fault != "":
		case slices.Contains(reserved, name):
			fault = "is that of another column"
		case slices.Contains(c.features[:i], name):
			fault = "is repeated"
		}
		if fault != "" {
			faults = append(faults, fmt.Errorf("feature %q: the name %s", name, fault))
		}
	}
	return errors.Join(faults...)
}

// nameFault returns why name cannot name a table or a column, or "". A longer name the
// server would cut.
func nameFault(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > 63:
		return fmt.Sprintf("has %d bytes: want at most 63", len(name))
	case !storable(name):
		return "is not UTF-8 or has a zero byte"
	}
	return ""
}

// storable reports whether s can be a text of the database.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// prepare writes the SQL.
func (s *Store) prepare() {
	var names, arrays, sets, kinds, present, excluded []string
	for i, c := range columns {
		names = append(names, c.name)
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, c.kind))
		if i > 0 {
			sets = append(sets, fmt.Sprintf("%s = excluded.%[1]s", c.name))
			present, excluded = append(present, "present."+c.name), append(excluded, "excluded."+c.name)
		}
	}
	for i, name := range s.features {
		quoted := pgx.Identifier{name}.Sanitize()
		names = append(names, quoted)
		arrays = append(arrays, fmt.Sprintf("$%d::float8[]", len(columns)+i+1))
		sets = append(sets, fmt.Sprintf("%s = excluded.%[1]s", quoted))
		kinds = append(kinds, quoted+" double precision")
		present, excluded = append(present, "present."+quoted), append(excluded, "excluded."+quoted)
	}
	list := strings.Join(names, ", ")
	s.schema = strings.NewReplacer("{table}", s.table, "{features}", strings.Join(kinds, ",\n    ")).Replace(schema)
	s.one = fmt.Sprintf("SELECT %s FROM %s WHERE user_id = $1::text", list, s.table)
	s.many = fmt.Sprintf("SELECT %s FROM %s WHERE user_id = ANY($1::text[])", list, s.table)
	// A row that is the same to the last bit is not written again, so that to repeat a
	// PutAll costs little. Not IS DISTINCT FROM, for which 0 is -0.
	s.upsert = fmt.Sprintf("INSERT INTO %s AS present (%s) SELECT * FROM unnest(%s) ON CONFLICT (user_id) DO UPDATE SET %s"+
		" WHERE (present.ordered_at, present.ordered_ns) <= (excluded.ordered_at, excluded.ordered_ns) AND record_image_ne(ROW(%s), ROW(%s))",
		s.table, list, strings.Join(arrays, ", "), strings.Join(sets, ", "), strings.Join(present, ", "), strings.Join(excluded, ", "))
	// The rows are locked in the order in which Put and PutAll lock them, so that no two
	// calls wait for each other.
	s.remove = fmt.Sprintf("WITH locked AS (SELECT user_id FROM %s WHERE user_id = ANY($1::text[]) ORDER BY user_id COLLATE \"C\" FOR UPDATE)"+
		" DELETE FROM %[1]s AS present USING locked WHERE present.user_id = locked.user_id", s.table)
	s.copyRows = fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT binary)", s.table, list)
}

// Features returns the names of the values of every row.
func (s *Store) Features() []string { return slices.Clone(s.features) }

// Row returns the newest row of userID. A user ID that the database cannot hold, because
// it is not UTF-8 or has a zero byte, is not found.
func (s *Store) Row(ctx context.Context, userID string) (basket.Row, error) {
	if err := s.ready(ctx); err != nil {
		return basket.Row{}, err
	}
	var row basket.Row
	if storable(userID) {
		values := make([]float64, len(s.features))
		err := s.read(ctx, s.one, userID, func([]byte) (*basket.Row, []float64) { return &row, values })
		if err != nil {
			return basket.Row{}, err
		}
	}
	if row.Values == nil {
		return basket.Row{}, fmt.Errorf("basketpg: %w: no feature row in table %s", basket.ErrUserNotFound, s.table)
	}
	row.UserID = userID
	return row, nil
}

// Rows returns the newest rows of userIDs by one query. If a row cannot be read, there are
// none: a row is never left out, which would say that its user is absent.
func (s *Store) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	rows := make([]basket.Row, len(userIDs))
	first := make(map[string]int, len(userIDs)) // index of the first of equal IDs
	unique := make([]string, 0, len(userIDs))
	for i, userID := range userIDs {
		if _, ok := first[userID]; !ok && storable(userID) {
			first[userID] = i
			unique = append(unique, userID)
		}
	}
	if len(unique) == 0 {
		return rows, nil
	}
	width := len(s.features)
	values := make([]float64, len(unique)*width)
	err := s.read(ctx, s.many, unique, func(userID []byte) (*basket.Row, []float64) {
		i, ok := first[string(userID)]
		if !ok || len(values) == 0 {
			return nil, nil
		}
		v := values[:width:width]
		values = values[width:]
		return &rows[i], v
	})
	if err != nil {
		return nil, err
	}
	for i, userID := range userIDs {
		if j, ok := first[userID]; ok && rows[j].Values != nil {
			rows[i] = rows[j]
			rows[i].UserID = userID
		}
	}
	return rows, nil
}

// read runs a query for users, and sets the row and the values that at returns for each
// user ID. It does not set the UserID.
func (s *Store) read(ctx context.Context, sql string, arg any, at func(userID []byte) (*basket.Row, []float64)) error {
	rows, err := s.pool.Query(ctx, sql, arg)
	if err != nil {
		return s.fault(ctx, "read rows", err)
	}
	defer rows.Close()
	var d decoder
	for rows.Next() {
		if d.dest == nil {
			if err := s.checkTypes(rows.FieldDescriptions()); err != nil {
				return err
			}
			d.init(len(s.features))
		}
		row, values := at(rows.RawValues()[0])
		if row == nil {
			return fmt.Errorf("basketpg: %w: table %s: the server returned a user that was not asked for, or one twice", basket.ErrData, s.table)
		}
		if err := rows.Scan(d.dest...); err != nil {
			return s.scanFault(ctx, err)
		}
		if err := d.decode(row, values); err != nil {
			return fmt.Errorf("basketpg: %w: table %s: %w", basket.ErrData, s.table, err)
		}
	}
	return s.fault(ctx, "read rows", rows.Err())
}

// checkTypes compares the types of what a query returns, which a change of the table
// since the Check may have changed.
func (s *Store) checkTypes(fields []pgconn.FieldDescription) error {
	for i, f := range fields {
		want, kind := uint32(pgtype.Float8OID), "double precision"
		if i < len(columns) {
			want, kind = columns[i].oid, columns[i].kind
		}
		if f.DataTypeOID != want {
			return fmt.Errorf("basketpg: %w: table %s: column %q has another type: want %s", basket.ErrFeatureMismatch, s.table, f.Name, kind)
		}
	}
	return nil
}

// A decoder has the memory that a row is read to.
type decoder struct {
	dest   []any
	at     pgtype.Timestamptz
	ns     pgtype.Int2
	number pgtype.Int8
	values []pgtype.Float8
}

func (d *decoder) init(features int) {
	d.values = make([]pgtype.Float8, features)
	d.dest = make([]any, 0, len(columns)+features)
	d.dest = append(d.dest, nil, &d.at, &d.ns, &d.number)
	for j := range d.values {
		d.dest = append(d.dest, &d.values[j])
	}
}

func (d *decoder) decode(row *basket.Row, values []float64) error {
	switch {
	case !d.at.Valid || d.at.InfinityModifier != pgtype.Finite:
		return errors.New("column \"ordered_at\" is null or infinite: want a time")
	case !d.ns.Valid || d.ns.Int16 < 0 || d.ns.Int16 > 999:
		return errors.New("column \"ordered_ns\" is null or no number of nanoseconds: want 0 to 999")
	case !d.number.Valid || int64(int(d.number.Int64)) != d.number.Int64:
		return errors.New("column \"number\" is null or too large: want an integer")
	}
	for j, v := range d.values {
		values[j] = v.Float64
		if !v.Valid {
			values[j] = math.NaN()
		}
	}
	row.OrderedAt = d.at.Time.Add(time.Duration(d.ns.Int16)).UTC()
	row.Number = int(d.number.Int64)
	row.Values = values
	return nil
}

// Newest returns the latest event time of all rows, or the zero time if there are none: how
// old the data is. The server reads the whole table, unless it has an index of (ordered_at,
// ordered_ns), which [Store.CreateTable] does not make, because each Put would pay for it.
func (s *Store) Newest(ctx context.Context) (time.Time, error) {
	if err := s.ready(ctx); err != nil {
		return time.Time{}, err
	}
	rows, err := s.pool.Query(ctx, fmt.Sprintf("SELECT ordered_at, ordered_ns FROM %s ORDER BY ordered_at DESC, ordered_ns DESC LIMIT 1", s.table))
	if err != nil {
		return time.Time{}, s.fault(ctx, "read the newest time", err)
	}
	defer rows.Close()
	var newest time.Time
	for rows.Next() {
		var at pgtype.Timestamptz
		var ns pgtype.Int2
		if err := rows.Scan(&at, &ns); err != nil {
			return time.Time{}, s.scanFault(ctx, err)
		}
		if !at.Valid || at.InfinityModifier != pgtype.Finite {
			return time.Time{}, fmt.Errorf("basketpg: %w: table %s: column \"ordered_at\" is null or infinite: want a time", basket.ErrData, s.table)
		}
		newest = at.Time.Add(time.Duration(ns.Int16)).UTC()
	}
	return newest, s.fault(ctx, "read the newest time", rows.Err())
}

// Delete removes users by one statement: all of them or, on error, none. The server
// removes their bytes from its files at the next vacuum of the table.
func (s *Store) Delete(ctx context.Context, userIDs []string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	known := make([]string, 0, len(userIDs))
	for _, userID := range userIDs {
		if storable(userID) {
			known = append(known, userID)
		}
	}
	if len(known) == 0 {
		return nil
	}
	_, err := s.pool.Exec(ctx, s.remove, known)
	return s.fault(ctx, "delete users", err)
}

var (
	_ basket.BatchStore = (*Store)(nil)
	_ basket.Deleter    = (*Store)(nil)
)
