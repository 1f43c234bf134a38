package basketparquet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
)

// TestWatch counts the calls for exports that are written at once, in pieces, and
// not at all. Times of files are set, because the files are of real time and the
// bubble is not.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	second := 0
	write := func(name string, size int) {
		t.Helper()
		path := filepath.Join(dir, name)
		second++
		at := time.Unix(int64(second), 0)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, make([]byte, size), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"orders/1.parquet", "regulars.parquet", "inventory.parquet"} {
		write(name, 10)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var calls atomic.Int64
		done := make(chan error)
		go func() { done <- Watch(ctx, os.DirFS(dir), time.Second, func() { calls.Add(1) }) }()
		time.Sleep(time.Second / 2) // between looks
		want := func(what string, n int64) {
			t.Helper()
			if calls := calls.Load(); calls != n {
				t.Errorf("%s: %d calls, want %d", what, calls, n)
			}
		}
		time.Sleep(10 * time.Second)
		want("nothing changed", 0)
		write("orders/1.parquet", 11)
		time.Sleep(5 * time.Second)
		want("one file", 1)
		for size := range 50 {
			write("orders/1.parquet", size)
			time.Sleep(time.Duration(1+size%2) * time.Second)
		}
		want("in pieces", 1)
		time.Sleep(5 * time.Second)
		want("the last piece", 2)
		write("orders/2.parquet", 5)
		write("orders/_temporary.parquet", 5)
		time.Sleep(5 * time.Second)
		want("a new file", 3)
		write("orders/_temporary.parquet", 6)
		write("unrelated.txt", 6)
		time.Sleep(5 * time.Second)
		want("no file of a table", 3)
		write("regulars.parquet", 10) // same size, other time
		time.Sleep(5 * time.Second)
		want("the same size", 4)
		if err := os.Remove(filepath.Join(dir, "inventory.parquet")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		want("a table is gone", 5)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
	})
	if err := Watch(t.Context(), os.DirFS(dir), 0, nil); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("interval 0: %v", err)
	}
}
