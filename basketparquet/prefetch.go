package basketparquet

import (
	"fmt"
	"sync"
)

// prefetch calls use with each batch that fill fills, in order, until fill reports
// that there are no more or use returns false. Meanwhile a goroutine fills the
// next of two batches; it has ended when prefetch returns, also if use panics. A
// panic of fill is returned as an error, because in a goroutine it would end the
// process.
func prefetch[T any](fill func(*T) (more bool, err error), use func(*T) bool) error {
	var err error // of fill, set before filled is closed
	filled, stop := make(chan *T), make(chan struct{})
	var filler sync.WaitGroup
	defer filler.Wait()
	defer close(stop)
	filler.Go(func() {
		defer close(filled)
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("the reader panicked: %v", v)
			}
		}()
		var batches [2]T
		for i := 0; ; i++ {
			// The receiver of a batch has finished with the one before.
			b := &batches[i%2]
			var more bool
			if more, err = fill(b); err != nil || !more {
				return
			}
			select {
			case filled <- b:
			case <-stop:
				return
			}
		}
	})
	for b := range filled {
		if !use(b) {
			return nil
		}
	}
	return err
}
