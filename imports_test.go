package basket_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// importRules lists, for each package of this module, what it may import besides
// the standard library. A path that begins with "./" is in this module. Readers do
// not import each other, nothing imports upward, and who imports the root package
// gets the standard library and this module only.
var importRules = map[string][]string{
	".":                   {"./internal/columns", "./internal/forest", "./internal/libm", "./internal/lightgbm", "./internal/xgboost", "./internal/sklearn"},
	"./internal/libm":     {},
	"./internal/forest":   {"./internal/libm"},
	"./internal/golden":   {},
	"./internal/filetext": {},

	"./internal/lightgbm": {"./internal/forest", "./internal/libm", "./internal/filetext"},
	"./internal/xgboost":  {"./internal/forest", "./internal/libm", "./internal/filetext"},
	"./internal/sklearn":  {"./internal/forest", "./internal/libm", "./internal/pickle", "./internal/filetext"},
	"./internal/pickle":   {"./internal/lz4", "./internal/lzma", "./internal/filetext"},
	"./internal/lz4":      {},
	"./internal/lzma":     {},

	"./internal/columns": {},

	"./basketparquet": {".", "./internal/columns", "./basketparquet/internal/scan", "github.com/klauspost/compress/s2", "github.com/parquet-go/parquet-go", "github.com/parquet-go/parquet-go/compress"},
	"./basketparquet/internal/scan": {
		"github.com/andybalholm/brotli", "github.com/klauspost/compress/gzip", "github.com/golang/snappy", "github.com/klauspost/compress/zstd",
		"github.com/parquet-go/parquet-go/deprecated", "github.com/parquet-go/parquet-go/format", "github.com/pierrec/lz4/v4",
	},
	"./basketleaves": {".", "./internal/forest", "./internal/lightgbm", "./internal/xgboost", "github.com/dmitryikh/leaves"},
	"./basketotel": {
		".", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/codes", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/metric/noop",
		"go.opentelemetry.io/otel/propagation", "go.opentelemetry.io/otel/trace",
	},
	"./baskettest":      {"."},
	"./serve":           {"."},
	"./repository":      {"."},
	"./routing":         {"."},
	"./drift":           {"."},
	"./oip":             {"."},
	"./dash":            {".", "./drift", "./repository", "./routing"},
	"./examples/server": {".", "./basketparquet", "./dash", "./serve"},
	"./examples/embed":  {".", "./serve"},
	"./examples/canary": {".", "./repository"},
}

func TestImports(t *testing.T) {
	const module = "github.com/basket-go/basket"
	local := func(path string) string {
		if path == module {
			return "."
		}
		if rest, ok := strings.CutPrefix(path, module+"/"); ok {
			return "./" + rest
		}
		return path
	}
	standard := map[string]bool{}
	for _, path := range goList(t, "std") {
		standard[path] = true
	}
	seen := map[string]bool{}
	for _, line := range goList(t, "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...") {
		paths := strings.Fields(line)
		name := local(paths[0])
		allowed, ok := importRules[name]
		if !ok {
			t.Errorf("package %s has no rule: add one", name)
			continue
		}
		seen[name] = true
		for _, path := range paths[1:] {
			if !standard[path] && !slices.Contains(allowed, local(path)) {
				t.Errorf("package %s imports %s, which its rule does not allow", name, local(path))
			}
		}
	}
	for name := range importRules {
		if !seen[name] {
			t.Errorf("there is a rule for %s, but no such package", name)
		}
	}
}

// goList returns the lines that go list prints.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
