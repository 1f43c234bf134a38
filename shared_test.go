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

// shared is a folder of larger data beside the project, which a clone lacks.
const shared = "../shared"

// needShared skips a test if the larger data is missing, unless BASKET_SHARED
// demands it; what is tested is tested on the smaller data of testdata as well.
func needShared(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(shared); err != nil {
		if os.Getenv("BASKET_SHARED") != "" {
			t.Fatalf("BASKET_SHARED demands the larger data: %v", err)
		}
		t.Skipf("the larger data is missing: %v", err)
	}
}

// parquetColumns reads the columns whose names are a prefix and a number, or
// the prefix alone, row-major.
func parquetColumns(t testing.TB, path, prefix string) []float64 {
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
	var names []string
	for _, name := range table.Columns() {
		if rest, ok := strings.CutPrefix(name, prefix); ok && strings.Trim(rest, "0123456789") == "" {
			names = append(names, name)
		}
	}
	var values []float64
	if len(names) > 0 {
		for rows, err := range table.Rows(t.Context(), names...) {
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, rows...)
		}
	}
	if want := int(table.NumRows()) * len(names); len(values) != want {
		t.Fatalf("%s: %d values, want %d", path, len(values), want)
	}
	return values
}

// parquetGolden reads inputs, margins and predictions for a model of some
// columns and outputs.
func parquetGolden(t *testing.T, path string) answers {
	t.Helper()
	y := parquetColumns(t, path, "y")
	g := answers{rows: parquetColumns(t, path, "x"), margin: parquetColumns(t, path, "margin"), y: y}
	n := 3000
	if strings.Contains(path, "older") {
		n = 1200
	}
	g.columns, g.margins, g.outputs = len(g.rows)/n, len(g.margin)/n, len(g.y)/n
	if len(g.rows)%n != 0 || g.columns == 0 || g.outputs == 0 {
		t.Fatalf("%s: %d values and %d predictions, want those of %d rows", path, len(g.rows), len(y), n)
	}
	return g
}

// TestReadModel_shared compares the larger models, in each format, with their
// library's answers.
func TestReadModel_shared(t *testing.T) {
	needShared(t)
	goldens, _ := filepath.Glob(shared + "/models/*.golden.parquet")
	older, _ := filepath.Glob(shared + "/models/older/*.golden.parquet")
	read := 0
	for _, path := range append(goldens, older...) {
		stem := strings.TrimSuffix(path, ".golden.parquet")
		files := modelFiles(t, stem)
		if len(files) == 0 {
			continue
		}
		g := parquetGolden(t, path)
		for _, file := range files {
			read++
			t.Run(filepath.Base(file), func(t *testing.T) {
				checkFile(t, file, g)
			})
		}
	}
	if read != 153 {
		t.Errorf("only %d model files", read)
	}
}

// modelFiles finds the files of a model, one a format.
func modelFiles(t *testing.T, stem string) []string {
	t.Helper()
	var files []string
	for _, extension := range []string{".txt", ".json", ".ubj", ".bin", ".joblib"} {
		if _, err := os.Stat(stem + extension); err == nil {
			files = append(files, stem+extension)
		}
	}
	return files
}

// TestFileModel_Explain_shared compares contributions with the libraries' own:
// within 1e-6 of the row's largest number, as XGBoost computes them in float32;
// and bias and contributions against the margin, within 1e-9.
func TestFileModel_Explain_shared(t *testing.T) {
	needShared(t)
	paths, _ := filepath.Glob(shared + "/models/*.contrib.parquet")
	if len(paths) != 14 {
		t.Fatalf("only %d files", len(paths))
	}
	for _, path := range paths {
		stem := strings.TrimSuffix(path, ".contrib.parquet")
		t.Run(filepath.Base(stem), func(t *testing.T) {
			file := modelFiles(t, stem)[0]
			f, marginModel := loadModel(t, file), loadModel(t, file, basket.WithMargin())
			g := parquetGolden(t, stem+".golden.parquet")
			want := parquetColumns(t, path, "c")
			bias := parquetColumns(t, path, "bias")
			n := f.Info().Features
			if len(want) != 300*n || len(bias) != 300 {
				t.Fatalf("%d contributions and %d biases", len(want), len(bias))
			}
			got, margin := make([]float64, n), make([]float64, 1)
			worst, worstSum := 0.0, 0.0
			for i := range 300 {
				row := g.rows[i*n:][:n]
				gotBias, err := f.Explain(t.Context(), got, row)
				if err != nil {
					t.Fatal(err)
				}
				if err := marginModel.Predict(t.Context(), margin, row); err != nil {
					t.Fatal(err)
				}
				size, sum := math.Abs(gotBias), gotBias
				for _, c := range got {
					size, sum = max(size, math.Abs(c)), sum+c
				}
				worst = max(worst, math.Abs(gotBias-bias[i])/size)
				for j := range got {
					worst = max(worst, math.Abs(got[j]-want[i*n+j])/size)
				}
				worstSum = max(worstSum, math.Abs(sum-margin[0])/size)
			}
			t.Logf("largest difference: %.2g of contributions, %.2g of sums", worst, worstSum)
			if worst > 1e-6 {
				t.Errorf("a contribution differs by %v of the row's largest", worst)
			}
			if worstSum > 1e-9 {
				t.Errorf("bias and contributions differ from the margin by %v", worstSum)
			}
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
	if err := m.Predict(t.Context(), make([]float64, 3*m.Outputs()), rows); err != nil {
		t.Errorf("a model that was read does not predict: %v", err)
	}
}
