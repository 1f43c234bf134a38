package verdict

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// line is a line of the log, at a minute of 2026-01-01.
func line(minute int, user, route string, value float64) string {
	at := time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC).Format(time.RFC3339)
	return fmt.Sprintf(`{"time":%q,"level":"INFO","msg":"prediction","user_id":%q,"route":%q,"model_id":"m@1","value":%v}`, at, user, route, value)
}

func readLines(t testing.TB, l *Log, lines ...string) {
	t.Helper()
	if err := l.Read(t.Context(), strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
}

func TestLog_lines(t *testing.T) {
	good := line(1, "u", "a", 1)
	for _, tt := range []struct {
		line, reason string
		want         Lines
	}{
		{good, "", Lines{Read: 1, Predictions: 1}},
		{"", "nothing", Lines{}},
		{"  \r", "nothing", Lines{}},
		{good[:len(good)-9], "cut by a crash", Lines{Read: 1, Damaged: 1}},
		{good + good, "two writers", Lines{Read: 1, Damaged: 1}},
		{"[" + good + "]", "no object", Lines{Read: 1, Damaged: 1}},
		{"null", "no object", Lines{Read: 1, Damaged: 1}},
		{`{"msg":"request","status":200,"value":"many","time":7}`, "not a prediction, so its fields are free", Lines{Read: 1, Other: 1}},
		{`{}`, "an object", Lines{Read: 1, Other: 1}},
		{strings.Replace(good, `"value":1`, `"value":"1"`, 1), "the value is text", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, `"value":1`, `"value":null`, 1), "no value", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, `"value":1`, `"value":1e999`, 1), "not a float64", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, `"value":1`, `"value":-1e101`, 1), "sums of squares would overflow", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, "2026-01-01", "1 January", 1), "time", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, `"time"`, `"at"`, 1), "no time", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, `"user_id":"u"`, `"user_id":""`, 1), "no user", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, `"u"`, `"`+strings.Repeat("u", basket.MaxUserID+1)+`"`, 1), "no valid user ID", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, `"route":"a"`, `"way":"a"`, 1), "no route", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, `"value"`, `"features":{"value":7,"route":"z"},"value"`, 1), "groups are not looked into", Lines{Read: 1, Predictions: 1}},
		{strings.Replace(good, `"m@1"`, `"`+strings.Repeat("m", maxLine)+`"`, 1), "too long", Lines{Read: 1, Damaged: 1}},
		{strings.Replace(good, `"prediction"`, `"prediction failed"`, 1), "", Lines{Read: 1, Failures: 1}},
	} {
		l := NewLog(nil)
		readLines(t, l, tt.line)
		if diff := cmp.Diff(tt.want, l.lines); diff != "" {
			t.Errorf("%.80s: %s (-want +got):\n%s", tt.line, tt.reason, diff)
		}
		// What follows is read whatever the line was.
		l = NewLog(nil)
		readLines(t, l, tt.line, good)
		if l.lines.Predictions != tt.want.Predictions+1 {
			t.Errorf("%.80s: the line after it is lost", tt.line)
		}
	}
}

func TestLog_failures(t *testing.T) {
	failed := func(level, kind string) string {
		return fmt.Sprintf(`{"time":"2026-01-01T00:00:00Z","level":%q,"msg":"prediction failed","user_id":"u","route":"a","type":%q,"error":"x"}`, level, kind)
	}
	l := NewLog(nil)
	readLines(t, l, line(1, "u", "a", 1), line(1, "u", "b", 1),
		failed("WARN", "UserNotFound"), failed("INFO", "UnexpectedError"), failed("ERROR", "PredictionError"), failed("ERROR", "UnexpectedError"))
	r, err := l.Report(t.Context(), Options{Detect: 0.05, Resamples: 200})
	if err != nil {
		t.Fatal(err)
	}
	a := r.Routes[0]
	if a.UnknownUsers != 1 || a.Canceled != 1 || a.Errors != 2 || a.ErrorRate.Value != 2./3 {
		t.Errorf("%+v, error rate %v; want 1 unknown user, 1 canceled, 2 errors of 3", a, a.ErrorRate)
	}
}

func TestLog_gzip(t *testing.T) {
	var whole bytes.Buffer
	for range 2 { // two members, as if appended
		z := gzip.NewWriter(&whole)
		for i := range 5000 {
			fmt.Fprintln(z, line(i, fmt.Sprint("u", i), "a", float64(i)))
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l := NewLog(nil)
	readLines(t, l, whole.String())
	if l.lines != (Lines{Read: 10_000, Predictions: 10_000}) {
		t.Errorf("whole: %+v", l.lines)
	}
	for reason, damaged := range map[string][]byte{
		"cut":     whole.Bytes()[:whole.Len()*3/4],
		"garbage": append(slices.Clone(whole.Bytes()), "garbage after the end"...),
	} {
		l := NewLog(nil)
		readLines(t, l, string(damaged))
		if l.lines.Predictions < 5000 || l.lines.Damaged == 0 {
			t.Errorf("%s: %+v; want what came before, and damage", reason, l.lines)
		}
	}
}

func TestLog_readError(t *testing.T) {
	broken := errors.New("disk on fire")
	if err := NewLog(nil).Read(t.Context(), &failingReader{broken}); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewLog(nil).Read(ctx, strings.NewReader(line(1, "u", "a", 1))); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestLog_manyRoutes(t *testing.T) {
	var all []string
	for i := range maxRoutes + 1 {
		all = append(all, line(i, "u", fmt.Sprint("r", i), 1))
	}
	err := NewLog(nil).Read(t.Context(), strings.NewReader(strings.Join(all, "\n")))
	if want := `route "r64" is one more than 64: want at most that many`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestLog_period holds Since to be part of the period, and Until not.
func TestLog_period(t *testing.T) {
	l := NewLog(nil)
	l.Since, l.Until = time.Date(2026, 1, 1, 0, 2, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 4, 0, 0, time.UTC)
	readLines(t, l, line(1, "u", "a", 1), line(2, "u", "a", 1), line(3, "u", "a", 1), line(4, "u", "a", 1))
	if want := (Lines{Read: 4, Predictions: 2, Outside: 2}); l.lines != want {
		t.Errorf("%+v, want %+v", l.lines, want)
	}
}

// TestLog_hold compares which predictions are held with a search of all of them,
// for logs in any order.
func TestLog_hold(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		orders, err := NewOrders(1)
		if err != nil {
			t.Fatal(err)
		}
		var times []int
		for range rng.IntN(6) {
			at := rng.IntN(12)
			times = append(times, at)
			if err := orders.Add(basket.Order{UserID: "u", OrderedAt: time.Date(2026, 1, 1, 0, at, 0, 0, time.UTC), Items: make([]int64, at)}); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(times)
		type prediction struct {
			at    int
			route string
		}
		var all []prediction
		l := NewLog(orders)
		for i := range rng.IntN(20) {
			p := prediction{rng.IntN(14), string(rune('a' + rng.IntN(2)))}
			all = append(all, p)
			readLines(t, l, line(p.at, "u", p.route, float64(i)))
		}
		// By the rule's words: the last prediction before the order that is not
		// before the previous order. Of orders of one time, the first.
		want := map[string]float64{}
		for _, route := range []string{"a", "b"} {
			for k, order := range times {
				best := -1
				for i, p := range all {
					if p.route == route && p.at < order && (k == 0 || p.at >= times[k-1]) && (best < 0 || p.at >= all[best].at) {
						best = i
					}
				}
				if best >= 0 {
					want[fmt.Sprint(route, " ", order)] = float64(best)
				}
			}
		}
		got := map[string]float64{}
		for _, u := range l.users {
			for _, c := range u.cells {
				for _, h := range c.held {
					got[fmt.Sprint(l.routes[c.route].name, " ", l.orders.value(u.orders[h.order]))] = h.value
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d, orders %v, predictions %v (-want +got):\n%s", seed, times, all, diff)
		}
		if h := l.held; h.Held != len(want) || len(times) > 0 && h.Held+h.Superseded+h.Waiting != len(all) {
			t.Fatalf("seed %d: counts %+v for %d held of %d", seed, h, len(want), len(all))
		}
	}
}

// FuzzLog reads any log, held against orders, and writes the report.
func FuzzLog(f *testing.F) {
	f.Add([]byte(line(1, "u", "a", 1)+"\n"+line(2, "v", "b", 2)+"\n"), 2)
	f.Add([]byte(`{"time":"2026-01-01T00:00:00Z","msg":"prediction failed","user_id":"u","route":"a","type":"UserNotFound"}`), 60)
	f.Add([]byte("\x1f\x8b\x08\x00"), 1)
	f.Add([]byte(line(1, "u", "a", -1e100)+"\n"+line(2, "u", "b", 1e100)), 200)
	f.Fuzz(func(t *testing.T, log []byte, copies int) {
		orders, err := NewOrders(4)
		if err != nil {
			t.Fatal(err)
		}
		if err := orders.Add(basket.Order{UserID: "u", OrderedAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}); err != nil {
			t.Fatal(err)
		}
		l := NewLog(orders)
		if err := l.Read(t.Context(), bytes.NewReader(log)); err != nil {
			return
		}
		// Enough users for intervals, of the values that the log has.
		if l.lines.Predictions > 0 {
			for i := range min(max(copies, 0), 100) {
				for route := range l.routes {
					l.cell(l.user(fmt.Sprint("copy ", i)), route).predictions++
				}
			}
		}
		if l.lines.Read != l.lines.Predictions+l.lines.Failures+l.lines.Other+l.lines.Damaged {
			// A gzip stream that ends early is damage without a line.
			if l.lines.Read+1 != l.lines.Predictions+l.lines.Failures+l.lines.Other+l.lines.Damaged {
				t.Fatalf("lines %+v do not add up", l.lines)
			}
		}
		r, err := l.Report(t.Context(), Options{Detect: 0.05, Resamples: 200, Seed: 1})
		if err != nil {
			return
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
