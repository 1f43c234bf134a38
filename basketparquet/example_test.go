package basketparquet_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"testing/fstest"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

// Features from a folder with orders.parquet, regulars.parquet and
// inventory.parquet.
func ExampleMaterialize() {
	ctx := context.Background()
	m, err := basketparquet.Materialize(ctx, os.DirFS("testdata/golden"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for row, err := range m.Latest(ctx) {
		if row.UserID == "repeats" {
			fmt.Printf("%d rows, the last %.2f, %v\n", row.Number, row.Values, err)
		}
	}
	// Output: 2 rows, the last [21.74 6.00 2.00 0.00], <nil>
}

// An error names the file and the cause.
func ExampleMaterialize_error() {
	fsys := fstest.MapFS{"inventory.parquet": {Data: []byte("variant_id,price\n1,2.50\n")}}
	_, err := basketparquet.Materialize(context.Background(), fsys)
	fmt.Println(err)
	// Output: basket: bad data: inventory.parquet: not parquet: the first bytes are "vari": want "PAR1"
}

// A Materializer of orders alone: the other tables are given.
func ExampleOrders() {
	ctx := context.Background()
	m, err := basket.NewMaterializer(basket.Values[basket.Regular](nil), basket.Values([]basket.Item{{VariantID: 1, Price: 2.5}}), basket.NextOrder)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.AddAll(basketparquet.Orders(ctx, os.DirFS("testdata/golden"))); err != nil {
		fmt.Println(err)
		return
	}
	for row, err := range m.Latest(ctx) {
		if row.UserID == "one-order" {
			fmt.Println(row.Values, err)
		}
	}
	// Output: [7.5 3 0 0] <nil>
}

// A row group of a table, which another machine may read.
func ExampleRowGroups() {
	ctx := context.Background()
	fsys := os.DirFS("testdata/golden")
	groups, err := basketparquet.RowGroups(ctx, fsys, "orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, g := range groups {
		n, items := 0, 0
		for order, err := range g.Orders(ctx, fsys) {
			if err != nil {
				fmt.Println(err)
				return
			}
			n, items = n+1, items+len(order.Items)
		}
		fmt.Printf("%s, row group %d: %d orders of %d items\n", g.File, g.Index, n, items)
	}
	// Output:
	// orders.parquet, row group 0: 150 orders of 2192 items
	// orders.parquet, row group 1: 149 orders of 1829 items
}

func ExampleRegulars() {
	for r, err := range basketparquet.Regulars(context.Background(), os.DirFS("testdata/golden")) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if r.UserID == "two-orders" {
			fmt.Println(r.VariantID)
		}
	}
	// Output: 3
}

func ExampleInventory() {
	items, known := 0, 0
	for item, err := range basketparquet.Inventory(context.Background(), os.DirFS("testdata/golden")) {
		if err != nil {
			fmt.Println(err)
			return
		}
		items++
		if item.Price == item.Price { // NaN is unknown
			known++
		}
	}
	fmt.Println(known, "known prices of", items)
	// Output: 454 known prices of 496
}

func ExampleWriteRows() {
	rows := basket.Values([]basket.Row{{UserID: "ada", Number: 3, Values: []float64{7.84, 2}}})
	var file bytes.Buffer
	if err := basketparquet.WriteRows(&file, []string{"prior_basket_value", "prior_item_count"}, rows); err != nil {
		fmt.Println(err)
		return
	}
	fsys := fstest.MapFS{"features.parquet": {Data: file.Bytes()}}
	for row, err := range basketparquet.Rows(context.Background(), fsys, "features.parquet", "prior_item_count") {
		fmt.Println(row.UserID, row.Number, row.Values, err)
	}
	// Output: ada 3 [2] <nil>
}

// A batch job writes feature rows, and a server reads them into a store.
func ExampleRows() {
	ctx := context.Background()
	m, err := basketparquet.Materialize(ctx, os.DirFS("testdata/golden"), basket.NextOrder)
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	if err := basketparquet.WriteRows(&file, basket.FeatureNames(), m.Latest(ctx)); err != nil {
		fmt.Println(err)
		return
	}
	fsys := fstest.MapFS{"features.parquet": {Data: file.Bytes()}}
	store, err := basket.NewMemoryStore(basketparquet.Rows(ctx, fsys, "features.parquet"))
	if err != nil {
		fmt.Println(err)
		return
	}
	row, err := store.Row(ctx, "one-order")
	fmt.Printf("%.2f of %s, %v\n", row.Values, row.OrderedAt.Format("2006-01-02"), err)
	// Output: [10.87 3.00 1.00 1.00] of 2018-01-04, <nil>
}

// Reads columns of numbers and writes a column of sums.
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
		for batch, err := range in.Rows(context.Background(), "float", "uint32") {
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
	for batch, err := range table.Rows(context.Background(), "y0", "y") {
		fmt.Println(batch, err)
	}
	// Output: [0.25 1.5 0.75 2.5] <nil>
}

// Rows that follow the files.
func ExampleWatch() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond) // in a service, until it stops
	defer cancel()
	fsys := os.DirFS("testdata/golden")
	changed := make(chan struct{}, 1)
	done := make(chan error)
	go func() {
		done <- basketparquet.Watch(ctx, fsys, time.Second, func() { changed <- struct{}{} })
	}()
	m, err := basketparquet.Materialize(context.Background(), fsys)
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := basket.NewMemoryStore(m.Latest(context.Background()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		select {
		case <-changed: // Materialize again, and store.Replace
		case err := <-done:
			fmt.Println(store.Len() > 0, err)
			return
		}
	}
	// Output: true context deadline exceeded
}
