package basketredis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/basket-go/basket"
	"github.com/redis/rueidis"
)

// Feast says which rows of the feature store Feast a [FeastStore] reads and writes. The
// facts are in Feast's registry, not in Redis.
type Feast struct {
	// Project is the name of Feast's project.
	Project string

	// View is the name of the feature view. For a view with versions enabled it is that
	// in Redis, such as "basket_features_v2".
	View string

	// JoinKey is the name of the entity's only join key, such as "user_id".
	JoinKey string

	// KeyType is the type of the join key, by default KeyString. User 1 as a string and
	// user 1 as an integer are different entities.
	KeyType KeyType

	// KeyVersion is entity_key_serialization_version: 3, which 0 means too, or 2, which
	// can be read and deleted only.
	KeyVersion int

	// Features are the features of a row, in order; by default [FeastFeatures].
	Features []FeastFeature

	// Number names the feature that holds Row.Number, an Int64 in the view. Without it
	// Number is not written, and rows are read with Number 0.
	Number string
}

// A FeastFeature is a feature of a view.
type FeastFeature struct {
	Name string
	Type ValueType // that Put writes; all numbers are read
}

// FeastFeatures returns the features that a [basket.Materializer] computes: a Float64 and
// three of Int64. The caller owns the slice.
func FeastFeatures() []FeastFeature {
	var features []FeastFeature
	for i, name := range basket.FeatureNames() {
		f := FeastFeature{Name: name, Type: Int64}
		if i == 0 {
			f.Type = Float64 // prior_basket_value
		}
		features = append(features, f)
	}
	return features
}

// A FeastStore is a [basket.BatchStore] and a [basket.Deleter] in the layout of Feast's
// online store for Redis, as Feast 0.67 writes and reads it: a hash for each user, with
// the features of all views of the project, and the event time of each view. It is safe
// for concurrent use and needs no Close.
//
// A feature that is null in Feast, or is not in a row because it is newer than the row,
// is NaN; NaN is written as null, as Feast does. A user without a row in the view is not
// found, also if other views have one. Numbers of all of Feast's types are converted
// exactly; an integer that float64 cannot hold, a string or a list is an ErrData.
//
// Feast keeps no time-to-live of views in Redis, so a row does not expire: compare
// OrderedAt.
type FeastStore struct {
	client  rueidis.Client
	keys    entityKeys
	columns []feastColumn // of Features, and of Number as the last
	names   []string
	fields  []string // of columns, and of the event time as the last
	number  bool     // whether there is a Number
	bulk    bulk
}

type feastColumn struct {
	FeastFeature
	field string
}

// NewFeastStore returns a store over a client. It does no I/O. Its error joins all faults
// of f. Names of features whose hashes are equal are one, because Feast would mix up
// their values.
func NewFeastStore(client rueidis.Client, f Feast) (*FeastStore, error) {
	if f.KeyVersion == 0 {
		f.KeyVersion = 3
	}
	if len(f.Features) == 0 {
		f.Features = FeastFeatures()
	}
	s := &FeastStore{client: client, number: f.Number != "", keys: entityKeys{
		project: f.Project, joinKey: f.JoinKey, keyType: f.KeyType, version: f.KeyVersion,
	}}
	for _, feature := range f.Features {
		s.names = append(s.names, feature.Name)
		s.columns = append(s.columns, feastColumn{feature, fieldName(f.View, feature.Name)})
	}
	if s.number {
		s.columns = append(s.columns, feastColumn{FeastFeature{f.Number, Int64}, fieldName(f.View, f.Number)})
	}
	if err := errors.Join(f.faults(client, s.columns)...); err != nil {
		return nil, err
	}
	for _, c := range s.columns {
		s.fields = append(s.fields, c.field)
	}
	s.fields = append(s.fields, "_ts:"+f.View)
	s.bulk = newBulk(client, fmt.Sprintf("Feast project %q, view %q", f.Project, f.View), feastScript, firstStays, s.fields...)
	return s, nil
}

func (f *Feast) faults(client rueidis.Client, columns []feastColumn) (faults []error) {
	if client == nil {
		faults = append(faults, invalid("no client: want one of rueidis.NewClient"))
	}
	for _, must := range []struct{ name, value string }{{"Project", f.Project}, {"View", f.View}, {"JoinKey", f.JoinKey}} {
		if must.value == "" {
			faults = append(faults, invalid("Feast.%s is empty: want the name in Feast's registry", must.name))
		}
	}
	if f.KeyType < KeyString || f.KeyType > KeyBytes {
		faults = append(faults, invalid("Feast.KeyType %d: want KeyString, KeyInt64, KeyInt32 or KeyBytes", f.KeyType))
	}
	if f.KeyVersion != 2 && f.KeyVersion != 3 {
		faults = append(faults, invalid("Feast.KeyVersion %d: want 3 or 2", f.KeyVersion))
	}
	var names []string
	fields := map[string]string{}
	for _, c := range columns {
		names = append(names, c.Name)
		if c.Type < Float64 || c.Type > Int32 {
			faults = append(faults, invalid("feature %q has type %d: want Float64, Float32, Int64 or Int32", c.Name, c.Type))
		}
		if other, ok := fields[c.field]; ok && other != c.Name {
			faults = append(faults, invalid("features %q and %q of view %q have the same hash, so Feast mixes them up: want another name for one", other, c.Name, f.View))
		}
		fields[c.field] = c.Name
	}
	return append(faults, checkNames(names)...)
}

// Features returns the names of the values of every row.
func (s *FeastStore) Features() []string { return slices.Clone(s.names) }

// Row returns the newest row of userID, in one round trip.
func (s *FeastStore) Row(ctx context.Context, userID string) (basket.Row, error) {
	key, ok := s.keys.append(nil, userID)
	if !ok {
		return basket.Row{}, errNoRow
	}
	row, err := s.read(ctx, userID, s.bulk.gate.do(ctx, s.client, s.get(string(key))))
	if err != nil {
		return basket.Row{}, s.bulk.fault(err)
	}
	if row.Values == nil {
		return basket.Row{}, errNoRow
	}
	return row, nil
}

// Rows returns the newest rows of userIDs, in one round trip; from a cluster, in one to
// each of its servers at the same time.
func (s *FeastStore) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	var cmds rueidis.Commands
	var index []int // in userIDs, of each command
	for i, userID := range userIDs {
		if key, ok := s.keys.append(nil, userID); ok {
			cmds, index = append(cmds, s.get(string(key))), append(index, i)
		}
	}
	replies, err := s.bulk.gate.doMulti(ctx, s.client, cmds)
	if err != nil {
		return nil, s.bulk.fault(replyError(ctx, err))
	}
	rows := make([]basket.Row, len(userIDs))
	for k, reply := range replies {
		i := index[k]
		if rows[i], err = s.read(ctx, userIDs[i], reply); err != nil {
			return nil, s.bulk.fault(atIndex(i, err))
		}
	}
	return rows, nil
}

func (s *FeastStore) get(key string) rueidis.Completed {
	return s.client.B().Hmget().Key(key).Field(s.fields...).Build()
}

// read reads a user's row, which is the zero Row if there is none.
func (s *FeastStore) read(ctx context.Context, userID string, reply rueidis.RedisResult) (basket.Row, error) {
	values, err := reply.ToArray()
	if err != nil {
		return basket.Row{}, replyError(ctx, err)
	}
	if len(values) != len(s.fields) {
		return basket.Row{}, fmt.Errorf("%w: Redis returned %d fields: want %d", basket.ErrUnavailable, len(values), len(s.fields))
	}
	last := len(values) - 1
	if values[last].IsNil() {
		return basket.Row{}, nil
	}
	row := basket.Row{UserID: userID, Values: make([]float64, last)}
	b, err := values[last].AsBytes()
	if err == nil {
		row.OrderedAt, err = readTimestamp(b)
	}
	if err != nil {
		return basket.Row{}, fmt.Errorf("field %q: %w", s.fields[last], err)
	}
	for i := range row.Values {
		if row.Values[i], err = readFeast(&values[i]); err != nil {
			return basket.Row{}, fmt.Errorf("feature %q: %w", s.columns[i].Name, err)
		}
	}
	if s.number {
		number := row.Values[last-1]
		row.Values = row.Values[: last-1 : last-1]
		switch {
		case math.IsNaN(number):
		case math.Abs(number) > 1<<53 || number != math.Trunc(number) || float64(int(number)) != number:
			return basket.Row{}, fmt.Errorf("feature %q: %w: want an integer, the number of the row", s.columns[last-1].Name, basket.ErrData)
		default:
			row.Number = int(number)
		}
	}
	return row, nil
}

// readFeast reads a field, which is missing if the row is older than the feature.
func readFeast(m *rueidis.RedisMessage) (float64, error) {
	if m.IsNil() {
		return math.NaN(), nil
	}
	b, err := m.AsBytes()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", basket.ErrData, err)
	}
	return readValue(b)
}

// Put sets the newest rows of some users, with Feast's rule: a row whose event time is
// that of the user's present row or older is ignored. Unlike Feast's own writer it
// compares and writes at once, also when several processes put rows at the same time. If
// a row cannot be stored, none of them is: it has the wrong number of values, or an
// Int64 or Int32 is no such integer; Float32 is rounded. If Redis fails meanwhile, some may have been
// stored, and Put may be called again. The expiry of a hash stays as it is.
//
// A hash whose event time cannot be read, or a key of another type, is not changed. The
// error then wraps ErrData, and all other rows are stored. With KeyVersion 2 the error
// wraps errors.ErrUnsupported.
func (s *FeastStore) Put(ctx context.Context, rows []basket.Row) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.bulk.put(ctx, s, rows)
}

// PutAll is Put for any number of rows: it sends some thousand at a time, and keeps no
// more in memory. It returns how many rows Redis has taken, ignored ones
// included. Rows before an error may have been stored. An error of the sequence is
// returned as it is.
func (s *FeastStore) PutAll(ctx context.Context, rows iter.Seq2[basket.Row, error]) (n int, err error) {
	if err := s.writable(); err != nil {
		return 0, err
	}
	return s.bulk.putAll(ctx, s, rows)
}

func (s *FeastStore) writable() error {
	if s.keys.version != 3 {
		return s.bulk.fault(fmt.Errorf("%w: entity keys of version %d can be read and deleted only: want version 3", errors.ErrUnsupported, s.keys.version))
	}
	return nil
}

// Delete removes the hashes of userIDs, and with them the features of all views of the
// project, because the key of a hash tells the user ID.
func (s *FeastStore) Delete(ctx context.Context, userIDs []string) error {
	var keys []string
	for _, userID := range userIDs {
		if key, ok := s.keys.append(nil, userID); ok {
			keys = append(keys, string(key))
		}
	}
	return s.bulk.fault(s.bulk.gate.remove(ctx, s.client, keys))
}

func (s *FeastStore) check(row basket.Row) error {
	if err := checkRow(row, s.names); err != nil {
		return err
	}
	if _, ok := s.keys.append(nil, row.UserID); !ok {
		return fmt.Errorf("%w: row of user %.64q: want a user ID of the type of the join key, %v", basket.ErrData, row.UserID, s.keys.keyType)
	}
	for i, c := range s.columns {
		if v := s.value(row, i); !c.Type.holds(v) {
			return fmt.Errorf("%w: row of user %.64q: feature %q is %v: want a value of its type, %v", basket.ErrData, row.UserID, c.Name, v, c.Type)
		}
	}
	return nil
}

// value returns the value of a column.
func (s *FeastStore) value(row basket.Row, i int) float64 {
	if i == len(row.Values) {
		return float64(row.Number)
	}
	return row.Values[i]
}

func (s *FeastStore) appendRow(a *arguments, row basket.Row) {
	if !a.begin(row) {
		return
	}
	a.buf, _ = s.keys.append(a.buf, row.UserID)
	a.end()
	for i, c := range s.columns {
		a.buf = c.Type.append(a.buf, s.value(row, i))
		a.end()
	}
	a.buf = appendTimestamp(a.buf, row.OrderedAt)
	a.end()
}

// feastScript sets fields of the hashes KEYS. ARGV begins with the number and the names
// of the fields, the event time as the last; then come the values of each key. It returns
// how many keys hold something else. An event time is a protobuf of two varints; a
// negative number of seconds has ten bytes, of which the complement is exact in Lua.
const feastScript = `
local function varint(s, i)
  local v, c, f, first = 0, 0, 1, i
  while true do
    local b = string.byte(s, i)
    if not b or i - first > 9 then return nil, i end
    if i - first < 9 then v, c, f = v + b % 128 * f, c + (127 - b % 128) * f, f * 128 end
    i = i + 1
    if b < 128 then break end
  end
  if i - first == 10 then v = -c - 1 end
  return v, i
end
local function time(s)
  local sec, nsec, i = 0, 0, 1
  while i <= #s do
    local tag = string.byte(s, i)
    if tag == 8 then sec, i = varint(s, i + 1)
    elseif tag == 16 then nsec, i = varint(s, i + 1)
    else return nil end
    if not sec or not nsec then return nil end
  end
  return sec, nsec
end
local n, skipped = #ARGV / (#KEYS + 1), 0
for i = 1, #KEYS do
  local old, newer = redis.pcall('HGET', KEYS[i], ARGV[n]), true
  if type(old) == 'table' then
    if not string.find(old.err, 'WRONGTYPE', 1, true) then return old end
    skipped, newer = skipped + 1, false
  elseif old then
    local sec, nsec = time(old)
    local sec2, nsec2 = time(ARGV[n * i + n])
    if not sec then
      skipped, newer = skipped + 1, false
    elseif sec2 ~= sec then newer = sec2 > sec else newer = nsec2 > nsec end
  end
  if newer then
    local put = {}
    for k = 1, n do put[2 * k - 1], put[2 * k] = ARGV[k], ARGV[n * i + k] end
    redis.call('HSET', KEYS[i], unpack(put))
  end
end
return skipped`

var (
	_ basket.BatchStore = (*FeastStore)(nil)
	_ basket.Deleter    = (*FeastStore)(nil)
)
