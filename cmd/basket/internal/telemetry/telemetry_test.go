package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/basket-go/basket/cmd/basket/internal/telemetry"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
)

func newTelemetry(t *testing.T) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.New(t.Context(), "v1.2.3", func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return tel
}

// scrape returns the lines of /metrics without comments.
func scrape(t *testing.T, tel *telemetry.Telemetry) []string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(w.Body.String()), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
}

// TestTelemetry_functions: several functions make one metric.
func TestTelemetry_functions(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment=test")
	t.Setenv("OTEL_SERVICE_NAME", "till")
	tel := newTelemetry(t)
	part := func(s string) attribute.KeyValue { return attribute.String("part", s) }
	tel.Counter("basket.reads", "Reads.", "{read}", func() int64 { return 2 }, part("a"))
	tel.Counter("basket.reads", "Reads.", "{read}", func() int64 { return 3 }, part("b"))
	tel.Gauge("basket.queue", "Requests that wait.", "{request}", func() float64 { return 0.5 })
	tel.Gauges("basket.drift", "PSI.", "", func(observe func(float64, ...attribute.KeyValue)) {
		observe(0.25, part("price"), attribute.String("route", "new"))
		observe(0.125, part("orders"))
	})
	want := []string{
		`basket_drift{part="orders"} 0.125`,
		`basket_drift{part="price",route="new"} 0.25`,
		`basket_queue 0.5`,
		`basket_reads_total{part="a"} 2`,
		`basket_reads_total{part="b"} 3`,
		`target_info{deployment="test",service_name="till",service_version="v1.2.3"} 1`,
	}
	if diff := cmp.Diff(want, scrape(t, tel)); diff != "" {
		t.Error(diff)
	}
}

func TestTelemetry_functionsConcurrentSafe(t *testing.T) {
	tel := newTelemetry(t)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			tel.Counter("basket.reads", "Reads.", "{read}", func() int64 { return 1 }, attribute.Int("i", i))
			scrape(t, tel)
		})
	}
	group.Wait()
	if got := scrape(t, tel); len(got) != 5 {
		t.Errorf("%q", got)
	}
}

// TestNew_environment: what OpenTelemetry's variables ask for.
func TestNew_environment(t *testing.T) {
	const url = "http://127.0.0.1:1"
	for _, test := range []struct {
		name   string
		env    map[string]string
		traces bool
		want   string // of the error
	}{
		{"nothing", nil, false, ""},
		{"both", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url}, true, ""},
		{"traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url}, true, ""},
		{"metrics alone", map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": url, "OTEL_METRICS_EXPORTER": "none"}, false, ""},
		{"no traces", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}, false, ""},
		{"traces to the default endpoint", map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		{"disabled", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_SDK_DISABLED": "True"}, false, ""},
		{"an endpoint without a scheme", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "secret:4318"}, false, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: want a URL such as http://127.0.0.1:4318"},
		{"another protocol", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, `OTEL_EXPORTER_OTLP_PROTOCOL "grpc": want http/protobuf`},
		{"another exporter", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, `OTEL_TRACES_EXPORTER "zipkin": want otlp or none`},
		{"all faults", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_METRICS_EXPORTER": "statsd"}, false, "OTEL_TRACES_EXPORTER \"zipkin\": want otlp or none\nOTEL_METRICS_EXPORTER \"statsd\": want otlp or none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			tel, err := telemetry.New(t.Context(), "v1", func(error) {})
			if err != nil {
				if err.Error() != test.want {
					t.Errorf("got the error %q, want %q", err, test.want)
				}
				return
			}
			if test.want != "" || (tel.Tracers() != nil) != test.traces {
				t.Errorf("traces: %t, want %t and the error %q", tel.Tracers() != nil, test.traces, test.want)
			}
			if test.env["OTEL_METRICS_EXPORTER"] == "none" || len(test.env) == 0 {
				if err := tel.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func FuzzNew(f *testing.F) {
	f.Add("http://127.0.0.1:1", "otlp", "http/protobuf", "a=b")
	f.Add("::", "none", "grpc", "%")
	f.Add("", "", "", "a=%84")
	f.Fuzz(func(t *testing.T, endpoint, exporter, protocol, attributes string) {
		for name, value := range map[string]string{
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": exporter,
			"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": protocol, "OTEL_RESOURCE_ATTRIBUTES": attributes,
		} {
			if strings.Contains(value, "\x00") {
				t.Skip("no environment has it")
			}
			t.Setenv(name, value)
		}
		tel, err := telemetry.New(t.Context(), "v1", func(err error) { t.Error(err) })
		if err == nil {
			scrape(t, tel)
			_ = tel.Shutdown(t.Context())
		}
	})
}
