//go:build !race

package baskettest

// Without the race detector, which finds some of the planted defects by itself.

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket"
)

// A lineLogger is a correct logger of both kinds, whose parts a defect replaces.
// Each record is one line.
type lineLogger struct {
	mu   sync.Mutex
	text []string

	model   func(l *lineLogger, ctx context.Context, e basket.ModelEvent)
	service func(l *lineLogger, ctx context.Context, e basket.ServiceEvent)
	quote   func(s string) string // of a client's text
	number  func(v float64) string
	write   func(l *lineLogger, line string)
}

func newLineLogger() *lineLogger {
	return &lineLogger{
		quote:   strconv.QuoteToASCII,
		number:  func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) },
		write:   writeLine,
		model:   (*lineLogger).logModel,
		service: (*lineLogger).logService,
	}
}

func writeLine(l *lineLogger, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, strings.Split(line, "\n")...)
}

func (l *lineLogger) LogModel(ctx context.Context, e basket.ModelEvent) { l.model(l, ctx, e) }

func (l *lineLogger) LogService(ctx context.Context, e basket.ServiceEvent) { l.service(l, ctx, e) }

func (l *lineLogger) logModel(_ context.Context, e basket.ModelEvent) {
	var b strings.Builder
	fmt.Fprintf(&b, "user_id=%s route=%s model=%s shadow=%t", l.quote(e.UserID), l.quote(e.Route), l.quote(e.Model), e.Shadow)
	if e.Err != nil {
		fmt.Fprintf(&b, " error=%s", l.quote(e.Err.Error()))
	} else {
		fmt.Fprintf(&b, " value=%s", l.number(e.Value))
		for _, v := range e.Row.Values {
			fmt.Fprintf(&b, " %s", l.number(v))
		}
	}
	l.write(l, b.String())
}

func (l *lineLogger) logService(_ context.Context, e basket.ServiceEvent) {
	line := fmt.Sprintf("method=%s path=%s status=%d message=%s", l.quote(e.Method), l.quote(e.Path), e.Status, l.quote(e.Message))
	if e.Err != nil {
		line += " error=" + l.quote(e.Err.Error())
	}
	l.write(l, line)
}

func (l *lineLogger) records() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}

// only hides one of the two interfaces.
type (
	onlyModel   struct{ basket.ModelLogger }
	onlyService struct{ basket.ServiceLogger }
)

func TestLogger_correct(t *testing.T) {
	TestLogger(t, func(*testing.T) (any, func() []string) { l := newLineLogger(); return l, l.records })
	TestLogger(t, func(*testing.T) (any, func() []string) { l := newLineLogger(); return onlyModel{l}, l.records })
	TestLogger(t, func(*testing.T) (any, func() []string) { l := newLineLogger(); return onlyService{l}, l.records })
}

// TestLogger_defects plants one defect in a correct logger; the suite must find
// it.
func TestLogger_defects(t *testing.T) {
	skip := func(when func(ctx context.Context, e basket.ModelEvent) bool) func(l *lineLogger) {
		return func(l *lineLogger) {
			l.model = func(l *lineLogger, ctx context.Context, e basket.ModelEvent) {
				if !when(ctx, e) {
					l.logModel(ctx, e)
				}
			}
		}
	}
	skipService := func(when func(ctx context.Context, e basket.ServiceEvent) bool) func(l *lineLogger) {
		return func(l *lineLogger) {
			l.service = func(l *lineLogger, ctx context.Context, e basket.ServiceEvent) {
				if !when(ctx, e) {
					l.logService(ctx, e)
				}
			}
		}
	}
	change := func(f func(e *basket.ModelEvent)) func(l *lineLogger) {
		return func(l *lineLogger) {
			l.model = func(l *lineLogger, ctx context.Context, e basket.ModelEvent) { f(&e); l.logModel(ctx, e) }
		}
	}
	quote := func(f func(string) string) func(l *lineLogger) { return func(l *lineLogger) { l.quote = f } }
	defects := map[string]func(l *lineLogger){
		"a done context drops predictions": skip(func(ctx context.Context, _ basket.ModelEvent) bool { return ctx.Err() != nil }),
		"a done context drops requests":    skipService(func(ctx context.Context, _ basket.ServiceEvent) bool { return ctx.Err() != nil }),
		"canceled requests are dropped":    skipService(func(_ context.Context, e basket.ServiceEvent) bool { return e.Status == 499 }),
		"failures are dropped":             skip(func(_ context.Context, e basket.ModelEvent) bool { return e.Err != nil }),
		"failed requests are dropped":      skipService(func(_ context.Context, e basket.ServiceEvent) bool { return e.Status >= 500 }),
		"shadows are dropped":              skip(func(_ context.Context, e basket.ModelEvent) bool { return e.Shadow }),
		"NaN is dropped":                   skip(func(_ context.Context, e basket.ModelEvent) bool { return math.IsNaN(e.Value) }),
		"messages are dropped":             skipService(func(_ context.Context, e basket.ServiceEvent) bool { return e.Method == "" }),
		"shadows look like answers":        change(func(e *basket.ModelEvent) { e.Shadow, e.Route = false, "default" }),
		"failures look like successes":     change(func(e *basket.ModelEvent) { e.Err, e.Value, e.Row.Values = nil, 12.5, []float64{1, 2, 3, 4} }),
		"values are sorted":                change(func(e *basket.ModelEvent) { slices.Sort(e.Row.Values) }),
		"IDs are cut":                      change(func(e *basket.ModelEvent) { e.UserID = e.UserID[:min(len(e.UserID), 200)] }),
		"text is written as it is":         quote(func(s string) string { return s }),
		"only line feeds are escaped":      quote(func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }),
		"ASCII controls are escaped": quote(func(s string) string {
			return strings.Map(func(r rune) rune {
				if r < 0x20 {
					return ' '
				}
				return r
			}, s)
		}),
		"invalid UTF-8 is written": quote(escapeControls),
		"the method is written as it is": func(l *lineLogger) {
			l.service = func(l *lineLogger, _ context.Context, e basket.ServiceEvent) {
				l.write(l, fmt.Sprintf("%s %q %d %q %v", e.Method, e.Path, e.Status, e.Message, strconv.QuoteToASCII(fmt.Sprint(e.Err))))
			}
		},
		"JSON refuses NaN": func(l *lineLogger) {
			l.model = func(l *lineLogger, _ context.Context, e basket.ModelEvent) {
				b, err := json.Marshal(map[string]any{"user": e.UserID, "value": e.Value, "values": e.Row.Values, "error": fmt.Sprint(e.Err), "shadow": e.Shadow})
				if err == nil {
					l.write(l, strconv.QuoteToASCII(string(b)))
				}
			}
		},
		"a missing value panics": change(func(e *basket.ModelEvent) { _ = e.Row.Values[:len(e.Features)] }),
		"a nil error panics": func(l *lineLogger) {
			l.service = func(l *lineLogger, ctx context.Context, e basket.ServiceEvent) {
				_ = e.Err.Error()
				l.logService(ctx, e)
			}
		},
		"events are logged twice": func(l *lineLogger) {
			l.model = func(l *lineLogger, ctx context.Context, e basket.ModelEvent) { l.logModel(ctx, e); l.logModel(ctx, e) }
		},
		"a full channel drops": func(l *lineLogger) {
			slots := make(chan struct{}, 1)
			l.write = func(l *lineLogger, line string) {
				select {
				case slots <- struct{}{}:
					defer func() { <-slots }()
					for range 2000 {
						_ = strings.ToUpper(line) // slow enough to be met by others
					}
					writeLine(l, line)
				default:
				}
			}
		},
		"lines are written in parts": func(l *lineLogger) {
			var rest string // of a line, until the next write
			l.write = func(l *lineLogger, line string) {
				l.mu.Lock()
				defer l.mu.Unlock()
				half := len(line) / 2
				l.text = append(l.text, rest+line[:half])
				rest = line[half:]
			}
		},
		"every hundredth is lost": func(l *lineLogger) {
			n := 0
			l.write = func(l *lineLogger, line string) {
				l.mu.Lock()
				defer l.mu.Unlock()
				if n++; n%100 != 0 {
					l.text = append(l.text, line)
				}
			}
		},
	}
	findAll(t, defects, newLineLogger, func(l *lineLogger) logUnderTest { return logUnderTest{l, l, l.records} }, loggerDuties)
}

// escapeControls replaces control characters and leaves all other bytes.
func escapeControls(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case unicode.IsControl(r), r == 0x2028, r == 0x2029:
			b.WriteByte(' ')
		case r == utf8.RuneError:
			b.WriteByte(s[i])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
