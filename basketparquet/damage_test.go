package basketparquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/basket-go/basket"
)

// What a damaged copy of the test files may cost. The files are small; what is
// hunted are sizes that damage made huge.
const (
	mostBytes = 64 << 20
	mostTime  = 10 * time.Second // far over what it takes under the race detector
)

func TestMaterialize_cutShort(t *testing.T) {
	eachTestTable(t, func(t *testing.T, table string, good []byte) {
		for _, i := range steps(t) {
			n := i * len(good) / 200
			if _, err := materialize(t, table, good[:n]); !errors.Is(err, basket.ErrData) {
				t.Errorf("cut to %d bytes: error %v; want one that wraps ErrData", n, err)
			}
		}
	})
}

// Whatever byte changes, the answer is an error or what the changed bytes say.
// In the files with checksums, they say the same or nothing.
func TestMaterialize_changedByte(t *testing.T) {
	eachTestTable(t, func(t *testing.T, table string, good []byte) {
		checked := t.Name() == "TestMaterialize_changedByte/golden/"+table
		want, err := materialize(t, table, good)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(7, uint64(len(good))))
		for _, i := range steps(t) {
			bad := slices.Clone(good)
			at := i * len(good) / 200
			bad[at] ^= byte(1 + r.IntN(255))
			got, err := materialize(t, table, bad)
			switch {
			case err != nil && !errors.Is(err, basket.ErrData):
				t.Errorf("byte %d is %#x: error %v; want one that wraps ErrData", at, bad[at], err)
			case err == nil && checked && at < pagesEnd(good) && got != want:
				t.Errorf("byte %d is %#x: other rows, and no error", at, bad[at])
			}
		}
	})
}

func TestMaterialize_changedFooter(t *testing.T) {
	for _, table := range []string{"orders", "regulars", "inventory"} {
		good := testFile(t, table+"/base.parquet")
		for at := pagesEnd(good); at < len(good); at++ {
			for _, b := range []byte{0, 0xff, good[at] ^ 1, good[at] ^ 0x80, good[at] + 1} {
				bad := slices.Clone(good)
				bad[at] = b
				if _, err := materialize(t, table, bad); err != nil && !errors.Is(err, basket.ErrData) {
					t.Errorf("%s: byte %d is %#x: error %v; want one that wraps ErrData", table, at, b, err)
				}
			}
		}
	}
}

func TestTable_damaged(t *testing.T) {
	for _, file := range testFiles(t, "table/*.parquet") {
		good := testFile(t, file)
		for _, i := range steps(t) {
			n := i * len(good) / 200
			if err := readTable(t, good[:n]); !errors.Is(err, basket.ErrData) {
				t.Errorf("%s: cut to %d bytes: error %v; want one that wraps ErrData", file, n, err)
			}
			bad := slices.Clone(good)
			bad[n] ^= 0x55
			if err := readTable(t, bad); err != nil && !errors.Is(err, basket.ErrData) {
				t.Errorf("%s: byte %d: error %v; want one that wraps ErrData", file, n, err)
			}
		}
	}
}

func TestMaterialize_damagedData(t *testing.T) {
	fsys := sharedData(t, "small")
	for _, table := range []string{"orders", "regulars", "inventory"} {
		good, err := fs.ReadFile(fsys, table+".parquet")
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range steps(t) {
			n := i * len(good) / 200
			if _, err := materialize(t, table, good[:n]); !errors.Is(err, basket.ErrData) {
				t.Errorf("%s: cut to %d bytes: error %v; want one that wraps ErrData", table, n, err)
			}
			bad := slices.Clone(good)
			bad[n] ^= byte(1 + i)
			if _, err := materialize(t, table, bad); err != nil && !errors.Is(err, basket.ErrData) {
				t.Errorf("%s: byte %d: error %v; want one that wraps ErrData", table, n, err)
			}
		}
	}
}

// Files whose few bytes claim a lot.
func TestMaterialize_hugeClaims(t *testing.T) {
	good := testFile(t, "orders/base.parquet")
	tests := map[string]struct {
		data []byte
		err  string
	}{
		"footer": {slices.Concat(good[:len(good)-8], []byte{0xff, 0xff, 0xff, 0x7f}, []byte("PAR1")), "a footer of 2147483647 bytes"},
		// A list of 2^28 row groups: field 4 of the metadata, a list of structures.
		"row-groups": {wrapFooter(0x15, 2, 0x19, 0x0c, 0x16, 0, 0x19, 0xfc, 0xff, 0xff, 0xff, 0x7f), "cut short"},
		"columns":    {wrapFooter(0x15, 2, 0x19, 0x1c, 0x48, 1, 'r', 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0x16, 0, 0x19, 0x0c, 0), "a group of 2147483647 columns"},
		"deep":       {wrapFooter(append([]byte{0x15, 2}, bytes.Repeat([]byte{0xbc}, 5000)...)...), "nested"},
		"rows":       {wrapFooter(0x15, 2, 0x19, 0x1c, 0x48, 1, 'r', 0x15, 0, 0, 0x16, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x19, 0x0c, 0), "2147483647 rows in all, but 0 by row groups"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := materialize(t, "orders", test.data)
			if !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v; want one that wraps ErrData and tells %q", err, test.err)
			}
		})
	}
}

// wrapFooter makes a file of a footer alone.
func wrapFooter(footer ...byte) []byte {
	b := append([]byte("PAR1"), footer...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(footer)))
	return append(b, "PAR1"...)
}

// FuzzRead reads a file as each table and as features. The answer may be wrong,
// but not a panic, a flood of memory or an error of another kind.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"orders/*", "regulars/*", "inventory/*", "bad/*", "empty/*"} {
		for _, file := range testFiles(f, pattern+".parquet") {
			f.Add(testFile(f, file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, table := range []string{"orders", "regulars", "inventory"} {
			if _, err := materialize(t, table, data); err != nil && !errors.Is(err, basket.ErrData) {
				t.Errorf("%s: error %v; want one that wraps ErrData", table, err)
			}
		}
		if err := readTable(t, data); err != nil && !errors.Is(err, basket.ErrData) {
			t.Errorf("table: error %v; want one that wraps ErrData", err)
		}
	})
}

// eachTestTable calls test for every table among the test files.
func eachTestTable(t *testing.T, test func(t *testing.T, table string, good []byte)) {
	for _, table := range []string{"orders", "regulars", "inventory"} {
		t.Run("golden/"+table, func(t *testing.T) { test(t, table, testFile(t, "golden/"+table+".parquet")) })
		for _, file := range testFiles(t, table+"/*.parquet") {
			t.Run(path.Dir(file)+"/"+caseName(file), func(t *testing.T) { test(t, table, testFile(t, file)) })
		}
	}
}

// steps counts from 0 to 199: by ones in the golden and the reference's files,
// by fours in the many files of the formats.
func steps(t testing.TB) []int {
	step := 4
	if strings.Contains(t.Name(), "/golden/") || strings.Contains(t.Name(), "Data") {
		step = 1
	}
	if testing.Short() {
		step *= 10
	}
	var all []int
	for i := 0; i < 200; i += step {
		all = append(all, i)
	}
	return all
}

// materialize reads data as one of the tables, and returns all rows as text.
func materialize(t testing.TB, table string, data []byte) (rows string, err error) {
	t.Helper()
	dir := "orders"
	if strings.Contains(t.Name(), "/golden/") {
		dir = "golden"
	}
	fsys := damageBase(t, dir)
	fsys[table+".parquet"] = &fstest.MapFile{Data: data}
	bounded(t, func() {
		var m *basket.Materializer
		if m, err = Materialize(fsys, basket.LastOrder); err == nil {
			var b strings.Builder
			for r := range m.Rows() {
				fmt.Fprintln(&b, r)
			}
			rows = b.String()
		}
	})
	return rows, err
}

func damageBase(t testing.TB, dir string) fstest.MapFS {
	if dir != "golden" {
		return tables(t, "", "")
	}
	fsys := fstest.MapFS{}
	for _, table := range []string{"orders", "regulars", "inventory"} {
		fsys[table+".parquet"] = &fstest.MapFile{Data: testFile(t, "golden/"+table+".parquet")}
	}
	return fsys
}

func readTable(t testing.TB, data []byte) (err error) {
	t.Helper()
	bounded(t, func() {
		var table *Table
		if table, err = OpenTable(bytes.NewReader(data), int64(len(data))); err != nil {
			return
		}
		for _, name := range table.Columns() {
			rows := 0
			for batch, e := range table.Rows(name) {
				if e != nil && !strings.Contains(e.Error(), "is of type") {
					err = e
				}
				if rows += len(batch); rows > 100_000 {
					break
				}
			}
		}
	})
	return err
}

// bounded fails the test if f takes too much memory or time.
func bounded(t testing.TB, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	if took := time.Since(start); took > mostTime {
		t.Errorf("took %v; want at most %v", took, mostTime)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > mostBytes {
		t.Errorf("took %d bytes; want at most %d", n, mostBytes)
	}
}

// pagesEnd is where a file's footer begins.
func pagesEnd(b []byte) int {
	return len(b) - 8 - int(binary.LittleEndian.Uint32(b[len(b)-8:]))
}
