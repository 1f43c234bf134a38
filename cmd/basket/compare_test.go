package main

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/cmd/basket/internal/verdict"
	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

var updateCompare = flag.Bool("update-compare", false, "write the golden outputs of basket compare")

// A madeUp is an error of route a or b before an order of the demo shop.
type madeUp struct {
	route string
	error float64
	value float64 // of the order
	user  string
}

// writeDemoLog writes a log with a prediction an hour before each order of the demo
// shop, as serve.SlogLogger does, and returns the predictions.
func writeDemoLog(t *testing.T, out io.Writer) []madeUp {
	t.Helper()
	fsys := os.DirFS(demo)
	price, err := basket.MeanItemPrice(basketparquet.Inventory(t.Context(), fsys))
	if err != nil {
		t.Fatal(err)
	}
	logger := serve.NewSlogLogger(slog.New(slog.NewJSONHandler(out, nil)))
	users := map[string]int{}
	var all []madeUp
	for order, err := range basketparquet.Orders(t.Context(), fsys) {
		if err != nil {
			t.Fatal(err)
		}
		user, ok := users[order.UserID]
		if !ok {
			user = len(users)
			users[strings.Clone(order.UserID)] = user
		}
		route := []string{"a", "b"}[user%2]
		// Errors from -9 to 9, those of b 4 higher.
		e := float64(len(all)*7%19-9) + 4*float64(user%2)
		value := float64(len(order.Items)) * price
		all = append(all, madeUp{route, e, value, strings.Clone(order.UserID)})
		event := basket.ModelEvent{
			Time: order.OrderedAt.Add(-time.Minute), Latency: time.Microsecond,
			Result: basket.Result{Prediction: basket.Prediction{
				UserID: order.UserID, Route: route, ModelID: "demo@" + route, Features: []string{"x"},
				Row: basket.Row{UserID: order.UserID, Number: 1, Values: []float64{1}}, Value: value + e,
			}},
		}
		logger.LogModel(t.Context(), event)
	}
	for user, err := range map[string]error{"nobody": basket.ErrUserNotFound, all[0].user: basket.ErrPrediction} {
		failure := basket.Result{Prediction: basket.Prediction{UserID: user, Route: "a"}, Err: err}
		logger.LogModel(t.Context(), basket.ModelEvent{Time: time.Date(2025, 2, 1, 0, 0, 0, 0, time.UTC), Result: failure})
	}
	logger.LogService(t.Context(), basket.ServiceEvent{Time: time.Now(), Method: "POST", Path: "/predict", Status: 200})
	fmt.Fprint(out, `{"time":"2025-02-01T00:00:00Z","level":"INFO","msg":"predic`) // a crash
	return all
}

func demoLog(t *testing.T) (path string, all []madeUp) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "model.json"))
	if err != nil {
		t.Fatal(err)
	}
	all = writeDemoLog(t, f)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name(), all
}

// TestCompare_data holds the demo's predictions against its orders and compares
// the figures with sums over what was made up.
func TestCompare_data(t *testing.T) {
	log, all := demoLog(t)
	var r verdict.Report
	if err := json.Unmarshal([]byte(mustRun(t, "compare", "--log", log, "--data", demo, "--baseline", "a", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	type figures struct {
		Orders                  int
		MAE, RMSE, Bias, Within float64
	}
	want, got := map[string]figures{}, map[string]figures{}
	for _, route := range []string{"a", "b"} {
		var f figures
		for _, m := range all {
			if m.route != route {
				continue
			}
			f.Orders++
			f.MAE += math.Abs(m.error)
			f.RMSE += m.error * m.error
			f.Bias += m.error
			if math.Abs(m.error) <= 0.2*m.value {
				f.Within++
			}
		}
		n := float64(f.Orders)
		want[route] = figures{f.Orders, round(f.MAE / n), round(math.Sqrt(f.RMSE / n)), round(f.Bias / n), round(f.Within / n)}
	}
	for _, route := range r.Routes {
		a := route.Accuracy
		got[route.Name] = figures{a.Orders, round(a.MAE), round(a.RMSE), round(a.Bias), round(a.Within)}
		for _, e := range []*verdict.Estimate{route.MeanInterval, a.MAEInterval, a.RMSEInterval, a.BiasInterval, a.WithinInterval} {
			if !(e.Low < e.Value && e.Value < e.High) {
				t.Errorf("route %s: interval %+v does not hold its value", route.Name, *e)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	c := r.Comparisons[0]
	if c.Verdict != verdict.Worse || math.Abs(c.Difference.Value-(want["b"].MAE-want["a"].MAE)) > 1e-8 {
		t.Errorf("%+v, want b worse", c)
	}
	if want := (verdict.Lines{Read: len(all) + 4, Predictions: len(all), Failures: 2, Other: 1, Damaged: 1}); r.Lines != want {
		t.Errorf("lines %+v, want %+v", r.Lines, want)
	}
}

// round leaves out the last digits, which depend on the order of sums.
func round(v float64) float64 { return math.Round(v*1e9) / 1e9 }

// TestCompare_golden compares the output for people. TestCompare_data and the
// tests of package verdict say that its figures are right.
func TestCompare_golden(t *testing.T) {
	log, _ := demoLog(t)
	small := filepath.Join(t.TempDir(), "small.json")
	if err := os.WriteFile(small, []byte(`{"time":"2026-01-01T00:00:00Z","msg":"prediction","user_id":"u","route":"a\u001b[31m","value":12.5}
{"time":"2026-01-01T00:00:00Z","msg":"prediction","user_id":"u","route":"new","model_id":"m@2","value":13.5,"shadow":true}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"data":  {"--log", log, "--data", demo},
		"means": {"--log", log, "--baseline", "a"},
		"small": {"--log", small},
	} {
		got := mustRun(t, append([]string{"compare"}, args...)...)
		golden := filepath.Join("testdata", "compare", name+".txt")
		if *updateCompare {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestCompare_severalLogs splits a log in three, one of them compressed: the
// report is that of the whole log.
func TestCompare_severalLogs(t *testing.T) {
	log, _ := demoLog(t)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	args := []string{"compare", "--data", demo, "--baseline", "a", "--json"}
	whole := mustRun(t, append(slices.Clone(args), "--log", log)...)
	dir := t.TempDir()
	for i, part := range [][]string{lines[:100], lines[100:500], lines[500:]} {
		name := filepath.Join(dir, fmt.Sprint("part, ", i))
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		var w io.WriteCloser = f
		if i == 1 {
			w = gzip.NewWriter(f)
		}
		if _, err := io.WriteString(w, strings.Join(part, "")); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		if i == 1 && f.Close() != nil {
			t.Fatal("close")
		}
		args = append(args, "--log", name)
	}
	if diff := cmp.Diff(whole, mustRun(t, args...)); diff != "" {
		t.Errorf("three logs (-whole +parts):\n%s", diff)
	}
}

func TestCompare_refusals(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	record := func(user, route string) string {
		return fmt.Sprintf(`{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"prediction","user_id":%q,"route":%q,"value":1}`+"\n", user, route)
	}
	two := write("two.json", record("u", "a")+record("v", "b"))
	for _, tt := range []struct {
		name string
		args []string
		want []string // in the message
	}{
		{"no log", []string{}, []string{"--log"}},
		{"absent log", []string{"--log", dir + "/none"}, []string{"none: no such file"}},
		{"folder", []string{"--log", dir}, []string{"is a directory"}},
		{"empty", []string{"--log", write("empty", "")}, []string{"empty: the log has no predictions (0 lines"}},
		{"no predictions", []string{"--log", write("requests", `{"msg":"request"}`)}, []string{"has no predictions (1 lines, 0 damaged)"}},
		{"text form", []string{"--log", write("text", serve.ModelLogHeader+"2025-06-23 14:18:07 | PREDICTION | user_id=abc | prediction=53.60\n")}, []string{"text form", "--log-format json"}},
		{"one route", []string{"--log", write("one", record("u", "a"))}, []string{`one route, "a": want two`}},
		{"unknown baseline", []string{"--log", two, "--baseline", "c"}, []string{`--baseline "c": no such route: want one of "a", "b"`}},
		{"other time", []string{"--log", two, "--since", "2027-01-01T00:00:00Z"}, []string{"no predictions", "2 of other times"}},
		{"no period", []string{"--log", two, "--since", "2027-01-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"}, []string{"want a time and a later one"}},
		{"log twice", []string{"--log", two, "--log", two}, []string{"given twice"}},
		{"faults together", []string{"--log", two, "--detect", "0", "--resamples", "1"}, []string{"--detect 0", "--resamples 1"}},
		{"absent data", []string{"--log", two, "--data", dir + "/none"}, []string{"none", "inventory"}},
		{"hashed users", []string{"--log", two, "--data", demo}, []string{"none of the 2 users", "--log-user-id hash"}},
	} {
		code, out, errs := runBasket(t, append([]string{"compare"}, tt.args...)...)
		lines := 1 // a line for each fault
		if tt.name == "faults together" {
			lines = len(tt.want)
		}
		if code != 1 || out != "" || strings.Count(errs, "\n") != lines {
			t.Errorf("%s: status %d, output %q, error %q; want 1, nothing and %d lines", tt.name, code, out, errs, lines)
		}
		for _, want := range tt.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: error %q, want %q", tt.name, errs, want)
			}
		}
	}
}
