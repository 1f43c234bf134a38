//go:build unix

package basketredis_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/redis/rueidis"
)

// patience is how long a call may take whose context is done.
const patience = 10 * time.Second

// calls are all calls of a store.
func calls(t *testing.T, client rueidis.Client) map[string]func(context.Context) error {
	s := newStore(t, client)
	rows := []basket.Row{rowOf("ann", noon, 1)}
	return map[string]func(context.Context) error{
		"Row":    func(ctx context.Context) error { _, err := s.Row(ctx, "ann"); return err },
		"Rows":   func(ctx context.Context) error { _, err := s.Rows(ctx, []string{"ann", "bob"}); return err },
		"Put":    func(ctx context.Context) error { return s.Put(ctx, rows) },
		"PutAll": func(ctx context.Context) error { _, err := s.PutAll(ctx, basket.Values(rows)); return err },
		"Delete": func(ctx context.Context) error { return s.Delete(ctx, []string{"nobody"}) },
	}
}

// ends fails the test if the call does not end soon.
func ends(t *testing.T, name string, call func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("%s has not ended %v after its context", name, patience)
		return nil
	}
}

// A server that does not answer does not keep callers beyond their contexts, and the
// client works again when the server does.
func TestStore_silentServer(t *testing.T) {
	redis := startRedis(t)
	// The limit of a write is so long that it cannot be what ends a call.
	client := newClient(t, rueidis.ClientOption{InitAddress: []string{redis.addr}, ConnWriteTimeout: time.Minute})
	all := calls(t, client)
	if err := all["Put"](t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := redis.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { redis.Process.Signal(syscall.SIGCONT) })
	for name, call := range all {
		late, cancelLate := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancelLate()
		if err := ends(t, name, func() error { return call(late) }); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, basket.ErrUnavailable) {
			t.Errorf("%s: %v: want DeadlineExceeded and ErrUnavailable", name, err)
		}
		canceled, cancel := context.WithTimeout(t.Context(), time.Hour)
		time.AfterFunc(20*time.Millisecond, cancel)
		if err := ends(t, name, func() error { return call(canceled) }); !errors.Is(err, context.Canceled) || errors.Is(err, basket.ErrUnavailable) {
			t.Errorf("%s: %v: want Canceled and no ErrUnavailable", name, err)
		}
	}
	if err := redis.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for name, call := range all {
		if err := ends(t, name, func() error { return call(t.Context()) }); err != nil {
			t.Errorf("%s after the server answers again: %v", name, err)
		}
	}
}

// More calls than the client's queues hold end with their contexts too.
func TestStore_fullQueues(t *testing.T) {
	redis := startRedis(t)
	client := newClient(t, rueidis.ClientOption{InitAddress: []string{redis.addr}, ConnWriteTimeout: time.Minute})
	row := calls(t, client)["Row"]
	// After a call without a deadline the client has a queue.
	if err := row(t.Context()); !errors.Is(err, basket.ErrUserNotFound) {
		t.Fatal(err)
	}
	if err := redis.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { redis.Process.Signal(syscall.SIGCONT) })
	for range 20 {
		err := ends(t, "one of 200 calls", func() error {
			var all sync.WaitGroup
			errs := make(chan error, 200)
			for range cap(errs) {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
					defer cancel()
					errs <- row(ctx)
				})
			}
			all.Wait()
			for range cap(errs) {
				if err := <-errs; !errors.Is(err, basket.ErrUnavailable) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("%v: want ErrUnavailable", err)
		}
	}
	if err := redis.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for { // until the late calls have ended
		err := row(ctx)
		if errors.Is(err, basket.ErrUserNotFound) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("after the server answers again: %v", err)
		}
	}
}

// Without a server calls end with their contexts, and the client finds the server when it
// is back.
func TestStore_noServer(t *testing.T) {
	redis := startRedis(t)
	client := newClient(t, rueidis.ClientOption{InitAddress: []string{redis.addr}})
	all := calls(t, client)
	if err := all["Row"](t.Context()); !errors.Is(err, basket.ErrUserNotFound) {
		t.Fatal(err)
	}
	redis.stop()
	for name, call := range all {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := ends(t, name, func() error { return call(ctx) }); !errors.Is(err, basket.ErrUnavailable) {
			t.Errorf("%s: %v: want ErrUnavailable", name, err)
		}
	}
	restarted := startServer(t, "redis-server", func(string) []string {
		return []string{"--save", "", "--appendonly", "no"}
	}, redis.port)
	if restarted.port != redis.port {
		t.Skip("another process took the port " + strconv.Itoa(redis.port))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := all["Row"](ctx); !errors.Is(err, basket.ErrUserNotFound) {
		t.Errorf("Row with a new server: %v: want ErrUserNotFound", err)
	}
	if err := all["Put"](ctx); err != nil {
		t.Errorf("Put with a new server: %v", err)
	}
}
