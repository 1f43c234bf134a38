package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket"
)

// The first lines of a new log file in the format of [TextLogger].
const (
	ServiceLogHeader = "SERVICE METRICS LOG\n" + logRule
	ModelLogHeader   = "MODEL METRICS LOG\n" + logRule +
		"Format: TIMESTAMP | PREDICTION | user_id | prediction | latency | total_orders | input_features | feature_stats\n" + logRule

	logRule = "==================================================\n"
)

// A TextLogger writes one line per event, in the format of the log files of the
// Python service that basket replaces:
//
//	2025-06-23 14:18:07 | REQUEST | POST /predict | latency=0.009s | status=200
//	2025-06-23 14:19:19 | ERROR | User not found: User not found in feature store
//	2025-06-23 14:17:51 | INFO | API initialized successfully
//	2025-06-23 14:18:07 | PREDICTION | user_id=abc | prediction=53.60 | latency=0.004s | total_orders=2 | input_features=(...) | stats=(...)
//	2025-06-23 14:19:19 | MODEL_ERROR | user_id=nobody | type=UserNotFound | error=User not found in feature store
//
// Times are local. The statistics are over the row's values; std is that of a
// sample. A shadow's event is of kind SHADOW or SHADOW_ERROR and ends with the
// route's name. If the client closed the connection before the answer, the
// request has status 499 and an INFO line, and the prediction a CANCELED line.
// Control characters, line separators, bytes that are not UTF-8, backslashes and
// bars are written as Go escapes, so that nothing a client sends can end a line or
// start a field. A user ID that is left out, see [UserIDs], is written as "-".
//
// Each event is one Write of whole lines, which w must not keep. Errors of w are
// ignored. A TextLogger is safe for concurrent use if w is.
type TextLogger struct {
	w     io.Writer
	lines sync.Pool // of *[]byte
	clock timeFormatter
}

// NewTextLogger returns a logger that writes to w. It implements both interfaces;
// service log and model log need a logger each, whose files start with
// ServiceLogHeader and ModelLogHeader.
func NewTextLogger(w io.Writer) *TextLogger {
	return &TextLogger{
		w:     w,
		lines: sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }},
		clock: timeFormatter{layout: time.DateTime},
	}
}

// LogService writes a line for a request, and one for its error after it.
func (l *TextLogger) LogService(_ context.Context, e basket.ServiceEvent) {
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
	case errors.Is(e.Err, basket.ErrCanceled):
		b = append(l.appendTime(b, e.Time), " | INFO | Client closed the connection before the answer\n"...)
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
func (l *TextLogger) LogModel(_ context.Context, e basket.ModelEvent) {
	p := l.lines.Get().(*[]byte)
	defer l.lines.Put(p)
	b := l.appendTime((*p)[:0], e.Time)
	switch {
	case errors.Is(e.Err, basket.ErrCanceled):
		b = append(b, " | CANCELED"...)
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
	if e.UserID == "" {
		b = append(b, '-')
	}
	b = appendEscaped(b, e.UserID)
	switch {
	case errors.Is(e.Err, basket.ErrCanceled):
	case e.Err != nil:
		b = append(b, " | type="...)
		b = append(b, errorType(e.Err)...)
		b = append(b, " | error="...)
		b = appendEscaped(b, errorText(e.Err))
	default:
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

func appendPrediction(b []byte, e *basket.ModelEvent) []byte {
	b = append(b, " | prediction="...)
	b = appendFixed(b, e.Value, 2)
	b = append(b, " | latency="...)
	b = appendSeconds(b, e.Latency)
	b = append(b, " | total_orders="...)
	b = strconv.AppendInt(b, int64(e.Row.Number), 10)
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

// statistics computes in two passes; std is NaN for fewer than two values.
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

// appendTime appends the local time to the second.
func (l *TextLogger) appendTime(b []byte, t time.Time) []byte {
	return l.clock.append(b, t.Local())
}

// appendFixed appends v with a number of decimals, as strconv does, but faster
// for whole numbers, which most features are.
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

// appendEscaped appends s, escaped so that it stays within its field.
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

// errorPrefix returns the service log's name of a kind of error.
func errorPrefix(err error) string {
	switch {
	case errors.Is(err, basket.ErrInvalidRequest):
		return "Invalid request: "
	case errors.Is(err, basket.ErrUserNotFound):
		return "User not found: "
	case errors.Is(err, basket.ErrPrediction):
		return "Prediction error: "
	}
	return "Internal server error: "
}

// errorType returns the model log's name of a kind of error.
func errorType(err error) string {
	switch {
	case errors.Is(err, basket.ErrUserNotFound):
		return "UserNotFound"
	case errors.Is(err, basket.ErrPrediction):
		return "PredictionError"
	case errors.Is(err, basket.ErrStale):
		return "StaleRow"
	}
	return "UnexpectedError"
}

// errorText returns an error's message without what its prefix says.
func errorText(err error) string {
	if errors.Is(err, basket.ErrUserNotFound) {
		return "User not found in feature store"
	}
	text := strings.TrimPrefix(err.Error(), "basket: ")
	for _, kind := range []basket.Error{basket.ErrInvalidRequest, basket.ErrPrediction} {
		text = strings.TrimPrefix(text, string(kind)+": ")
	}
	return text
}

var (
	_ basket.ServiceLogger = (*TextLogger)(nil)
	_ basket.ModelLogger   = (*TextLogger)(nil)
)
