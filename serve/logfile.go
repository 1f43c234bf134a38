package serve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// flushInterval is how long a line stays in memory while the file can be
	// written.
	flushInterval = 500 * time.Millisecond

	// maxBuffered bounds the bytes in memory. Lines beyond are dropped. Batches of a
	// thousand users on eight connections produce 80 MB of lines a second, and the
	// goroutine that writes may wait tens of milliseconds for a processor.
	maxBuffered = 16 << 20

	// enough is how many bytes are written without waiting for the next interval.
	enough = 1 << 20

	// maxIdleBuffer is the capacity of a buffer that is kept for reuse; there are
	// two buffers.
	maxIdleBuffer = 2 << 20
)

// A LogFile is an [io.Writer] for whole lines that never waits for the disk: a
// goroutine writes them twice a second, or earlier if there are many. While the
// file cannot be written they stay in memory, up to 16 MiB; further ones are
// dropped and counted. A line is whole in one file, also if the file is replaced.
// A LogFile is safe for concurrent use, and must be closed.
type LogFile struct {
	path, header string
	rotation     Rotation
	report       func(error)
	wake         chan struct{} // there is enough to write
	stop         chan struct{}
	stopped      chan struct{}

	mu       sync.Mutex // guards the fields below; never held while writing to the file
	lines    []byte     // not yet taken by flush
	buffered int        // bytes of lines and pending
	dropped  int64      // lines, not yet reported
	total    int64      // lines, dropped in all
	closed   bool

	io      sync.Mutex // guards the fields below
	file    file
	info    os.FileInfo // of file, when it was opened
	size    int64       // of file, without the part of a line
	day     int64       // of file's last line, for rotation
	pending []byte      // taken by flush, whole lines, not yet written
	part    int         // bytes of pending's first line that are in file
	failing bool        // the last write failed
	rotated time.Time   // in the name of the newest old file
	stuck   bool        // the last rotation failed
}

// file is what LogFile needs of an os.File.
type file interface {
	io.WriteCloser
	Sync() error
}

// OpenLogFile opens the file at path for appending, and writes header first if it
// is empty. Report, which may be nil, is called once when the file can no longer be
// written, and with the number of dropped lines when it can be written again; the
// call is from the goroutine that writes, or from that of Reopen or Close.
func OpenLogFile(path, header string, report func(error)) (*LogFile, error) {
	return OpenRotatedLogFile(path, header, Rotation{}, report)
}

// OpenRotatedLogFile is OpenLogFile for a file that is rotated. If that fails, report
// is called once until it works again, and lines go on into the old file.
func OpenRotatedLogFile(path, header string, r Rotation, report func(error)) (*LogFile, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	l := &LogFile{
		path: path, header: header, rotation: r, report: report,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if l.report == nil {
		l.report = func(error) {}
	}
	if err := l.open(); err != nil {
		return nil, err
	}
	go l.run()
	return l, nil
}

// open opens the path, closes the file before, and puts the header of a new file
// before what is pending. On error the file before stays.
func (l *LogFile) open() error {
	l.removePart()
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("serve: log file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("serve: log file: %w", err)
	}
	if l.file != nil {
		_ = l.file.Close()
	}
	if l.part > 0 && !os.SameFile(info, l.info) {
		l.part = 0
	}
	l.file, l.info, l.size, l.day = f, info, info.Size()-int64(l.part), dayOf(info.ModTime())
	if info.Mode().IsRegular() && l.size == 0 && !bytes.HasPrefix(l.pending, []byte(l.header)) { // may be there, unwritten
		l.pending = append([]byte(l.header), l.pending...)
		l.mu.Lock()
		l.buffered += len(l.header)
		l.mu.Unlock()
	}
	return nil
}

// Write takes whole lines. It fails only after Close: lines that do not fit into
// memory are dropped and counted.
func (l *LogFile) Write(lines []byte) (int, error) {
	n, crowded, err := l.take(lines)
	if crowded {
		runtime.Gosched() // so that the goroutine that writes gets a processor
	}
	return n, err
}

// take adds lines to those in memory, and reports whether there are many.
func (l *LogFile) take(lines []byte) (n int, crowded bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, false, os.ErrClosed
	}
	if l.buffered+len(lines) > maxBuffered {
		n := int64(bytes.Count(lines, []byte("\n")))
		l.dropped += n
		l.total += n
		return len(lines), true, nil
	}
	l.lines = append(l.lines, lines...)
	l.buffered += len(lines)
	if len(l.lines) > enough {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return len(lines), l.buffered > maxBuffered/4, nil
}

// Dropped returns how many lines were dropped since the file was opened.
func (l *LogFile) Dropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Reopen writes what is in memory and opens the path again, after another program
// has renamed the file. On error the old file stays. If a line could be written in
// part only, it is written to the new file as a whole. After Close Reopen returns
// os.ErrClosed.
func (l *LogFile) Reopen() error {
	l.io.Lock()
	defer l.io.Unlock()
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	_ = l.flush()
	if err := l.open(); err != nil {
		return err
	}
	_ = l.flush()
	return nil
}

// Close writes what is in memory and closes the file. Its error says whether
// lines were lost.
func (l *LogFile) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return os.ErrClosed
	}
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	<-l.stopped
	l.io.Lock()
	defer l.io.Unlock()
	err := l.flush()
	l.removePart()
	if lost := bytes.Count(l.pending, []byte("\n")); lost > 0 {
		err = fmt.Errorf("serve: log file %s: %d lines are lost: %w", l.path, lost, err)
	}
	if syncErr := l.file.Sync(); syncErr != nil && !errors.Is(syncErr, syscall.EINVAL) && err == nil {
		err = fmt.Errorf("serve: log file: %w", syncErr)
	}
	return errors.Join(err, l.file.Close())
}

// run writes until stop is closed.
func (l *LogFile) run() {
	defer close(l.stopped)
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		case <-l.wake:
		}
		l.io.Lock()
		_ = l.flush()
		l.io.Unlock()
	}
}

// flush writes what is in memory. The caller holds l.io.
func (l *LogFile) flush() error {
	for {
		if len(l.pending) == 0 {
			if cap(l.pending) > maxIdleBuffer {
				l.pending = nil
			}
			l.mu.Lock()
			l.pending, l.lines = l.lines, l.pending[:0]
			l.mu.Unlock()
			if len(l.pending) == 0 {
				break
			}
		}
		if err := l.write(); err != nil {
			if !l.failing {
				l.failing = true
				l.report(fmt.Errorf("serve: log file %s: %w; lines are kept in memory, up to %d MiB", l.path, err, maxBuffered>>20))
			}
			return err
		}
	}
	l.failing = false
	l.reportDropped()
	return nil
}

// write writes pending, or as much of it as belongs into this file.
func (l *LogFile) write() error {
	end := len(l.pending)
	if l.rotation != (Rotation{}) {
		l.rotate()
		end = l.room()
	}
	n, err := l.file.Write(l.pending[l.part:end])
	l.part += min(max(n, 0), end-l.part)
	whole := bytes.LastIndexByte(l.pending[:l.part], '\n') + 1
	if l.part == len(l.pending) {
		whole = l.part
	}
	l.size += int64(whole)
	l.part -= whole
	l.pending = l.pending[:copy(l.pending, l.pending[whole:])]
	l.mu.Lock()
	l.buffered -= whole
	l.mu.Unlock()
	return err
}

// removePart removes from the file the line that could be written in part only, so
// that a file has whole lines.
func (l *LogFile) removePart() {
	f, ok := l.file.(*os.File)
	if !ok || l.part == 0 {
		return
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Size() >= int64(l.part) && f.Truncate(info.Size()-int64(l.part)) == nil {
		l.part = 0
	}
}

// reportDropped reports the lines dropped since the last report.
func (l *LogFile) reportDropped() {
	l.mu.Lock()
	dropped := l.dropped
	l.dropped = 0
	l.mu.Unlock()
	if dropped > 0 {
		l.report(fmt.Errorf("serve: log file %s: %d lines were dropped", l.path, dropped))
	}
}
