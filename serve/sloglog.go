package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"unicode"

	"github.com/basket-go/basket"
)

// A SlogLogger writes events as structured records: requests, predictions and
// what the caller canceled at Info, invalid requests, unknown users and stale rows at
// Warn, other failures at Error. The fields are those of [JSONLogger], which is faster
// than a SlogLogger over an [slog.JSONHandler]. That handler writes NaN as null and
// infinities as the strings "+Inf" and "-Inf".
type SlogLogger struct{ l *slog.Logger }

// NewSlogLogger returns a logger over l. It implements both interfaces.
func NewSlogLogger(l *slog.Logger) *SlogLogger { return &SlogLogger{l} }

// LogService writes a record named "request", or by the event's message.
func (l *SlogLogger) LogService(ctx context.Context, e basket.ServiceEvent) {
	level := slogLevel(e.Err)
	if !l.l.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(e.Time, level, escapeC1(e.Message), 0)
	if e.Method != "" {
		if e.Message == "" {
			r.Message = "request"
		}
		r.AddAttrs(text("method", e.Method), text("path", e.Path),
			slog.Int("status", e.Status), slog.Float64("latency_seconds", e.Latency.Seconds()))
	}
	if e.Err != nil {
		if r.Message == "" {
			r.Message = "error"
		}
		r.AddAttrs(text("error", e.Err.Error()))
	}
	addContext(ctx, &r)
	_ = l.l.Handler().Handle(ctx, r)
}

// LogModel writes a record named "prediction" or "prediction failed".
func (l *SlogLogger) LogModel(ctx context.Context, e basket.ModelEvent) {
	level := slogLevel(e.Err)
	if !l.l.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(e.Time, level, "prediction", 0)
	if e.UserID != "" {
		r.AddAttrs(text("user_id", e.UserID))
	}
	r.AddAttrs(text("route", e.Route), text("model", e.Model))
	if e.ModelID != "" {
		r.AddAttrs(text("model_id", e.ModelID))
	}
	r.AddAttrs(slog.Float64("latency_seconds", e.Latency.Seconds()))
	if e.Row.Age > 0 {
		r.AddAttrs(slog.Float64("row_age_seconds", e.Row.Age.Seconds()))
	}
	if e.Shadow {
		r.AddAttrs(slog.Bool("shadow", true))
	}
	if e.Err != nil {
		r.Message = "prediction failed"
		r.AddAttrs(text("type", errorType(e.Err)), text("error", e.Err.Error()))
	} else {
		values := make([]slog.Attr, min(len(e.Features), len(e.Row.Values)))
		for j := range values {
			values[j] = number(e.Features[j], e.Row.Values[j])
		}
		r.AddAttrs(number("value", e.Value), slog.Int("total_orders", e.Row.Number),
			slog.Attr{Key: "features", Value: slog.GroupValue(values...)})
	}
	addContext(ctx, &r)
	_ = l.l.Handler().Handle(ctx, r)
}

// addContext adds what the context of a request tells about it.
func addContext(ctx context.Context, r *slog.Record) {
	if id := RequestIDOf(ctx); id != "" {
		r.AddAttrs(text("request_id", id))
	}
	if id := TraceIDOf(ctx); id != "" {
		r.AddAttrs(text("trace_id", id))
	}
	if client := IdentityOf(ctx).Name; client != "" {
		r.AddAttrs(text("client", client))
	}
}

// number is slog.Float64 for numbers that JSON may not have.
func number(key string, v float64) slog.Attr {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return slog.Any(key, notFinite(v))
	}
	return slog.Float64(key, v)
}

// notFinite is NaN or infinite. In text it looks like any float64.
type notFinite float64

func (v notFinite) MarshalJSON() ([]byte, error) { return appendJSONNumber(nil, float64(v)), nil }

// text is slog.String for text that clients may have sent.
func text(key, value string) slog.Attr { return slog.String(key, escapeC1(value)) }

// escapeC1 escapes the control characters from U+007F and the line separators,
// which the handlers of package slog write as they are, as in Go string literals.
func escapeC1(s string) string {
	special := func(r rune) bool { return r >= 0x7f && unicode.IsControl(r) || r == 0x2028 || r == 0x2029 }
	if !strings.ContainsFunc(s, special) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if special(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func slogLevel(err error) slog.Level {
	switch {
	case err == nil, errors.Is(err, basket.ErrCanceled):
		return slog.LevelInfo
	case errors.Is(err, basket.ErrInvalidRequest), errors.Is(err, basket.ErrUserNotFound), errors.Is(err, basket.ErrStale):
		return slog.LevelWarn
	}
	return slog.LevelError
}

var (
	_ basket.ServiceLogger = (*SlogLogger)(nil)
	_ basket.ModelLogger   = (*SlogLogger)(nil)
)
