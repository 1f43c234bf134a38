package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A documentedMetric is a line of the table in package telemetry.
type documentedMetric struct {
	labels []string
	otel   string // name by OTLP
}

// optionalMetrics are of settings that startTelemetryServer does not use; TestServe_tls,
// TestServe_drift and TestServe_outage have them.
var optionalMetrics = []string{"basket_store_circuit_ratio", "basket_store_cached_total", "basket_certificate_remaining_seconds", "basket_drift_psi_ratio", "basket_drift_null_rate_ratio", "basket_drift_detected_ratio"}

// documentedMetrics reads the table.
func documentedMetrics(t *testing.T) map[string]documentedMetric {
	t.Helper()
	source, err := os.ReadFile("internal/telemetry/telemetry.go")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]documentedMetric{}
	columns := regexp.MustCompile(`^//\t(\w+) {2,}(\S.*)$`)
	for line := range strings.Lines(string(source)) {
		m := columns.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		labels, otel, _ := strings.Cut(m[2], "  ")
		d := documentedMetric{otel: strings.TrimSpace(otel)}
		for label := range strings.SplitSeq(strings.ReplaceAll(labels, " and those of OTEL_RESOURCE_ATTRIBUTES", ""), ", ") {
			if label != "none" {
				d.labels = append(d.labels, label)
			}
		}
		table[m[1]] = d
	}
	if len(table) < 10 {
		t.Fatalf("the table has %d lines", len(table))
	}
	return table
}

// serverMetrics is the table of what startTelemetryServer has.
func serverMetrics(t *testing.T) map[string]documentedMetric {
	t.Helper()
	table := documentedMetrics(t)
	maps.DeleteFunc(table, func(name string, _ documentedMetric) bool {
		return strings.HasPrefix(name, "basket_feed_") || slices.Contains(optionalMetrics, name)
	})
	return table
}

// scrape returns the metrics of a server, as Prometheus reads them.
func scrape(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	status, text, _ := send(t, "GET", url+"/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

const jsonHeader = "Content-Type: application/json"

// startTelemetryServer starts a server with all parts, and sends it requests of each kind.
func startTelemetryServer(t *testing.T, args ...string) (url string, stop func() (int, string)) {
	t.Helper()
	dir := t.TempDir()
	writeWholeFile(t, dir+"/models/price/1/model.txt", versionOf(t, 1))
	writeWholeFile(t, dir+"/routes.yaml", []byte("experiment: e\nroutes:\n- {name: default, model: price@1, weight: 1}\n"))
	url, stop = startServe(t, append([]string{"--data", demo, "--models", dir + "/models", "--routes", dir + "/routes.yaml",
		"--rate-limit", "1000", "--max-concurrent", "8"}, args...)...)
	user := newChangingShop(t, demo).users[0]
	send(t, "POST", url+"/predict", fmt.Sprintf(`{"user_id":%q}`, user), jsonHeader, "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	send(t, "POST", url+"/predict", `{"user_id":"nobody"}`, jsonHeader)
	send(t, "POST", url+"/predict/batch", fmt.Sprintf(`{"user_ids":[%q]}`, user), jsonHeader)
	send(t, "GET", url+"/unknown", "")
	return url, stop
}

// TestServe_metrics: a scrape has every metric of the documented table and none besides,
// with the labels of the table, and no label has an ID of a user.
func TestServe_metrics(t *testing.T) {
	url, stop := startTelemetryServer(t)
	got := scrape(t, url)
	table := serverMetrics(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(table)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("metrics, documented and served:\n%s", diff)
	}
	for name, family := range got {
		var seen []string
		for _, m := range family.Metric {
			for _, l := range m.Label {
				if !slices.Contains(table[name].labels, l.GetName()) {
					t.Errorf("%s has the label %s, which the table has not", name, l.GetName())
				}
				seen = append(seen, l.GetName())
				if strings.Contains(l.GetValue(), "nobody") || strings.Contains(l.GetValue(), "unknown") {
					t.Errorf("%s: %s=%q is of a client", name, l.GetName(), l.GetValue())
				}
			}
		}
		for _, label := range table[name].labels {
			if !slices.Contains(seen, label) && !(label == "error_type" && strings.HasPrefix(name, "http_")) { // no failure of the server
				t.Errorf("%s has no label %s", name, label)
			}
		}
	}
	count := func(name string, labels ...string) (n float64) {
		for _, m := range got[name].GetMetric() {
			text := m.String()
			if !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(text, `"`+l+`"`) }) {
				n += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()) + m.GetGauge().GetValue()
			}
		}
		return n
	}
	for _, test := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"basket_predictions_total", []string{"default", "price@1", "false"}, 3},
		{"basket_predictions_total", []string{"user_not_found"}, 1},
		{"http_server_request_duration_seconds", []string{"POST", "/predict", "200"}, 1},
		{"http_server_request_duration_seconds", []string{"POST", "/predict", "404"}, 1},
		{"http_server_request_duration_seconds", []string{"GET", "_OTHER", "404"}, 1},
		{"basket_store_duration_seconds", []string{"rows"}, 1},
		{"basket_reloads_total", []string{"data"}, 0},
		{"basket_check_status", nil, 0},
		{"http_server_active_requests", nil, 1},
		{"basket_data_users", nil, 300},
	} {
		if got := count(test.name, test.labels...); got != test.want {
			t.Errorf("%s %q: %v, want %v", test.name, test.labels, got, test.want)
		}
	}
	if age := count("basket_data_age_seconds"); age < 1e6 {
		t.Errorf("age of the demo's data: %v s", age)
	}
	if status, _, header := send(t, "POST", url+"/metrics", ""); status != http.StatusForbidden && header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /metrics: %d", status)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_metricsWithKeys: metrics want the role admin.
func TestServe_metricsWithKeys(t *testing.T) {
	dir := t.TempDir()
	key, line := newKey(t, "shop")
	admin, adminLine := newKey(t, "prometheus", "--role", "admin")
	writeWholeFile(t, dir+"/keys", []byte(line+"\n"+adminLine+"\n"))
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--key-file", dir+"/keys")
	defer stop()
	for key, want := range map[string]int{"": 401, key: 403, admin: 200} {
		if status, _, _ := ask(t, "GET", url+"/metrics", key, ""); status != want {
			t.Errorf("/metrics: %d, want %d", status, want)
		}
	}
}

// A collector is a receiver of OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	metrics map[string]bool
	spans   map[string]string // trace IDs by name
	status  int               // of answers; 0 is 200
	faults  []string
}

func newCollector(t *testing.T, status int) *collector {
	c := &collector{metrics: map[string]bool{}, spans: map[string]string{}, status: status}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, _ := io.ReadAll(r.Body) // what is missing cannot be decoded
	var err error
	var metrics metricspb.ExportMetricsServiceRequest
	var spans tracepb.ExportTraceServiceRequest
	switch r.URL.Path {
	case "/v1/metrics":
		err = proto.Unmarshal(body, &metrics)
	case "/v1/traces":
		err = proto.Unmarshal(body, &spans)
	default:
		err = fmt.Errorf("path %s", r.URL.Path)
	}
	if err != nil {
		c.faults = append(c.faults, err.Error())
	}
	for _, resource := range metrics.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, m := range scope.Metrics {
				c.metrics[m.Name] = true
			}
		}
	}
	for _, resource := range spans.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				if _, ok := c.spans[s.Name]; !ok {
					c.spans[s.Name] = fmt.Sprintf("%x", s.TraceId)
				}
			}
		}
	}
	if c.status != 0 {
		w.WriteHeader(c.status)
	}
}

// TestServe_otlp: at the stop, all metrics and spans have been exported, and the lines of
// the log name the trace.
func TestServe_otlp(t *testing.T) {
	c, logs := newCollector(t, 0), t.TempDir()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	url, stop := startTelemetryServer(t, "--logs", logs, "--log-format", "json")
	scrape(t, url)
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var want []string
	for _, d := range serverMetrics(t) {
		if d.otel != "" {
			want = append(want, d.otel)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(c.metrics))); diff != "" {
		t.Errorf("metrics, documented and received:\n%s", diff)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, name := range []string{"POST /predict", "basket.store.row"} {
		if c.spans[name] != trace {
			t.Errorf("the span %q is of the trace %q, want %s: %v", name, c.spans[name], trace, c.spans)
		}
	}
	if c.faults != nil {
		t.Error(c.faults)
	}
	for _, file := range []string{"service_metrics.json", "model_metrics.json"} {
		text, err := os.ReadFile(logs + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for line := range bytes.Lines(text) {
			var fields struct {
				TraceID string `json:"trace_id"`
			}
			if err := json.Unmarshal(line, &fields); err != nil {
				t.Error(err)
			}
			found = found || fields.TraceID == trace
		}
		if !found {
			t.Errorf("%s has no line of the trace:\n%s", file, text)
		}
	}
}

// TestServe_otlpFails: a collector that refuses everything is told once for each signal,
// and does not hold up the stop.
func TestServe_otlpFails(t *testing.T) {
	c, logs := newCollector(t, http.StatusBadRequest), t.TempDir()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "10")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	url, stop := startTelemetryServer(t, "--logs", logs)
	for range 20 {
		send(t, "GET", url+"/status", "")
		time.Sleep(2 * time.Millisecond)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
	text, err := os.ReadFile(logs + "/service_metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"traces", "metrics"} {
		if n := strings.Count(string(text), "the export of "+what+" fails"); n != 1 {
			t.Errorf("the log has %d lines of failing exports of %s, want 1:\n%s", n, what, text)
		}
	}
}

// TestServe_otlpHangs: a collector that does not answer fails neither a request nor the
// stop, which waits for it a bounded time, and is told in the log.
func TestServe_otlpHangs(t *testing.T) {
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hangs.Close()
	defer close(release)
	logs := t.TempDir()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", hangs.URL)
	_, stop := startTelemetryServer(t, "--logs", logs)
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
	text, err := os.ReadFile(logs + "/service_metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "ERROR"); n == 0 || !strings.Contains(string(text), "telemetry: ") {
		t.Errorf("the log does not tell:\n%s", text)
	}
}

// TestServe_otlpDisabled: nothing is exported if OpenTelemetry is disabled.
func TestServe_otlpDisabled(t *testing.T) {
	c := newCollector(t, 0)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_SDK_DISABLED", "true")
	url, stop := startTelemetryServer(t)
	if scrape(t, url)["basket_predictions_total"] == nil {
		t.Error("/metrics has no predictions")
	}
	stop()
	if len(c.metrics)+len(c.spans)+len(c.faults) > 0 {
		t.Errorf("exported: %v %v %v", c.metrics, c.spans, c.faults)
	}
}

func TestServe_telemetryRefuses(t *testing.T) {
	model := []string{"serve", "--data", demo, "--model", demo + "/model.txt", "--addr", "127.0.0.1:0"}
	for _, test := range []struct{ arg, want string }{
		{"0.0.0.0:6060", "--pprof 0.0.0.0:6060 is not a loopback address"},
		{"example.com:6060", "is not a loopback address"},
		{"6060", `--pprof "6060": want HOST:PORT`},
	} {
		if code, _, errs := runBasket(t, append(model, "--pprof", test.arg)...); code != 1 || !strings.Contains(errs, test.want) {
			t.Errorf("--pprof %s: status %d, %s", test.arg, code, errs)
		}
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318")
	if code, _, errs := runBasket(t, model...); code != 1 || strings.Count(errs, "want a URL such as") != 2 {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_pprof: profiles are served on an address of their own, until the stop.
func TestServe_pprof(t *testing.T) {
	var out, errs syncBuffer
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--addr", "127.0.0.1:0", "--data", demo, "--model", demo + "/model.txt", "--pprof", "127.0.0.1:0"}, terminal{&out, &errs})
	}()
	profiles := regexp.MustCompile(`profiles on (http://\S+/)debug/pprof/\n`)
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(out.String(), "serving on"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) || len(done) > 0 {
			t.Fatalf("basket serve does not serve: %s", errs.String())
		}
	}
	url := profiles.FindStringSubmatch(out.String())[1]
	if status, text, _ := send(t, "GET", url+"debug/pprof/goroutine?debug=1", ""); status != 200 || !strings.Contains(text, "goroutine profile") {
		t.Errorf("goroutines: %d %.100s", status, text)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", url+"debug/pprof/heap", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "attacker.example"
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	w.Body.Close()
	if w.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host's name: %d", w.StatusCode)
	}
	stop()
	if code := <-done; code != 0 || errs.String() != "" {
		t.Errorf("status %d, %s", code, errs.String())
	}
	if _, err := http.Get(url); err == nil {
		t.Error("profiles are served after the stop")
	}
}
