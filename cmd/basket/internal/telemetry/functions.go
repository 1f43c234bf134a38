package telemetry

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Gauge adds a metric whose value f returns whenever metrics are collected. Several calls
// may have the same name, with the same description and unit and other attributes. f is
// called by many goroutines at once, and returns quickly. Units are those of UCUM: s, By,
// {request}; a gauge without a unit has "".
func (t *Telemetry) Gauge(name, description, unit string, f func() float64, attributes ...attribute.KeyValue) {
	set := metric.WithAttributeSet(attribute.NewSet(attributes...))
	t.gauge(name, description, unit, func(o metric.Float64Observer) { o.Observe(f(), set) })
}

// Gauges is Gauge for a metric whose attributes are not known beforehand: f calls observe
// for each combination of them, of which there must be few.
func (t *Telemetry) Gauges(name, description, unit string, f func(observe func(v float64, attributes ...attribute.KeyValue))) {
	t.gauge(name, description, unit, func(o metric.Float64Observer) {
		f(func(v float64, attributes ...attribute.KeyValue) { o.Observe(v, metric.WithAttributes(attributes...)) })
	})
}

func (t *Telemetry) gauge(name, description, unit string, f func(metric.Float64Observer)) {
	all, added := t.gauges.add(name, f)
	if !added {
		return
	}
	_, err := t.meter.Float64ObservableGauge(name, metric.WithDescription(description), metric.WithUnit(unit),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			all.observe(o)
			return nil
		}))
	t.added(name, err)
}

// Counter is Gauge for a number that only grows. Its name at /metrics ends in _total.
func (t *Telemetry) Counter(name, description, unit string, f func() int64, attributes ...attribute.KeyValue) {
	set := metric.WithAttributeSet(attribute.NewSet(attributes...))
	all, added := t.counters.add(name, func(o metric.Int64Observer) { o.Observe(f(), set) })
	if !added {
		return
	}
	_, err := t.meter.Int64ObservableCounter(name, metric.WithDescription(description), metric.WithUnit(unit),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			all.observe(o)
			return nil
		}))
	t.added(name, err)
}

// added reports a metric that the SDK refuses.
func (t *Telemetry) added(name string, err error) {
	if err != nil {
		t.report(fmt.Errorf("telemetry: metric %s: %w", name, err))
	}
}

// functions are those of each metric. The SDK ignores the callback of an instrument whose
// name there is already.
type functions[O any] struct {
	mu     sync.Mutex
	byName map[string]*functionList[O]
}

type functionList[O any] struct {
	mu   sync.Mutex
	list []func(O)
}

// add adds a function, and reports whether it is the first of its metric.
func (f *functions[O]) add(name string, function func(O)) (all *functionList[O], first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, found := f.byName[name]
	if !found {
		all = &functionList[O]{}
		if f.byName == nil {
			f.byName = map[string]*functionList[O]{}
		}
		f.byName[name] = all
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	all.list = append(all.list, function)
	return all, !found
}

// observe calls the functions.
func (l *functionList[O]) observe(o O) {
	l.mu.Lock()
	list := slices.Clone(l.list)
	l.mu.Unlock()
	for _, f := range list {
		f(o)
	}
}
