package serve

import (
	"sync/atomic"
	"time"
)

// A timeFormatter formats times to the second and keeps the last result:
// formatting costs more than a prediction, and a busy server formats the same
// second many times. It is safe for concurrent use.
type timeFormatter struct {
	layout string
	last   atomic.Pointer[formattedSecond]
}

type formattedSecond struct {
	unix int64
	text string
}

// append appends t in the layout, which must not show fractions of a second.
func (f *timeFormatter) append(b []byte, t time.Time) []byte {
	s := f.last.Load()
	if unix := t.Unix(); s == nil || s.unix != unix {
		s = &formattedSecond{unix, t.Format(f.layout)}
		f.last.Store(s)
	}
	return append(b, s.text...)
}
