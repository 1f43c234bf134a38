package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/internal/golden"
)

const (
	models = "../../testdata/models/"
	demo   = "../../examples/server/demo"
)

// runBasket runs the command and returns its exit status and output.
func runBasket(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, terminal{&out, &errs})
	return code, out.String(), errs.String()
}

// mustRun runs the command, which must succeed, and returns its output.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := runBasket(t, args...)
	if code != 0 || errs != "" {
		t.Fatalf("basket %q: status %d, %s", args, code, errs)
	}
	return out
}

// TestScore compares predictions of both engines with the golden ones.
func TestScore(t *testing.T) {
	for _, model := range []string{"lightgbm-regression", "lightgbm-nan", "lightgbm-poisson", "lightgbm-multiclass", "lightgbm-constant"} {
		dir := models + model
		want := golden.ReadTable(t, dir+"/want.csv")
		for _, margin := range []string{"", "--margin"} {
			prefix := map[string]string{"": "y", "--margin": "margin"}[margin]
			for _, engine := range []string{"native", "leaves"} {
				out := filepath.Join(t.TempDir(), "y.csv")
				args := []string{"score", "--model", dir + "/model.txt", "--in", dir + "/rows.csv", "--out", out, "--engine", engine}
				if margin != "" {
					args = append(args, margin)
				}
				mustRun(t, args...)
				got := golden.ReadTable(t, out)
				if wantNames := map[bool]string{true: "y0,y1,y2", false: "y"}[strings.Contains(model, "multi")]; strings.Join(got.Header, ",") != wantNames {
					t.Errorf("columns %q, want %s", got.Header, wantNames)
				}
				values, _ := want.Columns(prefix)
				golden.Compare(t, model, got.Values, values)
			}
		}
	}
}

func TestScore_parquet(t *testing.T) {
	dir, tmp := models+"lightgbm-nan", t.TempDir()
	input := golden.ReadTable(t, dir+"/rows.csv")
	want, _ := golden.ReadTable(t, dir+"/want.csv").Columns("y")
	// The columns are in reverse order, after an extra one.
	names := []string{"extra", "x3", "x2", "x1", "x0"}
	in, err := os.Create(filepath.Join(tmp, "in.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	var reordered []float64
	for rows := range slices.Chunk(input.Values, len(input.Header)) {
		reordered = append(reordered, 1, rows[3], rows[2], rows[1], rows[0])
	}
	err = basketparquet.WriteTable(in, names, func(yield func([]float64, error) bool) { yield(reordered, nil) })
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
	golden.Compare(t, "y", got, want)
}

func writeInput(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScore_columnNames reads columns with the model's names from a file with a BOM,
// spaces, quotes and CRLF.
func TestScore_columnNames(t *testing.T) {
	model := models + "lightgbm-regression/model.txt" // its features have the names of a Materializer's
	text := "\ufeffregulars_count, prior_item_count,other,prior_basket_value,\"prior_regulars_count\"\r\n 2 ,10,a,39.2,\r\n"
	out := filepath.Join(t.TempDir(), "named.csv")
	mustRun(t, "score", "--model", model, "--in", writeInput(t, text), "--out", out)
	named := golden.ReadTable(t, out)
	mustRun(t, "score", "--model", model, "--in", writeInput(t, "x0,x1,x2,x3\n39.2,10,,2\n"), "--out", out)
	numbered := golden.ReadTable(t, out)
	golden.Compare(t, "by name and by number", named.Values, numbered.Values)
}

// TestErrors checks that an error is reported in one line, and that no output file or
// temporary file remains.
func TestErrors(t *testing.T) {
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
		{"model is a CSV file", []string{"score", "--model", rows, "--in", rows, "--out", "OUT.csv"}, "bad model: unknown format"},
		{"model is a folder", []string{"inspect", models}, "is a directory"},
		{"no input", []string{"score", "--model", model, "--in", "no.csv", "--out", "OUT.csv"}, "no.csv: no such file"},
		{"input is a folder", []string{"score", "--model", model, "--in", demo, "--out", "OUT.csv"}, "want a file name that ends in .parquet or .csv"},
		{"input is not parquet", []string{"score", "--model", model, "--in", "CSV.parquet", "--out", "OUT.csv"}, "bad data: parquet"},
		{"output of unknown type", []string{"score", "--model", model, "--in", rows, "--out", "OUT.txt"}, "OUT.txt: want a file name that ends in .parquet or .csv"},
		{"output folder is missing", []string{"score", "--model", model, "--in", rows, "--out", "none/OUT.csv"}, "cannot write none/OUT.csv"},
		{"unknown engine", []string{"score", "--model", model, "--in", rows, "--out", "OUT.csv", "--engine", "unknown"}, `must be one of "native","leaves"`},
		{"no data", []string{"features", "--data", "none", "--out", "OUT.parquet"}, "inventory"},
		{"features to CSV", []string{"features", "--data", demo, "--out", "OUT.csv"}, "want a file name that ends in .parquet"},
		{"unknown meaning", []string{"features", "--data", demo, "--out", "OUT.parquet", "--meaning", "unknown"}, `must be one of "last-order","next-order"`},
		{"serve without data", []string{"serve", "--data", "none", "--model", model}, "inventory"},
		{"serve with a file as the logs folder", []string{"serve", "--data", demo, "--model", model, "--logs", "EMPTY.csv"}, "mkdir EMPTY.csv: not a directory"},
		{"serve on an invalid address", []string{"serve", "--data", demo, "--model", model, "--addr", "127.0.0.1:99999"}, "invalid port"},
		{"serve a model with other features", []string{"serve", "--data", demo, "--model", models + "lightgbm-categorical/model.txt"}, "feature mismatch"},
		{"empty CSV", []string{"score", "--model", model, "--in", "EMPTY.csv", "--out", "OUT.csv"}, "the file is empty"},
		{"column missing", []string{"score", "--model", model, "--in", "ONE.csv", "--out", "OUT.csv"}, `column "x1" is missing: wanted the columns ["prior_basket_value" "prior_item_count" "prior_regulars_count" "regulars_count"], or else ["x0" "x1" "x2" "x3"]; found ["x0"]`},
		{"named column missing", []string{"score", "--model", model, "--in", "NAMED.csv", "--out", "OUT.csv"}, `column "prior_basket_value" is missing`},
		{"not a number", []string{"score", "--model", model, "--in", "WORD.csv", "--out", "OUT.csv"}, `line 3: column "x2": "two" is not a number`},
		{"row with missing fields", []string{"score", "--model", model, "--in", "SHORT.csv", "--out", "OUT.csv"}, "line 2: wrong number of fields"},
	}
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			inputs := map[string]string{
				"EMPTY.csv": "", "ONE.csv": "x0\n1\n", "NAMED.csv": "regulars_count,x0\n1,2\n", "SHORT.csv": "x0,x1,x2,x3\n1,2\n",
				"WORD.csv": "x0,x1,x2,x3\n1,2,3,4\n1,2,two,4\n", "CSV.parquet": "x0\n1\n",
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
			code, out, errs := runBasket(t, test.args...)
			if code == 0 || out != "" {
				t.Errorf("status %d, output %q", code, out)
			}
			for line := range strings.Lines(errs) {
				if !strings.HasPrefix(line, "basket: ") || !strings.HasSuffix(line, "\n") {
					t.Errorf("line %q of the errors, want basket: ...", line)
				}
			}
			if !strings.Contains(errs, test.want) {
				t.Errorf("error %q, want a line that contains %q", errs, test.want)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(inputs) {
				t.Errorf("files after the error: %v, %v", entries, err)
			}
		})
	}
}

// TestCanceled: an interrupted command leaves no temporary file, and an existing
// output file unchanged.
func TestCanceled(t *testing.T) {
	model, rows := models+"lightgbm-regression/model.txt", models+"lightgbm-regression/rows.csv"
	for name, args := range map[string][]string{
		"score":    {"score", "--model", model, "--in", rows, "--out", "OUT.csv"},
		"explain":  {"explain", "--model", model, "--in", rows, "--out", "OUT.csv"},
		"features": {"features", "--data", demo, "--out", "OUT.parquet"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, args[len(args)-1])
			args[len(args)-1] = out
			if err := os.WriteFile(out, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			var errs bytes.Buffer
			code := run(ctx, args, terminal{io.Discard, &errs})
			if code == 0 || !strings.Contains(errs.String(), "context canceled") {
				t.Errorf("status %d, %s", code, &errs)
			}
			entries, _ := os.ReadDir(dir)
			if text, err := os.ReadFile(out); err != nil || string(text) != "old" || len(entries) != 1 {
				t.Errorf("output file %q, %v; files %v", text, err, entries)
			}
		})
	}
}

func TestFeatures(t *testing.T) {
	for meaning, minRows := range map[string]int64{"last-order": 200, "next-order": 300} {
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
		if got := strings.Join(table.Columns(), " "); got != want || table.NumRows() < minRows {
			t.Errorf("%s: %d rows of %s, want %d or more of %s", meaning, table.NumRows(), got, minRows, want)
		}
		last := ""
		for row, err := range basketparquet.Rows(t.Context(), os.DirFS(filepath.Dir(out)), "features.parquet") {
			if err != nil {
				t.Fatal(err)
			}
			if row.UserID <= last {
				t.Fatalf("user %q after %q: want ascending IDs", row.UserID, last)
			}
			last = row.UserID
		}
	}
}

// TestFeatures_damaged: damage in the middle of the orders is told with its place,
// and no file is left.
func TestFeatures_damaged(t *testing.T) {
	data, out := t.TempDir(), t.TempDir()
	for _, name := range []string{"orders.parquet", "regulars.parquet", "inventory.parquet"} {
		b, err := os.ReadFile(filepath.Join(demo, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "orders.parquet" {
			clear(b[len(b)/2 : len(b)/2+2000])
		}
		if err := os.WriteFile(filepath.Join(data, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := runBasket(t, "features", "--data", data, "--out", filepath.Join(out, "f.parquet"))
	want := regexp.MustCompile(`^basket: bad data: orders\.parquet: column "[a-z_]+": row group 0, from row \d+: .+\n$`)
	if code != 1 || stdout != "" || !want.MatchString(stderr) {
		t.Errorf("status %d, output %q, error %q: want 1 and %s", code, stdout, stderr, want)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestInspect(t *testing.T) {
	got := mustRun(t, "inspect", models+"lightgbm-multiclass/model.txt")
	for _, want := range []string{
		"library    lightgbm\n", "format     text\n", "version    v4\n", "objective  multiclass num_class:3\n", "trees      18\n",
		"features   4: prior_basket_value, prior_item_count, prior_regulars_count, regulars_count (the file has no names; these are assumed)\n", "outputs    3\n", "engine     ", "digest     sha256:",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("output has no %q:\n%s", want, got)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"score", "--help"}} {
		if out := mustRun(t, args...); !strings.Contains(out, "Usage: basket") {
			t.Errorf("basket %q: output %q has no usage", args, out)
		}
	}
}

// A syncBuffer is a buffer for concurrent use.
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
	logs := filepath.Join(t.TempDir(), "new", "folder")
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
