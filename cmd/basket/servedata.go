package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/serve"
)

// A dataFolder is a folder of orders whose newest rows a server has in memory.
type dataFolder struct {
	dir      string
	meaning  basket.Meaning
	logEvent func(message string, err error)
	reloaded func(error) // counts readings; may be nil
	store    *basket.MemoryStore
	again    chan struct{} // has an element if the files should be read again

	mu    sync.Mutex
	state dataState
	fault error // why the last reading failed
}

// A dataState describes the rows that are served.
type dataState struct {
	Users  int       `json:"users"`
	Newest time.Time `json:"newest_order"`
	Age    float64   `json:"age_seconds"` // since the newest order
	ReadAt time.Time `json:"read_at"`
	Fault  string    `json:"fault,omitempty"`
}

// check returns what is wrong with the files, by their footers alone.
func (d *dataFolder) check(ctx context.Context) error {
	var faults []error
	for _, table := range []string{"orders", "regulars", "inventory"} {
		_, err := basketparquet.RowGroups(ctx, os.DirFS(d.dir), table)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// load reads the rows for the first time, with all processors.
func (d *dataFolder) load(ctx context.Context, term terminal) error {
	history, err := materialize(ctx, d.dir, d.meaning, term)
	if err != nil {
		return err
	}
	var newest time.Time
	d.store, err = basket.NewMemoryStore(newestOf(history.Latest(ctx), &newest))
	if err != nil {
		return err
	}
	d.read(newest)
	debug.FreeOSMemory() // what reading has used
	return nil
}

// read records a reading.
func (d *dataFolder) read(newest time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.fault = dataState{Users: d.store.Len(), Newest: newest, ReadAt: time.Now()}, nil
}

// newestOf sets t to the time of the newest order among rows.
func newestOf(rows iter.Seq2[basket.Row, error], t *time.Time) iter.Seq2[basket.Row, error] {
	return func(yield func(basket.Row, error) bool) {
		for row, err := range rows {
			if row.OrderedAt.After(*t) {
				*t = row.OrderedAt
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// Reopen reads the files again, soon. It is what SIGHUP calls.
func (d *dataFolder) Reopen() error {
	select {
	case d.again <- struct{}{}:
	default:
	}
	return nil
}

// watch notes when the files have changed and settled, and SIGHUP, until ctx is done.
func (d *dataFolder) watch(ctx context.Context, background *sync.WaitGroup) {
	serve.ReopenOnHangup(ctx, d, nil)
	background.Go(func() {
		_ = basketparquet.Watch(ctx, os.DirFS(d.dir), watchInterval, func() { _ = d.Reopen() })
	})
}

// follow replaces the rows when watch or SIGHUP asks for it, until ctx is done.
func (d *dataFolder) follow(ctx context.Context, background *sync.WaitGroup) {
	background.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-d.again:
			}
			err := d.reload(ctx)
			if ctx.Err() == nil && d.reloaded != nil {
				d.reloaded(err)
			}
			switch {
			case err == nil:
				d.logEvent(fmt.Sprintf("The data was read again: rows of %d users", d.store.Len()), nil)
			case ctx.Err() == nil:
				d.mu.Lock()
				d.fault = err
				d.mu.Unlock()
				d.logEvent("Failed to reload data; the old rows are served", err)
			}
		}
	})
}

// reload replaces all rows at once. It works with one goroutine, because requests need
// the processor meanwhile.
func (d *dataFolder) reload(ctx context.Context) error {
	history, err := basketparquet.Materialize(ctx, os.DirFS(d.dir), d.meaning)
	var newest time.Time
	if err == nil {
		err = d.store.Replace(newestOf(history.Latest(ctx), &newest))
	}
	if err != nil {
		return err
	}
	d.read(newest)
	debug.FreeOSMemory()
	return nil
}

// checks are those of the store, and of the last reading.
func (d *dataFolder) checks() []serve.Check {
	return []serve.Check{serve.StoreCheck(d.store), {Name: "data", Do: func(context.Context) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		return degraded(d.fault)
	}}}
}

// degraded returns the error of a check for a part that works with something old.
func degraded(fault error) error {
	if fault == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", serve.ErrDegraded, fault)
}

// details describe the rows that are served.
func (d *dataFolder) details() dataState {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state
	s.Age = time.Since(s.Newest).Seconds()
	if d.fault != nil {
		s.Fault = d.fault.Error()
	}
	return s
}
