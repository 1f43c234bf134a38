// Package golden reads the models of testdata/models and the predictions that their
// own libraries made. It is test support: only tests may import it.
package golden

import (
	"cmp"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// A Case is a folder of testdata/models.
type Case struct {
	Dir        string
	Files      []string // paths of the model, one for each format
	Rows, Want Table    // rows.csv, the input, and want.csv, with columns y and margin
}

// Cases returns the folders that match the glob pattern. It fails t if there are
// none or if files are missing.
func Cases(t testing.TB, pattern string) (cases []Case) {
	dirs, _ := filepath.Glob(pattern)
	for _, dir := range dirs {
		files, _ := filepath.Glob(dir + "/model.*")
		cases = append(cases, Case{dir, files, ReadTable(t, dir+"/rows.csv"), ReadTable(t, dir+"/want.csv")})
	}
	if len(cases) == 0 || slices.ContainsFunc(cases, func(c Case) bool { return c.Files == nil }) {
		t.Fatalf("%s: %d folders, not all with a model", pattern, len(cases))
	}
	return cases
}

// A Table is a CSV file of numbers under a header, Values row by row.
type Table struct {
	Header []string
	Values []float64
}

// ReadTable reads a CSV file, in which an empty cell is NaN.
func ReadTable(t testing.TB, path string) Table {
	text, err := os.ReadFile(path)
	records, csvErr := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || csvErr != nil || len(records) == 0 {
		t.Fatalf("%s: %v, %v, %d lines", path, err, csvErr, len(records))
	}
	table := Table{Header: records[0]}
	for _, cell := range slices.Concat(records[1:]...) {
		v, err := strconv.ParseFloat(cmp.Or(cell, "NaN"), 64)
		if table.Values = append(table.Values, v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return table
}

// Columns returns the columns called stem, stem0, stem1 ..., row by row, and their number.
func (t Table) Columns(stem string) (values []float64, width int) {
	for i, v := range t.Values {
		if strings.TrimRight(t.Header[i%len(t.Header)], "0123456789") == stem {
			values = append(values, v)
		}
	}
	return values, len(values) * len(t.Header) / max(len(t.Values), 1)
}

// Compare fails t unless got and want have the same bits; any NaN equals another.
func Compare(t testing.TB, what string, got, want []float64) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if len(got) != len(want) || math.Float64bits(got[i]) != math.Float64bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
			t.Fatalf("%s: value %d of %d and %d: %v, want %v", what, i, len(got), len(want), got[i:], want[i:])
		}
	}
}

// CheckError fails t unless err is one line of printable UTF-8 of some 1000 bytes.
func CheckError(t testing.TB, err error) {
	t.Helper()
	if text := err.Error(); len(text) > 1010 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("error of %d bytes: %.2000q", len(text), text)
	}
}
