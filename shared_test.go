package basket_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

// shared is a folder of larger data, which CI has beside the project.
const shared = "../shared"

// needShared skips a test where the larger data is not there; what it tests is
// tested on smaller data of testdata as well.
func needShared(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(shared); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI wants the larger data: %v", err)
		}
		t.Skipf("the larger data is not here: %v", err)
	}
}

// parquetGolden reads inputs, margins and predictions from a parquet file.
func parquetGolden(t *testing.T, path string) golden {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := basketparquet.OpenTable(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	read := func(prefix string) (values []float64, width int) {
		var names []string
		for _, name := range table.Columns() {
			if rest, ok := strings.CutPrefix(name, prefix); ok && strings.Trim(rest, "0123456789") == "" {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return nil, 0
		}
		for rows, err := range table.Rows(names...) {
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, rows...)
		}
		return values, len(names)
	}
	var g golden
	g.rows, g.columns = read("x")
	g.margin, g.margins = read("margin")
	g.y, g.outputs = read("y")
	return g
}

// TestReadModel_shared holds the larger models against their own library's
// answers, to the last bit.
func TestReadModel_shared(t *testing.T) {
	needShared(t)
	paths, _ := filepath.Glob(shared + "/models/lgbm-*.txt")
	older, _ := filepath.Glob(shared + "/models/older/lgbm-*.txt")
	paths = append(paths, older...)
	if len(paths) < 36 {
		t.Fatalf("only %d models", len(paths))
	}
	for _, path := range paths {
		stem := strings.TrimSuffix(path, filepath.Ext(path))
		t.Run(filepath.Base(stem), func(t *testing.T) {
			m, err := basket.LoadModel(path)
			if err != nil {
				t.Fatal(err)
			}
			g := parquetGolden(t, stem+".golden.parquet")
			if len(g.rows) < 1000*g.columns {
				t.Fatalf("only %d values", len(g.rows))
			}
			checkGolden(t, m, g)
		})
	}
}

// TestReadModel_damaged cuts models off at 200 places and changes 200 single
// bytes: an error, or a model that predicts.
func TestReadModel_damaged(t *testing.T) {
	paths, _ := filepath.Glob("testdata/models/*/model.*")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			at := i * len(data) / 200
			tryModel(t, data[:at])
			changed := slices.Clone(data)
			changed[at] ^= byte(1 + i*7)
			tryModel(t, changed)
		}
	}
}

// tryModel reads a model that may be damaged, and predicts if it can be read.
func tryModel(t *testing.T, data []byte) {
	t.Helper()
	m, err := basket.ReadModel(strings.NewReader(string(data)))
	if err != nil {
		return
	}
	rows := make([]float64, 3*len(m.Features()))
	for j := range rows {
		rows[j] = []float64{math.NaN(), 1e300, -1, 0, 7}[j%5]
	}
	outputs := 1
	if multi, ok := m.(interface{ Outputs() int }); ok {
		outputs = multi.Outputs()
	}
	if err := m.Predict(t.Context(), make([]float64, 3*outputs), rows); err != nil {
		t.Errorf("a model that was read does not predict: %v", err)
	}
}
