package serve

import (
	"context"
	"sync"
	"time"
)

// A deadlineContext is a context with a deadline that has a timer only if somebody waits
// for it: a handler that only asks for Err, as one does that reads rows from memory, needs
// none. A timer for each request costs several microseconds.
type deadlineContext struct {
	context.Context // of the caller
	deadline        time.Time

	mu     sync.Mutex
	timed  context.Context // made by the first call of Done
	cancel context.CancelFunc
}

// Deadline returns the earlier of both deadlines.
func (c *deadlineContext) Deadline() (time.Time, bool) {
	if d, ok := c.Context.Deadline(); ok && d.Before(c.deadline) {
		return d, true
	}
	return c.deadline, true
}

// Done returns a channel that is closed at the deadline.
func (c *deadlineContext) Done() <-chan struct{} { return c.withTimer().Done() }

// Err returns why the context is done, or nil.
func (c *deadlineContext) Err() error {
	c.mu.Lock()
	timed := c.timed
	c.mu.Unlock()
	switch {
	case timed != nil:
		return timed.Err()
	case c.Context.Err() != nil:
		return c.Context.Err()
	case !time.Now().Before(c.deadline):
		return c.withTimer().Err() // from now on the channel is closed
	}
	return nil
}

// AfterFunc makes package context start no goroutine for contexts derived from this one.
func (c *deadlineContext) AfterFunc(f func()) func() bool {
	return context.AfterFunc(c.withTimer(), f)
}

func (c *deadlineContext) withTimer() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadline(c.Context, c.deadline)
	}
	return c.timed
}

// stop ends the context, if somebody may wait for it.
func (c *deadlineContext) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}
