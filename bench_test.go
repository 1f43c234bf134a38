package basket_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/basket-go/basket"
)

// benchmarkRows is the number of rows of a batch: the golden rows, repeated.
const benchmarkRows = 12000

// BenchmarkForest predicts one row at a time, each another one, and all in one
// call. Its ns/row are what other libraries' benchmarks report.
func BenchmarkForest(b *testing.B) {
	for _, name := range []string{"lightgbm-regression", "lightgbm-nan", "lightgbm-categorical", "xgboost-regression", "sklearn-extratrees"} {
		dir := "testdata/models/" + name
		files, _ := filepath.Glob(dir + "/model.*")
		if len(files) == 0 {
			b.Fatalf("no model in %s", dir)
		}
		g := readGolden(b, dir, "")
		benchmarkForest(b, name, files[0], g.rows, g.columns)
	}
}

// BenchmarkForest_shared is BenchmarkForest for larger models.
func BenchmarkForest_shared(b *testing.B) {
	needShared(b)
	for _, file := range []string{
		"lgbm-regression.txt", "lgbm-nan.txt", "lgbm-large.txt", "lgbm-multiclass.txt", "lgbm-linear.txt",
		"xgb-regression.json", "xgb-nan.json", "sklearn-rf.joblib",
	} {
		path := filepath.Join(shared, "models", file)
		stem := strings.TrimSuffix(path, filepath.Ext(path))
		m := loadModel(b, path)
		benchmarkForest(b, filepath.Base(stem), path, parquetColumns(b, stem+".golden.parquet", "x"), len(m.Features()))
	}
}

func benchmarkForest(b *testing.B, name, path string, rows []float64, columns int) {
	m := loadModel(b, path)
	ctx := b.Context()
	outputs, golden := m.Outputs(), rows
	for len(rows) < benchmarkRows*columns {
		rows = append(rows, golden...)
	}
	rows = rows[:benchmarkRows*columns]
	dst := make([]float64, benchmarkRows*outputs)
	for _, n := range []int{1, 8, benchmarkRows} {
		b.Run(fmt.Sprintf("rows=%d/model=%s", n, name), func(b *testing.B) {
			b.ReportAllocs()
			at := 0
			for b.Loop() {
				if at+n > benchmarkRows {
					at = 0
				}
				if err := m.Predict(ctx, dst[at*outputs:(at+n)*outputs], rows[at*columns:(at+n)*columns]); err != nil {
					b.Fatal(err)
				}
				at += n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
		})
	}
}

// BenchmarkReadModel reads and compiles the largest model.
func BenchmarkReadModel(b *testing.B) {
	needShared(b)
	path := shared + "/models/lgbm-large.txt"
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := basket.LoadModel(path); err != nil {
			b.Fatal(err)
		}
	}
}
