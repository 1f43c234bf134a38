package basketparquet

import (
	"fmt"
	"sync"
)

// ahead calls use with one batch after the other, as read fills them, until there
// are no more. While one is used the next is read, in a goroutine that ends before
// ahead does; there are two batches in all.
func ahead[T any](read func(*T) (more bool, err error), use func(*T) error) error {
	type result struct {
		batch *T
		more  bool
		err   error
	}
	filled, free := make(chan result), make(chan *T, 2)
	free <- new(T)
	free <- new(T)
	stop := make(chan struct{})
	var reader sync.WaitGroup
	defer reader.Wait()
	defer close(stop)
	reader.Go(func() {
		for r := (result{more: true}); r.more && r.err == nil; {
			select {
			case r.batch = <-free:
			case <-stop:
				return
			}
			r.more, r.err = unpanicked(read, r.batch)
			select {
			case filled <- r:
			case <-stop:
				return
			}
		}
	})
	for {
		r := <-filled
		if r.err != nil || !r.more {
			return r.err
		}
		if err := use(r.batch); err != nil {
			return err
		}
		free <- r.batch
	}
}

// unpanicked calls read, of which a panic is an error: in a goroutine it would end
// the process.
func unpanicked[T any](read func(*T) (bool, error), batch *T) (more bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the reader failed: %v", v)
		}
	}()
	return read(batch)
}
