package forest

import (
	"sync"
	"sync/atomic"
)

// workerRows is how many rows a worker takes at a time: few enough that one that
// is held up does not hold up all, and many enough for the engines.
const workerRows = 128

// MarginWorkers is Margin by up to so many goroutines, the caller's among them. It
// returns when all are done.
func (f *Forest) MarginWorkers(dst, rows []float64, workers int) {
	f.divide(dst, rows, len(f.base), false, workers)
}

// PredictWorkers is Predict by up to so many goroutines, the caller's among them.
// It returns when all are done.
func (f *Forest) PredictWorkers(dst, rows []float64, workers int) {
	f.divide(dst, rows, f.Outputs(), true, workers)
}

// divide is each by several goroutines.
func (f *Forest) divide(dst, rows []float64, width int, finish bool, workers int) {
	n := len(rows) / f.features
	workers = min(workers, (n+workerRows-1)/workerRows)
	if workers < 2 || n*f.features != len(rows) || n*width != len(dst) {
		f.each(dst, rows, width, finish) // which panics if need be
		return
	}
	var next atomic.Int64
	work := func() {
		for {
			end := int(next.Add(workerRows))
			start := end - workerRows
			if start >= n {
				return
			}
			end = min(end, n)
			f.each(dst[start*width:end*width], rows[start*f.features:end*f.features], width, finish)
		}
	}
	var group sync.WaitGroup
	for range workers - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
}
