package main

import (
	"context"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/basket-go/basket/basketparquet"
)

// batchSize is the number of rows of a batch.
const batchSize = 12_000

// A workload is a model file and rows for it.
type workload struct {
	name     string
	path     string
	columns  int
	rows     []float64 // row-major, batchSize of them
	distinct int       // how many rows there were before they were repeated
	want     []float64 // the library's own predictions of the distinct rows
	file     string    // where rows are, for peers
}

// loadWorkload finds a model by its name among the large ones, or the small one
// that stands in for it.
func (b *bench) loadWorkload(name, small string) (*workload, error) {
	w := &workload{name: name}
	var err error
	if b.large {
		w.path, err = one(filepath.Join(b.shared, "models", name+".*"), ".txt", ".json", ".joblib")
		if err == nil {
			err = w.readGolden(filepath.Join(b.shared, "models", name+".golden.parquet"))
		}
	} else {
		if small == "" {
			return nil, fmt.Errorf("no small model stands in for it, and %s is not there", b.shared)
		}
		folder := filepath.Join(b.root, "testdata", "models", small)
		w.path, err = one(filepath.Join(folder, "model.*"), ".txt", ".json", ".joblib")
		if err == nil {
			err = w.readCSV(folder)
		}
	}
	if err != nil {
		return nil, err
	}
	if w.columns == 0 || len(w.rows) == 0 || len(w.rows)%w.columns != 0 || len(w.want)*w.columns != len(w.rows) {
		return nil, fmt.Errorf("%s: %d values and %d predictions for rows of %d columns", w.path, len(w.rows), len(w.want), w.columns)
	}
	w.distinct = len(w.rows) / w.columns
	for len(w.rows) < batchSize*w.columns {
		w.rows = append(w.rows, w.rows[:min(len(w.rows), batchSize*w.columns-len(w.rows))]...)
	}
	w.rows = w.rows[:batchSize*w.columns]
	w.distinct = min(w.distinct, batchSize)
	w.file = filepath.Join(b.temp, name+".rows")
	raw := make([]byte, 0, 8*len(w.rows))
	for _, v := range w.rows {
		raw = binary.NativeEndian.AppendUint64(raw, math.Float64bits(v))
	}
	return w, os.WriteFile(w.file, raw, 0o600)
}

// title is the name of the model that is taken: the large one, or the small one
// in its stead.
func (b *bench) title(large, small string) string {
	if b.large || small == "" {
		return large
	}
	return small
}

// one returns the file that matches and has one of the extensions.
func one(pattern string, extensions ...string) (string, error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return "", err
	}
	for _, e := range extensions {
		for _, f := range files {
			if filepath.Ext(f) == e {
				return f, nil
			}
		}
	}
	return "", fmt.Errorf("%s: no such model", pattern)
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

// readCSV reads rows.csv and the column y of want.csv.
func (w *workload) readCSV(folder string) error {
	header, rows, err := readCSV(filepath.Join(folder, "rows.csv"))
	if err != nil {
		return err
	}
	w.columns, w.rows = len(header), rows
	header, want, err := readCSV(filepath.Join(folder, "want.csv"))
	if err != nil {
		return err
	}
	for j, name := range header {
		for i := j; name == "y" && i < len(want); i += len(header) {
			w.want = append(w.want, want[i])
		}
	}
	return nil
}

// readCSV reads numbers; an empty one is NaN.
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

// readFloats reads a file of float64 in the machine's order.
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

// differs compares predictions and returns what is wrong with them, or "". A
// tolerance of zero wants equal bits; else it is relative to the larger of 1 and
// the wanted value.
func differs(got, want []float64, tolerance float64) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d predictions, want %d", len(got), len(want))
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
		return ""
	}
	return fmt.Sprintf("%d of %d predictions differ; the first is that of row %d: %v, want %v", wrong, len(got), first, got[first], want[first])
}
