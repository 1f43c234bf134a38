package serve

import (
	"context"
	"io"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket"
)

// A JSONLogger writes one line per event, a JSON object, for programs to read:
//
//	{"time":"2025-06-23T14:18:07.123456789+02:00","level":"INFO","msg":"request","method":"POST","path":"/predict","status":200,"latency_seconds":0.0086,"request_id":"7c1","client":"shop"}
//	{"time":"2025-06-23T14:18:07.123456789+02:00","level":"INFO","msg":"prediction","user_id":"abc","route":"default","model":"...","model_id":"price@3","latency_seconds":0.0044,"value":53.6,"total_orders":2,"features":{"prior_basket_value":94.61},"request_id":"7c1","client":"shop"}
//	{"time":"2025-06-23T14:19:19+02:00","level":"WARN","msg":"prediction failed","user_id":"nobody","route":"default","model":"...","latency_seconds":0.0001,"type":"UserNotFound","error":"basket: user not found"}
//
// The level is INFO for requests, predictions and what the caller canceled, WARN for
// invalid requests, unknown users and stale rows, ERROR for other failures. The msg of
// events outside a request is their message, or "error". Absent are the time if it is
// zero, user_id if it is left out (see [UserIDs]), model_id if the model has none,
// request_id without [RequestID], trace_id without [WithTraceID], and client, the name
// of the API key, without [Authenticate]. A shadow's line has "shadow":true, and that
// of a row with an Age "row_age_seconds". The type of an error is UserNotFound,
// PredictionError, StaleRow or UnexpectedError.
//
// The time is RFC 3339 with nanoseconds and the zone of the event. Numbers are the
// shortest decimals that read back as the same float64; NaN, a missing feature, is
// null, and infinities are the strings "+Inf" and "-Inf". Control characters and
// line separators are escaped, and bytes that are not UTF-8 become U+FFFD, so that
// nothing a client sends can end a line or start a field.
//
// Each event is one Write of a whole line, which w must not keep. Errors of w are
// ignored. A JSONLogger is safe for concurrent use if w is.
type JSONLogger struct {
	w     io.Writer
	lines sync.Pool // of *[]byte
}

// NewJSONLogger returns a logger that writes to w. It implements both interfaces, and
// one logger may serve as both.
func NewJSONLogger(w io.Writer) *JSONLogger {
	return &JSONLogger{w: w, lines: sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}}
}

// LogService writes a line for a request or another event.
func (l *JSONLogger) LogService(ctx context.Context, e basket.ServiceEvent) {
	p := l.lines.Get().(*[]byte)
	defer l.lines.Put(p)
	message := e.Message
	switch {
	case message != "":
	case e.Method != "":
		message = "request"
	case e.Err != nil:
		message = "error"
	}
	b := appendJSONHead((*p)[:0], e.Time, slogLevel(e.Err), message)
	if e.Method != "" {
		b = appendJSONField(b, `,"method":`, e.Method)
		b = appendJSONField(b, `,"path":`, e.Path)
		b = strconv.AppendInt(append(b, `,"status":`...), int64(e.Status), 10)
		b = appendJSONNumber(append(b, `,"latency_seconds":`...), e.Latency.Seconds())
	}
	if e.Err != nil {
		b = appendJSONField(b, `,"error":`, e.Err.Error())
	}
	b = appendJSONContext(ctx, b)
	*p = append(b, "}\n"...)
	_, _ = l.w.Write(*p)
}

// LogModel writes a line for a prediction or its failure.
func (l *JSONLogger) LogModel(ctx context.Context, e basket.ModelEvent) {
	p := l.lines.Get().(*[]byte)
	defer l.lines.Put(p)
	message := "prediction"
	if e.Err != nil {
		message = "prediction failed"
	}
	b := appendJSONHead((*p)[:0], e.Time, slogLevel(e.Err), message)
	if e.UserID != "" {
		b = appendJSONField(b, `,"user_id":`, e.UserID)
	}
	b = appendJSONField(b, `,"route":`, e.Route)
	b = appendJSONField(b, `,"model":`, e.Model)
	if e.ModelID != "" {
		b = appendJSONField(b, `,"model_id":`, e.ModelID)
	}
	b = appendJSONNumber(append(b, `,"latency_seconds":`...), e.Latency.Seconds())
	if e.Row.Age > 0 {
		b = appendJSONNumber(append(b, `,"row_age_seconds":`...), e.Row.Age.Seconds())
	}
	if e.Shadow {
		b = append(b, `,"shadow":true`...)
	}
	if e.Err != nil {
		b = appendJSONField(b, `,"type":`, errorType(e.Err))
		b = appendJSONField(b, `,"error":`, e.Err.Error())
	} else {
		b = appendJSONNumber(append(b, `,"value":`...), e.Value)
		b = strconv.AppendInt(append(b, `,"total_orders":`...), int64(e.Row.Number), 10)
		b = appendJSONFeatures(b, &e)
	}
	b = appendJSONContext(ctx, b)
	*p = append(b, "}\n"...)
	_, _ = l.w.Write(*p)
}

// appendJSONHead appends the fields that package slog puts first.
func appendJSONHead(b []byte, t time.Time, level slog.Level, message string) []byte {
	b = append(b, '{')
	if !t.IsZero() {
		b = append(b, `"time":"`...)
		b = append(t.AppendFormat(b, time.RFC3339Nano), `",`...)
	}
	b = append(b, `"level":"`...)
	b = append(b, level.String()...)
	return appendJSONField(b, `","msg":`, message)
}

// appendJSONFeatures appends an object, if there are features: slog leaves out an
// empty group.
func appendJSONFeatures(b []byte, e *basket.ModelEvent) []byte {
	n := min(len(e.Features), len(e.Row.Values))
	if n == 0 {
		return b
	}
	b = append(b, `,"features":{`...)
	for j, v := range e.Row.Values[:n] {
		if j > 0 {
			b = append(b, ',')
		}
		b = append(appendJSONString(b, e.Features[j]), ':')
		b = appendJSONNumber(b, v)
	}
	return append(b, '}')
}

// appendJSONContext appends what the context of a request tells about it.
func appendJSONContext(ctx context.Context, b []byte) []byte {
	if id := RequestIDOf(ctx); id != "" {
		b = appendJSONField(b, `,"request_id":`, id)
	}
	if id := TraceIDOf(ctx); id != "" {
		b = appendJSONField(b, `,"trace_id":`, id)
	}
	if client := IdentityOf(ctx).Name; client != "" {
		b = appendJSONField(b, `,"client":`, client)
	}
	return b
}

// appendJSONField appends the start of a field, with its name, and a string.
func appendJSONField(b []byte, start, value string) []byte {
	return appendJSONString(append(b, start...), value)
}

// appendJSONString appends s as a JSON string of one line. It escapes what
// slog.JSONHandler escapes, and the control characters from U+007F, one of which
// (U+0085) some readers take for the end of a line.
func appendJSONString(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	b = append(b, '"')
	start := 0 // of what is not yet appended
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		valid := r != utf8.RuneError || size > 1
		if c >= utf8.RuneSelf && valid && !unicode.IsControl(r) && r != 0x2028 && r != 0x2029 {
			i += size
			continue
		}
		b = append(b, s[start:i]...)
		switch r {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
		}
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// appendJSONNumber appends the shortest decimal that reads back as v, in the form of
// package encoding/json.
func appendJSONNumber(b []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(b, "null"...)
	case math.IsInf(v, 0):
		return append(strconv.AppendFloat(append(b, '"'), v, 'f', -1, 64), '"')
	}
	if n := int64(v); float64(n) == v && n > -1e15 && n < 1e15 && (n != 0 || !math.Signbit(v)) {
		return strconv.AppendInt(b, n, 10) // faster, and most features are whole numbers
	}
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		b = strconv.AppendFloat(b, v, 'e', -1, 64)
		if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // e-09 is e-9
			b[n-2] = b[n-1]
			b = b[:n-1]
		}
		return b
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}

var (
	_ basket.ServiceLogger = (*JSONLogger)(nil)
	_ basket.ModelLogger   = (*JSONLogger)(nil)
)
