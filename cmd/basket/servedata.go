package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/serve"
)

// A rowSource is where the rows come from that a server has in memory.
type rowSource interface {
	// check returns at once what is wrong with the files.
	check(ctx context.Context) error

	// load reads the rows for the first time, with all processors.
	load(ctx context.Context, term terminal) (*basket.MemoryStore, error)

	// replace reads the rows again, with one processor, because requests need the other
	// ones. On error the old rows stay.
	replace(ctx context.Context, store *basket.MemoryStore) error

	// watch calls changed when the files have changed and settled, until ctx is done.
	watch(ctx context.Context, changed func())
}

// A folderSource is a folder of orders.
type folderSource struct {
	dir     string
	meaning basket.Meaning
}

func (s folderSource) check(ctx context.Context) error {
	var faults []error
	for _, table := range []string{"orders", "regulars", "inventory"} {
		_, err := basketparquet.RowGroups(ctx, os.DirFS(s.dir), table)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (s folderSource) load(ctx context.Context, term terminal) (*basket.MemoryStore, error) {
	history, err := materialize(ctx, s.dir, s.meaning, term)
	if err != nil {
		return nil, err
	}
	return basket.NewMemoryStore(history.Latest(ctx))
}

func (s folderSource) replace(ctx context.Context, store *basket.MemoryStore) error {
	history, err := basketparquet.Materialize(ctx, os.DirFS(s.dir), s.meaning)
	if err != nil {
		return err
	}
	return store.Replace(history.Latest(ctx))
}

func (s folderSource) watch(ctx context.Context, changed func()) {
	_ = basketparquet.Watch(ctx, os.DirFS(s.dir), watchInterval, changed)
}

// memoryRows are the rows that a server has in memory.
type memoryRows struct {
	source   rowSource
	logEvent func(message string, err error)
	reloaded func(error) // counts readings; may be nil
	store    *basket.MemoryStore
	again    chan struct{} // has an element if the source should be read again

	mu     sync.Mutex
	readAt time.Time
	fault  error // why the last reading failed
}

func newMemoryRows(source rowSource, logEvent func(string, error), reloaded func(error)) *memoryRows {
	return &memoryRows{source: source, logEvent: logEvent, reloaded: reloaded, again: make(chan struct{}, 1)}
}

// load reads the rows for the first time.
func (d *memoryRows) load(ctx context.Context, term terminal) (err error) {
	if d.store, err = d.source.load(ctx, term); err != nil {
		return err
	}
	d.read()
	return nil
}

// read records a reading, and returns the memory that it has used.
func (d *memoryRows) read() {
	d.mu.Lock()
	d.readAt, d.fault = time.Now(), nil
	d.mu.Unlock()
	debug.FreeOSMemory()
}

// Reopen reads the rows again, soon. It is what SIGHUP calls.
func (d *memoryRows) Reopen() error {
	select {
	case d.again <- struct{}{}:
	default:
	}
	return nil
}

// watch notes when the source has changed and settled, and SIGHUP, until ctx is done.
func (d *memoryRows) watch(ctx context.Context, background *sync.WaitGroup) {
	serve.ReopenOnHangup(ctx, d, nil)
	background.Go(func() { d.source.watch(ctx, func() { _ = d.Reopen() }) })
}

// follow replaces the rows when watch asks for it, until ctx is done.
func (d *memoryRows) follow(ctx context.Context, background *sync.WaitGroup) {
	background.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-d.again:
			}
			err := d.source.replace(ctx, d.store)
			if ctx.Err() != nil {
				return
			}
			if d.reloaded != nil {
				d.reloaded(err)
			}
			if err != nil {
				d.mu.Lock()
				d.fault = err
				d.mu.Unlock()
				d.logEvent("Failed to reload data; the old rows are served", err)
				continue
			}
			d.read()
			d.logEvent(fmt.Sprintf("The data was read again: rows of %d users", d.store.Len()), nil)
		}
	})
}

// checks are those of the store, and of the last reading.
func (d *memoryRows) checks() []serve.Check {
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

// A dataState describes the rows that are served.
type dataState struct {
	Users  int       `json:"users,omitempty"`
	Newest time.Time `json:"newest_order"`
	Age    float64   `json:"age_seconds"` // since the newest order
	ReadAt time.Time `json:"read_at,omitzero"`
	Fault  string    `json:"fault,omitempty"`
}

// details describe the rows that are served.
func (d *memoryRows) details() dataState {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := dataState{Users: d.store.Len(), Newest: d.store.Newest(), ReadAt: d.readAt}
	s.Age = time.Since(s.Newest).Seconds()
	if d.fault != nil {
		s.Fault = d.fault.Error()
	}
	return s
}
