package serve

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// a fakeDisk can be full.
type fakeDisk struct {
	mu      sync.Mutex
	written bytes.Buffer
	room    int // bytes that go in; less than 0 is no end
}

func (d *fakeDisk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room >= 0 && len(p) > d.room {
		n, _ := d.written.Write(p[:d.room])
		d.room = 0
		return n, syscall.ENOSPC
	}
	return d.written.Write(p)
}
func (d *fakeDisk) Sync() error  { return nil }
func (d *fakeDisk) Close() error { return nil }
func (d *fakeDisk) set(room int) { d.mu.Lock(); d.room = room; d.mu.Unlock() }
func (d *fakeDisk) text() string { d.mu.Lock(); defer d.mu.Unlock(); return d.written.String() }

func TestLogFile_withinASecond(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	synctest.Test(t, func(t *testing.T) {
		l, err := OpenLogFile(path, "HEADER\n", nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(l, "one")
		time.Sleep(time.Second)
		if got := read(t, path); got != "HEADER\none\n" {
			t.Errorf("after a second: %q", got)
		}
		fmt.Fprintln(l, "two")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != "HEADER\none\ntwo\n" {
			t.Errorf("after Close: %q", got)
		}
		if _, err := l.Write([]byte("three\n")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
		// A file that is there is not begun anew.
		l, err = OpenLogFile(path, "HEADER\n", nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(l, "three")
		if err := errors.Join(l.Close(), nil); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != "HEADER\none\ntwo\nthree\n" {
			t.Errorf("after another: %q", got)
		}
	})
}

func TestLogFile_Reopen(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "log.txt"), filepath.Join(dir, "log.1")
	l, err := OpenLogFile(path, "HEADER\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(l, "one")
	if err := os.Rename(path, old); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(l, "two")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(l, "three")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, old); got != "HEADER\none\ntwo\n" {
		t.Errorf("old file: %q", got)
	}
	if got := read(t, path); got != "HEADER\nthree\n" {
		t.Errorf("new file: %q", got)
	}
}

// TestLogFile_diskFull: lines wait, then are dropped; each write is prompt and
// none is half lost; when there is room again what waited is written.
func TestLogFile_diskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var reports []string
		l, err := OpenLogFile(path, "", func(err error) {
			mu.Lock()
			defer mu.Unlock()
			reports = append(reports, err.Error())
		})
		if err != nil {
			t.Fatal(err)
		}
		disk := &fakeDisk{room: 10}
		l.io.Lock()
		_ = l.file.Close()
		l.file = disk
		l.io.Unlock()
		line := strings.Repeat("x", 1023) + "\n"
		const lines = 3 * logBuffer / 1024
		for range lines {
			if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
		}
		time.Sleep(5 * time.Second)
		dropped := l.Dropped()
		if dropped == 0 || dropped >= lines {
			t.Fatalf("%d of %d lines dropped", dropped, lines)
		}
		disk.set(-1)
		time.Sleep(time.Second)
		if want := strings.Repeat(line, int(lines-dropped)); disk.text() != want {
			t.Errorf("%d bytes on disk, want the %d lines that were not dropped", len(disk.text()), lines-dropped)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if len(reports) != 2 || !strings.Contains(reports[0], "no space left") || !strings.Contains(reports[1], fmt.Sprint(dropped, " lines were dropped")) {
			t.Errorf("reports: %q", reports)
		}
	})
}

func TestLogFile_lostAtClose(t *testing.T) {
	l, err := OpenLogFile(filepath.Join(t.TempDir(), "log.txt"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	l.io.Lock()
	_ = l.file.Close()
	l.file = &fakeDisk{room: 2}
	l.io.Unlock()
	fmt.Fprintln(l, "one")
	fmt.Fprintln(l, "two")
	if err := l.Close(); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "2 lines are lost") {
		t.Errorf("Close: %v", err)
	}
}

func TestOpenLogFile_noFolder(t *testing.T) {
	if _, err := OpenLogFile(filepath.Join(t.TempDir(), "none", "log.txt"), "", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("OpenLogFile: %v", err)
	}
}

func TestLogFile_ConcurrentSafe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	l, err := OpenLogFile(path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				fmt.Fprintln(l, "line")
			}
		})
	}
	for range 5 {
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != strings.Repeat("line\n", 4000) {
		t.Errorf("%d bytes, want 4,000 lines", len(got))
	}
}
