package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"

	"github.com/basket-go/basket"
)

// A SlogLogger writes events as structured records: requests, predictions and
// what the caller canceled at Info, invalid requests and unknown users at Warn,
// other failures at Error.
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
			slog.Int("status", e.Status), slog.Duration("latency", e.Latency))
	}
	if e.Err != nil {
		if r.Message == "" {
			r.Message = "error"
		}
		r.AddAttrs(text("error", e.Err.Error()))
	}
	_ = l.l.Handler().Handle(ctx, r)
}

// LogModel writes a record named "prediction" or "prediction failed".
func (l *SlogLogger) LogModel(ctx context.Context, e basket.ModelEvent) {
	level := slogLevel(e.Err)
	if !l.l.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(e.Time, level, "prediction", 0)
	r.AddAttrs(text("user_id", e.UserID), text("route", e.Route), text("model", e.Model))
	if e.ModelID != "" {
		r.AddAttrs(text("model_id", e.ModelID))
	}
	r.AddAttrs(slog.Duration("latency", e.Latency))
	if e.Shadow {
		r.AddAttrs(slog.Bool("shadow", true))
	}
	if e.Err != nil {
		r.Message = "prediction failed"
		r.AddAttrs(text("type", errorType(e.Err)), text("error", e.Err.Error()))
	} else {
		values := make([]slog.Attr, min(len(e.Features), len(e.Row.Values)))
		for j := range values {
			values[j] = slog.Float64(e.Features[j], e.Row.Values[j])
		}
		r.AddAttrs(slog.Float64("value", e.Value), slog.Int("total_orders", e.Row.Number),
			slog.Attr{Key: "features", Value: slog.GroupValue(values...)})
	}
	_ = l.l.Handler().Handle(ctx, r)
}

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
	case errors.Is(err, basket.ErrInvalidRequest), errors.Is(err, basket.ErrUserNotFound):
		return slog.LevelWarn
	}
	return slog.LevelError
}

var (
	_ basket.ServiceLogger = (*SlogLogger)(nil)
	_ basket.ModelLogger   = (*SlogLogger)(nil)
)
