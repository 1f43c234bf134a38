package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/parquet-go/parquet-go"
)

type orderRow struct {
	UserID       string    `parquet:"user_id,dict"`
	CreatedAt    time.Time `parquet:"created_at,timestamp(microsecond)"`
	OrderedItems []*int64  `parquet:"ordered_items,list"`
}

type regularRow struct {
	UserID    string `parquet:"user_id"`
	VariantID int64  `parquet:"variant_id"`
}

type itemRow struct {
	VariantID int64    `parquet:"variant_id"`
	Price     *float64 `parquet:"price,optional"`
}

// makeShop writes a shop to a folder: always the same.
func makeShop(dir string) error {
	const users, orders = 1500, 40_000
	random := rand.New(rand.NewPCG(20261125, 1))
	user := func(i int) string { return fmt.Sprintf("user-%04d", i) }
	var all []orderRow
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	add := func(user string, at time.Time) {
		o := orderRow{UserID: user, CreatedAt: at, OrderedItems: []*int64{}}
		for range random.IntN(12) {
			variant := random.Int64N(60)
			o.OrderedItems = append(o.OrderedItems, &variant)
		}
		all = append(all, o)
	}
	for i := range orders {
		// Some users have many orders, some few. Those of a third of the users are within
		// a minute: many of equal time.
		u := min(random.IntN(users), random.IntN(users))
		spread := 60
		if u%3 > 0 {
			spread = 90 * 86400
		}
		add(user(u), start.Add(time.Duration(random.IntN(spread))*time.Second+time.Duration(i%3)*time.Microsecond*250))
	}
	for i := range 200 {
		add(fmt.Sprintf("once-%03d", i), start.Add(time.Duration(random.IntN(90*86400))*time.Second))
	}
	var regulars []regularRow
	for range 6 * users {
		regulars = append(regulars, regularRow{user(random.IntN(users + 50)), random.Int64N(60)})
	}
	var items []itemRow
	for i := range 50 {
		item := itemRow{VariantID: int64(i)}
		if i%9 > 0 {
			price := float64(100+random.IntN(2000)) / 100
			item.Price = &price
		}
		items = append(items, item)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := writeTable(filepath.Join(dir, "orders.parquet"), all, 997); err != nil {
		return err
	}
	if err := writeTable(filepath.Join(dir, "regulars.parquet"), regulars, 1000); err != nil {
		return err
	}
	return writeTable(filepath.Join(dir, "inventory.parquet"), items, 1000)
}

func writeTable[T any](name string, rows []T, group int64) error {
	return parquet.WriteFile(name, rows, parquet.MaxRowsPerRowGroup(group))
}
