package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket/basketparquet"
)

const (
	models = "../../testdata/models/"
	demo   = "../../examples/server/demo"
)

// basketRun runs the program and returns its exit status and what it printed.
func basketRun(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, terminal{&o, &e})
	return code, o.String(), e.String()
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := basketRun(t, args...)
	if code != 0 || errs != "" {
		t.Fatalf("basket %q: status %d, %s", args, code, errs)
	}
	return out
}

// numbers reads a CSV file of numbers.
func numbers(t *testing.T, path string) (header []string, values []float64) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records[1:] {
		for _, field := range record {
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				v = math.NaN()
			}
			values = append(values, v)
		}
	}
	return records[0], values
}

// column returns the values under names that start with a stem.
func column(header []string, values []float64, stem string) []float64 {
	var picked []float64
	for i, v := range values {
		if strings.HasPrefix(header[i%len(header)], stem) {
			picked = append(picked, v)
		}
	}
	return picked
}

func equalBits(t *testing.T, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	for i := range want {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			t.Fatalf("value %d: %v, want %v", i, got[i], want[i])
		}
	}
}

// TestScore predicts for rows with known answers, from and to both kinds of
// files, by both engines.
func TestScore(t *testing.T) {
	for _, model := range []string{"lightgbm-regression", "lightgbm-nan", "lightgbm-poisson", "lightgbm-multiclass", "lightgbm-constant"} {
		dir := models + model
		header, want := numbers(t, dir+"/want.csv")
		for _, margin := range []string{"", "--margin"} {
			stem := map[string]string{"": "y", "--margin": "margin"}[margin]
			for _, engine := range []string{"native", "leaves"} {
				out := filepath.Join(t.TempDir(), "y.csv")
				args := []string{"score", "--model", dir + "/model.txt", "--in", dir + "/rows.csv", "--out", out, "--engine", engine}
				if margin != "" {
					args = append(args, margin)
				}
				mustRun(t, args...)
				names, got := numbers(t, out)
				if wantNames := map[bool]string{true: "y0,y1,y2", false: "y"}[strings.Contains(model, "multi")]; strings.Join(names, ",") != wantNames {
					t.Errorf("columns %q, want %s", names, wantNames)
				}
				equalBits(t, got, column(header, want, stem))
			}
		}
	}
}

func TestScore_parquet(t *testing.T) {
	dir, tmp := models+"lightgbm-nan", t.TempDir()
	inHeader, rows := numbers(t, dir+"/rows.csv")
	header, want := numbers(t, dir+"/want.csv")
	// Columns in another order, and one too many.
	names := []string{"extra", "x3", "x2", "x1", "x0"}
	in, err := os.Create(filepath.Join(tmp, "in.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	var turned []float64
	for i := 0; i < len(rows); i += len(inHeader) {
		turned = append(turned, 1, rows[i+3], rows[i+2], rows[i+1], rows[i])
	}
	err = basketparquet.WriteTable(in, names, func(yield func([]float64, error) bool) { yield(turned, nil) })
	if err != nil || in.Close() != nil {
		t.Fatal(err)
	}
	mustRun(t, "score", "--model", dir+"/model.txt", "--in", in.Name(), "--out", tmp+"/y.parquet")
	out, err := os.Open(tmp + "/y.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	info, _ := out.Stat()
	table, err := basketparquet.OpenTable(out, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var got []float64
	for batch, err := range table.Rows(t.Context(), "y") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, batch...)
	}
	equalBits(t, got, column(header, want, "y"))
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScore_names: columns by the model's names, a BOM, spaces, quotes, CRLF.
func TestScore_names(t *testing.T) {
	model := models + "lightgbm-regression/model.txt" // whose features are a Materializer's
	text := "\ufeffregulars_count, prior_item_count,other,prior_basket_value,\"prior_regulars_count\"\r\n 2 ,10,a,39.2,\r\n"
	out := filepath.Join(t.TempDir(), "named.csv")
	mustRun(t, "score", "--model", model, "--in", write(t, text), "--out", out)
	_, named := numbers(t, out)
	mustRun(t, "score", "--model", model, "--in", write(t, "x0,x1,x2,x3\n39.2,10,,2\n"), "--out", out)
	_, numbered := numbers(t, out)
	equalBits(t, named, numbered)
}

// TestFails: each failure is one line that says what to do, and leaves no output
// file nor part of one.
func TestFails(t *testing.T) {
	model, rows := models+"lightgbm-regression/model.txt", models+"lightgbm-regression/rows.csv"
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown command", []string{"bogus"}, "unexpected argument bogus"},
		{"unknown flag", []string{"inspect", "--colour", model}, "unknown flag --colour"},
		{"missing flags", []string{"score"}, "--model=FILE"},
		{"no model", []string{"score", "--model", "no.txt", "--in", rows, "--out", "OUT.csv"}, "no.txt: no such file"},
		{"model is rows", []string{"score", "--model", rows, "--in", rows, "--out", "OUT.csv"}, "bad model: unknown format"},
		{"model is a folder", []string{"inspect", models}, "is a directory"},
		{"no input", []string{"score", "--model", model, "--in", "no.csv", "--out", "OUT.csv"}, "no.csv: no such file"},
		{"input is a folder", []string{"score", "--model", model, "--in", demo, "--out", "OUT.csv"}, "want a file name that ends in .parquet or .csv"},
		{"input is no parquet", []string{"score", "--model", model, "--in", "NOTPARQUET.parquet", "--out", "OUT.csv"}, "bad data: parquet"},
		{"output of another kind", []string{"score", "--model", model, "--in", rows, "--out", "OUT.txt"}, "OUT.txt: want a file name that ends in .parquet or .csv"},
		{"output folder is missing", []string{"score", "--model", model, "--in", rows, "--out", "none/OUT.csv"}, "cannot write none/OUT.csv"},
		{"engine", []string{"score", "--model", model, "--in", rows, "--out", "OUT.csv", "--engine", "steam"}, `must be one of "native","leaves"`},
		{"no data", []string{"features", "--data", "none", "--out", "OUT.parquet"}, "inventory"},
		{"features to CSV", []string{"features", "--data", demo, "--out", "OUT.csv"}, "want a file name that ends in .parquet"},
		{"meaning", []string{"features", "--data", demo, "--out", "OUT.parquet", "--meaning", "life"}, `must be one of "last-order","next-order"`},
		{"serve without data", []string{"serve", "--data", "none", "--model", model}, "inventory"},
		{"serve with a file for a logs folder", []string{"serve", "--data", demo, "--model", model, "--logs", "EMPTY.csv"}, "mkdir EMPTY.csv: not a directory"},
		{"serve on no address", []string{"serve", "--data", demo, "--model", model, "--addr", "127.0.0.1:99999"}, "invalid port"},
		{"serve a model of other features", []string{"serve", "--data", demo, "--model", models + "lightgbm-categorical/model.txt"}, "feature mismatch"},
		{"empty CSV", []string{"score", "--model", model, "--in", "EMPTY.csv", "--out", "OUT.csv"}, "the file is empty"},
		{"column missing", []string{"score", "--model", model, "--in", "ONE.csv", "--out", "OUT.csv"}, `column "x1" is missing: wanted the columns ["prior_basket_value" "prior_item_count" "prior_regulars_count" "regulars_count"], or else ["x0" "x1" "x2" "x3"]; found ["x0"]`},
		{"named column missing", []string{"score", "--model", model, "--in", "NAMED.csv", "--out", "OUT.csv"}, `column "prior_basket_value" is missing`},
		{"not a number", []string{"score", "--model", model, "--in", "WORD.csv", "--out", "OUT.csv"}, `line 3: column "x2": "two" is not a number`},
		{"ragged", []string{"score", "--model", model, "--in", "RAGGED.csv", "--out", "OUT.csv"}, "line 2: wrong number of fields"},
	}
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			inputs := map[string]string{
				"EMPTY.csv": "", "ONE.csv": "x0\n1\n", "NAMED.csv": "regulars_count,x0\n1,2\n", "RAGGED.csv": "x0,x1,x2,x3\n1,2\n",
				"WORD.csv": "x0,x1,x2,x3\n1,2,3,4\n1,2,two,4\n", "NOTPARQUET.parquet": "x0\n1\n",
			}
			for name, text := range inputs {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for i, arg := range test.args {
				if strings.HasPrefix(arg, "../") {
					test.args[i] = filepath.Join(cwd, arg)
				}
			}
			t.Chdir(dir)
			code, out, errs := basketRun(t, test.args...)
			if code == 0 || out != "" {
				t.Errorf("status %d, printed %q", code, out)
			}
			if strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "basket: ") || !strings.Contains(errs, test.want) {
				t.Errorf("error %q, want one line with %q", errs, test.want)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(inputs) {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}

// TestScore_stopped: after a signal no part of a new file is left, and an existing
// file is unchanged.
func TestScore_stopped(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "y.csv")
	if err := os.WriteFile(out, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs bytes.Buffer
	code := run(ctx, []string{"score", "--model", models + "lightgbm-regression/model.txt", "--in", models + "lightgbm-regression/rows.csv", "--out", out}, terminal{io.Discard, &errs})
	if code == 0 || !strings.Contains(errs.String(), "context canceled") {
		t.Errorf("status %d, %s", code, &errs)
	}
	entries, _ := os.ReadDir(dir)
	if text, err := os.ReadFile(out); err != nil || string(text) != "old" || len(entries) != 1 {
		t.Errorf("left behind: %q, %v, %v", text, err, entries)
	}
}

func TestFeatures(t *testing.T) {
	for meaning, least := range map[string]int64{"last-order": 200, "next-order": 300} {
		out := filepath.Join(t.TempDir(), "features.parquet")
		mustRun(t, "features", "--data", demo, "--out", out, "--meaning", meaning)
		f, err := os.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		info, _ := f.Stat()
		table, err := basketparquet.OpenTable(f, info.Size())
		if err != nil {
			t.Fatal(err)
		}
		want := "user_id prior_basket_value prior_item_count prior_regulars_count regulars_count total_orders ordered_at"
		if got := strings.Join(table.Columns(), " "); got != want || table.NumRows() < least {
			t.Errorf("%s: %d rows of %s, want %d or more of %s", meaning, table.NumRows(), got, least, want)
		}
		last := ""
		for row, err := range basketparquet.Rows(t.Context(), os.DirFS(filepath.Dir(out)), "features.parquet") {
			if err != nil {
				t.Fatal(err)
			}
			if row.UserID <= last {
				t.Fatalf("%q after %q", row.UserID, last)
			}
			last = row.UserID
		}
	}
}

func TestInspect(t *testing.T) {
	got := mustRun(t, "inspect", models+"lightgbm-multiclass/model.txt")
	for _, want := range []string{
		"library    lightgbm\n", "format     text\n", "version    v4\n", "objective  multiclass num_class:3\n", "trees      18\n",
		"features   4: prior_basket_value, prior_item_count, prior_regulars_count, regulars_count (the file has no names; these are assumed)\n", "outputs    3\n", "engine     ", "digest     sha256:",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("inspect has no %q:\n%s", want, got)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"score", "--help"}} {
		if out := mustRun(t, args...); !strings.Contains(out, "Usage: basket") {
			t.Errorf("basket %q prints %q", args, out)
		}
	}
}

// syncBuffer is a buffer that a server writes and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestServe(t *testing.T) {
	logs := filepath.Join(t.TempDir(), "to", "make")
	ctx, stop := context.WithCancel(t.Context())
	var out, errs syncBuffer
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"serve", "--data", demo, "--model", demo + "/model.txt", "--addr", "127.0.0.1:0", "--logs", logs}, terminal{&out, &errs})
	}()
	url := ""
	for deadline := time.Now().Add(30 * time.Second); url == "" && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		url = regexp.MustCompile(`http://[\d.:]+\d\n`).FindString(out.String())
	}
	answer, err := http.Post(strings.TrimSpace(url)+"/predict", "application/json", strings.NewReader(`{"user_id":"nobody"}`))
	if err != nil {
		t.Fatal(err, errs.String())
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != 404 || string(body) != `{"detail":"User not found"}` {
		t.Errorf("predict: %d %s", answer.StatusCode, body)
	}
	stop()
	if code := <-done; code != 0 || errs.String() != "" {
		t.Errorf("status %d, %s", code, &errs)
	}
	for name, want := range map[string]string{
		"service_metrics.txt": " | INFO | API initialized successfully\n",
		"model_metrics.txt":   " | MODEL_ERROR | user_id=nobody | type=UserNotFound | error=User not found in feature store\n",
	} {
		text, err := os.ReadFile(filepath.Join(logs, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q, %v, want %q", name, text, err, want)
		}
	}
}
