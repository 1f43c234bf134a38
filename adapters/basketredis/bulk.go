package basketredis

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/basket-go/basket"
	"github.com/redis/rueidis"
)

const (
	// bulkRows is how many rows are sent at a time.
	bulkRows = 4096

	// callRows is how many rows one call of a script writes: so many that the cost of a
	// call does not matter, and so few that the server soon answers others.
	callRows = 64
)

// A layout is how a store writes rows as arguments of its script.
type layout interface {
	check(row basket.Row) error

	// appendRow adds a row that has passed check: the key, and then the arguments.
	appendRow(a *arguments, row basket.Row)
}

// A bulk writes rows by a script that compares event times, so that the server decides
// atomically which row is the newest. It sends several rows in a call and several calls
// in a round trip. The keys of a call must be in one slot of a cluster, so there a call
// has one row.
type bulk struct {
	client  rueidis.Client
	where   string // the store, for errors
	script  string
	sha     string
	header  []string // first arguments of each call
	ties    tie
	perCall int
	gate    *gate
}

// A tie says which of the rows of equal event time stays.
type tie int

const (
	lastStays tie = iota
	firstStays
)

func newBulk(client rueidis.Client, where, script string, ties tie, header ...string) bulk {
	sum := sha1.Sum([]byte(script)) // Redis names scripts so
	b := bulk{client: client, where: where, script: script, sha: hex.EncodeToString(sum[:]), header: header, ties: ties, perCall: callRows, gate: new(gate)}
	if client.Mode() == rueidis.ClientModeCluster {
		b.perCall = 1
	}
	return b
}

// put writes all rows, or none if one cannot be stored.
func (b *bulk) put(ctx context.Context, l layout, rows []basket.Row) error {
	if err := ctx.Err(); err != nil {
		return b.fault(replyError(ctx, err))
	}
	for _, row := range rows {
		if err := l.check(row); err != nil {
			return b.fault(err)
		}
	}
	_, err := b.putAll(ctx, l, basket.Values(rows))
	return err
}

// putAll writes the rows of a sequence, and returns how many the server has taken. It
// prepares rows while the server works on those before them.
func (b *bulk) putAll(ctx context.Context, l layout, rows iter.Seq2[basket.Row, error]) (n int, err error) {
	now, next := &arguments{ties: b.ties}, &arguments{ties: b.ties}
	var skipped int64 // keys that hold something else
	type result struct {
		taken   int
		skipped int64
		err     error
	}
	results := make(chan result, 1)
	sending := false
	collect := func() error { // what was sent before
		if !sending {
			return nil
		}
		r := <-results
		sending = false
		if r.err == nil {
			n, skipped = n+r.taken, skipped+r.skipped
		}
		return b.fault(r.err)
	}
	defer func() { err = cmp.Or(err, collect()) }()
	send := func() error {
		if err := collect(); err != nil {
			return err
		}
		now, next = next, now
		now.reset()
		sending = true
		go func(a *arguments) {
			k, err := b.send(ctx, a)
			results <- result{a.taken, k, err}
		}(next)
		return nil
	}
	for row, err := range rows {
		if err != nil {
			return n, err
		}
		if err := l.check(row); err != nil {
			return n, b.fault(err)
		}
		l.appendRow(now, row)
		if now.taken == bulkRows {
			if err := send(); err != nil {
				return n, err
			}
		}
	}
	if err := cmp.Or(send(), collect()); err != nil {
		return n, err
	}
	if skipped > 0 {
		return n, b.fault(fmt.Errorf("%w: %d keys hold something else than a row that this version can read, and were left alone: want them deleted, or another prefix or project", basket.ErrData, skipped))
	}
	return n, nil
}

// send writes the rows of a, and returns how many keys hold something else.
func (b *bulk) send(ctx context.Context, a *arguments) (skipped int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, replyError(ctx, err)
	}
	if len(a.rows) == 0 {
		return 0, nil
	}
	text := string(a.buf) // a client keeps the arguments of a call that is late
	var first, again rueidis.Commands
	for i := 0; i < len(a.rows); i += b.perCall {
		first = append(first, b.call(a, text, i, "EVALSHA", b.sha))
	}
	replies, err := b.gate.doMulti(ctx, b.client, first)
	if err != nil {
		return 0, replyError(ctx, err)
	}
	for i, reply := range replies {
		n, err := reply.AsInt64()
		if e, ok := rueidis.IsRedisErr(err); ok && e.IsNoScript() {
			again = append(again, b.call(a, text, i*b.perCall, "EVAL", b.script))
			continue
		}
		if err != nil {
			return 0, replyError(ctx, err)
		}
		skipped += n
	}
	if replies, err = b.gate.doMulti(ctx, b.client, again); err != nil {
		return 0, replyError(ctx, err)
	}
	for _, reply := range replies {
		n, err := reply.AsInt64()
		if err != nil {
			return 0, replyError(ctx, err)
		}
		skipped += n
	}
	return skipped, nil
}

// call returns the call of a script for perCall rows from row i on.
func (b *bulk) call(a *arguments, text string, i int, verb, script string) rueidis.Completed {
	rows := a.rows[i:min(i+b.perCall, len(a.rows))]
	cmd := b.client.B().Arbitrary(verb, script, strconv.Itoa(len(rows)))
	for _, r := range rows {
		cmd = cmd.Keys(text[r.start:a.ends[r.first]])
	}
	cmd = cmd.Args(b.header...)
	for _, r := range rows {
		for k := r.first + 1; k < r.last; k++ {
			cmd = cmd.Args(text[a.ends[k-1]:a.ends[k]])
		}
	}
	return cmd.Build()
}

// fault names the store in an error.
func (b *bulk) fault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("basketredis: %s: %w", b.where, err)
}

// arguments are rows that will be sent, at most one of a user: two rows of equal time
// could arrive at the server in either order, because calls may take different
// connections.
type arguments struct {
	ties  tie
	taken int    // rows, including those of users that had a newer one
	buf   []byte // all arguments
	ends  []int  // of the arguments in buf
	rows  []argumentRow
	row   int            // the one that was begun last
	index map[string]int // user ID to number in rows
}

// An argumentRow is a row of arguments: the first begins at start, and they end at
// ends[first:last].
type argumentRow struct {
	at                 time.Time
	start, first, last int
}

// begin begins the arguments of a row, unless a newer row of the user is there.
func (a *arguments) begin(row basket.Row) bool {
	a.taken++
	if a.index == nil {
		a.index = map[string]int{}
	}
	r := argumentRow{at: row.OrderedAt, start: len(a.buf), first: len(a.ends), last: len(a.ends)}
	i, ok := a.index[row.UserID]
	if !ok {
		a.index[row.UserID], a.row = len(a.rows), len(a.rows)
		a.rows = append(a.rows, r)
		return true
	}
	if c := r.at.Compare(a.rows[i].at); c < 0 || c == 0 && a.ties == firstStays {
		return false
	}
	a.rows[i], a.row = r, i
	return true
}

// end ends an argument.
func (a *arguments) end() {
	a.ends = append(a.ends, len(a.buf))
	a.rows[a.row].last = len(a.ends)
}

func (a *arguments) reset() {
	a.taken, a.buf, a.ends, a.rows = 0, a.buf[:0], a.ends[:0], a.rows[:0]
	clear(a.index)
}
