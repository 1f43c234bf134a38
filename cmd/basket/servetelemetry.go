package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketgrpc"
	"github.com/basket-go/basket/basketotel"
	"github.com/basket-go/basket/cmd/basket/internal/telemetry"
	"github.com/basket-go/basket/oip"
	"github.com/basket-go/basket/serve"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// telemetrySettings say what the server tells about itself. Metrics are always at
// /metrics; what is exported besides is set by OpenTelemetry's environment variables.
type telemetrySettings struct {
	PProf string `name:"pprof" type:"setting" placeholder:"HOST:PORT" help:"Serve Go's profiles, /debug/pprof/, at this loopback address."`
}

// faults returns what is wrong with the settings.
func (c telemetrySettings) faults() []error {
	if c.PProf == "" {
		return nil
	}
	switch loopback, err := isLoopback(c.PProf); {
	case err != nil:
		return []error{fmt.Errorf("--pprof %q: want HOST:PORT", c.PProf)}
	case !loopback:
		return []error{fmt.Errorf("--pprof %s is not a loopback address: want one such as 127.0.0.1:6060, because profiles show the memory of the server", c.PProf)}
	}
	return nil
}

// exportLimit is how long the last export may take at the stop.
const exportLimit = 2 * time.Second

// serverTelemetry is the metrics and traces of a server.
type serverTelemetry struct {
	*telemetry.Telemetry
	recorder *basketotel.Telemetry
	report   func(error)
}

// openTelemetry starts the exporters, whose faults go to the service log; the caller
// calls close.
func (s *server) openTelemetry(ctx context.Context, droppedLines func() int64) (err error) {
	report := func(err error) { s.logEvent("Telemetry", err) }
	t := &serverTelemetry{report: report}
	if t.Telemetry, err = newTelemetry(ctx, s.logEvent, droppedLines); err != nil {
		return err
	}
	opts := []basketotel.Option{
		basketotel.WithMeters(t.Meters()), basketotel.WithPaths("/metrics", "/drift", "/ui", "/admin/routes", "/admin/shadows", "/openapi.json", "/docs", "/docs/{file}"),
		basketotel.WithPaths(oip.Paths()...), basketotel.WithPaths(basketgrpc.Methods()...),
	}
	if tracers := t.Tracers(); tracers != nil {
		opts = append(opts, basketotel.WithTracers(tracers))
	}
	if t.recorder, err = basketotel.New(opts...); err != nil {
		t.close()
		return err
	}
	s.services = append(s.services, t.recorder)
	s.opts = append(s.opts, basket.WithModelLogger(t.recorder), basket.WithModelWrapper(t.recorder.Model))
	s.telemetry = t
	return nil
}

// newTelemetry starts the exporters, with the metrics of every long-running command.
func newTelemetry(ctx context.Context, logEvent func(string, error), droppedLines func() int64) (*telemetry.Telemetry, error) {
	report := func(err error) { logEvent("Telemetry", err) }
	otel.SetErrorHandler(otel.ErrorHandlerFunc(report)) // the default writes to the standard error
	t, err := telemetry.New(ctx, buildVersion(), report)
	if err != nil {
		return nil, err
	}
	t.Counter("basket.log.dropped", "Lines of the logs that were dropped.", "{line}", droppedLines)
	t.Gauge("go.goroutine.count", "Goroutines.", "{goroutine}", func() float64 { return float64(runtime.NumGoroutine()) })
	t.Gauge("go.memory.used", "Memory that the Go runtime has from the system and not returned.", "By", usedMemory)
	return t, nil
}

func (t *serverTelemetry) close() { shutDown(t.Telemetry, t.report) }

// shutDown exports what is not yet exported. That a collector does not answer is
// reported; it is no failure of the command.
func shutDown(t *telemetry.Telemetry, report func(error)) {
	ctx, cancel := context.WithTimeout(context.Background(), exportLimit)
	defer cancel()
	if err := t.Shutdown(ctx); err != nil {
		report(err)
	}
}

// observe adds the metrics of what the server has loaded.
func (s *server) observe() {
	t := s.telemetry
	t.Gauges("basket.data.age", "Time since the newest order in the data.", "s", func(observe func(float64, ...attribute.KeyValue)) {
		if state := s.dataState(); state != nil {
			observe(state.Age)
		}
	})
	if s.data != nil {
		t.Gauge("basket.data.users", "Users that have a feature row.", "{user}", func() float64 { return float64(s.data.details().Users) })
	}
	observeChecks(t.Telemetry, slices.Clone(s.checks))
}

// observeChecks adds the metric of the checks of /readyz.
func observeChecks(t *telemetry.Telemetry, checks []serve.Check) {
	t.Gauges("basket.check.status", "Checks of /readyz: 0 works, 1 works with something old, 2 fails.", "",
		func(observe func(float64, ...attribute.KeyValue)) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			for _, c := range checks {
				status := 0.0
				switch err := c.Do(ctx); {
				case errors.Is(err, serve.ErrDegraded):
					status = 1
				case err != nil:
					status = 2
				}
				observe(status, attribute.String("basket.check", c.Name))
			}
		})
}

// reloads returns a function that counts a reading of a part of the server.
func (s *server) reloads(part string) func(error) {
	var ok, failed atomic.Int64
	add := func(outcome string, n *atomic.Int64) {
		s.telemetry.Counter("basket.reloads", "Parts of the server that were read.", "{reload}", n.Load,
			attribute.String("basket.part", part), attribute.String("basket.outcome", outcome))
	}
	add("ok", &ok)
	add("failed", &failed)
	return func(err error) {
		if err != nil {
			failed.Add(1)
			return
		}
		ok.Add(1)
	}
}

// countedEvents is an eventLogger for what a package does about a part of the server.
func (s *server) countedEvents(part string) basket.ServiceLogger {
	count := s.reloads(part)
	return eventLogger(func(message string, err error) {
		count(err)
		s.logEvent(message, err)
	})
}

// traced records requests, and passes on the ID of the trace for the logs.
func (t *serverTelemetry) traced(next http.Handler) http.Handler {
	if t.Tracers() == nil {
		return t.recorder.Handler(next)
	}
	return t.recorder.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := trace.SpanContextFromContext(r.Context()); c.HasTraceID() {
			r = r.WithContext(serve.WithTraceID(r.Context(), c.TraceID().String()))
		}
		next.ServeHTTP(w, r)
	}))
}

// usedMemory returns go.memory.used of the semantic conventions.
func usedMemory() float64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return float64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// buildVersion returns the version of the program.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// servePProf serves profiles until ctx is done, if --pprof is given.
func (c telemetrySettings) servePProf(ctx context.Context, background *sync.WaitGroup, term terminal) error {
	if c.PProf == "" {
		return nil
	}
	listener, err := net.Listen("tcp", c.PProf)
	if err != nil {
		return fmt.Errorf("--pprof: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	// No limit of the time to write: a profile may take minutes.
	server := &http.Server{Handler: localHosts(mux), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	background.Go(func() { _ = server.Serve(listener) })
	fmt.Fprintf(term.out, "profiles on http://%s/debug/pprof/\n", listener.Addr())
	return nil
}

// localHosts refuses requests to another host's name: a page in a browser of this machine
// may have one that resolves to a loopback address.
func localHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(host, "80")
		}
		if loopback, err := isLoopback(host); err != nil || !loopback {
			http.Error(w, "Misdirected Request", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
