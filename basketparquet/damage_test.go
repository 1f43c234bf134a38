package basketparquet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
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

// Limits for reading a damaged test file. The files are small, so that a failure
// means that a size in the file was not checked.
const (
	maxBytes = 64 << 20
	maxTime  = time.Minute // a guard against hanging; a file takes less than a second on an idle machine
)

func TestMaterialize_cutShort(t *testing.T) {
	eachTestTable(t, func(t *testing.T, table string, good []byte) {
		for _, i := range steps(t) {
			n := i * len(good) / 200
			if _, err := materialize(t, table, good[:n]); !errors.Is(err, basket.ErrData) {
				t.Errorf("cut to %d bytes: error %v: want one that wraps ErrData", n, err)
			}
		}
	})
}

// A file with a changed byte is an error or has other rows. If it has checksums
// and the byte is in a page, the rows must be equal.
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
				t.Errorf("byte %d is %#x: error %v: want one that wraps ErrData", at, bad[at], err)
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
					t.Errorf("%s: byte %d is %#x: error %v: want one that wraps ErrData", table, at, b, err)
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
				t.Errorf("%s: cut to %d bytes: error %v: want one that wraps ErrData", file, n, err)
			}
			bad := slices.Clone(good)
			bad[n] ^= 0x55
			if err := readTable(t, bad); err != nil && !errors.Is(err, basket.ErrData) {
				t.Errorf("%s: byte %d: error %v: want one that wraps ErrData", file, n, err)
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
				t.Errorf("%s: cut to %d bytes: error %v: want one that wraps ErrData", table, n, err)
			}
			bad := slices.Clone(good)
			bad[n] ^= byte(1 + i)
			if _, err := materialize(t, table, bad); err != nil && !errors.Is(err, basket.ErrData) {
				t.Errorf("%s: byte %d: error %v: want one that wraps ErrData", table, n, err)
			}
		}
	}
}

// Small files that claim large sizes.
func TestMaterialize_hugeClaims(t *testing.T) {
	good := testFile(t, "orders/base.parquet")
	tests := map[string]struct {
		data []byte
		err  string
	}{
		"footer": {slices.Concat(good[:len(good)-8], []byte{0xff, 0xff, 0xff, 0x7f}, []byte("PAR1")), "a footer of 2147483647 bytes"},
		// A list of 2^28 row groups: field 4 of the metadata, a list of structures.
		"row-groups": {wrapFooter(0x15, 2, 0x19, 0x0c, 0x16, 0, 0x19, 0xfc, 0xff, 0xff, 0xff, 0x7f), "truncated"},
		"columns":    {wrapFooter(0x15, 2, 0x19, 0x1c, 0x48, 1, 'r', 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0x16, 0, 0x19, 0x0c, 0), "a group of 2147483647 columns"},
		"deep":       {wrapFooter(append([]byte{0x15, 2}, bytes.Repeat([]byte{0xbc}, 5000)...)...), "nesting depth"},
		"rows":       {wrapFooter(0x15, 2, 0x19, 0x1c, 0x48, 1, 'r', 0x15, 0, 0, 0x16, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x19, 0x0c, 0), "0 rows in the row groups: want 2147483647"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := materialize(t, "orders", test.data)
			if !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v: want one that wraps ErrData, with %q", err, test.err)
			}
		})
	}
}

// wrapFooter returns a file that has only a footer.
func wrapFooter(footer ...byte) []byte {
	b := append([]byte("PAR1"), footer...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(footer)))
	return append(b, "PAR1"...)
}

// FuzzRead reads an edited test file in every way. The result may be wrong, but
// not a panic, too much memory, or an error of another kind or of several lines.
//
// The argument is not the file but edits of it, because the fuzzer minimizes each
// input that reaches new code, with a number of runs that is quadratic in its
// length: an input of some kilobytes always takes the limit of one minute.
func FuzzRead(f *testing.F) {
	files := [][]byte{nil}
	for _, pattern := range []string{"orders/*", "regulars/*", "inventory/*", "bad/*", "empty/*", "table/*"} {
		for _, file := range testFiles(f, pattern+".parquet") {
			files = append(files, testFile(f, file))
		}
	}
	row := basket.Row{UserID: "u", OrderedAt: time.Unix(1, 2), Number: 1, Values: []float64{1, 2, 3, 4}}
	var b bytes.Buffer
	if err := WriteRows(&b, basket.FeatureNames(), basket.Values([]basket.Row{row, {UserID: "v", Values: row.Values}})); err != nil {
		f.Fatal(err)
	}
	files = append(files, b.Bytes())
	for i := range files {
		f.Add(byte(i), []byte{})
	}
	f.Fuzz(func(t *testing.T, file byte, edits []byte) {
		if len(edits) > 64 {
			return
		}
		for _, err := range readErrors(t, edited(files[int(file)%len(files)], edits)) {
			if !errors.Is(err, basket.ErrData) {
				t.Errorf("error %v: want one that wraps ErrData", err)
			}
			oneLine(t, err)
		}
	})
}

// edited returns a copy of b after edits. Each has a position of two bytes, the
// number of bytes to delete there, the number of bytes to insert, and these bytes.
func edited(b, edits []byte) []byte {
	b = slices.Clone(b)
	for len(edits) >= 4 {
		at := int(binary.LittleEndian.Uint16(edits)) % (len(b) + 1)
		deleted, inserted := min(int(edits[2]), len(b)-at), min(int(edits[3]), len(edits)-4)
		b = slices.Replace(b, at, at+deleted, edits[4:4+inserted]...)
		edits = edits[4+inserted:]
	}
	return b
}

// readErrors reads a file as each table, as feature rows and as numbers, and
// returns the errors.
func readErrors(t testing.TB, data []byte) (errs []error) {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, name := range []string{"orders", "regulars", "inventory", "rows"} {
		fsys[name+".parquet"] = &fstest.MapFile{Data: data}
	}
	bounded(t, func() {
		errs = slices.Concat(errorsOf(Orders(t.Context(), fsys)), errorsOf(Regulars(t.Context(), fsys)),
			errorsOf(Inventory(t.Context(), fsys)), errorsOf(Rows(t.Context(), fsys, "rows.parquet")))
		table, err := OpenTable(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			errs = append(errs, err)
			return
		}
		errs = append(errs, errorsOf(table.Rows(t.Context()))...)
		for _, name := range table.Columns() {
			errs = append(errs, errorsOf(table.Rows(t.Context(), name))...)
		}
	})
	return errs
}

// errorsOf returns the errors of the first values of a sequence. It does not read
// to the end, because a small file may have very many rows.
func errorsOf[T any](values iter.Seq2[T, error]) (errs []error) {
	n := 0
	for _, err := range values {
		if n++; err != nil {
			errs = append(errs, err)
		}
		if n == 10_000 {
			break
		}
	}
	return errs
}

// eachTestTable calls test with each test file of a table.
func eachTestTable(t *testing.T, test func(t *testing.T, table string, good []byte)) {
	for _, table := range []string{"orders", "regulars", "inventory"} {
		t.Run("golden/"+table, func(t *testing.T) { test(t, table, testFile(t, "golden/"+table+".parquet")) })
		for _, file := range testFiles(t, table+"/*.parquet") {
			t.Run(path.Dir(file)+"/"+caseName(file), func(t *testing.T) { test(t, table, testFile(t, file)) })
		}
	}
}

// steps returns the numbers from 0 to 199, or every fourth for the tests with many
// files.
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
		if m, err = Materialize(t.Context(), fsys); err == nil {
			var b strings.Builder
			for r, e := range m.Rows(t.Context()) {
				fmt.Fprintln(&b, r, e)
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
			for batch, e := range table.Rows(t.Context(), name) {
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

// bounded fails the test if f allocates too much memory or takes too long.
func bounded(t testing.TB, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	if took := time.Since(start); took > maxTime {
		t.Errorf("took %v: want at most %v", took, maxTime)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > maxBytes {
		t.Errorf("%d bytes allocated: want at most %d", n, maxBytes)
	}
}

// pagesEnd returns the offset of a file's footer.
func pagesEnd(b []byte) int {
	return len(b) - 8 - int(binary.LittleEndian.Uint32(b[len(b)-8:]))
}
