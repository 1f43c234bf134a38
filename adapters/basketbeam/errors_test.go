package basketbeam

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/basket-go/basket"
	"github.com/parquet-go/parquet-go"
)

// TestRead_refuses: bad input ends the job with the error that one machine gives, and
// the folder.
func TestRead_refuses(t *testing.T) {
	type timeless struct {
		User  string  `parquet:"user_id"`
		Items []int64 `parquet:"ordered_items,list"`
	}
	tests := map[string]struct {
		spoil func(t *testing.T, dir string)
		want  []string
	}{
		"no orders": {
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "orders")) },
			[]string{"bad data", "orders.parquet"},
		},
		"no inventory": {
			func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "inventory.parquet")) },
			[]string{"bad data", "inventory.parquet"},
		},
		"missing column": {
			func(t *testing.T, dir string) {
				writeTable(t, filepath.Join(dir, "orders", "part-01.parquet"), []timeless{{"ann", nil}}, 10)
			},
			[]string{"orders/part-01.parquet", "created_at"},
		},
		"truncated file": {
			func(t *testing.T, dir string) {
				path := filepath.Join(dir, "regulars.parquet")
				change(t, path, func(b []byte) []byte { return b[:len(b)/2] })
			},
			[]string{"bad data", "regulars.parquet"},
		},
		"damaged page": {
			func(t *testing.T, dir string) {
				path := filepath.Join(dir, "orders", "part-01.parquet")
				change(t, path, func(b []byte) []byte {
					copy(b[100:], bytes.Repeat([]byte{0xff}, 300))
					return b
				})
			},
			[]string{"bad data", "orders/part-01.parquet"},
		},
		"no price": {
			func(t *testing.T, dir string) {
				writeTable(t, filepath.Join(dir, "inventory.parquet"), []itemRow{{Variant: 1}}, 10)
			},
			[]string{"none of its 1 lines has a price"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir, out := randomShop(3, 30, 300).write(t, 2, 100), t.TempDir()
			test.spoil(t, dir)
			err := run(t, func(s beam.Scope) {
				WriteRows(s, out, 2, Latest(s, Read(s, dir), basket.LastOrder))
			})
			checkFailed(t, err, out, append(test.want, dir)...)
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func change(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// files are the folders of the scheme "test".
var files = map[string]fstest.MapFS{}

func init() {
	RegisterFS("test", func(_ context.Context, folder string) (fs.FS, error) {
		fsys, ok := files[folder]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return fsys, nil
	})
}

// TestRegisterFS: tables are read from a file system of the program's own. One that
// cannot be written to is refused for output.
func TestRegisterFS(t *testing.T) {
	at := time.Unix(0, 0)
	var orders bytes.Buffer
	if err := parquet.Write(&orders, []orderRow{{"ann", at, []int64{1}}, {"ann", at.Add(time.Hour), []int64{2}}}); err != nil {
		t.Fatal(err)
	}
	dir := randomShop(4, 1, 0).write(t, 1, 10)
	shop := fstest.MapFS{"orders.parquet": {Data: orders.Bytes()}}
	for _, name := range []string{"regulars.parquet", "inventory.parquet"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		shop[name] = &fstest.MapFile{Data: data}
	}
	files["test://shop"] = shop
	out := t.TempDir()
	err := run(t, func(s beam.Scope) {
		WriteRows(s, out, 1, Latest(s, Read(s, "test://shop"), basket.LastOrder))
	})
	if err != nil {
		t.Fatal(err)
	}
	if rows := readOutput(t, out); len(rows) != 1 || rows[0].UserID != "ann" || !rows[0].OrderedAt.Equal(at.Add(time.Hour)) {
		t.Errorf("rows %v, want one of ann", rows)
	}
	err = run(t, func(s beam.Scope) {
		WriteRows(s, "test://shop", 1, Latest(s, Read(s, "test://shop"), basket.LastOrder))
	})
	checkFailed(t, err, out+"/none", "test://shop", "can only be read: want a WriteFS")
	err = run(t, func(s beam.Scope) { Rows(s, Read(s, "test://other"), basket.LastOrder) })
	checkFailed(t, err, out+"/none", "test://other", "file does not exist")
}
