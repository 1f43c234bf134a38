package baskettest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket"
)

// TestLogger tests a logger: a [basket.ServiceLogger], a [basket.ModelLogger] or
// both. NewLogger is called once per subtest; it returns the logger and a function
// that returns what has been logged, one string per record (a line of a file,
// say), after it has waited for what is still on its way. An event may make more
// than one record, but its user ID or path must be in exactly one, as part of a
// larger text.
func TestLogger(t *testing.T, newLogger func(t *testing.T) (logger any, records func() []string)) {
	t.Helper()
	run(t, loggerDuties, func(t *testing.T) logUnderTest {
		l, records := newLogger(t)
		service, isService := l.(basket.ServiceLogger)
		model, isModel := l.(basket.ModelLogger)
		if !isService && !isModel {
			t.Fatalf("%T is no ServiceLogger and no ModelLogger", l)
		}
		return logUnderTest{service, model, records}
	})
}

// A logUnderTest is a logger; one of the interfaces may be nil.
type logUnderTest struct {
	service basket.ServiceLogger
	model   basket.ModelLogger
	records func() []string
}

// logModel and logService log an event if there is such a logger.
func (l logUnderTest) logModel(ctx context.Context, e basket.ModelEvent) {
	if l.model != nil {
		l.model.LogModel(ctx, e)
	}
}

func (l logUnderTest) logService(ctx context.Context, e basket.ServiceEvent) {
	if l.service != nil {
		l.service.LogService(ctx, e)
	}
}

// once checks that each user ID is in one record if there is a ModelLogger, and
// each path if there is a ServiceLogger.
func (l logUnderTest) once(userIDs, paths []string) error {
	text := l.records()
	count := func(kind string, wanted []string) error {
		for _, want := range wanted {
			n := 0
			for _, record := range text {
				if containsWord(record, want) {
					n++
				}
			}
			if n != 1 {
				return fmt.Errorf("the event of %s %.80q is in %d records: want 1", kind, want, n)
			}
		}
		return nil
	}
	if l.model == nil {
		userIDs = nil
	}
	if l.service == nil {
		paths = nil
	}
	return firstError(count("user ID", userIDs), count("path", paths))
}

// containsWord reports whether text has word and no letter or digit next to it.
func containsWord(text, word string) bool {
	for {
		before, after, ok := strings.Cut(text, word)
		if !ok {
			return false
		}
		last, _ := utf8.DecodeLastRuneInString(before)
		next, _ := utf8.DecodeRuneInString(after)
		if !unicode.IsLetter(last) && !unicode.IsDigit(last) && !unicode.IsLetter(next) && !unicode.IsDigit(next) {
			return true
		}
		text = after
	}
}

// loggerDuties are the duties of basket.ServiceLogger and basket.ModelLogger.
var loggerDuties = []duty[logUnderTest]{
	{"each event once", "Each event must be logged, once.", func(t *testing.T, l logUnderTest) error {
		var ids, paths []string
		for i := range 300 {
			ids, paths = append(ids, fmt.Sprintf("user%d", i)), append(paths, fmt.Sprintf("/path%d", i))
			l.logModel(t.Context(), modelEvent(ids[i], nil))
			l.logService(t.Context(), serviceEvent(paths[i], 200, nil))
		}
		return l.once(ids, paths)
	}},
	{"failures", "Events of failures must be logged, of whatever kind and status, and told apart from successes.", func(t *testing.T, l logUnderTest) error {
		var ids, paths []string
		for i, err := range []error{
			basket.ErrUserNotFound, basket.ErrPrediction, basket.ErrUnavailable, basket.ErrCanceled, basket.ErrFeatureMismatch,
			basket.ErrInvalidRequest, errors.New("of no kind"), context.DeadlineExceeded,
		} {
			ids, paths = append(ids, fmt.Sprintf("user%d", i)), append(paths, fmt.Sprintf("/path%d", i))
			l.logModel(t.Context(), modelEvent(ids[i], fmt.Errorf("wrapped: %w", err)))
			l.logService(t.Context(), serviceEvent(paths[i], []int{400, 404, 499, 500, 501, 503, 405, 413}[i], fmt.Errorf("wrapped: %w", err)))
		}
		if err := l.once(ids, paths); err != nil {
			return err
		}
		return l.differ(t, "a failure and a success", modelEvent("same", errors.New("it failed")), modelEvent("same", nil),
			serviceEvent("/same", 500, errors.New("it failed")), serviceEvent("/same", 200, nil))
	}},
	{"shadows", "Events of shadows must be logged, and told apart from answers.", func(t *testing.T, l logUnderTest) error {
		shadow := modelEvent("same", nil)
		shadow.Shadow, shadow.Route = true, "shadow"
		failed := modelEvent("user1", errors.New("it failed"))
		failed.Shadow, failed.Route = true, "shadow"
		l.logModel(t.Context(), failed)
		if err := l.once([]string{"user1"}, nil); err != nil {
			return err
		}
		return l.differ(t, "a shadow's prediction and an answer", shadow, modelEvent("same", nil), basket.ServiceEvent{}, basket.ServiceEvent{})
	}},
	{"done context", "Events must be logged although the context is done.", func(t *testing.T, l logUnderTest) error {
		var ids, paths []string
		for cause, ctx := range doneContexts(t) {
			for i, err := range []error{nil, fmt.Errorf("basket: %w: store: %w", basket.ErrCanceled, cause)} {
				name := fmt.Sprintf("%d%s", i, strings.ReplaceAll(cause.Error(), " ", ""))
				ids, paths = append(ids, "user"+name), append(paths, "/path"+name)
				l.logModel(ctx, modelEvent("user"+name, err))
				l.logService(ctx, serviceEvent("/path"+name, 499, err))
			}
		}
		return l.once(ids, paths)
	}},
	{"hostile text", "Text of clients must not end a record, start another, or hold control characters.", func(t *testing.T, l logUnderTest) error {
		for i, hostile := range []string{
			"a\n2025-06-23 14:18:07 | PREDICTION | user_id=FORGED | prediction=1.00",
			"a\r\nFORGED", "a\rFORGED", "a\vFORGED", "a\fFORGED", "a\x00FORGED", "a\u0085FORGED", "a\u2028FORGED", "a\u2029FORGED",
			"\x1b[2KFORGED", "\x1b]0;FORGED\x07", "a\u009b2KFORGED", "a\x7fFORGED", "\xffFORGED\xc3", "{\"a\":1}\n{\"user_id\":\"FORGED\"}",
		} {
			before := len(l.records())
			plain := fmt.Sprintf("user%d", i)
			l.logModel(t.Context(), modelEvent(plain, nil))
			l.logService(t.Context(), serviceEvent("/"+plain, 200, nil))
			l.logService(t.Context(), serviceEvent("/"+plain, 500, errors.New("plain")))
			middle := l.records()
			e := modelEvent(plain+hostile, nil)
			e.Route, e.Model = hostile, hostile
			l.logModel(t.Context(), e)
			l.logService(t.Context(), serviceEvent("/"+plain+hostile, 200, nil))
			l.logService(t.Context(), serviceEvent("/"+plain, 500, errors.New(hostile)))
			after := l.records()
			if got, want := len(after)-len(middle), len(middle)-before; got != want {
				return fmt.Errorf("events with the text %q made %d records: want %d, as many as plain ones", hostile, got, want)
			}
			for _, record := range after[len(middle):] {
				for _, r := range record {
					if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError && !utf8.ValidString(record) {
						return fmt.Errorf("the record %q has the character %U", record, r)
					}
				}
			}
		}
		return nil
	}},
	{"hostile method", "The method of a request is a client's text too.", func(t *testing.T, l logUnderTest) error {
		for _, hostile := range []string{"GET\nFORGED", "G\x1b[2K", "G\xff"} {
			before := len(l.records())
			e := serviceEvent("/path", 200, nil)
			l.logService(t.Context(), e)
			middle := len(l.records())
			e.Method = hostile
			l.logService(t.Context(), e)
			after := l.records()
			if len(after)-middle != middle-before {
				return fmt.Errorf("a request of method %q made %d records: want %d", hostile, len(after)-middle, middle-before)
			}
			for _, record := range after[middle:] {
				if strings.ContainsFunc(record, unicode.IsControl) || !utf8.ValidString(record) {
					return fmt.Errorf("the record %q has a control character", record)
				}
			}
		}
		return nil
	}},
	{"long text", "Events of long IDs and paths must be logged, and not be taken for those of others.", func(t *testing.T, l logUnderTest) error {
		long := strings.Repeat("x", basket.MaxUserID-1)
		ids, paths := []string{long + "a", long + "b"}, []string{"/" + long + "c", "/" + long + "d"}
		for i := range ids {
			l.logModel(t.Context(), modelEvent(ids[i], nil))
			l.logService(t.Context(), serviceEvent(paths[i], 200, nil))
		}
		return l.once(ids, paths)
	}},
	{"special numbers", "Events with NaN and infinities must be logged.", func(t *testing.T, l logUnderTest) error {
		var ids []string
		for i, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.Copysign(0, -1), math.SmallestNonzeroFloat64} {
			ids = append(ids, fmt.Sprintf("user%d", i), fmt.Sprintf("feature%d", i))
			e := modelEvent(ids[2*i], nil)
			e.Value = v
			l.logModel(t.Context(), e)
			e = modelEvent(ids[2*i+1], nil)
			e.Row.Values[1] = v
			l.logModel(t.Context(), e)
		}
		return l.once(ids, nil)
	}},
	{"incomplete events", "Events without fields, or with more features than values or fewer, must not panic.", func(t *testing.T, l logUnderTest) error {
		l.logModel(t.Context(), basket.ModelEvent{})
		l.logService(t.Context(), basket.ServiceEvent{})
		l.logService(t.Context(), basket.ServiceEvent{Message: "a message"})
		l.logService(t.Context(), basket.ServiceEvent{Message: "a message", Err: errors.New("an error")})
		l.logService(t.Context(), basket.ServiceEvent{Err: errors.New("an error")})
		for _, n := range []int{0, 1, 3, 9} {
			e := modelEvent("user", nil)
			e.Row.Values = make([]float64, n)
			l.logModel(t.Context(), e)
			e.Features = nil
			l.logModel(t.Context(), e)
		}
		e := modelEvent("user", nil)
		e.Time, e.Latency, e.Row.OrderedAt, e.Row.Number = time.Time{}, -time.Hour, time.Time{}, -1
		l.logModel(t.Context(), e)
		l.records()
		return nil
	}},
	{"messages", "Events outside a request must be logged.", func(t *testing.T, l logUnderTest) error {
		l.logService(t.Context(), basket.ServiceEvent{Time: time.Unix(1, 0), Message: "message1 happened"})
		l.logService(t.Context(), basket.ServiceEvent{Time: time.Unix(1, 0), Message: "message2 happened", Err: errors.New("error2")})
		return l.once(nil, []string{"message1", "message2"})
	}},
	{"slices", "LogModel must not change the slices of an event.", func(t *testing.T, l logUnderTest) error {
		e := modelEvent("user", nil)
		e.Row.Values = []float64{9, -3, 7, 1}
		values, features := slices.Clone(e.Row.Values), slices.Clone(e.Features)
		l.logModel(t.Context(), e)
		l.records()
		if !slices.Equal(e.Row.Values, values) || !slices.Equal(e.Features, features) {
			return fmt.Errorf("values %v of %q became %v of %q", values, features, e.Row.Values, e.Features)
		}
		return nil
	}},
	{"concurrent use", "A logger must be safe for concurrent use: no event is lost, and no record has parts of two.", func(t *testing.T, l logUnderTest) error {
		const goroutines, events = 100, 20
		var ids, paths []string
		for i := range goroutines * events {
			ids, paths = append(ids, fmt.Sprintf("user%d", i)), append(paths, fmt.Sprintf("/path%d", i))
		}
		if err := together(goroutines, func(g int) error {
			for i := g * events; i < (g+1)*events; i++ {
				l.logModel(t.Context(), modelEvent(ids[i], nil))
				l.logService(t.Context(), serviceEvent(paths[i], 200, nil))
			}
			return nil
		}); err != nil {
			return err
		}
		found := map[string]int{}
		for _, record := range l.records() {
			words := strings.FieldsFunc(record, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
			n := 0
			for _, w := range words {
				if rest, ok := strings.CutPrefix(w, "user"); ok && rest != "" && strings.Trim(rest, "0123456789") == "" {
					found[w]++
					n++
				}
				if rest, ok := strings.CutPrefix(w, "path"); ok && rest != "" && strings.Trim(rest, "0123456789") == "" {
					found["/"+w]++
					n++
				}
			}
			if n > 1 {
				return fmt.Errorf("the record %.200q has parts of %d events", record, n)
			}
		}
		for i := range ids {
			if l.model != nil && found[ids[i]] != 1 {
				return fmt.Errorf("the event of user ID %s is in %d records: want 1", ids[i], found[ids[i]])
			}
			if l.service != nil && found[paths[i]] != 1 {
				return fmt.Errorf("the event of path %s is in %d records: want 1", paths[i], found[paths[i]])
			}
		}
		return nil
	}},
}

// differ logs two events of each kind and checks that their records differ.
func (l logUnderTest) differ(t *testing.T, what string, a, b basket.ModelEvent, c, d basket.ServiceEvent) error {
	record := func(log func()) string {
		before := len(l.records())
		log()
		return strings.Join(l.records()[before:], "\n")
	}
	if l.model != nil {
		if one := record(func() { l.logModel(t.Context(), a) }); one == record(func() { l.logModel(t.Context(), b) }) {
			return fmt.Errorf("%s give the same record %q", what, one)
		}
	}
	if l.service != nil && c != d {
		if one := record(func() { l.logService(t.Context(), c) }); one == record(func() { l.logService(t.Context(), d) }) {
			return fmt.Errorf("%s give the same record %q", what, one)
		}
	}
	return nil
}

func modelEvent(userID string, err error) basket.ModelEvent {
	e := basket.ModelEvent{Time: time.Unix(1_750_000_000, 0), Latency: time.Millisecond}
	e.UserID, e.Route, e.Model, e.Err = userID, "default", "a model", err
	if err == nil {
		e.Value, e.Features = 12.5, basket.FeatureNames()
		e.Row = basket.Row{UserID: userID, OrderedAt: time.Unix(1_700_000_000, 0).UTC(), Number: 2, Values: []float64{1, 2, 3, 4}}
	}
	return e
}

func serviceEvent(path string, status int, err error) basket.ServiceEvent {
	return basket.ServiceEvent{Time: time.Unix(1_750_000_000, 0), Latency: time.Millisecond, Method: "POST", Path: path, Status: status, Err: err}
}
