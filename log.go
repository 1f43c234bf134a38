package basket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// A ServiceLogger is told of each request and fault. It must be quick, is
// called by many goroutines at once, and must not keep e's slices. A panic in
// it is dropped.
type ServiceLogger interface {
	LogService(ctx context.Context, e ServiceEvent)
}

// A ModelLogger is told of each prediction, shadow ones too, and of each
// failure of one; not of a user ID that no store could know (ErrInvalidRequest).
// It must be quick, is called by many goroutines at once, and must not change
// e's slices. A panic in it is dropped. ctx may be done: the event happened all
// the same.
type ModelLogger interface {
	LogModel(ctx context.Context, e ModelEvent)
}

// A ServiceEvent is one request, or one thing worth telling outside a request.
type ServiceEvent struct {
	Time         time.Time
	Latency      time.Duration
	Method, Path string // empty outside a request
	Status       int
	Message      string // outside a request: what happened
	Err          error  // nil if nothing failed
}

// A ModelEvent is one prediction or the failure of one.
type ModelEvent struct {
	Time    time.Time
	Latency time.Duration // store and model together; of a batch, the whole of it
	Shadow  bool
	Result
}

// The first lines of a new log file in the form of [TextLogger].
const (
	ServiceLogHeader = "SERVICE METRICS LOG\n" + logRule
	ModelLogHeader   = "MODEL METRICS LOG\n" + logRule +
		"Format: TIMESTAMP | PREDICTION | user_id | prediction | latency | total_orders | input_features | feature_stats\n" + logRule

	logRule = "==================================================\n"
)

// A TextLogger writes one line an event, in the form of the log files of the
// Python service that basket replaces:
//
//	2025-06-23 14:18:07 | REQUEST | POST /predict | latency=0.009s | status=200
//	2025-06-23 14:19:19 | ERROR | User not found: User not found in feature store
//	2025-06-23 14:17:51 | INFO | API initialized successfully
//	2025-06-23 14:18:07 | PREDICTION | user_id=abc | prediction=53.60 | latency=0.004s | total_orders=2 | input_features=(...) | stats=(...)
//	2025-06-23 14:19:19 | MODEL_ERROR | user_id=nobody | type=UserNotFound | error=User not found in feature store
//
// Times are local. The statistics are over the row's values, std being the
// sample's. An event of a shadow has SHADOW or SHADOW_ERROR for a kind and ends
// in the route's name. Control characters, line separators, bytes that are not
// UTF-8, backslashes and bars are written as Go escapes, so that nothing that a
// client sends can end a line or start a field.
//
// Each event is one Write of whole lines, which w must not keep. Errors of w are
// dropped. It is safe for concurrent use if w is.
type TextLogger struct {
	w     io.Writer
	lines sync.Pool // of *[]byte
	clock clockFace
}

// NewTextLogger returns a logger that writes whole lines to w, one Write each.
// It implements both interfaces; give a service and a model log a logger each,
// whose files start with ServiceLogHeader and ModelLogHeader.
func NewTextLogger(w io.Writer) *TextLogger {
	return &TextLogger{
		w:     w,
		lines: sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }},
		clock: clockFace{layout: time.DateTime},
	}
}

// LogService writes a line for a request, and one for its error after it.
func (l *TextLogger) LogService(_ context.Context, e ServiceEvent) {
	p := l.lines.Get().(*[]byte)
	defer l.lines.Put(p)
	b := (*p)[:0]
	if e.Method != "" {
		b = append(l.appendTime(b, e.Time), " | REQUEST | "...)
		b = appendEscaped(b, e.Method)
		b = append(b, ' ')
		b = appendEscaped(b, e.Path)
		b = append(b, " | latency="...)
		b = appendSeconds(b, e.Latency)
		b = append(b, " | status="...)
		b = strconv.AppendInt(b, int64(e.Status), 10)
		b = append(b, '\n')
	}
	switch {
	case e.Err != nil:
		b = append(l.appendTime(b, e.Time), " | ERROR | "...)
		if e.Message != "" {
			b = appendEscaped(b, e.Message)
			b = append(b, ": "...)
			b = appendEscaped(b, e.Err.Error())
		} else {
			b = append(b, errorPrefix(e.Err)...)
			b = appendEscaped(b, errorText(e.Err))
		}
		b = append(b, '\n')
	case e.Message != "":
		b = append(l.appendTime(b, e.Time), " | INFO | "...)
		b = appendEscaped(b, e.Message)
		b = append(b, '\n')
	}
	*p = b
	_, _ = l.w.Write(b)
}

// LogModel writes a line for a prediction or its failure.
func (l *TextLogger) LogModel(_ context.Context, e ModelEvent) {
	p := l.lines.Get().(*[]byte)
	defer l.lines.Put(p)
	b := l.appendTime((*p)[:0], e.Time)
	switch {
	case e.Err != nil && e.Shadow:
		b = append(b, " | SHADOW_ERROR"...)
	case e.Err != nil:
		b = append(b, " | MODEL_ERROR"...)
	case e.Shadow:
		b = append(b, " | SHADOW"...)
	default:
		b = append(b, " | PREDICTION"...)
	}
	b = append(b, " | user_id="...)
	b = appendEscaped(b, e.UserID)
	if e.Err != nil {
		b = append(b, " | type="...)
		b = append(b, errorType(e.Err)...)
		b = append(b, " | error="...)
		b = appendEscaped(b, errorText(e.Err))
	} else {
		b = appendPrediction(b, &e)
	}
	if e.Shadow {
		b = append(b, " | route="...)
		b = appendEscaped(b, e.Route)
	}
	b = append(b, '\n')
	*p = b
	_, _ = l.w.Write(b)
}

func appendPrediction(b []byte, e *ModelEvent) []byte {
	b = append(b, " | prediction="...)
	b = appendFixed(b, e.Value, 2)
	b = append(b, " | latency="...)
	b = appendSeconds(b, e.Latency)
	b = append(b, " | total_orders="...)
	b = strconv.AppendInt(b, int64(e.Row.Orders), 10)
	b = append(b, " | input_features=("...)
	for j, v := range e.Row.Values {
		if j > 0 {
			b = append(b, " | "...)
		}
		if j < len(e.Features) {
			b = appendEscaped(b, e.Features[j])
			b = append(b, '=')
		}
		b = appendFixed(b, v, 3)
	}
	mean, std, low, high := statistics(e.Row.Values)
	b = append(b, ") | stats=(mean="...)
	b = appendFixed(b, mean, 2)
	b = append(b, ",std="...)
	b = appendFixed(b, std, 2)
	b = append(b, ",min="...)
	b = appendFixed(b, low, 2)
	b = append(b, ",max="...)
	b = appendFixed(b, high, 2)
	return append(b, ')')
}

// statistics of values, by two passes; std is NaN for fewer than two.
func statistics(values []float64) (mean, std, low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	sum := 0.0
	for _, v := range values {
		sum += v
		low, high = min(low, v), max(high, v)
	}
	mean = sum / float64(len(values))
	squares := 0.0
	for _, v := range values {
		squares += float64((v - mean) * (v - mean))
	}
	if len(values) < 2 {
		return mean, math.NaN(), low, high
	}
	return mean, math.Sqrt(squares / float64(len(values)-1)), low, high
}

// appendTime appends a local time to the second.
func (l *TextLogger) appendTime(b []byte, t time.Time) []byte {
	return l.clock.append(b, t.Local())
}

// appendFixed appends v with some decimals, as strconv does: whole numbers, which
// most features are, in a quicker way.
func appendFixed(b []byte, v float64, decimals int) []byte {
	if n := int64(v); float64(n) == v && n > -1e15 && n < 1e15 && (n != 0 || !math.Signbit(v)) {
		b = append(strconv.AppendInt(b, n, 10), '.')
		return append(b, "000000"[:decimals]...)
	}
	return strconv.AppendFloat(b, v, 'f', decimals, 64)
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return append(strconv.AppendFloat(b, d.Seconds(), 'f', 3, 64), 's')
}

// appendEscaped appends s so that it stays within its field.
func appendEscaped(b []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '|' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return append(b, s...)
	}
	const hexDigits = "0123456789abcdef"
	for i, size := 0, 0; i < len(s); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1, r == '|', r < 0x20 && r != '\n' && r != '\r' && r != '\t', r == 0x7f:
			b = append(b, '\\', 'x', hexDigits[s[i]>>4], hexDigits[s[i]&15])
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\\':
			b = append(b, `\\`...)
		case unicode.IsControl(r), r == 0x2028, r == 0x2029: // some readers end lines there
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, s[i:i+size]...)
		}
	}
	return b
}

// errorPrefix is how the service log names a kind of error.
func errorPrefix(err error) string {
	switch {
	case errors.Is(err, ErrInvalidRequest):
		return "Invalid request: "
	case errors.Is(err, ErrUserNotFound):
		return "User not found: "
	case errors.Is(err, ErrPrediction):
		return "Prediction error: "
	}
	return "Internal server error: "
}

// errorType is how the model log names a kind of error.
func errorType(err error) string {
	switch {
	case errors.Is(err, ErrUserNotFound):
		return "UserNotFound"
	case errors.Is(err, ErrPrediction):
		return "PredictionError"
	}
	return "UnexpectedError"
}

// errorText is an error's message without what its prefix tells.
func errorText(err error) string {
	if errors.Is(err, ErrUserNotFound) {
		return "User not found in feature store"
	}
	text := strings.TrimPrefix(err.Error(), "basket: ")
	for _, kind := range []Error{ErrInvalidRequest, ErrPrediction} {
		text = strings.TrimPrefix(text, string(kind)+": ")
	}
	return text
}

// A SlogLogger writes events as structured records: requests and predictions at
// Info, failures that are the client's fault or an unknown user at Warn, others
// at Error.
type SlogLogger struct{ l *slog.Logger }

// NewSlogLogger returns a logger over l. It implements both interfaces.
func NewSlogLogger(l *slog.Logger) *SlogLogger { return &SlogLogger{l} }

// LogService writes a record named "request", or by the event's message.
func (l *SlogLogger) LogService(ctx context.Context, e ServiceEvent) {
	level := slogLevel(e.Err)
	if !l.l.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(e.Time, level, e.Message, 0)
	if e.Method != "" {
		if e.Message == "" {
			r.Message = "request"
		}
		r.AddAttrs(slog.String("method", e.Method), slog.String("path", e.Path),
			slog.Int("status", e.Status), slog.Duration("latency", e.Latency))
	}
	if e.Err != nil {
		if r.Message == "" {
			r.Message = "error"
		}
		r.AddAttrs(slog.String("error", e.Err.Error()))
	}
	_ = l.l.Handler().Handle(ctx, r)
}

// LogModel writes a record named "prediction" or "prediction failed".
func (l *SlogLogger) LogModel(ctx context.Context, e ModelEvent) {
	level := slogLevel(e.Err)
	if !l.l.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(e.Time, level, "prediction", 0)
	r.AddAttrs(slog.String("user_id", e.UserID), slog.String("route", e.Route),
		slog.String("model", e.Model), slog.Duration("latency", e.Latency))
	if e.Shadow {
		r.AddAttrs(slog.Bool("shadow", true))
	}
	if e.Err != nil {
		r.Message = "prediction failed"
		r.AddAttrs(slog.String("type", errorType(e.Err)), slog.String("error", e.Err.Error()))
	} else {
		values := make([]slog.Attr, min(len(e.Features), len(e.Row.Values)))
		for j := range values {
			values[j] = slog.Float64(e.Features[j], e.Row.Values[j])
		}
		r.AddAttrs(slog.Float64("value", e.Value), slog.Int("total_orders", e.Row.Orders),
			slog.Attr{Key: "features", Value: slog.GroupValue(values...)})
	}
	_ = l.l.Handler().Handle(ctx, r)
}

func slogLevel(err error) slog.Level {
	switch {
	case err == nil:
		return slog.LevelInfo
	case errors.Is(err, ErrInvalidRequest), errors.Is(err, ErrUserNotFound):
		return slog.LevelWarn
	}
	return slog.LevelError
}

var (
	_ ServiceLogger = (*TextLogger)(nil)
	_ ModelLogger   = (*TextLogger)(nil)
	_ ServiceLogger = (*SlogLogger)(nil)
	_ ModelLogger   = (*SlogLogger)(nil)
)
