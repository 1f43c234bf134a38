package main

import (
	"context"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/basket-go/basket/basketparquet"
)

// A workload is a model file with rows for it.
type workload struct {
	path     string
	columns  int
	rows     []float64 // row-major, batchSize of them
	distinct int       // the first distinct rows are repeated to fill a batch
	want     []float64 // the library's own predictions of the distinct rows
	file     string    // holds rows, for the peers
}

// loadWorkload loads the large model of a name or, if the large data is missing, the
// small one of testdata that replaces it.
func (b *bench) loadWorkload(large, small string) (*workload, error) {
	w := &workload{}
	var err error
	if b.large {
		if w.path, err = findModel(filepath.Join(b.shared, "models", large+".*")); err == nil {
			err = w.readGolden(filepath.Join(b.shared, "models", large+".golden.parquet"))
		}
	} else if folder := filepath.Join(b.root, "testdata", "models", small); small == "" {
		err = errors.New("testdata has no small model for it")
	} else if w.path, err = findModel(filepath.Join(folder, "model.*")); err == nil {
		err = w.readTestdata(folder)
	}
	if err != nil {
		return nil, skipError{err}
	}
	if w.columns == 0 || len(w.rows) == 0 || len(w.rows)%w.columns != 0 || len(w.want)*w.columns != len(w.rows) {
		return nil, fmt.Errorf("%s: %d values and %d predictions for rows of %d columns", w.path, len(w.rows), len(w.want), w.columns)
	}
	w.distinct = min(len(w.want), batchSize)
	w.want = w.want[:w.distinct]
	w.rows = slices.Repeat(w.rows, (batchSize+w.distinct-1)/w.distinct)[:batchSize*w.columns]
	w.file = filepath.Join(b.temp, large+".rows")
	raw := make([]byte, 0, 8*len(w.rows))
	for _, v := range w.rows {
		raw = binary.NativeEndian.AppendUint64(raw, math.Float64bits(v))
	}
	return w, os.WriteFile(w.file, raw, 0o600)
}

// modelName returns the name of the model that loadWorkload loads.
func (b *bench) modelName(large, small string) string {
	if b.large || small == "" {
		return large
	}
	return small
}

// findModel returns the first file that matches and has the extension of a model.
func findModel(pattern string) (string, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	for _, extension := range []string{".txt", ".json", ".joblib"} {
		for _, f := range files {
			if filepath.Ext(f) == extension {
				return f, nil
			}
		}
	}
	return "", fmt.Errorf("%s: no model file", pattern)
}

// readGolden reads the columns x0, x1, ... and y of a parquet file.
func (w *workload) readGolden(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	table, err := basketparquet.OpenTable(f, info.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var inputs []string
	for _, c := range table.Columns() {
		if isInput(c) {
			inputs = append(inputs, c)
		}
	}
	w.columns = len(inputs)
	for rows, err := range table.Rows(context.Background(), append(inputs, "y")...) {
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for ; len(rows) > w.columns; rows = rows[w.columns+1:] {
			w.rows = append(w.rows, rows[:w.columns]...)
			w.want = append(w.want, rows[w.columns])
		}
	}
	return nil
}

func isInput(column string) bool {
	number, ok := strings.CutPrefix(column, "x")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// readTestdata reads rows.csv and the column y of want.csv. It omits rows whose y is NaN,
// which the library rejects.
func (w *workload) readTestdata(folder string) error {
	header, rows, err := readCSV(filepath.Join(folder, "rows.csv"))
	if err != nil {
		return err
	}
	w.columns = len(header)
	header, want, err := readCSV(filepath.Join(folder, "want.csv"))
	if err != nil {
		return err
	}
	y := slices.Index(header, "y")
	if y < 0 || len(want)/len(header) != len(rows)/w.columns {
		return fmt.Errorf("%s: want.csv has no column y, or not as many rows as rows.csv", folder)
	}
	for i := range len(rows) / w.columns {
		if v := want[i*len(header)+y]; !math.IsNaN(v) {
			w.rows, w.want = append(w.rows, rows[i*w.columns:(i+1)*w.columns]...), append(w.want, v)
		}
	}
	return nil
}

// readCSV reads a file of numbers with a header. An empty field is NaN.
func readCSV(path string) (header []string, values []float64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(records) < 2 {
		return nil, nil, fmt.Errorf("%s: no rows", path)
	}
	for _, record := range records[1:] {
		for _, text := range record {
			v := math.NaN()
			if text != "" {
				if v, err = strconv.ParseFloat(text, 64); err != nil {
					return nil, nil, fmt.Errorf("%s: %w", path, err)
				}
			}
			values = append(values, v)
		}
	}
	return records[0], values, nil
}

// readFloats reads a file of float64 in the machine's byte order.
func readFloats(path string) ([]float64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := make([]float64, len(raw)/8)
	for i := range values {
		values[i] = math.Float64frombits(binary.NativeEndian.Uint64(raw[8*i:]))
	}
	return values, nil
}

// checkEqual compares predictions. A tolerance of zero means equal to the last bit,
// where any NaN equals any other; otherwise the tolerance is relative to the larger of
// 1 and the absolute value wanted.
func checkEqual(what string, got, want []float64, tolerance float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%s: %d predictions, want %d", what, len(got), len(want))
	}
	wrong, first := 0, -1
	for i := range got {
		if math.Float64bits(got[i]) == math.Float64bits(want[i]) || math.IsNaN(got[i]) && math.IsNaN(want[i]) ||
			tolerance > 0 && math.Abs(got[i]-want[i]) <= tolerance*max(1, math.Abs(want[i])) {
			continue
		}
		if wrong++; first < 0 {
			first = i
		}
	}
	if wrong == 0 {
		return nil
	}
	return fmt.Errorf("%s: %d of %d predictions are wrong, first in row %d: %v, want %v", what, wrong, len(got), first, got[first], want[first])
}
