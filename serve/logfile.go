package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	// flushEvery is how long a line waits in memory at most, if the disk is well.
	flushEvery = 500 * time.Millisecond

	// logBuffer is how many bytes wait in memory at most. Lines beyond are dropped.
	logBuffer = 4 << 20
)

// A LogFile is an [io.Writer] for whole lines that never waits for a disk: they
// are kept in memory and written by a goroutine twice a second, or sooner if
// many have come. While the file cannot be written they wait; once 4 MiB of them
// do, further ones are dropped and counted. It is safe for concurrent use, and
// must be closed.
type LogFile struct {
	path, header string
	report       func(error)
	wake         chan struct{} // there is enough to write
	stop         chan struct{}
	stopped      chan struct{}

	mu      sync.Mutex // guards what follows; never held while writing to the file
	lines   []byte     // not yet handed to the goroutine
	dropped int64      // not yet reported
	total   int64      // dropped ever
	closed  bool

	io      sync.Mutex // guards what follows
	file    file
	pending []byte // handed over, but not yet written
	failing bool   // the last write failed
}

// file is what LogFile needs of an os.File.
type file interface {
	io.WriteCloser
	Sync() error
}

// OpenLogFile opens the file at path to append to, and starts it with header if
// it is empty. It calls report, which may be nil, from the writing goroutine:
// once when the file cannot be written any more, and with the number of lines
// dropped when it can be again.
func OpenLogFile(path, header string, report func(error)) (*LogFile, error) {
	l := &LogFile{
		path: path, header: header, report: report,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if l.report == nil {
		l.report = func(error) {}
	}
	f, err := l.open()
	if err != nil {
		return nil, err
	}
	l.file = f
	go l.run()
	return l, nil
}

// open opens the file and puts the header of a new one in line.
func (l *LogFile) open() (*os.File, error) {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("serve: log file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("serve: log file: %w", err)
	}
	if info.Mode().IsRegular() && info.Size() == 0 {
		l.pending = append([]byte(l.header), l.pending...)
	}
	return f, nil
}

// Write takes whole lines. It never fails while l is open: what there is no
// room for is dropped and counted.
func (l *LogFile) Write(lines []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, os.ErrClosed
	}
	if len(l.lines)+len(lines) > logBuffer {
		n := int64(bytes.Count(lines, []byte("\n")))
		l.dropped += n
		l.total += n
		return len(lines), nil
	}
	l.lines = append(l.lines, lines...)
	if len(l.lines) > logBuffer/4 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return len(lines), nil
}

// Dropped returns how many lines were dropped since the file was opened.
func (l *LogFile) Dropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Reopen writes what waits and opens the path anew: after another program has
// renamed the file. On error the old file stays.
func (l *LogFile) Reopen() error {
	l.io.Lock()
	defer l.io.Unlock()
	l.flush()
	f, err := l.open()
	if err != nil {
		return err
	}
	_ = l.file.Close()
	l.file = f
	l.flush()
	return nil
}

// Close writes what waits and closes the file. It tells if lines were lost.
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
	if lost := bytes.Count(l.pending, []byte("\n")); lost > 0 {
		err = fmt.Errorf("serve: log file %s: %d lines are lost: %w", l.path, lost, err)
	}
	if syncErr := l.file.Sync(); syncErr != nil && !errors.Is(syncErr, syscall.EINVAL) && err == nil {
		err = fmt.Errorf("serve: log file: %w", syncErr)
	}
	return errors.Join(err, l.file.Close())
}

// run is the goroutine that writes.
func (l *LogFile) run() {
	defer close(l.stopped)
	ticker := time.NewTicker(flushEvery)
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

// flush writes what waits. The caller holds l.io.
func (l *LogFile) flush() error {
	for {
		if len(l.pending) == 0 {
			// The two buffers change places, so that no memory is asked for.
			l.mu.Lock()
			l.pending, l.lines = l.lines, l.pending[:0]
			l.mu.Unlock()
			if len(l.pending) == 0 {
				break
			}
		}
		n, err := l.file.Write(l.pending)
		rest := copy(l.pending, l.pending[min(max(n, 0), len(l.pending)):])
		l.pending = l.pending[:rest]
		if err != nil {
			if !l.failing {
				l.failing = true
				l.report(fmt.Errorf("serve: log file %s: %w; lines wait in memory, up to %d MiB", l.path, err, logBuffer>>20))
			}
			return err
		}
	}
	l.failing = false
	l.mu.Lock()
	dropped := l.dropped
	l.dropped = 0
	l.mu.Unlock()
	if dropped > 0 {
		l.report(fmt.Errorf("serve: log file %s: %d lines were dropped", l.path, dropped))
	}
	return nil
}

// ReopenOnHangup reopens the files at each SIGHUP, which log rotation sends,
// until ctx is done. It calls report, which may be nil, with what goes wrong.
func ReopenOnHangup(ctx context.Context, report func(error), files ...*LogFile) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
			}
			for _, f := range files {
				if err := f.Reopen(); err != nil && report != nil {
					report(err)
				}
			}
		}
	}()
}
