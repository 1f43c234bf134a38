package basketparquet_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing/fstest"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

// Features from a folder with orders.parquet, regulars.parquet and
// inventory.parquet.
func ExampleMaterialize() {
	m, err := basketparquet.Materialize(os.DirFS("testdata/golden"), basket.LastOrder)
	if err != nil {
		fmt.Println(err)
		return
	}
	for row := range m.Latest() {
		if row.UserID == "repeats" {
			fmt.Printf("%d rows, the last %.2f\n", row.Orders, row.Values)
		}
	}
	// Output: 2 rows, the last [21.74 6.00 2.00 0.00]
}

// A file that cannot be used is named, with the cause.
func ExampleMaterialize_error() {
	_, err := basketparquet.Materialize(fstest.MapFS{"inventory.parquet": {Data: []byte("variant_id,price\n1,2.50\n")}}, basket.LastOrder)
	fmt.Println(err)
	// Output: basket: bad data: inventory.parquet: not parquet: it begins with "vari"; want "PAR1"
}

func ExampleWriteRows() {
	rows := slices.Values([]basket.Row{{UserID: "ada", Orders: 3, Values: []float64{7.84, 2}}})
	var file bytes.Buffer
	if err := basketparquet.WriteRows(&file, []string{"prior_basket_value", "prior_item_count"}, rows); err != nil {
		fmt.Println(err)
		return
	}
	fsys := fstest.MapFS{"features.parquet": {Data: file.Bytes()}}
	for row, err := range basketparquet.ReadRows(fsys, "features.parquet", "prior_item_count") {
		fmt.Println(row.UserID, row.Orders, row.Values, err)
	}
	// Output: ada 3 [2] <nil>
}

// A batch job writes feature rows; a server reads them.
func ExampleReadRows() {
	m, err := basketparquet.Materialize(os.DirFS("testdata/golden"), basket.NextOrder)
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	if err := basketparquet.WriteRows(&file, basket.FeatureNames(), m.Latest()); err != nil {
		fmt.Println(err)
		return
	}
	fsys := fstest.MapFS{"features.parquet": {Data: file.Bytes()}}
	for row, err := range basketparquet.ReadRows(fsys, "features.parquet") {
		if err != nil {
			fmt.Println(err)
			return
		}
		if row.UserID == "one-order" {
			fmt.Printf("%.2f\n", row.Values)
		}
	}
	// Output: [10.87 3.00 1.00 1.00]
}

// Columns of numbers in, a column of sums out.
func ExampleTable() {
	b, err := os.ReadFile("testdata/table/numbers.parquet")
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := basketparquet.OpenTable(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		fmt.Println(err)
		return
	}
	var out bytes.Buffer
	err = basketparquet.WriteTable(&out, []string{"y"}, func(yield func([]float64, error) bool) {
		for batch, err := range in.Rows("float", "uint32") {
			var sums []float64
			for row := range slices.Chunk(batch, 2) {
				sums = append(sums, row[0]+row[1])
			}
			if !yield(sums, err) {
				return
			}
		}
	})
	fmt.Println(in.NumRows(), "rows of", in.Columns()[:3], err)
	// Output: 1300 rows of [double name float] <nil>
}

func ExampleWriteTable() {
	var file bytes.Buffer
	err := basketparquet.WriteTable(&file, []string{"y", "y0"}, func(yield func([]float64, error) bool) {
		yield([]float64{1.5, 0.25, 2.5, 0.75}, nil) // two rows
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	table, err := basketparquet.OpenTable(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for batch, err := range table.Rows("y0", "y") {
		fmt.Println(batch, err)
	}
	// Output: [0.25 1.5 0.75 2.5] <nil>
}
