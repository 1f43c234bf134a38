package basket

import (
	"context"
	"time"
)

// A ServiceLogger receives an event for each request and fault. It must return
// quickly, and it is called by many goroutines at once. A panic in it is
// recovered; the first one is reported to all service loggers. ctx may be done;
// the event is logged anyway.
type ServiceLogger interface {
	LogService(ctx context.Context, e ServiceEvent)
}

// A ModelLogger receives an event for each prediction, including those of
// shadows, and for each failure of one, except user IDs that are invalid
// (ErrInvalidRequest). It must return quickly, is called by many goroutines at
// once, and must not change e's slices. A panic in it is recovered; the first one
// is reported to the service loggers. ctx may be done; the event is logged anyway.
type ModelLogger interface {
	LogModel(ctx context.Context, e ModelEvent)
}

// A ServiceEvent is one request, or an event outside a request.
type ServiceEvent struct {
	Time         time.Time
	Latency      time.Duration
	Method, Path string // empty outside a request
	Status       int    // HTTP status; 499 if the client closed the connection before the answer
	Message      string // outside a request: what happened
	Err          error  // nil if nothing failed

	// UserID is the user of a request for one user that failed with Err, for a logger
	// that must keep the ID out of Err's text, in which a store may quote it. It is
	// empty for a batch.
	UserID string
}

// A ModelEvent is one prediction or the failure of one.
type ModelEvent struct {
	Time    time.Time
	Latency time.Duration // of store and model together; in a batch, of the whole batch
	Shadow  bool
	Answer  float64 // of a shadow's event: the Value that the user got; NaN if there is none, and in all other events
	Result
}
