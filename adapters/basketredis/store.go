// Package basketredis keeps feature rows in Redis 7 or Valkey, through a client of
// package rueidis: one server, sentinels or a cluster. A [Store] has a layout of its
// own, which is small and fast. A [FeastStore] shares the rows of the feature store
// Feast. The caller makes the client and closes it.
//
// # Layout of a Store
//
// A user's row is a string under the key prefix + user ID. Numbers are little-endian.
//
//	offset  bytes  content
//	0       1      version of this format, 1
//	1       8      event time, seconds since 1970-01-01 UTC, two's complement
//	9       4      event time, nanoseconds of the second, 0 to 999,999,999
//	13      8      features: the first 8 bytes of the SHA-256 of their names, each
//	               preceded by its length in bytes as 4 bytes
//	21      1-10   number of the row, a zigzag varint as in protocol buffers
//	then    8 each values, IEEE 754 binary64; NaN is a missing value
//
// A row of another version or of other features is an error and is never taken for
// one of the store's features. The key "newest:" + prefix is that of [Store.Newest].
//
// # Time
//
// Calls end soon after their context is done, whatever the server does: at a deadline at
// once, when canceled within a second. A write may still be applied later. Calls that are
// late go on in goroutines of their own, until the server answers or the client gives the
// connection up, after its ConnWriteTimeout; while 1,000 of these have not ended, further
// calls fail at once. The client retries reads while it cannot reach the server, so a
// context without a deadline can wait for ever; [basket.LimitStore] gives every read one.
//
// # Errors
//
// Errors wrap [basket.ErrUnavailable] if Redis cannot be reached, answers with an
// error or is late; [basket.ErrUserNotFound]; [basket.ErrFeatureMismatch] if a row has
// other features or another version; [basket.ErrData] if a row cannot be read or
// stored; [basket.ErrInvalidConfig] for options. That of a canceled context wraps
// context.Canceled and none of the kinds. Errors of reads name neither users nor values.
// Rows fails as a whole if one row cannot be read, and tells its index.
package basketredis

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/redis/rueidis"
)

// A Store is a [basket.BatchStore] and a [basket.Deleter] with one key for each user.
// It is safe for concurrent use and needs no Close.
type Store struct {
	client rueidis.Client
	prefix string
	codec  rowCodec
	bulk   bulk
}

// An Option configures [NewStore].
type Option func(*config)

type config struct {
	prefix string
	names  []string
}

// WithPrefix sets what keys begin with, by default "basket:". Stores that share a
// server need prefixes of which none begins another, or with "newest:".
func WithPrefix(prefix string) Option {
	return func(c *config) { c.prefix = prefix }
}

// WithFeatures sets the names of the values of every row, by default
// [basket.FeatureNames].
func WithFeatures(names ...string) Option {
	return func(c *config) { c.names = slices.Clone(names) }
}

// NewStore returns a store over a client. It does no I/O.
func NewStore(client rueidis.Client, opts ...Option) (*Store, error) {
	c := config{prefix: "basket:", names: basket.FeatureNames()}
	for _, o := range opts {
		o(&c)
	}
	var faults []error
	if client == nil {
		faults = append(faults, invalid("no client: want one of rueidis.NewClient"))
	}
	if c.prefix == "" {
		faults = append(faults, invalid("empty prefix: want one that no other keys begin with"))
	}
	if strings.HasPrefix(c.prefix, newestPrefix) {
		faults = append(faults, invalid(fmt.Sprintf("prefix %.64q: want one that does not begin with %q", c.prefix, newestPrefix)))
	}
	faults = append(faults, checkNames(c.names)...)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Store{
		client: client, prefix: c.prefix, codec: newRowCodec(c.names),
		bulk: newBulk(client, fmt.Sprintf("keys %q", c.prefix), storeScript, lastStays),
	}, nil
}

// Features returns the names of the values of every row.
func (s *Store) Features() []string { return slices.Clone(s.codec.names) }

// Row returns the newest row of userID, in one round trip.
func (s *Store) Row(ctx context.Context, userID string) (basket.Row, error) {
	reply := s.bulk.gate.do(ctx, s.client, s.client.B().Get().Key(s.prefix+userID).Build())
	value, err := reply.AsBytes()
	if err != nil {
		if rueidis.IsRedisNil(err) {
			return basket.Row{}, errNoRow
		}
		return basket.Row{}, s.bulk.fault(replyError(ctx, err))
	}
	row, err := s.codec.read(value)
	if err != nil {
		return basket.Row{}, s.bulk.fault(err)
	}
	row.UserID = userID
	return row, nil
}

// Rows returns the newest rows of userIDs, in one round trip; from a cluster, in one to
// each of its servers at the same time.
func (s *Store) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	cmds := make(rueidis.Commands, len(userIDs))
	for i, userID := range userIDs {
		cmds[i] = s.client.B().Get().Key(s.prefix + userID).Build()
	}
	replies, err := s.bulk.gate.doMulti(ctx, s.client, cmds)
	if err != nil {
		return nil, s.bulk.fault(replyError(ctx, err))
	}
	rows := make([]basket.Row, len(userIDs))
	for i, reply := range replies {
		value, err := reply.AsBytes()
		switch {
		case rueidis.IsRedisNil(err):
			continue
		case err != nil:
			return nil, s.bulk.fault(atIndex(i, replyError(ctx, err)))
		}
		if rows[i], err = s.codec.read(value); err != nil {
			return nil, s.bulk.fault(atIndex(i, err))
		}
		rows[i].UserID = userIDs[i]
	}
	return rows, nil
}

// Put sets the newest rows of some users. A row older than the user's present one is
// ignored, also when several processes put rows at the same time; of rows of equal time
// the last one stays. If a row cannot be stored, as when it has the wrong number of
// values, none of them is. If Redis fails meanwhile, some may have been stored, and Put
// may be called again. A newer row has no expiry, whatever the key had.
//
// What is under a user's key and is no row of a version that the store knows is not
// replaced. The error then wraps ErrData, and all other rows are stored.
func (s *Store) Put(ctx context.Context, rows []basket.Row) error {
	if err := s.bulk.put(ctx, s, rows); err != nil {
		return err
	}
	var newest time.Time
	for i := range rows {
		newest = later(newest, rows[i].OrderedAt)
	}
	return s.raise(ctx, newest)
}

// PutAll is Put for any number of rows: it sends some thousand at a time, and keeps no
// more in memory. It returns how many rows Redis has taken, older ones
// included. Rows before an error may have been stored. An error of the sequence is
// returned as it is.
func (s *Store) PutAll(ctx context.Context, rows iter.Seq2[basket.Row, error]) (n int, err error) {
	var newest time.Time
	n, err = s.bulk.putAll(ctx, s, func(yield func(basket.Row, error) bool) {
		for row, err := range rows {
			newest = later(newest, row.OrderedAt)
			if !yield(row, err) {
				return
			}
		}
	})
	if err != nil {
		return n, err
	}
	return n, s.raise(ctx, newest)
}

// Newest returns the latest event time of the rows that were put, or the zero time if
// there were none: how old the data is. Calls of Put and PutAll that fail do not count,
// and Delete does not change it. It is under a key of its own, "newest:" and the prefix,
// as text of fixed length in UTC.
func (s *Store) Newest(ctx context.Context) (time.Time, error) {
	reply := s.bulk.gate.do(ctx, s.client, s.client.B().Get().Key(s.newestKey()).Build())
	text, err := reply.ToString()
	if rueidis.IsRedisNil(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, s.bulk.fault(replyError(ctx, err))
	}
	t, err := time.Parse(newestLayout, text)
	if err != nil {
		return time.Time{}, s.bulk.fault(fmt.Errorf("%w: the newest event time %.64q: want %s", basket.ErrData, text, newestLayout))
	}
	return t, nil
}

// newestLayout gives texts that are in the order of their times.
const newestLayout = "2006-01-02T15:04:05.000000000Z"

// raiseScript sets KEYS[1] to ARGV[1] unless it is greater.
const raiseScript = `local v = redis.call('GET', KEYS[1])
if not v or v < ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
return 0`

func (s *Store) newestKey() string { return newestPrefix + s.prefix }

// newestPrefix begins the keys of Newest.
const newestPrefix = "newest:"

// raise records that the newest event is not older than t.
func (s *Store) raise(ctx context.Context, t time.Time) error {
	if t = t.UTC(); t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	cmd := s.client.B().Arbitrary("EVAL", raiseScript, "1").Keys(s.newestKey()).Args(t.Format(newestLayout)).Build()
	if err := s.bulk.gate.do(ctx, s.client, cmd).Error(); err != nil {
		return s.bulk.fault(replyError(ctx, err))
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Delete removes the rows of userIDs.
func (s *Store) Delete(ctx context.Context, userIDs []string) error {
	keys := make([]string, len(userIDs))
	for i, userID := range userIDs {
		keys[i] = s.prefix + userID
	}
	return s.bulk.fault(s.bulk.gate.remove(ctx, s.client, keys))
}

func (s *Store) check(row basket.Row) error { return checkRow(row, s.codec.names) }

func (s *Store) appendRow(a *arguments, row basket.Row) {
	if !a.begin(row) {
		return
	}
	a.buf = append(append(a.buf, s.prefix...), row.UserID...)
	a.end()
	a.buf = s.codec.append(a.buf, row)
	a.end()
}

// storeScript sets KEYS[i] to the row ARGV[i] unless the present row is newer, and
// returns how many keys hold something else, which MGET tells for strings only. Few
// commands for many keys are faster than GET and SET for each. Times are compared as
// numbers: they are exact in Lua's floating point for the years of a row, and the order
// of strings in Lua depends on the server's locale.
const storeScript = `
local present, absent, put, skipped = redis.call('MGET', unpack(KEYS)), {}, {}, 0
for i = 1, #KEYS do
  if not present[i] then absent[#absent + 1] = KEYS[i] end
end
local others = #absent > 0 and redis.call('EXISTS', unpack(absent)) > 0
for i = 1, #KEYS do
  local old, new, newer = present[i], ARGV[i], true
  if not old then
    if others and redis.call('EXISTS', KEYS[i]) > 0 then
      skipped, newer = skipped + 1, false
    end
  elseif #old < 22 or string.byte(old) ~= 1 then
    skipped, newer = skipped + 1, false
  else
    local l, h, n = struct.unpack('<I4i4I4', old, 2)
    local l2, h2, n2 = struct.unpack('<I4i4I4', new, 2)
    if h < -15 or h > 58 or n >= 1e9 then -- outside the years 1 to 9999
      skipped, newer = skipped + 1, false
    elseif h2 ~= h then newer = h2 > h elseif l2 ~= l then newer = l2 > l else newer = n2 >= n end
  end
  if newer then
    put[#put + 1] = KEYS[i]
    put[#put + 1] = new
  end
end
if #put > 0 then redis.call('MSET', unpack(put)) end
return skipped`

// rowVersion is the version of the format of rows.
const rowVersion = 1

// rowHeader is the length of a row up to its number.
const rowHeader = 21

// A rowCodec writes and reads rows.
type rowCodec struct {
	names []string
	hash  [8]byte
}

func newRowCodec(names []string) rowCodec {
	var text []byte
	for _, name := range names {
		text = binary.LittleEndian.AppendUint32(text, uint32(len(name)))
		text = append(text, name...)
	}
	sum := sha256.Sum256(text)
	return rowCodec{names: names, hash: [8]byte(sum[:8])}
}

func (c *rowCodec) append(b []byte, row basket.Row) []byte {
	b = append(b, rowVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(row.OrderedAt.Unix()))
	b = binary.LittleEndian.AppendUint32(b, uint32(row.OrderedAt.Nanosecond()))
	b = append(b, c.hash[:]...)
	b = binary.AppendVarint(b, int64(row.Number))
	for _, v := range row.Values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// read reads a row, but for its user ID.
func (c *rowCodec) read(b []byte) (basket.Row, error) {
	if len(b) == 0 {
		return basket.Row{}, fmt.Errorf("%w: row is empty: want version %d", basket.ErrData, rowVersion)
	}
	if b[0] != rowVersion {
		return basket.Row{}, fmt.Errorf("%w: row has version %d: want %d: materialize with this version of basket", basket.ErrFeatureMismatch, b[0], rowVersion)
	}
	if len(b) <= rowHeader {
		return basket.Row{}, fmt.Errorf("%w: row has %d bytes: want more than %d", basket.ErrData, len(b), rowHeader)
	}
	if hash := [8]byte(b[13:rowHeader]); hash != c.hash {
		return basket.Row{}, fmt.Errorf("%w: row has other features (hash %x): want %q (hash %x)", basket.ErrFeatureMismatch, hash, c.names, c.hash)
	}
	sec, nsec := int64(binary.LittleEndian.Uint64(b[1:])), binary.LittleEndian.Uint32(b[9:])
	if err := checkEventTime(sec, int64(nsec)); err != nil {
		return basket.Row{}, err
	}
	number, n := binary.Varint(b[rowHeader:])
	if n <= 0 || int64(int(number)) != number {
		return basket.Row{}, fmt.Errorf("%w: row has an unreadable number", basket.ErrData)
	}
	b = b[rowHeader+n:]
	if len(b) != 8*len(c.names) {
		return basket.Row{}, fmt.Errorf("%w: row has %d bytes of values: want %d, for %q", basket.ErrData, len(b), 8*len(c.names), c.names)
	}
	values := make([]float64, len(c.names))
	for i := range values {
		values[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return basket.Row{OrderedAt: time.Unix(sec, int64(nsec)).UTC(), Number: int(number), Values: values}, nil
}

var (
	_ basket.BatchStore = (*Store)(nil)
	_ basket.Deleter    = (*Store)(nil)
)
