package serve_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

// TestWithTraceID: the lines of requests and predictions have the ID of the trace.
func TestWithTraceID(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for name, newLogger := range map[string]func(*bytes.Buffer) interface {
		basket.ServiceLogger
		basket.ModelLogger
	}{
		"JSONLogger": func(b *bytes.Buffer) interface {
			basket.ServiceLogger
			basket.ModelLogger
		} {
			return serve.NewJSONLogger(b)
		},
		"SlogLogger": func(b *bytes.Buffer) interface {
			basket.ServiceLogger
			basket.ModelLogger
		} {
			return serve.NewSlogLogger(slog.New(slog.NewJSONHandler(b, nil)))
		},
	} {
		var b bytes.Buffer
		l := newLogger(&b)
		l.LogService(serve.WithTraceID(t.Context(), id), basket.ServiceEvent{Method: "GET", Path: "/status", Status: 200})
		l.LogModel(serve.WithTraceID(t.Context(), id), basket.ModelEvent{})
		l.LogModel(t.Context(), basket.ModelEvent{})
		d := json.NewDecoder(&b)
		for i, want := range []any{id, id, nil} {
			var line map[string]any
			if err := d.Decode(&line); err != nil {
				t.Fatal(err)
			}
			if line["trace_id"] != want {
				t.Errorf("%s: line %d has the trace ID %v: want %v", name, i, line["trace_id"], want)
			}
		}
	}
}
