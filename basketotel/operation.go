package basketotel

import (
	"context"
	"errors"
	"time"

	"github.com/basket-go/basket"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
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

// An operation is a method of a store or a model whose calls are recorded.
type operation struct {
	tracer    trace.Tracer // nil if there are no spans
	span      string       // name of the spans
	duration  *histogram[operationKey]
	key       operationKey
	succeeded []metric.RecordOption // of key, so that a call need not look for them
}

func (t *Telemetry) operation(h *histogram[operationKey], span string, k operationKey) *operation {
	return &operation{tracer: t.tracer, span: span, duration: h, key: k, succeeded: *h.options.get(k)}
}

// A call is a call under way.
type call struct {
	start time.Time
	span  trace.Span // nil if there are no spans
}

// errUnfinished is recorded of a call that panics.
var errUnfinished = errors.New("the call panicked")

// start begins a call for a number of rows, which is 0 for one user.
func (o *operation) start(ctx context.Context, rows int) (context.Context, call) {
	var c call
	if o.tracer != nil {
		ctx, c.span = o.tracer.Start(ctx, o.span)
		if rows > 0 {
			c.span.SetAttributes(attribute.Int("basket.rows", rows))
		}
		if o.key.model != "" {
			c.span.SetAttributes(attribute.String("basket.model", attributeText(o.key.model)))
		}
	}
	c.start = time.Now()
	return ctx, c
}

// end records a call. That a user is not found is an answer, no failure of the span.
func (o *operation) end(ctx context.Context, c call, err error) {
	seconds := time.Since(c.start).Seconds()
	if err == nil {
		o.duration.instrument.Record(ctx, seconds, o.succeeded...)
	} else {
		k := o.key
		k.kind = kindOf(err)
		o.duration.record(ctx, seconds, k)
	}
	if c.span == nil {
		return
	}
	if err != nil {
		c.span.SetAttributes(attribute.String("error.type", kindOf(err)))
		if !errors.Is(err, basket.ErrUserNotFound) {
			c.span.SetStatus(codes.Error, "")
		}
	}
	c.span.End()
}
