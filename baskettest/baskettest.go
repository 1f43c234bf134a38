// Package baskettest tests implementations of the interfaces of package basket:
// stores, models and loggers.
//
// An implementation's own test calls [TestStore], [TestModel] or [TestLogger].
// Each runs one subtest per duty of the interface; a failure quotes the duty and
// says how it was broken. Run the tests with the race detector as well: some
// duties are about concurrent use.
package baskettest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// patience is how long a call may take whose context is done.
const patience = 10 * time.Second

// A duty is one duty of an interface and the check of it.
type duty[T any] struct {
	name  string
	text  string // what an implementation must do
	check func(t *testing.T, impl T) error
}

// run runs a subtest per duty.
func run[T any](t *testing.T, duties []duty[T], newImpl func(*testing.T) T) {
	t.Helper()
	for _, d := range duties {
		t.Run(d.name, func(t *testing.T) {
			t.Helper()
			if err := d.try(t, newImpl(t)); err != nil {
				t.Errorf("%s\n%v", d.text, err)
			}
		})
	}
}

// try checks an implementation; a panic of it is a violation.
func (d *duty[T]) try(t *testing.T, impl T) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return d.check(t, impl)
}

// doneContexts are contexts whose end calls must notice.
func doneContexts(t *testing.T) map[error]context.Context {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	t.Cleanup(cancel)
	return map[error]context.Context{context.Canceled: canceled, context.DeadlineExceeded: late}
}

// promptly returns nil if call, whose context is done because of want, returns an
// error that wraps want, and soon.
func promptly(name string, want error, call func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("panic: %v", r)
			}
		}()
		done <- call()
	}()
	select {
	case err := <-done:
		if !errors.Is(err, want) {
			return fmt.Errorf("%s returned the error %v: want one that wraps %q", name, err, want)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s did not return within %v after its context was done", name, patience)
	}
}

// together calls f(0), f(1), ... f(n-1) at the same time, and joins the first
// errors. A panic is an error.
func together(n int, f func(i int) error) error {
	start, errs := make(chan struct{}), make(chan error, n)
	for i := range n {
		go func() {
			defer func() {
				if r := recover(); r != nil {
					errs <- fmt.Errorf("panic: %v", r)
				}
			}()
			<-start
			errs <- f(i)
		}()
	}
	close(start)
	var all []error
	for range n {
		if err := <-errs; err != nil && len(all) < 3 {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// violation is fmt.Errorf for texts that begin with the name of a method.
func violation(format string, args ...any) error { return fmt.Errorf(format, args...) }
