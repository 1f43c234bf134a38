package basket

import (
	"sync/atomic"
	"time"
)

// A clockFace is the text of the last second that was asked for: formatting a
// time costs more than a prediction, and a busy server asks for the same second
// many times. It is safe for concurrent use.
type clockFace struct {
	layout string
	last   atomic.Pointer[second]
}

type second struct {
	unix int64
	text string
}

// append appends t, whose part of a second layout leaves out.
func (c *clockFace) append(b []byte, t time.Time) []byte {
	s := c.last.Load()
	if unix := t.Unix(); s == nil || s.unix != unix {
		s = &second{unix, t.Format(c.layout)}
		c.last.Store(s)
	}
	return append(b, s.text...)
}
