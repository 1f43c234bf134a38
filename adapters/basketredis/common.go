package basketredis

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// cancelable hides the deadline of a context, but not its end: for a context with a
// deadline, the client waits on the connection itself, and would not notice that the
// context is canceled earlier.
func cancelable(ctx context.Context) context.Context {
	if _, ok := ctx.Deadline(); ok {
		return noDeadline{ctx}
	}
	return ctx
}

type noDeadline struct{ context.Context }

func (noDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// remove deletes keys, each by a command of its own, because on a cluster they are on
// different servers.
func remove(ctx context.Context, client rueidis.Client, keys []string) error {
	if err := ctx.Err(); err != nil {
		return replyError(ctx, err)
	}
	ctx = cancelable(ctx)
	cmds := make(rueidis.Commands, len(keys))
	for i, key := range keys {
		cmds[i] = client.B().Del().Key(key).Build()
	}
	for _, reply := range client.DoMulti(ctx, cmds...) {
		if err := reply.Error(); err != nil {
			return replyError(ctx, err)
		}
	}
	return nil
}
