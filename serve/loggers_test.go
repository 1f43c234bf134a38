package serve_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata/logs")

// compareGolden compares got with a file, or writes the file with -update.
func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// localDay is a time of day in the local zone, in which the text format writes it.
func localDay(hour, minute, second int) time.Time {
	return time.Date(2025, 6, 23, hour, minute, second, 999_000_000, time.Local)
}

// TestTextLogger_service writes the lines of the Python service's log.
func TestTextLogger_service(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(serve.ServiceLogHeader)
	l := serve.NewTextLogger(&b)
	request := func(err error, method, path string, status int) basket.ServiceEvent {
		return basket.ServiceEvent{Time: localDay(14, 18, 7), Latency: 8_600 * time.Microsecond, Method: method, Path: path, Status: status, Err: err}
	}
	for _, e := range []basket.ServiceEvent{
		{Time: localDay(14, 17, 51), Message: "API initialized successfully"},
		request(nil, "POST", "/predict", 200),
		request(fmt.Errorf("any text: %w", basket.ErrUserNotFound), "POST", "/predict", 404),
		request(fmt.Errorf("basket: %w: user ID is empty", basket.ErrInvalidRequest), "POST", "/predict", 400),
		request(fmt.Errorf("basket: %w: model: boom", basket.ErrPrediction), "POST", "/predict", 500),
		request(fmt.Errorf("basket: %w: store: down", basket.ErrUnavailable), "POST", "/predict", 503),
		request(nil, "G|T", "/a | b\n2025-06-23 14:18:07 | INFO | forged\\", 404),
		{Time: localDay(14, 17, 51), Message: "Failed to initialize API", Err: errors.New("open x: no such file\nor directory")},
	} {
		l.LogService(context.Background(), e)
	}
	compareGolden(t, "testdata/logs/service_metrics.txt", b.Bytes())
}

// TestTextLogger_model writes the lines of the Python service's log, with IDs that
// try to forge a line.
func TestTextLogger_model(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(serve.ModelLogHeader)
	l := serve.NewTextLogger(&b)
	event := func(userID string, value float64, err error, values ...float64) basket.ModelEvent {
		return basket.ModelEvent{
			Time: localDay(14, 18, 7), Latency: 4400 * time.Microsecond,
			Result: basket.Result{Err: err, Prediction: basket.Prediction{
				UserID: userID, Value: value, Route: "default", Features: basket.FeatureNames(),
				Row: basket.Row{Number: 2, Values: values},
			}},
		}
	}
	shadow := event("abc123", 1, nil, 1, 2, 3, 4)
	shadow.Shadow, shadow.Route = true, "new|er"
	failed := event("abc123", 0, fmt.Errorf("basket: %w: the model's answer is NaN", basket.ErrPrediction))
	failed.Shadow = true
	for _, e := range []basket.ModelEvent{
		event("abc123", 53.6, nil, 94.61, 15, 0, 0),
		event("missing", -0.005, nil, math.NaN(), 1, 2, 3),
		event("nobody", 0, basket.ErrUserNotFound),
		event("unlucky", 0, fmt.Errorf("basket: %w: model: a | b\nc", basket.ErrPrediction)),
		event("early", 0, fmt.Errorf("basket: %w: store: down", basket.ErrUnavailable)),
		event("x\n2025-06-23 14:18:07 | PREDICTION | user_id=y\r\t\v\x00\x1b[2K\x7f\\|", 1, nil, 1, 1, 1, 1),
		event("line\u2028and\u2029paragraph\u0085and\u009fcontrol, \xff bytes, Greek αβγ", 1, nil, 1, 1, 1, 1),
		shadow, failed,
	} {
		l.LogModel(context.Background(), e)
	}
	compareGolden(t, "testdata/logs/model_metrics.txt", b.Bytes())
}

// TestTextLogger_specification compares the golden files with lines from the log of
// the Python service.
func TestTextLogger_specification(t *testing.T) {
	service, err := os.ReadFile("testdata/logs/service_metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile("testdata/logs/model_metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	rule := strings.Repeat("=", 50)
	for _, want := range []string{
		"SERVICE METRICS LOG\n" + rule + "\n2025",
		"\n2025-06-23 14:18:07 | REQUEST | POST /predict | latency=0.009s | status=200\n",
		"\n2025-06-23 14:18:07 | REQUEST | POST /predict | latency=0.009s | status=404\n2025-06-23 14:18:07 | ERROR | User not found: User not found in feature store\n",
		"\n2025-06-23 14:17:51 | INFO | API initialized successfully\n",
	} {
		if !strings.Contains("\n"+string(service), want) {
			t.Errorf("service log has no %q", want)
		}
	}
	for _, want := range []string{
		"MODEL METRICS LOG\n" + rule + "\nFormat: TIMESTAMP | PREDICTION | user_id | prediction | latency | total_orders | input_features | feature_stats\n" + rule + "\n2025",
		"\n2025-06-23 14:18:07 | PREDICTION | user_id=abc123 | prediction=53.60 | latency=0.004s | total_orders=2 | " +
			"input_features=(prior_basket_value=94.610 | prior_item_count=15.000 | prior_regulars_count=0.000 | regulars_count=0.000) | " +
			"stats=(mean=27.40,std=45.36,min=0.00,max=94.61)\n",
		"\n2025-06-23 14:18:07 | MODEL_ERROR | user_id=nobody | type=UserNotFound | error=User not found in feature store\n",
	} {
		if !strings.Contains("\n"+string(model), want) {
			t.Errorf("model log has no %q", want)
		}
	}
}

// A failingWriter counts the writes that it refuses.
type failingWriter struct{ n int }

func (w *failingWriter) Write([]byte) (int, error) {
	w.n++
	return 0, errors.New("disk full")
}

func TestTextLogger_brokenWriter(t *testing.T) {
	w := &failingWriter{}
	serve.NewTextLogger(w).LogModel(t.Context(), basket.ModelEvent{})
	if w.n != 1 {
		t.Errorf("%d writes, want 1", w.n)
	}
}

func TestSlogLogger(t *testing.T) {
	var b bytes.Buffer
	h := slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	l := serve.NewSlogLogger(slog.New(h))
	result := basket.Result{Prediction: basket.Prediction{
		UserID: "a\nb", Value: 53.6, Route: "default", Model: "m", Features: []string{"x", "y"},
		Row: basket.Row{Number: 2, Values: []float64{1, 2.5}},
	}}
	l.LogModel(context.Background(), basket.ModelEvent{Latency: time.Millisecond, Result: result})
	result.Err = fmt.Errorf("basket: %w", basket.ErrUserNotFound)
	l.LogModel(context.Background(), basket.ModelEvent{Shadow: true, Result: result})
	l.LogService(context.Background(), basket.ServiceEvent{Method: "GET", Path: "/status", Status: 200})
	l.LogService(context.Background(), basket.ServiceEvent{Message: "hello"})
	l.LogService(context.Background(), basket.ServiceEvent{Err: errors.New("boom")})
	compareGolden(t, "testdata/logs/slog.txt", b.Bytes())

	// The text log stays as it was; the structured one has the model's ID.
	result.Err, result.ModelID = nil, "price@3"
	var text, without bytes.Buffer
	b.Reset()
	l.LogModel(context.Background(), basket.ModelEvent{Result: result})
	if want := " model=m model_id=price@3 latency_seconds="; !strings.Contains(b.String(), want) {
		t.Errorf("%q: want %q in it", b.String(), want)
	}
	serve.NewTextLogger(&text).LogModel(context.Background(), basket.ModelEvent{Result: result})
	result.ModelID = ""
	serve.NewTextLogger(&without).LogModel(context.Background(), basket.ModelEvent{Result: result})
	if diff := cmp.Diff(without.String(), text.String()); diff != "" {
		t.Errorf("text log with an ID (-without +with):\n%s", diff)
	}

	quiet := serve.NewSlogLogger(slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError})))
	if n := testing.AllocsPerRun(100, func() {
		quiet.LogService(context.Background(), basket.ServiceEvent{Method: "GET"})
	}); n != 0 {
		t.Errorf("a level that is off: %v allocations", n)
	}
}
