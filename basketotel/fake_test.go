package basketotel_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// meters are a MeterProvider that keeps what is recorded.
type meters struct {
	metricnoop.MeterProvider

	mu        sync.Mutex
	counts    map[string]int // observations of histograms, by name and attributes
	callbacks map[string]metric.Int64Callback
	buckets   map[string][]float64
}

func newMeters() *meters {
	return &meters{counts: map[string]int{}, callbacks: map[string]metric.Int64Callback{}, buckets: map[string][]float64{}}
}

func (m *meters) Meter(string, ...metric.MeterOption) metric.Meter { return fakeMeter{m: m} }

type fakeMeter struct {
	metricnoop.Meter
	m *meters
}

func (f fakeMeter) Float64Histogram(name string, opts ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	f.m.buckets[name] = metric.NewFloat64HistogramConfig(opts...).ExplicitBucketBoundaries()
	return fakeHistogram{m: f.m, name: name}, nil
}

func (f fakeMeter) Int64ObservableCounter(name string, opts ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	f.m.callbacks[name] = metric.NewInt64ObservableCounterConfig(opts...).Callbacks()[0]
	return metricnoop.Int64ObservableCounter{}, nil
}

func (f fakeMeter) Int64ObservableGauge(name string, opts ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	f.m.callbacks[name] = metric.NewInt64ObservableGaugeConfig(opts...).Callbacks()[0]
	return metricnoop.Int64ObservableGauge{}, nil
}

type fakeHistogram struct {
	metricnoop.Float64Histogram
	m    *meters
	name string
}

func (h fakeHistogram) Record(_ context.Context, v float64, opts ...metric.RecordOption) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if v < 0 || v > 60 {
		panic(fmt.Sprintf("%s: %v seconds", h.name, v))
	}
	h.m.counts[series(h.name, metric.NewRecordConfig(opts).Attributes())]++
}

// series is name{attribute=value,...}, in the order of the attributes' names.
func series(name string, set attribute.Set) string {
	return name + "{" + set.Encoded(attribute.DefaultEncoder()) + "}"
}

type fakeObserver struct {
	metricnoop.Int64Observer
	observe func(int64, attribute.Set)
}

func (o fakeObserver) Observe(v int64, opts ...metric.ObserveOption) {
	o.observe(v, metric.NewObserveConfig(opts).Attributes())
}

// collect returns the count of each series.
func (m *meters) collect() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.counts)
	for name, callback := range m.callbacks {
		_ = callback(context.Background(), fakeObserver{observe: func(v int64, set attribute.Set) { all[series(name, set)] = int(v) }})
	}
	return all
}

// tracers are a TracerProvider that keeps the spans that have ended.
type tracers struct {
	tracenoop.TracerProvider

	mu    sync.Mutex
	ended []*fakeSpan
}

func (t *tracers) Tracer(string, ...trace.TracerOption) trace.Tracer { return fakeTracer{t: t} }

type fakeTracer struct {
	tracenoop.Tracer
	t *tracers
}

type fakeSpan struct {
	tracenoop.Span
	t            *tracers
	name, parent string
	kind         trace.SpanKind
	context      trace.SpanContext
	attributes   []attribute.KeyValue
	status       codes.Code
}

func (f fakeTracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	c := trace.NewSpanStartConfig(opts...)
	parent := trace.SpanContextFromContext(ctx)
	id := trace.SpanContextConfig{TraceID: parent.TraceID(), SpanID: trace.SpanID{byte(len(name))}, TraceFlags: trace.FlagsSampled}
	s := &fakeSpan{t: f.t, name: name, kind: c.SpanKind(), context: trace.NewSpanContext(id), attributes: c.Attributes()}
	if p, ok := trace.SpanFromContext(ctx).(*fakeSpan); ok {
		s.parent = p.name
	} else if parent.IsValid() {
		s.parent = parent.SpanID().String()
	}
	return trace.ContextWithSpan(ctx, s), s
}

func (s *fakeSpan) SpanContext() trace.SpanContext { return s.context }
func (s *fakeSpan) SetAttributes(kvs ...attribute.KeyValue) {
	s.attributes = append(s.attributes, kvs...)
}
func (s *fakeSpan) SetStatus(code codes.Code, _ string)  { s.status = code }
func (s *fakeSpan) TracerProvider() trace.TracerProvider { return s.t }

func (s *fakeSpan) End(...trace.SpanEndOption) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.ended = append(s.t.ended, s)
}

// lines describe the spans: name, parent, attributes and status.
func (t *tracers) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for _, s := range t.ended {
		set := attribute.NewSet(slices.Clone(s.attributes)...)
		lines = append(lines, fmt.Sprintf("%s < %s {%s} %s", s.name, s.parent, set.Encoded(attribute.DefaultEncoder()), s.status))
	}
	return lines
}
