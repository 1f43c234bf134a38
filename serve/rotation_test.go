package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// oldFiles returns the paths of rotated files, the oldest first.
func oldFiles(t *testing.T, path string) []string {
	t.Helper()
	ext := filepath.Ext(path)
	old, err := filepath.Glob(strings.TrimSuffix(path, ext) + "-*" + ext)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(old)
	return old
}

// setFile replaces a LogFile's file by a disk of a test.
func setFile(l *LogFile, d *fakeDisk) {
	l.io.Lock()
	defer l.io.Unlock()
	_ = l.file.Close()
	l.file = d
}

// TestLogFile_rotation_bySize: each file begins with the header, has whole lines and
// is at most as large as it may be.
func TestLogFile_rotation_bySize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	const header, most = "HEADER\n", 100
	l, err := OpenRotatedLogFile(path, header, Rotation{MaxBytes: most}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range 100 {
		line := fmt.Sprintf("line %d %s\n", i, strings.Repeat("x", i%30))
		want.WriteString(line)
		fmt.Fprint(l, line)
		if i%7 == 0 { // several lines a write, or one
			l.io.Lock()
			_ = l.flush()
			l.io.Unlock()
		}
	}
	long := strings.Repeat("y", 3*most) + "\n" // has a file of its own
	want.WriteString(long + "last\n")
	fmt.Fprint(l, long, "last\n")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	files := append(oldFiles(t, path), path)
	for _, file := range files {
		lines, ok := strings.CutPrefix(read(t, file), header)
		if !ok || strings.Contains(lines, header) || !strings.HasSuffix(lines, "\n") {
			t.Errorf("%s: %q: want one header and whole lines", file, lines)
		}
		if size := len(header) + len(lines); size > most && lines != long {
			t.Errorf("%s has %d bytes: want at most %d", file, size, most)
		}
		got.WriteString(lines)
	}
	if got.String() != want.String() {
		t.Errorf("the files have other lines than were written:\n%s", got.String())
	}
	if most := want.Len() / 60; len(files) < 20 || len(files) > most {
		t.Errorf("%d files: want 20 to %d", len(files), most)
	}
}

// TestLogFile_rotation_byDay: the first line of a day begins a file, also after a
// restart.
func TestLogFile_rotation_byDay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.json")
	synctest.Test(t, func(t *testing.T) { // it is midnight UTC on 2000-01-01
		open := func() *LogFile {
			l, err := OpenRotatedLogFile(path, "", Rotation{Days: 2}, func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			// The file has the time of the machine, not that of the test.
			l.io.Lock()
			l.day = dayOf(time.Now())
			l.io.Unlock()
			return l
		}
		day := 24 * time.Hour
		// The day number of 2000-01-01 is odd: the next even one begins a file.
		time.Sleep(day + day/2)
		l := open()
		for i := range 5 { // days 1 to 5
			fmt.Fprintln(l, "day", i+1)
			time.Sleep(day)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, file := range append(oldFiles(t, path), path) {
			got = append(got, read(t, file))
		}
		if want := []string{"day 1\nday 2\n", "day 3\nday 4\n", "day 5\n"}; !slices.Equal(got, want) {
			t.Errorf("files %q, want %q", got, want)
		}
	})
	// A file of an earlier day, found at the start.
	yesterday := time.Now().Add(-72 * time.Hour)
	if err := os.Chtimes(path, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	l, err := OpenRotatedLogFile(path, "", Rotation{Days: 2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(l, "today")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "today\n" {
		t.Errorf("after a restart on a later day: %q", got)
	}
}

// TestLogFile_rotation_keep: the oldest files are removed, and no other ones.
func TestLogFile_rotation_keep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log.txt")
	others := []string{"log-old.txt", "log-20250623T141807.123Z.json", "log-20250623T141807.123Z.txt.gz", "other-20250623T141807.123Z.txt"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ancient := filepath.Join(dir, "log-20010101T000000.000Z.txt")
	if err := os.WriteFile(ancient, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenRotatedLogFile(path, "", Rotation{MaxBytes: 10, Keep: 2}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		fmt.Fprintf(l, "line %03d\n", i)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range append(oldFiles(t, path), path) {
		if name := filepath.Base(file); !slices.Contains(others, name) {
			got = append(got, read(t, file))
		}
	}
	if want := []string{"line 003\n", "line 004\n", "line 005\n"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestLogFile_rotation_moved: a file that another program has renamed is not renamed
// again, and what stands in its place stays.
func TestLogFile_rotation_moved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	l, err := OpenRotatedLogFile(path, "", Rotation{MaxBytes: 8}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(l, "one one")
	l.io.Lock()
	_ = l.flush()
	l.io.Unlock()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(l, "two two")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, moved := read(t, path), read(t, path+".1"); got != "two two\n" || moved != "one one\n" || len(oldFiles(t, path)) != 0 {
		t.Errorf("%q, moved %q, %q", got, moved, oldFiles(t, path))
	}
}

// TestLogFile_rotation_fails: lines go on into the old file, and one report tells it.
func TestLogFile_rotation_fails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	var reports []string
	l, err := OpenRotatedLogFile(path, "", Rotation{MaxBytes: 8}, func(err error) { reports = append(reports, err.Error()) })
	if err != nil {
		t.Fatal(err)
	}
	flush := func(line string) {
		fmt.Fprintln(l, line)
		l.io.Lock()
		defer l.io.Unlock()
		_ = l.flush()
	}
	flush("one one")
	// A path through a file has neither a file nor a folder.
	l.io.Lock()
	l.path = filepath.Join(path, "none", "log.txt")
	l.io.Unlock()
	flush("two two")
	flush("three")
	l.io.Lock()
	l.path = path
	l.io.Unlock()
	flush("four")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	old := oldFiles(t, path)
	if len(old) != 1 || read(t, old[0]) != "one one\ntwo two\nthree\n" || read(t, path) != "four\n" {
		t.Errorf("old files %q, new %q", old, read(t, path))
	}
	if len(reports) != 1 || !strings.Contains(reports[0], "cannot be rotated and grows") {
		t.Errorf("reports %q, want one", reports)
	}
}

// TestLogFile_rotation_diskFull: a line that was written in part is finished before
// the file is rotated.
func TestLogFile_rotation_diskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	l, err := OpenRotatedLogFile(path, "", Rotation{MaxBytes: 20}, nil)
	if err != nil {
		t.Fatal(err)
	}
	disk := &fakeDisk{space: 14}
	setFile(l, disk)
	fmt.Fprint(l, "line one\nline two\nline three\n")
	l.io.Lock()
	_ = l.flush()
	l.io.Unlock()
	if got := disk.text(); got != "line one\nline " {
		t.Errorf("full disk: %q", got)
	}
	disk.set(-1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, next := disk.text(), read(t, path); got != "line one\nline two\n" || next != "line three\n" {
		t.Errorf("%q, then %q", got, next)
	}
}

// TestLogFile_Reopen_partOfALine: a line that was written in part is whole in the new
// file.
func TestLogFile_Reopen_partOfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	l, err := OpenLogFile(path, "HEADER\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil { // writes the header
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	setFile(l, &fakeDisk{space: 6})
	fmt.Fprint(l, "line one\n")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "HEADER\nline one\n" {
		t.Errorf("new file %q", got)
	}
}

// TestLogFile_Reopen_oneHeader: a header that a full disk has kept in memory is not
// written twice.
func TestLogFile_Reopen_oneHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	l, err := OpenLogFile(path, "HEADER\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	setFile(l, &fakeDisk{space: 0})
	fmt.Fprintln(l, "line")
	if err := errors.Join(l.Reopen(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "HEADER\nline\n" {
		t.Errorf("%q, want one header", got)
	}
}

// TestLogFile_removePart: what a short write has left of a line goes, so that the
// next process's first line is one of its own.
func TestLogFile_removePart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	if err := os.WriteFile(path, []byte("one\ntw"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLogFile(path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	l.io.Lock()
	l.part = 2
	l.removePart()
	part := l.part
	l.io.Unlock()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "one\n" || part != 0 {
		t.Errorf("%q with a part of %d bytes, want whole lines", got, part)
	}
}

// TestLogFile_noLineBreak: what is no whole line is written too.
func TestLogFile_noLineBreak(t *testing.T) {
	for _, r := range []Rotation{{}, {MaxBytes: 3}} {
		path := filepath.Join(t.TempDir(), "log.txt")
		l, err := OpenRotatedLogFile(path, "", r, nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(l, "no line break")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != "no line break" {
			t.Errorf("%+v: %q", r, got)
		}
	}
}

func TestRotation_invalid(t *testing.T) {
	_, err := OpenRotatedLogFile(filepath.Join(t.TempDir(), "log.txt"), "", Rotation{MaxBytes: -1, Days: -2, Keep: -3}, nil)
	for _, want := range []string{"MaxBytes -1", "Days -2", "Keep -3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
	if _, err := OpenRotatedLogFile(filepath.Join(t.TempDir(), "log.txt"), "", Rotation{Keep: 3}, nil); err == nil {
		t.Error("Keep alone is accepted")
	}
}

// TestLogFile_rotation_ConcurrentSafe: no line is lost, split or doubled.
func TestLogFile_rotation_ConcurrentSafe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.txt")
	l, err := OpenRotatedLogFile(path, "HEADER\n", Rotation{MaxBytes: 2000}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				fmt.Fprintf(l, "writer %d line %d\n", w, i)
			}
		})
	}
	for range 5 {
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
		runtime.Gosched()
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	files := append(oldFiles(t, path), path)
	for _, file := range files {
		lines, ok := strings.CutPrefix(read(t, file), "HEADER\n")
		if !ok {
			t.Errorf("%s has no header", file)
		}
		for line := range strings.Lines(lines) {
			seen[line]++
		}
	}
	for w := range writers {
		for i := range each {
			if line := fmt.Sprintf("writer %d line %d\n", w, i); seen[line] != 1 {
				t.Errorf("%q is there %d times", line, seen[line])
			}
		}
	}
	if len(seen) != writers*each || len(files) < 10 {
		t.Errorf("%d lines in %d files", len(seen), len(files))
	}
}
