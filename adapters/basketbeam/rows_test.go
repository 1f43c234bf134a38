package basketbeam

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/basket-go/basket"
)

// TestRows: the rows of a pipeline are those of a Materializer, to the last bit.
func TestRows(t *testing.T) {
	layouts := []struct {
		parts, group, shards int
	}{{1, 1 << 20, 1}, {4, 50, 8}, {13, 7, 3}}
	for seed, l := range layouts {
		dir := randomShop(uint64(seed), 100, 1000).write(t, l.parts, l.group)
		for _, meaning := range []basket.Meaning{basket.LastOrder, basket.NextOrder} {
			t.Run(fmt.Sprintf("parts=%d/group=%d/%v", l.parts, l.group, meaning), func(t *testing.T) {
				checkRows(t, dir, meaning, l.shards)
			})
		}
	}
}

// checkRows compares all rows, and the latest ones, with a Materializer's.
func checkRows(t *testing.T, dir string, meaning basket.Meaning, shards int) {
	t.Helper()
	all, latest := filepath.Join(t.TempDir(), "new", "all"), t.TempDir()
	err := run(t, func(s beam.Scope) {
		tables := Read(s, dir)
		WriteRows(s, all, shards, Rows(s, tables, meaning))
		WriteRows(s, latest, shards, Latest(s, tables, meaning))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := materialize(t, dir, meaning, false)
	sameBits(t, want, readOutput(t, all))
	wantLatest := materialize(t, dir, meaning, true)
	sameBits(t, wantLatest, readOutput(t, latest))
	t.Logf("%d rows and %d latest rows are equal", len(want), len(wantLatest))
}

// TestRows_noOrders: tables without rows give files without rows.
func TestRows_noOrders(t *testing.T) {
	s := randomShop(1, 10, 10)
	s.orders = nil
	checkRows(t, s.write(t, 1, 10), basket.LastOrder, 4)
}

// TestRows_shared compares the rows of larger shops.
func TestRows_shared(t *testing.T) {
	needShared(t)
	for _, name := range []string{"small", "full"} {
		if name == "full" && testing.Short() {
			continue
		}
		for _, meaning := range []basket.Meaning{basket.LastOrder, basket.NextOrder} {
			t.Run(fmt.Sprintf("%s/%v", name, meaning), func(t *testing.T) {
				checkRows(t, filepath.Join(shared, "data", name), meaning, 4)
			})
		}
	}
}

func TestRows_refusesMeaning(t *testing.T) {
	defer func() {
		if r := recover(); r == nil {
			t.Error("no panic")
		}
	}()
	_ = run(t, func(s beam.Scope) { Rows(s, Tables{}, 7) })
}
