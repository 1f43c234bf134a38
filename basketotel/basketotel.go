// Package basketotel records metrics and traces of package basket by OpenTelemetry.
// It uses OpenTelemetry's API alone: the program chooses the SDK and the exporters,
// and passes their providers to [New].
//
//	t, err := basketotel.New(basketotel.WithMeters(meters), basketotel.WithTracers(tracers))
//	p, err := basket.New(
//		basket.WithStore(t.Store(store)), basket.WithModel(model), basket.WithModelWrapper(t.Model),
//		basket.WithModelLogger(t), basket.WithServiceLogger(t),
//	)
//	h := t.Handler(basket.NewHandler(p))
//
// # Metrics
//
// Names are those of OpenTelemetry's semantic conventions where these have one. The
// last column has the attributes.
//
//	http.server.request.duration  histogram, s          http.request.method, http.route, http.response.status_code, error.type
//	http.server.active_requests   gauge, {request}      none
//	basket.predictions            counter, {prediction} basket.route, basket.model, basket.shadow, error.type
//	basket.store.duration         histogram, s          basket.operation, error.type
//	basket.model.duration         histogram, s          basket.model, basket.operation, error.type
//
// http.server.request.duration is recorded by [Telemetry.Handler], from the first
// handler that it surrounds to the last byte of the answer; without a Handler, by
// LogService. http.route is a path of [WithPaths], else "_OTHER". error.type is there
// if the status is 500 or more: the kind of the error if the service log has one, else
// the status. basket.predictions counts the predictions of
// batches and shadows too. basket.operation is row or rows for the time of a
// [Telemetry.Store], and predict or explain for that of a [Telemetry.Model]; a batch is
// one observation. basket.model is the ID of the model, or its String if it has none.
//
// A kind of error is the text of a [basket.Error] with underscores, such as
// user_not_found, or canceled, timeout or _OTHER for other errors. There is no error.type
// if nothing failed.
//
// The bounds of buckets are 50 us to 10 s for requests, and 1 us to 10 s for store and
// model, two or three in each doubling of the time where most answers are, so that
// quantiles of 1 to 5 ms are read to within 50 %, mostly 20 %.
//
// # Bounds
//
// No attribute holds what a client sends: no user ID, no path other than those known,
// no unknown method. A metric has at most 200 combinations of attributes; further
// models and routes are counted as "_OTHER", so that models that are replaced for
// months do not fill the memory.
//
// # Traces
//
// [Telemetry.Handler] continues the trace of the request's header traceparent (W3C
// Trace Context), in a span such as "POST /predict". [Telemetry.Store] and
// [Telemetry.Model] add spans below it: basket.store.row, basket.store.rows,
// basket.model.predict and basket.model.explain. A span has no user ID. A store that
// asks another server passes the trace on by the context that it gets:
//
//	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(request.Header))
//
// Without [WithTracers] there are no spans, and the context still has the trace of
// the client's header.
package basketotel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/basket-go/basket"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name of the instrumentation.
const scope = "github.com/basket-go/basket/basketotel"

// A Telemetry records metrics and spans. It is a [basket.ModelLogger] and a
// [basket.ServiceLogger], and safe for concurrent use.
type Telemetry struct {
	tracer trace.Tracer // nil if there are no spans
	paths  []string
	forms  []pathForm // of paths with braces

	predictions *table[predictionKey, counter]
	requests    *histogram[requestKey]
	store       *histogram[operationKey]
	model       *histogram[operationKey]
	active      atomic.Int64
}

// An Option configures [New].
type Option func(*config)

type config struct {
	meters  metric.MeterProvider
	tracers trace.TracerProvider
	paths   []string
}

// WithMeters sets where metrics are recorded. Without it there are none.
func WithMeters(p metric.MeterProvider) Option { return func(c *config) { c.meters = p } }

// WithTracers sets where spans are recorded. Without it there are none.
func WithTracers(p trace.TracerProvider) Option { return func(c *config) { c.tracers = p } }

// WithPaths adds paths that http.route may have. Those of [basket.NewHandler] and of
// serve.Health are known without it. An element in braces, such as that of
// "/v2/models/{model}/infer", stands for any one element.
func WithPaths(paths ...string) Option {
	return func(c *config) { c.paths = append(c.paths, paths...) }
}

// New returns a Telemetry. Its error is of the meters: an instrument that they refuse.
func New(opts ...Option) (*Telemetry, error) {
	c := config{paths: []string{"/predict", "/predict/batch", "/status", "/livez", "/readyz"}}
	for _, o := range opts {
		o(&c)
	}
	if c.meters == nil {
		c.meters = metricnoop.NewMeterProvider()
	}
	t := &Telemetry{}
	for _, path := range c.paths {
		if strings.Contains(path, "{") {
			t.forms = append(t.forms, pathForm{path, strings.Split(path, "/")})
			continue
		}
		t.paths = append(t.paths, path)
	}
	if c.tracers != nil {
		t.tracer = c.tracers.Tracer(scope)
	}
	if err := t.instruments(c.meters.Meter(scope)); err != nil {
		return nil, fmt.Errorf("basketotel: %w", err)
	}
	return t, nil
}

// Bounds of buckets, in seconds.
var (
	requestBuckets = []float64{
		50e-6, 100e-6, 200e-6, 300e-6, 500e-6, 700e-6,
		1e-3, 1.25e-3, 1.5e-3, 2e-3, 2.5e-3, 3e-3, 4e-3, 5e-3, 7e-3,
		10e-3, 15e-3, 20e-3, 30e-3, 50e-3, 100e-3, 200e-3, 500e-3, 1, 2, 5, 10,
	}
	callBuckets = []float64{
		1e-6, 2e-6, 3e-6, 5e-6, 10e-6, 20e-6, 30e-6, 50e-6, 100e-6, 200e-6, 300e-6, 500e-6,
		1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 200e-3, 500e-3, 1, 2, 5, 10,
	}
)

// instruments makes the instruments.
func (t *Telemetry) instruments(m metric.Meter) error {
	t.predictions = newTable(func(k predictionKey) *counter {
		return &counter{options: []metric.ObserveOption{metric.WithAttributeSet(k.set())}}
	})
	_, err1 := m.Int64ObservableCounter("basket.predictions", metric.WithUnit("{prediction}"),
		metric.WithDescription("Predictions, by route, model and kind of error."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for _, c := range t.predictions.all() {
				o.Observe(c.n.Load(), c.options...)
			}
			return nil
		}))
	_, err2 := m.Int64ObservableGauge("http.server.active_requests", metric.WithUnit("{request}"),
		metric.WithDescription("HTTP requests under way."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(t.active.Load())
			return nil
		}))
	var err3, err4, err5 error
	t.requests, err3 = newHistogram[requestKey](m, "http.server.request.duration", "Duration of HTTP server requests.", requestBuckets)
	t.store, err4 = newHistogram[operationKey](m, "basket.store.duration", "Duration of calls of the feature store.", callBuckets)
	t.model, err5 = newHistogram[operationKey](m, "basket.model.duration", "Duration of calls of a model.", callBuckets)
	return errors.Join(err1, err2, err3, err4, err5)
}

var (
	_ basket.ModelLogger   = (*Telemetry)(nil)
	_ basket.ServiceLogger = (*Telemetry)(nil)
)
