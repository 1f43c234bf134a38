package telemetry

import (
	"context"
	"fmt"
	"sync/atomic"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A failure tells the beginning and the end of failing exports. A collector that is away
// for a night must not fill the log.
type failure struct {
	what    string
	report  func(error)
	failing atomic.Bool
}

func (f *failure) tell(err error) {
	if failing := err != nil; f.failing.Swap(failing) == failing {
		return
	}
	if err == nil {
		f.report(fmt.Errorf("telemetry: the export of %s works again", f.what))
		return
	}
	f.report(fmt.Errorf("telemetry: the export of %s fails; further failures are not reported: %w", f.what, err))
}

// A spanExporter reports the failures of an exporter, in place of OpenTelemetry's global
// handler of errors, which writes to the standard error.
type spanExporter struct {
	sdktrace.SpanExporter
	failure *failure
}

// ExportSpans exports spans.
func (e spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.failure.tell(e.SpanExporter.ExportSpans(ctx, spans))
	return nil
}

// A metricExporter is a spanExporter for metrics.
type metricExporter struct {
	sdkmetric.Exporter
	failure *failure
}

// Export exports metrics.
func (e metricExporter) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	e.failure.tell(e.Exporter.Export(ctx, m))
	return nil
}
