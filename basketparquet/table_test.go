package basketparquet

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"
	"path"
	"testing"

	"github.com/basket-go/basket"
)

// The expected numbers were read with pandas.
func TestTable_pyarrow(t *testing.T) {
	lines := readCSV(t, "table/numbers.csv")
	for _, file := range []string{"numbers", "numbers-v2"} {
		t.Run(file, func(t *testing.T) {
			table := openTable(t, testFile(t, "table/"+file+".parquet"))
			if table.NumRows() != 1300 {
				t.Errorf("%d rows: want 1300", table.NumRows())
			}
			row := 0
			for batch, err := range table.Rows(t.Context(), lines[0]...) {
				if err != nil {
					t.Fatal(err)
				}
				for ; len(batch) > 0; batch = batch[len(lines[0]):] {
					if row%50 == 0 { // the CSV file has every fiftieth row
						for j, s := range lines[1+row/50] {
							if want := number(t, s); !same(batch[j], want) {
								t.Errorf("row %d: %s = %v: want %v", row, lines[0][j], batch[j], want)
							}
						}
					}
					row++
				}
			}
			if row != 1300 {
				t.Errorf("%d rows: want 1300", row)
			}
		})
	}
}

func TestTable_faults(t *testing.T) {
	table := openTable(t, testFile(t, "table/numbers.parquet"))
	for name, want := range map[string]string{
		"other": `basket: bad data: parquet: column "other" is missing: the columns are ["double" "name" "float" "half" "int8" "uint32" "int64" "uint64" "bool" "decimal" "null"]`,
		"name":  `basket: bad data: parquet: column "name" is of type BYTE_ARRAY (STRING): want a number (FLOAT, DOUBLE, FLOAT16, INT32, INT64, BOOLEAN or DECIMAL)`,
	} {
		for _, err := range table.Rows(t.Context(), "float", name) {
			if err == nil || err.Error() != want || !errors.Is(err, basket.ErrData) {
				t.Errorf("error\n%v\nwant\n%s", err, want)
			}
		}
	}
	// A file without columns can claim any number of rows.
	none := openTable(t, wrapFooter(0x15, 2, 0x19, 0x1c, 0x48, 1, 'r', 0x15, 0, 0, 0x16, 0, 0x19, 0x0c, 0))
	for _, err := range none.Rows(t.Context()) {
		if !errors.Is(err, basket.ErrData) {
			t.Errorf("error %v: want one that wraps ErrData", err)
		}
	}
	if _, err := OpenTable(bytes.NewReader(nil), 0); !errors.Is(err, basket.ErrData) {
		t.Errorf("error %v: want one that wraps ErrData", err)
	}
}

func TestWriteTable_readBack(t *testing.T) {
	const n = 3000
	var b bytes.Buffer
	err := WriteTable(&b, []string{"y", "z"}, count(n, nil))
	if err != nil {
		t.Fatal(err)
	}
	table := openTable(t, b.Bytes())
	i := 0
	for batch, err := range table.Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for ; len(batch) > 0; batch = batch[2:] {
			if batch[0] != float64(i) || !math.IsNaN(batch[1]) {
				t.Fatalf("row %d is %v", i, batch[:2])
			}
			i++
		}
	}
	if i != n || table.NumRows() != n {
		t.Errorf("%d and %d rows: want %d", i, table.NumRows(), n)
	}
}

func TestWriteTable_faults(t *testing.T) {
	var b bytes.Buffer
	cause := errors.New("cause")
	if err := WriteTable(&b, []string{"y", "z"}, count(5, cause)); err != cause {
		t.Errorf("error %v: want the batches' own", err)
	}
	if _, err := OpenTable(bytes.NewReader(b.Bytes()), int64(b.Len())); err == nil {
		t.Error("an unfinished file is a table")
	}
	for _, names := range [][]string{nil, {"a", "b", "c"}} {
		if err := WriteTable(&b, names, count(1, nil)); !errors.Is(err, basket.ErrData) {
			t.Errorf("%v: error %v: want one that wraps ErrData", names, err)
		}
	}
}

// count yields n batches of one row, a number and NaN, and then err.
func count(n int, err error) iter.Seq2[[]float64, error] {
	return func(yield func([]float64, error) bool) {
		for i := range n {
			if !yield([]float64{float64(i), math.NaN()}, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func openTable(t testing.TB, b []byte) *Table {
	t.Helper()
	table, err := OpenTable(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func BenchmarkMaterialize(b *testing.B) {
	for _, data := range []string{"testdata/golden", "small", "full"} {
		b.Run("data="+path.Base(data), func(b *testing.B) {
			fsys := dataOrTestdata(b, data)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Materialize(b.Context(), fsys); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTable(b *testing.B) {
	const rows, columns = 100_000, 10
	names := make([]string, columns)
	for j := range names {
		names[j] = fmt.Sprint("f", j)
	}
	var file bytes.Buffer
	err := WriteTable(&file, names, func(yield func([]float64, error) bool) {
		row := make([]float64, columns)
		for i := range rows {
			for j := range row {
				row[j] = float64(i * j)
			}
			if !yield(row, nil) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run(fmt.Sprintf("rows=%d/columns=%d", rows, columns), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, err := range openTable(b, file.Bytes()).Rows(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
