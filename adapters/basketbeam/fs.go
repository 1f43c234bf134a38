package basketbeam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A WriteFS is a folder to which files can be written, and whose files fs.ReadDir
// lists. It is safe for concurrent use.
type WriteFS interface {
	fs.FS

	// WriteFile creates or replaces a file by what write writes. Until it returns
	// nil, and if write returns an error, which it then returns, readers of name see
	// the old file or none. An object store does so by one put. Several workers may
	// write the same file at the same time; what they write is equal.
	WriteFile(ctx context.Context, name string, write func(io.Writer) error) error

	// Remove removes a file. That there is none is no error.
	Remove(ctx context.Context, name string) error
}

var (
	schemesMu sync.RWMutex
	schemes   = map[string]func(ctx context.Context, folder string) (fs.FS, error){}
)

// RegisterFS makes folders that begin with scheme, "gs" for example, and "://" known
// to the transforms. Open gets the whole name of the folder. For output it returns a
// [WriteFS]. A program calls RegisterFS in an init function, so that each worker
// does, as workers run the same program.
func RegisterFS(scheme string, open func(ctx context.Context, folder string) (fs.FS, error)) {
	schemesMu.Lock()
	defer schemesMu.Unlock()
	schemes[scheme] = open
}

func openFS(ctx context.Context, folder string) (fs.FS, error) {
	scheme, _, ok := strings.Cut(folder, "://")
	if !ok {
		return localFS{os.DirFS(folder), folder}, nil
	}
	schemesMu.RLock()
	open := schemes[scheme]
	schemesMu.RUnlock()
	if open == nil {
		return nil, fmt.Errorf("basketbeam: folder %s: no file system is registered for %q: want a path, or RegisterFS in an init function", folder, scheme)
	}
	fsys, err := open(ctx, folder)
	if err != nil {
		return nil, inFolder(folder, err)
	}
	return fsys, nil
}

func openWriteFS(ctx context.Context, folder string) (WriteFS, error) {
	fsys, err := openFS(ctx, folder)
	if err != nil {
		return nil, err
	}
	w, ok := fsys.(WriteFS)
	if !ok {
		return nil, fmt.Errorf("basketbeam: folder %s: its file system of type %T can only be read: want a WriteFS for output", folder, fsys)
	}
	return w, nil
}

// splitPath splits the path of a file into folder and name.
func splitPath(path string) (folder, name string) {
	if !strings.Contains(path, "://") {
		return filepath.Dir(path), filepath.Base(path)
	}
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}

// A localFS is a folder of the worker's disk, or one that is mounted there.
type localFS struct {
	fs.FS
	folder string
}

// temporary returns the beginning of the names of a file's temporary files. Tables of
// basketparquet do not have files that begin with a dot.
func temporary(name string) string { return "." + name + "." }

func (l localFS) WriteFile(_ context.Context, name string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(l.folder, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(l.folder, temporary(name)+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(l.folder, name)); err != nil {
		return err
	}
	return l.sync()
}

// sync makes new names durable, on systems whose folders can be synced.
func (l localFS) sync() error {
	d, err := os.Open(l.folder)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

func (l localFS) Remove(_ context.Context, name string) error {
	if err := os.Remove(filepath.Join(l.folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
