//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package routing

import (
	"context"
	"os"
)

// A lockedFolder is a folder that is not locked: the standard library has no locks
// of files for this system.
type lockedFolder struct{}

func lockFolder(_ context.Context, dir string) (*lockedFolder, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	return &lockedFolder{}, nil
}

func (*lockedFolder) sync() error { return nil }

func (*lockedFolder) unlock() {}
