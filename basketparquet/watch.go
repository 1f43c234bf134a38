package basketparquet

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/basket-go/basket"
)

// Watch looks at the files of the tables orders, regulars and inventory after each
// interval, and calls changed when they have changed and then stayed as they are for
// three looks, so that an export that is being written is left alone; until ctx is
// done, whose error it returns. A file has changed if its name, size or time of
// modification has. The files of the first look, and those at a call of changed, are
// not told again.
//
// A pause of three intervals between two files of an export ends it too early: write
// an export that takes pauses to another folder, and rename that.
//
// If changed takes long, the next look comes after it. Files that change meanwhile
// are found then.
func Watch(ctx context.Context, fsys fs.FS, interval time.Duration, changed func()) error {
	if interval <= 0 {
		return fmt.Errorf("basket: %w: watching every %v: want a positive time", basket.ErrInvalidConfig, interval)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	told := look(fsys)
	seen, times := told, 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now := look(fsys)
		if !slices.Equal(now, seen) {
			seen, times = now, 0
		}
		if times++; times >= 3 && !slices.Equal(now, told) {
			told = now
			changed()
		}
	}
}

// A fileState is what a change of a file changes.
type fileState struct {
	name string
	size int64
	time time.Time
}

// look returns the states of all files of the tables. A table that cannot be read
// has a file without a name.
func look(fsys fs.FS) []fileState {
	var files []fileState
	for _, table := range []string{"orders", "regulars", "inventory"} {
		names, err := tableFiles(fsys, table)
		if err != nil {
			files = append(files, fileState{})
			continue
		}
		for _, name := range names {
			state := fileState{name: name, size: -1}
			if info, err := fs.Stat(fsys, name); err == nil {
				state.size, state.time = info.Size(), info.ModTime()
			}
			files = append(files, state)
		}
	}
	return files
}
