//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package routing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// A lockedFolder is a folder that one process at a time may change.
type lockedFolder struct{ handle *os.File }

// lockFolder waits until no other process has the folder locked, or ctx is done.
// The lock is on the folder, since a file that is replaced keeps its lock. It ends
// with the process, and is not on a file that would be left behind.
func lockFolder(ctx context.Context, dir string) (*lockedFolder, error) {
	handle, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(handle.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return &lockedFolder{handle}, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			handle.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			handle.Close()
			return nil, err
		}
	}
}

// sync makes renames in the folder durable.
func (f *lockedFolder) sync() error { return f.handle.Sync() }

func (f *lockedFolder) unlock() { f.handle.Close() }
