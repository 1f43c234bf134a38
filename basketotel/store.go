package basketotel

import (
	"context"
	"errors"
	"time"

	"github.com/basket-go/basket"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// An operationKey is the attributes of basket.store.duration and basket.model.duration.
type operationKey struct {
	model, operation, kind string
}

func (k operationKey) set() attribute.Set {
	kvs := []attribute.KeyValue{attribute.String("basket.operation", k.operation)}
	if k.model != "" {
		kvs = append(kvs, attribute.String("basket.model", attributeText(k.model)))
	}
	return withKind(kvs, k.kind)
}

func (k operationKey) other() operationKey {
	if k.model != "" {
		k.model = other
	}
	return k
}

// Store returns s with its time recorded, in a span if there are tracers. It is a
// [basket.BatchStore] if s is one.
func (t *Telemetry) Store(s basket.Store) basket.Store {
	if s == nil {
		return nil
	}
	if b, ok := s.(basket.BatchStore); ok {
		return &batchStore{store{b, t}, b}
	}
	return &store{s, t}
}

type store struct {
	basket.Store
	t *Telemetry
}

// Row returns the row of the store.
func (s *store) Row(ctx context.Context, userID string) (row basket.Row, err error) {
	ctx, c := s.t.start(ctx, "basket.store.row")
	err = errUnfinished
	defer func() { c.end(ctx, s.t.store, operationKey{operation: "row", kind: kindOf(err)}) }()
	row, err = s.Store.Row(ctx, userID)
	return row, err
}

type batchStore struct {
	store
	batch basket.BatchStore
}

// Rows returns the rows of the store.
func (s *batchStore) Rows(ctx context.Context, userIDs []string) (rows []basket.Row, err error) {
	ctx, c := s.t.start(ctx, "basket.store.rows")
	c.size(len(userIDs))
	err = errUnfinished
	defer func() { c.end(ctx, s.t.store, operationKey{operation: "rows", kind: kindOf(err)}) }()
	rows, err = s.batch.Rows(ctx, userIDs)
	return rows, err
}

// A call is a call of a store or a model under way.
type call struct {
	start time.Time
	span  trace.Span // nil if there are no tracers
}

// errUnfinished is recorded of a call that panics.
var errUnfinished = errors.New("the call panicked")

// start begins a call.
func (t *Telemetry) start(ctx context.Context, name string) (context.Context, call) {
	var c call
	if t.tracer != nil {
		ctx, c.span = t.tracer.Start(ctx, name)
	}
	c.start = time.Now()
	return ctx, c
}

// size sets the number of rows of a call.
func (c call) size(n int) {
	if c.span != nil {
		c.span.SetAttributes(attribute.Int("basket.rows", n))
	}
}

// end records a call. That a user is not found is an answer, no failure of the span.
func (c call) end(ctx context.Context, h *histogram[operationKey], k operationKey) {
	h.record(ctx, time.Since(c.start).Seconds(), k)
	if c.span == nil {
		return
	}
	if k.model != "" {
		c.span.SetAttributes(attribute.String("basket.model", attributeText(k.model)))
	}
	if k.kind != "" {
		c.span.SetAttributes(attribute.String("error.type", k.kind))
		if k.kind != kinds[basket.ErrUserNotFound] {
			c.span.SetStatus(codes.Error, "")
		}
	}
	c.span.End()
}

var _ basket.BatchStore = (*batchStore)(nil)
