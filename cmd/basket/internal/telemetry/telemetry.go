// Package telemetry exports the metrics and traces of "basket serve" and the metrics of
// "basket feed": metrics for Prometheus at a handler, and both by OTLP if OpenTelemetry's environment variables
// ask for it.
//
// # Metrics
//
// The metrics at /metrics, with their labels. By OTLP they have the names of the last
// column. Those of predictions and requests are described in package basketotel.
//
//	http_server_request_duration_seconds  http_request_method, http_route, http_response_status_code, error_type  http.server.request.duration
//	http_server_active_requests           none                                                                    http.server.active_requests
//	basket_predictions_total              basket_route, basket_model, basket_shadow, error_type                   basket.predictions
//	basket_store_duration_seconds         basket_operation, error_type                                            basket.store.duration
//	basket_model_duration_seconds         basket_model, basket_operation                                          basket.model.duration
//	basket_data_age_seconds               none                                                                    basket.data.age
//	basket_data_users                     none                                                                    basket.data.users
//	basket_reloads_total                  basket_part, basket_outcome                                             basket.reloads
//	basket_check_status                   basket_check                                                            basket.check.status
//	basket_log_dropped_total              none                                                                    basket.log.dropped
//	basket_requests_refused_total         basket_limit                                                            basket.requests.refused
//	basket_requests_queued                none                                                                    basket.requests.queued
//	basket_certificate_remaining_seconds  none                                                                    basket.certificate.remaining
//	basket_store_circuit_ratio            none                                                                    basket.store.circuit
//	basket_store_cached_total             none                                                                    basket.store.cached
//	basket_drift_psi_ratio                basket_route, basket_column                                             basket.drift.psi
//	basket_drift_null_rate_ratio          basket_route, basket_column                                             basket.drift.null_rate
//	basket_drift_detected_ratio           basket_route, basket_column                                             basket.drift.detected
//	basket_feed_events_total              none                                                                    basket.feed.events
//	basket_feed_orders_total              none                                                                    basket.feed.orders
//	basket_feed_repeats_total             none                                                                    basket.feed.repeats
//	basket_feed_late_total                none                                                                    basket.feed.late
//	basket_feed_dead_letters_total        none                                                                    basket.feed.dead_letters
//	basket_feed_rows_total                none                                                                    basket.feed.rows
//	basket_feed_deleted_total             none                                                                    basket.feed.deleted
//	basket_feed_partitions                none                                                                    basket.feed.partitions
//	basket_feed_users                     none                                                                    basket.feed.users
//	basket_feed_kept                      none                                                                    basket.feed.kept
//	basket_feed_lag                       none                                                                    basket.feed.lag
//	go_goroutine_count                    none                                                                    go.goroutine.count
//	go_memory_used_bytes                  none                                                                    go.memory.used
//	target_info                           service_name, service_version and those of OTEL_RESOURCE_ATTRIBUTES
//
// basket_data_age_seconds is the time since the newest order in the data.
// basket_reloads_total counts what was read again, and the models and routes that are
// read at the start: basket_part is data, models, routes, keys, jwks, tls or profile,
// basket_outcome ok or failed. basket_check_status is 0 for a check of /readyz that
// works, 1 if it works with what it had before, and 2 if it fails.
// basket_log_dropped_total counts lines that did not fit into memory while the disk was
// full or slow. basket_limit is rate or concurrency. The metrics of a limit, of the
// certificate, of a store that is a server and of drift are there if the settings ask for
// them. Requests without a valid key or role are those with the status 401 or 403.
//
// Those of basket_feed are of "basket feed", which has those of checks, logs and Go
// besides, and no others: events that were read, orders that were added, repeats of these,
// late ones of an event time before that of the user's newest order, events that could not
// be used, rows that were put into the store or removed from it; and of the partitions
// that the feed has now, their number, users, orders that are kept and events that wait.
//
// # Environment
//
// Traces are exported if OTEL_EXPORTER_OTLP_ENDPOINT or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set, or OTEL_TRACES_EXPORTER is otlp; metrics
// likewise, with METRICS. OTEL_TRACES_EXPORTER=none and OTEL_METRICS_EXPORTER=none
// prevent it, and OTEL_SDK_DISABLED=true prevents both; /metrics stays. The protocol is
// http/protobuf. The other variables of OpenTelemetry's specification are those of its
// Go SDK: headers, timeouts, certificates, sampler, OTEL_METRIC_EXPORT_INTERVAL,
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES. Without any, nothing is sent, and traces
// cost nothing.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A Telemetry is the exporters of a server. It is safe for concurrent use.
type Telemetry struct {
	registry *prometheus.Registry
	meters   *sdkmetric.MeterProvider
	tracers  *sdktrace.TracerProvider // nil if traces are not exported
	meter    metric.Meter
	report   func(error)

	gauges   functions[metric.Float64Observer]
	counters functions[metric.Int64Observer]
}

// New returns the exporters that the environment asks for. Its error joins all faults of
// the environment. Report is told once when an export begins to fail, and of other
// faults while the exporters work; it is called by many goroutines at once. The
// exporters must be shut down.
func New(ctx context.Context, version string, report func(error)) (*Telemetry, error) {
	wanted, err := readEnvironment()
	if err != nil {
		return nil, err
	}
	described, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "basket"), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	for _, kv := range described.Attributes() {
		if !utf8.ValidString(string(kv.Key)) || !utf8.ValidString(kv.Value.String()) {
			return nil, fmt.Errorf("telemetry: OTEL_RESOURCE_ATTRIBUTES or OTEL_SERVICE_NAME: %.64q: want UTF-8", string(kv.Key)+"="+kv.Value.String())
		}
	}
	t := &Telemetry{registry: prometheus.NewRegistry(), report: report}
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(t.registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	meterOptions := []sdkmetric.Option{sdkmetric.WithResource(described), sdkmetric.WithReader(reader)}
	if wanted.traces {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("telemetry: traces: %w", err)
		}
		t.tracers = sdktrace.NewTracerProvider(sdktrace.WithResource(described),
			sdktrace.WithBatcher(spanExporter{exporter, &failure{what: "traces", report: report}}))
	} else {
		// An exemplar names a trace, and to look for one takes time.
		meterOptions = append(meterOptions, sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter))
	}
	if wanted.metrics {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("telemetry: metrics: %w", err), t.Shutdown(ctx))
		}
		meterOptions = append(meterOptions, sdkmetric.WithReader(
			sdkmetric.NewPeriodicReader(metricExporter{exporter, &failure{what: "metrics", report: report}})))
	}
	t.meters = sdkmetric.NewMeterProvider(meterOptions...)
	t.meter = t.meters.Meter("github.com/basket-go/basket/cmd/basket")
	return t, nil
}

// Meters is where metrics are recorded.
func (t *Telemetry) Meters() metric.MeterProvider { return t.meters }

// Tracers is where spans are recorded, or nil if traces are not exported.
func (t *Telemetry) Tracers() trace.TracerProvider {
	if t.tracers == nil {
		return nil
	}
	return t.tracers
}

// Shutdown exports what is not yet exported, until ctx is done, and ends the exporters.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	var errs []error
	if t.tracers != nil {
		errs = append(errs, t.tracers.Shutdown(ctx))
	}
	if t.meters != nil {
		errs = append(errs, t.meters.Shutdown(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("telemetry: at the stop: %w", err)
	}
	return nil
}

// Handler serves the metrics in Prometheus's formats.
func (t *Telemetry) Handler() http.Handler {
	h := promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		ErrorLog: reporter(t.report), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusMethodNotAllowed)
			_, _ = w.Write([]byte(`{"detail":"Method Not Allowed"}`))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// A reporter is the log of promhttp.
type reporter func(error)

// Println reports a fault.
func (r reporter) Println(v ...any) { r(fmt.Errorf("telemetry: /metrics: %s", fmt.Sprint(v...))) }
