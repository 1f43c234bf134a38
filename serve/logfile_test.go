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

	"github.com/basket-go/basket"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A fakeDisk can be full.
type fakeDisk struct {
	mu      sync.Mutex
	written bytes.Buffer
	space   int // bytes; negative is unlimited
}

func (d *fakeDisk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.space >= 0 && len(p) > d.space {
		n, _ := d.written.Write(p[:d.space])
		d.space = 0
		return n, syscall.ENOSPC
	}
	return d.written.Write(p)
}
func (d *fakeDisk) Sync() error   { return nil }
func (d *fakeDisk) Close() error  { return nil }
func (d *fakeDisk) set(space int) { d.mu.Lock(); d.space = space; d.mu.Unlock() }
func (d *fakeDisk) text() string  { d.mu.Lock(); defer d.mu.Unlock(); return d.written.String() }

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
		// An existing file gets no second header.
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

// TestLogFile_diskFull: lines are kept up to the documented size, then dropped
// whole; when the disk has space again the kept ones are written.
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
		disk := &fakeDisk{space: 10}
		l.io.Lock()
		_ = l.file.Close()
		l.file = disk
		l.io.Unlock()
		line := strings.Repeat("x", 1023) + "\n"
		const lines = 3 * maxBuffered / 1024
		for i := range lines {
			if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
			if i%(lines/5) == 0 {
				time.Sleep(time.Second) // flush takes the lines
			}
		}
		time.Sleep(5 * time.Second)
		dropped := l.Dropped()
		if kept := (lines - dropped) * 1024; kept < maxBuffered || kept > maxBuffered+1024 { // 10 bytes were written
			t.Fatalf("%d bytes are kept, want %d", kept, maxBuffered)
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

// TestLogFile_Reopen_afterClose: no file is opened that nobody closes.
func TestLogFile_Reopen_afterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	l, err := OpenLogFile(path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Reopen after Close: %v, want ErrClosed", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Reopen after Close opened the file: %v", err)
	}
}

func TestOpenLogs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "to", "make")
	l, err := OpenLogs(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Service.LogService(t.Context(), basket.ServiceEvent{Message: "hello"})
	if err := errors.Join(l.Reopen(), l.Close()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"service_metrics.txt": ServiceLogHeader, "model_metrics.txt": ModelLogHeader,
	} {
		if got := read(t, filepath.Join(dir, name)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want the header %q", name, got, want)
		}
	}
	if got := read(t, filepath.Join(dir, "service_metrics.txt")); !strings.HasSuffix(got, " | INFO | hello\n") {
		t.Errorf("service log: %q", got)
	}
}

func TestLogFile_lostAtClose(t *testing.T) {
	l, err := OpenLogFile(filepath.Join(t.TempDir(), "log.txt"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	l.io.Lock()
	_ = l.file.Close()
	l.file = &fakeDisk{space: 2}
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
