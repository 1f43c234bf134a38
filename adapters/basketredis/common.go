package basketredis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
	"github.com/redis/rueidis"
)

// maxFeatures bounds the features of a store.
const maxFeatures = 1000

func invalid(format string, args ...any) error {
	return fmt.Errorf("basketredis: %w: "+format, append([]any{basket.ErrInvalidConfig}, args...)...)
}

func checkNames(names []string) (faults []error) {
	if n := len(names); n == 0 || n > maxFeatures {
		faults = append(faults, invalid("%d features: want 1 to %d", n, maxFeatures))
	}
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			faults = append(faults, invalid("two features are named %q: want different names", name))
		}
		seen[name] = true
	}
	return faults
}

// The event times that a row can have: the years 1 to 9999, as in protocol buffers.
const (
	minSecond = -62135596800
	maxSecond = 253402300799
)

func checkEventTime(sec, nsec int64) error {
	if sec < minSecond || sec > maxSecond || nsec < 0 || nsec >= 1e9 {
		return fmt.Errorf("%w: event time: want the years 1 to 9999 and less than 1e9 ns", basket.ErrData)
	}
	return nil
}

// checkRow checks what rows of all layouts have in common.
func checkRow(row basket.Row, names []string) error {
	if len(row.Values) != len(names) {
		return fmt.Errorf("%w: row of user %.64q has %d values: want %d, %q", basket.ErrData, row.UserID, len(row.Values), len(names), names)
	}
	if err := checkEventTime(row.OrderedAt.Unix(), int64(row.OrderedAt.Nanosecond())); err != nil {
		return fmt.Errorf("row of user %.64q: %w", row.UserID, err)
	}
	return nil
}

var errNoRow = fmt.Errorf("basketredis: %w: no feature row in the store", basket.ErrUserNotFound)

// atIndex names a user by the place in a batch, because an error of a batch may be told
// to all of its users.
func atIndex(i int, err error) error { return fmt.Errorf("user ID %d of the batch: %w", i, err) }

// replyError gives an error of the client or of the server its kind.
func replyError(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		err = cause
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: Redis did not answer in time: %w", basket.ErrUnavailable, err)
	}
	if e, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(e.Error(), "WRONGTYPE") {
		return fmt.Errorf("%w: the key holds another type of Redis: want it deleted, or another prefix or project", basket.ErrData)
	}
	return fmt.Errorf("%w: %w", basket.ErrUnavailable, err)
}

// maxAbandoned is how many calls may be under way that nobody waits for any more.
const maxAbandoned = 1000

// soon is how long after the cancellation of its context a call may take.
const soon = time.Second

// A gate lets calls of a client end with their contexts. The client does not always
// notice that a context is done: not that it is canceled while the client waits on a
// connection until the deadline, and nothing while it opens a connection, or has 1,024
// commands without an answer. Then a call runs in a goroutine, which costs more than ten
// microseconds; one that is late goes on by itself, until the server answers or the client
// gives the connection up.
type gate struct {
	silent    atomic.Bool // whether the server has not answered the last call that ended
	abandoned atomic.Int64
}

// trusts reports whether the client will notice in time that ctx is done.
func (g *gate) trusts(ctx context.Context) bool {
	if ctx.Done() == nil {
		return true
	}
	deadline, ok := ctx.Deadline()
	return !g.silent.Load() && (!ok || time.Until(deadline) <= soon)
}

// wait makes a call, and returns at the latest when ctx is done. Answered says whether a
// result is of the server: the client tells that it was late before ctx is done.
func wait[T any](ctx context.Context, g *gate, call func() T, answered func(T) bool) (result T, err error) {
	if err := ctx.Err(); err != nil {
		return result, err
	}
	if g.trusts(ctx) {
		result = call()
		if silent := !answered(result); silent != g.silent.Load() {
			g.silent.Store(silent)
		}
		return result, nil
	}
	if g.abandoned.Load() >= maxAbandoned {
		return result, fmt.Errorf("%d calls that were late have not ended", maxAbandoned)
	}
	done := make(chan T, 1)
	var left atomic.Bool // set by the first of: call has ended, nobody waits
	go func() {
		done <- call()
		if left.Swap(true) {
			g.abandoned.Add(-1)
		}
	}()
	select {
	case result = <-done:
		g.silent.Store(!answered(result))
		return result, nil
	case <-ctx.Done():
		g.silent.Store(true)
		g.abandoned.Add(1)
		if left.Swap(true) {
			g.abandoned.Add(-1)
		}
		return result, ctx.Err()
	}
}

// do sends a command.
func (g *gate) do(ctx context.Context, client rueidis.Client, cmd rueidis.Completed) rueidis.RedisResult {
	reply, err := wait(ctx, g, func() rueidis.RedisResult { return client.Do(ctx, cmd) }, isAnswer)
	if err != nil {
		return rueidis.NewErrorResult(err)
	}
	return reply
}

// doMulti sends commands in one round trip.
func (g *gate) doMulti(ctx context.Context, client rueidis.Client, cmds rueidis.Commands) ([]rueidis.RedisResult, error) {
	if len(cmds) == 0 {
		return nil, ctx.Err()
	}
	return wait(ctx, g, func() []rueidis.RedisResult { return client.DoMulti(ctx, cmds...) }, func(replies []rueidis.RedisResult) bool {
		return !slices.ContainsFunc(replies, func(r rueidis.RedisResult) bool { return !isAnswer(r) })
	})
}

// isAnswer reports whether a reply is of the server, be it an error.
func isAnswer(r rueidis.RedisResult) bool { return r.NonRedisError() == nil }

// remove deletes keys, each by a command of its own, because on a cluster they are on
// different servers.
func (g *gate) remove(ctx context.Context, client rueidis.Client, keys []string) error {
	cmds := make(rueidis.Commands, len(keys))
	for i, key := range keys {
		cmds[i] = client.B().Del().Key(key).Build()
	}
	replies, err := g.doMulti(ctx, client, cmds)
	for _, reply := range replies {
		err = cmp.Or(err, reply.Error())
	}
	if err != nil {
		return replyError(ctx, err)
	}
	return nil
}
