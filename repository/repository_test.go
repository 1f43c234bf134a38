package repository_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/repository"
	"github.com/google/go-cmp/cmp"
)

// modelData returns a model of four features: "regression", for instance.
func modelData(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("../testdata/models/lightgbm-" + name + "/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// write writes a file and the folders above it.
func write(t testing.TB, data []byte, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t testing.TB, target string, path ...string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(path...)); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, path ...string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(path...)); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string, opts ...repository.Option) *repository.Repository {
	t.Helper()
	r, err := repository.Open(dir, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// scan scans so often, and returns whether any scan changed something.
func scan(t testing.TB, r *repository.Repository, times int) bool {
	t.Helper()
	changed := false
	for range times {
		c, err := r.Scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		changed = changed || c
	}
	return changed
}

// summary returns a line per name: what is served, what is loaded, what is not.
func summary(r *repository.Repository) string {
	var lines []string
	for _, s := range r.State() {
		line := fmt.Sprintf("%s: %s of %s", s.Name, s.Served, s.Loaded)
		for _, f := range s.Faults {
			line += fmt.Sprintf("; %q", f.Version)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func wantSummary(t testing.TB, r *repository.Repository, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), summary(r)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// wantModel checks that a reference finds the model of these bytes.
func wantModel(t testing.TB, r *repository.Repository, ref, id string, data []byte) {
	t.Helper()
	m, err := r.Model(ref)
	if err != nil {
		t.Errorf("%s: %v", ref, err)
		return
	}
	want, err := basket.ReadModel(strings.NewReader(string(data)), basket.WithModelID(id))
	if err != nil {
		t.Fatal(err)
	}
	if m.Info() != want.Info() {
		t.Errorf("%s is %v, want %v", ref, m, want)
	}
}

// A serviceLog is a ServiceLogger that keeps lines.
type serviceLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *serviceLog) LogService(_ context.Context, e basket.ServiceEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := e.Message
	if e.Err != nil {
		line += ": " + e.Err.Error()
	}
	l.lines = append(l.lines, line)
}

// take returns the lines since the last call.
func (l *serviceLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// wantLog checks the start of each line, and a part of its end.
func wantLog(t testing.TB, l *serviceLog, when string, want ...string) {
	t.Helper()
	got := l.take()
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		start, part, _ := strings.Cut(want[i], "...")
		ok = ok && strings.HasPrefix(got[i], start) && strings.Contains(got[i], part)
	}
	if !ok {
		t.Errorf("%s: logged %q, want %q", when, got, want)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for i, version := range []string{"02", "2", "9", "10", "backup"} {
		write(t, modelData(t, []string{"regression", "poisson", "sqrt", "dart", "nan"}[i]), dir, "price", version, "model.txt")
	}
	write(t, []byte("name: price"), dir, "price", "config.pbtxt")
	write(t, []byte("flavors:"), dir, "price", "10", "MLmodel")
	write(t, modelData(t, "poisson"), dir, "basket", "model.lgb")
	write(t, modelData(t, "sqrt"), dir, ".git", "model.txt")
	write(t, modelData(t, "sqrt"), dir, "_old", "model.txt")
	write(t, modelData(t, "sqrt"), dir, "price", ".tmp", "model.txt")
	write(t, modelData(t, "sqrt"), dir, "price", "_11", "model.txt")
	write(t, []byte("a part"), dir, "price", "10", ".model.txt.xyz")
	write(t, []byte("text"), dir, "README.md")

	log := &serviceLog{}
	r := open(t, dir, repository.WithServiceLogger(log), repository.WithHold("price@backup", "price@7", "nobody@1"))
	wantSummary(t, r, "opened", "basket: 1 of [1]", "price: 10 of [10 9 2 backup]")
	wantLog(t, log, "opened", "Model basket is now basket@1, lightgbm v4", "Model price is now price@10, lightgbm v4")
	wantModel(t, r, "price", "price@10", modelData(t, "dart"))
	wantModel(t, r, "price@10", "price@10", modelData(t, "dart"))
	wantModel(t, r, "price@2", "price@2", modelData(t, "poisson"))
	wantModel(t, r, "price@backup", "price@backup", modelData(t, "nan"))
	wantModel(t, r, "basket", "basket@1", modelData(t, "poisson"))
	for ref, want := range map[string]string{
		"":          `no model is named "": want one of ["basket" "price"]`,
		"prise":     `no model is named "prise": want one of ["basket" "price"]`,
		"prise@1":   `no model is named "prise": want one of ["basket" "price"]`,
		"price@02":  `version "02" of model "price" is not loaded: want one of ["10" "9" "2" "backup"]`,
		"price@":    `version "" of model "price"`,
		"price@2@3": `version "2@3" of model "price"`,
		"../x":      `no model is named "../x"`,
	} {
		if _, err := r.Model(ref); !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want ErrInvalidConfig with %s", ref, err, want)
		}
	}
	if scan(t, r, 3) || len(log.take()) != 0 {
		t.Error("no change, but a scan changed something")
	}
	write(t, modelData(t, "dart"), dir, "new", "model.txt")
	scan(t, r, 1)
	if _, err := r.Model("new"); !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), "loaded yet") {
		t.Errorf("a name that has not settled: %v", err)
	}
	scan(t, r, 1)
	wantModel(t, r, "new", "new@1", modelData(t, "dart"))
}

func TestOpen_errors(t *testing.T) {
	dir := t.TempDir()
	write(t, modelData(t, "poisson"), dir, "file")
	for _, path := range []string{filepath.Join(dir, "missing"), filepath.Join(dir, "file")} {
		if r, err := repository.Open(path); err == nil || r != nil || errors.Is(err, basket.ErrInvalidConfig) {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := repository.Open(filepath.Join(dir, "missing"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
	_, err = repository.Open(dir, repository.WithPin("a@b", "1"), repository.WithPin("a", ""), repository.WithPin("c", "1"),
		repository.WithPin("c", "2"), repository.WithCheck(nil), repository.WithServiceLogger(nil))
	if !errors.Is(err, basket.ErrInvalidConfig) {
		t.Fatalf("bad options: %v", err)
	}
	for _, want := range []string{`name "a@b"`, "version is empty", `pinned to "1" and to "2"`, "WithCheck(nil)", "WithServiceLogger(nil)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("bad options: %v: want %q in it", err, want)
		}
	}
	for i := range 1001 {
		if err := os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := repository.Open(dir); !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), "over 1000 ") {
		t.Errorf("1,001 names: %v", err)
	}
}

// TestOpen_refuses is the table of bad input: the reason is told once, the other
// versions and names are served.
func TestOpen_refuses(t *testing.T) {
	good := func(t *testing.T) []byte { return modelData(t, "poisson") }
	tests := []struct {
		name    string
		bad     func(t *testing.T, dir string) // adds to the folder of the name
		version string
		kind    error
		reason  string
	}{
		{"no model", func(t *testing.T, dir string) { write(t, nil, dir, "2", "readme.txt") }, "2", basket.ErrInvalidConfig, "no model: want one file named model.*"},
		{"a folder named as a model", func(t *testing.T, dir string) { write(t, nil, dir, "2", "model.d", "x") }, "2", basket.ErrInvalidConfig, "no model"},
		{"two models", func(t *testing.T, dir string) {
			write(t, good(t), dir, "2", "model.txt")
			write(t, good(t), dir, "2", "model.json")
		}, "2", basket.ErrInvalidConfig, `two models, "model.`},
		{"version 1 twice", func(t *testing.T, dir string) { write(t, good(t), dir, "model.txt") }, "1", basket.ErrInvalidConfig, "both model.* and 1/ are version 1"},
		{"damaged", func(t *testing.T, dir string) { write(t, good(t)[:3000], dir, "2", "model.txt") }, "2", basket.ErrModelFormat, "lightgbm: "},
		{"empty", func(t *testing.T, dir string) { write(t, nil, dir, "2", "model.txt") }, "2", basket.ErrModelFormat, "the file is empty"},
		{"other features", func(t *testing.T, dir string) {
			write(t, modelData(t, "categorical"), dir, "2", "model.txt")
		}, "2", basket.ErrFeatureMismatch, "want 4 features"},
		{"the check panics", func(t *testing.T, dir string) {
			write(t, modelData(t, "multiclass"), dir, "2", "model.txt")
		}, "2", basket.ErrInvalidConfig, "the check panicked: boom"},
		{"an at sign", func(t *testing.T, dir string) { write(t, good(t), dir, "a@b", "model.txt") }, "a@b", basket.ErrInvalidConfig, `version "a@b": want UTF-8 without @`},
		{"control characters", func(t *testing.T, dir string) { write(t, good(t), dir, "a\nb", "model.txt") }, "a\nb", basket.ErrInvalidConfig, `version "a\nb"`},
		{"control characters of a file", func(t *testing.T, dir string) { write(t, good(t), dir, "2", "model.\x1b") }, "2", basket.ErrInvalidConfig, `file "model.\x1b"`},
		{"a link to nothing", func(t *testing.T, dir string) { link(t, "nowhere", dir, "2") }, "2", fs.ErrNotExist, "2: "},
		{"a model that is a link to nothing", func(t *testing.T, dir string) {
			write(t, nil, dir, "2", "x")
			link(t, "nowhere", dir, "2", "model.txt")
		}, "2", fs.ErrNotExist, "model.txt: "},
		{"too many versions", func(t *testing.T, dir string) {
			for i := range 1000 {
				write(t, nil, dir, fmt.Sprint("file", i))
			}
		}, "", basket.ErrInvalidConfig, "over 1000 files and folders"},
	}
	check := func(m *basket.FileModel) error {
		if m.Outputs() > 1 {
			panic("boom")
		}
		if n := len(m.Features()); n != 4 {
			return fmt.Errorf("%w: the model has %d features: want 4 features", basket.ErrFeatureMismatch, n)
		}
		return nil
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			verify := func(r *repository.Repository, log *serviceLog, served string) {
				t.Helper()
				s := r.State()[1]
				if s.Served != served || len(s.Faults) != 1 || s.Faults[0].Version != test.version {
					t.Fatalf("%+v: want %q served, a fault of %q", s, served, test.version)
				}
				if err := s.Faults[0].Err; !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.reason) {
					t.Errorf("%v: want %v, %q", err, test.kind, test.reason)
				}
				told := 0
				for _, line := range log.take() {
					if strings.HasPrefix(line, "Failed to load model \"price") && strings.Contains(line, test.reason) {
						told++
					}
				}
				if told != 1 {
					t.Errorf("told %d times, want once", told)
				}
				scan(t, r, 3)
				if lines := log.take(); len(lines) > 0 {
					t.Errorf("told again: %q", lines)
				}
				wantModel(t, r, "basket", "basket@1", good(t))
			}
			write(t, good(t), dir, "basket", "model.txt")
			write(t, good(t), dir, "price", "1", "model.txt")
			log := &serviceLog{}
			r := open(t, dir, repository.WithServiceLogger(log), repository.WithCheck(check))
			log.take()
			test.bad(t, filepath.Join(dir, "price"))
			scan(t, r, 1)
			if lines := log.take(); len(lines) != 0 {
				t.Errorf("told before it settled: %q", lines)
			}
			scan(t, r, 1)
			verify(r, log, "1")
			wantModel(t, r, "price", "price@1", good(t))

			// The same, found by Open.
			log = &serviceLog{}
			served := "1"
			if test.version == "" || test.version == "1" {
				served = ""
			}
			r = open(t, dir, repository.WithServiceLogger(log), repository.WithCheck(check))
			verify(r, log, served)
			if _, err := r.Model("price"); served == "" && (!errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), test.reason)) {
				t.Errorf("Model: %v: want %q", err, test.reason)
			}
		})
	}
}

// TestOpen_badNames: names that cannot be used, and a folder without versions.
func TestOpen_badNames(t *testing.T) {
	dir := t.TempDir()
	write(t, modelData(t, "poisson"), dir, "a@b", "1", "model.txt")
	write(t, modelData(t, "poisson"), dir, "a\x1b", "1", "model.txt")
	write(t, modelData(t, "poisson"), dir, "good", "1", "model.txt")
	write(t, nil, dir, "none", "readme.txt")
	log := &serviceLog{}
	r := open(t, dir, repository.WithServiceLogger(log))
	wantSummary(t, r, "opened", "a\x1b:  of []; \"\"", "a@b:  of []; \"\"", "good: 1 of [1]", "none:  of []; \"\"")
	got := log.take()
	slices.Sort(got)
	for i, want := range []string{`Failed to load model "a@b": `, `Failed to load model "a\x1b": `, `Failed to load model "none": `, "Model good is now"} {
		if len(got) != 4 || !strings.HasPrefix(got[i], want) {
			t.Errorf("logged %q: want %q", got, want)
		}
	}
	if _, err := r.Model("none"); !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), "want VERSION/model.* or model.*") {
		t.Errorf("a name without versions: %v", err)
	}
	remove(t, dir, "none")
	scan(t, r, 1)
	if _, err := r.Model("none"); err == nil || !strings.Contains(err.Error(), "no model is named") {
		t.Errorf("a name that is gone: %v", err)
	}
}

func TestWithPin(t *testing.T) {
	dir := t.TempDir()
	names := []string{"regression", "poisson", "sqrt", "dart", "nan"}
	for i, name := range names {
		write(t, modelData(t, name), dir, "price", fmt.Sprint(i+1), "model.txt")
	}
	r := open(t, dir, repository.WithPin("price", "1"), repository.WithPin("none", "3"))
	wantSummary(t, r, "opened", `none:  of []; "3"`, "price: 1 of [5 4 3 1]")
	wantModel(t, r, "price", "price@1", modelData(t, "regression"))
	wantModel(t, r, "price@5", "price@5", modelData(t, "nan"))
	write(t, modelData(t, "binary"), dir, "price", "6", "model.txt")
	scan(t, r, 2)
	wantSummary(t, r, "a new version", `none:  of []; "3"`, "price: 1 of [6 5 4 1]")
	if _, err := r.Model("none"); !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), `no version "3", to which the model is pinned`) {
		t.Errorf("a pin to nothing: %v", err)
	}

	// A pin to a version that cannot be loaded serves no other.
	write(t, []byte("bad"), dir, "price", "1", "model.txt")
	write(t, []byte("worse"), dir, "price", "7", "model.txt")
	r = open(t, dir, repository.WithPin("price", "1"))
	wantSummary(t, r, "a bad pin", `price:  of [6 5 4]; "7"; "1"`)
	if _, err := r.Model("price"); !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("a bad pin: %v", err)
	}
	write(t, modelData(t, "sqrt"), dir, "none", "3", "model.txt")
	r = open(t, dir, repository.WithPin("none", "3"))
	wantModel(t, r, "none", "none@3", modelData(t, "sqrt"))
}

// TestRepository_Hold: the newest three stay, and those that are held.
func TestRepository_Hold(t *testing.T) {
	dir := t.TempDir()
	names := []string{"regression", "poisson", "sqrt", "dart", "nan", "binary"}
	add := func(version int) {
		write(t, modelData(t, names[version-1]), dir, "price", fmt.Sprint(version), "model.txt")
	}
	add(1)
	r := open(t, dir)
	for version := 2; version <= 4; version++ {
		add(version)
		if !scan(t, r, 2) {
			t.Errorf("version %d: no change", version)
		}
	}
	wantSummary(t, r, "four versions", "price: 4 of [4 3 2]")
	old, err := r.Model("price@2")
	if err != nil {
		t.Fatal(err)
	}
	r.Hold("price", "price@2", "price@9")
	add(5)
	scan(t, r, 2)
	add(6)
	scan(t, r, 2)
	wantSummary(t, r, "2 is held", "price: 6 of [6 5 4 2]")
	if m, _ := r.Model("price@2"); m != old {
		t.Error("the held version was loaded again")
	}
	r.Hold("price@1", "price@4")
	scan(t, r, 1)
	wantSummary(t, r, "1 is held instead", "price: 6 of [6 5 4]")
	scan(t, r, 1)
	wantSummary(t, r, "1 is held instead, second scan", "price: 6 of [6 5 4 1]")
	wantModel(t, r, "price@1", "price@1", modelData(t, "regression"))
	if err := old.Predict(t.Context(), make([]float64, 1), make([]float64, 4)); err != nil {
		t.Errorf("a model that was let go: %v", err)
	}
}
