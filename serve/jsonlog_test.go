package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/baskettest"
	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

// requestContext is that of a request with an ID and an API key.
func requestContext() context.Context {
	ctx := serve.WithRequestID(context.Background(), "7c1")
	return serve.WithIdentity(ctx, serve.Identity{Name: "shop", Role: serve.User})
}

var zone = time.FixedZone("", 2*60*60)

func TestJSONLogger_service(t *testing.T) {
	var b bytes.Buffer
	l := serve.NewJSONLogger(&b)
	now := time.Date(2025, 6, 23, 14, 18, 7, 123_456_789, zone)
	request := func(err error, path string, status int) basket.ServiceEvent {
		return basket.ServiceEvent{Time: now, Latency: 8_600 * time.Microsecond, Method: "POST", Path: path, Status: status, Err: err}
	}
	for _, e := range []basket.ServiceEvent{
		{Time: now.Truncate(time.Second), Message: "API initialized successfully"},
		{Time: now, Message: "Failed to initialize API", Err: errors.New("open x: no such file\nor directory")},
		{Time: now, Err: errors.New("boom")},
		{Message: "without a time"},
	} {
		l.LogService(context.Background(), e)
	}
	for _, e := range []basket.ServiceEvent{
		request(nil, "/predict", 200),
		request(fmt.Errorf("any text: %w", basket.ErrUserNotFound), "/predict", 404),
		request(fmt.Errorf("basket: %w: user ID is empty", basket.ErrInvalidRequest), "/predict", 400),
		request(fmt.Errorf("basket: %w: model: boom", basket.ErrPrediction), "/predict", 500),
		request(fmt.Errorf("basket: %w: reading", basket.ErrCanceled), "/predict", 499),
		request(nil, "/a\"}\n{\"level\":\"INFO\\", 404),
	} {
		l.LogService(requestContext(), e)
	}
	compareGolden(t, "testdata/logs/service_metrics.json", b.Bytes())
}

func TestJSONLogger_model(t *testing.T) {
	var b bytes.Buffer
	l := serve.NewJSONLogger(&b)
	event := func(userID string, value float64, err error, values ...float64) basket.ModelEvent {
		return basket.ModelEvent{
			Time: time.Date(2025, 6, 23, 14, 18, 7, 120_000_000, zone), Latency: 4400 * time.Nanosecond,
			Result: basket.Result{Err: err, Prediction: basket.Prediction{
				UserID: userID, Value: value, Route: "default", Model: "a model", Features: basket.FeatureNames(),
				Row: basket.Row{Number: 2, Values: values},
			}},
		}
	}
	versioned := event("abc123", 53.602718, nil, 94.61, 15, 0, 0)
	versioned.ModelID = "price@3"
	shadow := event("abc123", 1, nil, 1, 2, 3, 4)
	shadow.Shadow, shadow.Route = true, "newer"
	failed := event("abc123", 0, fmt.Errorf("basket: %w: the model's answer is NaN", basket.ErrPrediction))
	failed.Shadow = true
	for _, e := range []basket.ModelEvent{
		versioned, shadow, failed,
		event("missing and infinite", -0.005, nil, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)),
		event("exact", 0.30000000000000004, nil, 1e-9, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64),
		event("nobody", 0, fmt.Errorf("basket: %w: no feature row", basket.ErrUserNotFound)),
		event("early", 0, fmt.Errorf("basket: %w: store: down", basket.ErrUnavailable)),
		event("", 1, nil, 1, 1, 1, 1),
		event("x\"}\n{\"level\":\"INFO\"}\r\t\v\x00\x1b[2K\x7f\\", 1, nil),
		event("line\u2028and\u2029paragraph\u0085and\u009fcontrol, \xff bytes, \ufffd, Greek αβγ", 1, nil),
	} {
		l.LogModel(requestContext(), e)
	}
	l.LogModel(context.Background(), event("without request", 1, nil, 1))
	compareGolden(t, "testdata/logs/model_metrics.json", b.Bytes())
}

// events returns random events, with texts and numbers from r.
func events(r *rand.Rand, texts []string) (basket.ServiceEvent, basket.ModelEvent) {
	text := func() string { return texts[r.IntN(len(texts))] }
	number := func() float64 {
		switch r.IntN(6) {
		case 0:
			return float64(r.IntN(2000) - 1000)
		case 1:
			return []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1e15, -1e15, 1e21, 1e-6}[r.IntN(9)]
		case 2:
			return r.NormFloat64()
		}
		return math.Float64frombits(r.Uint64())
	}
	fault := func() error {
		kinds := []error{nil, basket.ErrInvalidRequest, basket.ErrUserNotFound, basket.ErrStale, basket.ErrPrediction, basket.ErrUnavailable, basket.ErrCanceled}
		if kind := kinds[r.IntN(len(kinds))]; kind != nil {
			return fmt.Errorf("%s: %w", text(), kind)
		}
		return nil
	}
	now := time.Unix(r.Int64N(4e9), r.Int64N(1e9)).In(time.FixedZone("", (r.IntN(53)-26)*1800))
	latency := time.Duration(r.Uint64() >> 1 >> r.IntN(63))
	service := basket.ServiceEvent{Time: now, Latency: latency, Method: text(), Path: text(), Status: r.IntN(600), Message: text(), Err: fault()}
	model := basket.ModelEvent{Time: now, Latency: latency, Shadow: r.IntN(2) == 0, Result: basket.Result{Err: fault(), Prediction: basket.Prediction{
		UserID: text(), Value: number(), Route: text(), Model: text(), ModelID: text(), Row: basket.Row{Number: r.IntN(100)},
	}}}
	if r.IntN(2) == 0 {
		model.Row.Age = time.Duration(r.Uint64() >> 1 >> r.IntN(63))
	}
	for j := range r.IntN(6) {
		model.Features = append(model.Features, fmt.Sprint(text(), j))
		model.Row.Values = append(model.Row.Values, number())
	}
	if r.IntN(10) == 0 {
		model.Time, service.Time = time.Time{}, time.Time{}
	}
	return service, model
}

// TestJSONLogger_slog: the lines are those of a SlogLogger over slog's JSON handler,
// byte for byte.
func TestJSONLogger_slog(t *testing.T) {
	texts := []string{"", "", "plain", "spaces and \"quotes\" \\", "\n\r\t\b\f\x00\x1f", "<a href='x'>&", "αβγ 漢字 😀", "\xff\xc0\xaf", "\ufffd"}
	r := rand.New(rand.NewPCG(1, 2))
	var got, want bytes.Buffer
	fast, slow := serve.NewJSONLogger(&got), serve.NewSlogLogger(slog.New(slog.NewJSONHandler(&want, nil)))
	for range 5000 {
		got.Reset()
		want.Reset()
		service, model := events(r, texts)
		ctx := serve.WithRequestID(t.Context(), texts[r.IntN(len(texts))])
		ctx = serve.WithIdentity(ctx, serve.Identity{Name: texts[r.IntN(len(texts))]})
		fast.LogService(ctx, service)
		slow.LogService(ctx, service)
		fast.LogModel(ctx, model)
		slow.LogModel(ctx, model)
		if got.String() != want.String() {
			t.Fatalf("%+v\n%+v\n(-slog +ours)\n%s", service, model, cmp.Diff(want.String(), got.String()))
		}
	}
}

// checkLines returns what is wrong with the lines of one service and one model event.
func checkLines(text []byte, userID string) error {
	if n := bytes.Count(text, []byte("\n")); n != 2 || !bytes.HasSuffix(text, []byte("\n")) {
		return fmt.Errorf("%d lines: want 2: %q", n, text)
	}
	for i, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		if len(strings.FieldsFunc(string(line), func(r rune) bool { return strings.ContainsRune("\v\f\r\x1c\x1d\x1e\u0085\u2028\u2029", r) })) != 1 {
			return fmt.Errorf("some readers split the line %q", line)
		}
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			return fmt.Errorf("%w in %q", err, line)
		}
		read, _ := fields["user_id"].(string)
		if want := string([]rune(userID)); i == 1 && read != want { // U+FFFD for each bad byte
			return fmt.Errorf("user_id %q: want %q", read, want)
		}
	}
	return nil
}

// FuzzJSONLogger: any event is one line, a JSON object.
func FuzzJSONLogger(f *testing.F) {
	f.Add("ann", "/predict", "boom", 1.5, uint64(1))
	f.Add("\xff\u0085\u2028\"}\n", "/\x00\x7f", "\\u2028\\", math.NaN(), uint64(2))
	f.Fuzz(func(t *testing.T, userID, path, message string, value float64, seed uint64) {
		service, model := events(rand.New(rand.NewPCG(seed, 0)), []string{userID, path, message, ""})
		model.UserID, model.Value = userID, value
		var b bytes.Buffer
		l := serve.NewJSONLogger(&b)
		ctx := serve.WithRequestID(serve.WithIdentity(t.Context(), serve.Identity{Name: message}), path)
		l.LogService(ctx, service)
		l.LogModel(ctx, model)
		if err := checkLines(b.Bytes(), userID); err != nil {
			t.Error(err)
		}
	})
}

// A lockedBuffer is safe for concurrent use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.FieldsFunc(l.b.String(), func(r rune) bool { return r == '\n' })
}

func TestJSONLogger_conformance(t *testing.T) {
	baskettest.TestLogger(t, func(*testing.T) (any, func() []string) {
		var b lockedBuffer
		return serve.NewJSONLogger(&b), b.lines
	})
}

// TestJSONLogger_allocations: logging a request allocates nothing by itself.
func TestJSONLogger_allocations(t *testing.T) {
	l := serve.NewJSONLogger(io.Discard)
	ctx := requestContext()
	e := basket.ModelEvent{Time: time.Now(), Result: basket.Result{Prediction: basket.Prediction{
		UserID: "ann", Value: 53.6, Features: []string{"x"}, Row: basket.Row{Values: []float64{1.5}},
	}}}
	if n := testing.AllocsPerRun(100, func() {
		l.LogModel(ctx, e)
		l.LogService(ctx, basket.ServiceEvent{Time: e.Time, Method: "POST", Path: "/predict", Status: 200})
	}); n > 2 { // 0 but for the race detector, which makes a pool forget
		t.Errorf("%v allocations, want 0", n)
	}
}

// One line of the model log in JSON.
func ExampleJSONLogger() {
	var b bytes.Buffer
	serve.NewJSONLogger(&b).LogModel(context.Background(), basket.ModelEvent{
		Time: time.Date(2025, 6, 23, 14, 18, 7, 123_000_000, time.UTC), Latency: 4 * time.Microsecond,
		Result: basket.Result{Prediction: basket.Prediction{
			UserID: "ann", Value: 53.6, Route: "default", Model: "a forest", ModelID: "price@3",
			Features: []string{"regulars_count", "prior_basket_value"}, Row: basket.Row{Number: 2, Values: []float64{3, math.NaN()}},
		}},
	})
	fmt.Println(b.String())
	// Output: {"time":"2025-06-23T14:18:07.123Z","level":"INFO","msg":"prediction","user_id":"ann","route":"default","model":"a forest","model_id":"price@3","latency_seconds":0.000004,"value":53.6,"total_orders":2,"features":{"regulars_count":3,"prior_basket_value":null}}
}
