package basketparquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
)

// maxWhole bounds a file that has to be read whole since its file system
// cannot read from the middle.
const maxWhole = 1 << 30

// find returns the parquet files that together are the table called name.
func find(fsys fs.FS, name string) ([]string, error) {
	file := name + ".parquet"
	for _, dir := range []string{file, name} {
		info, err := fs.Stat(fsys, dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, dataError(dir, err)
		case info.IsDir():
			parts, err := parts(fsys, dir)
			if err != nil || len(parts) > 0 {
				return parts, err
			}
		case dir == file:
			return []string{file}, nil
		}
	}
	all, err := fs.Glob(fsys, name+"*.parquet")
	if err != nil {
		return nil, dataError(file, err)
	}
	var parts []string
	for _, p := range all {
		if info, err := fs.Stat(fsys, p); err == nil && !info.IsDir() {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("basket: %w: %s: no file %[2]s, no folder %[2]s or %[3]s with files *.parquet, no files %[3]s*.parquet: %[4]w",
			basket.ErrData, file, name, fs.ErrNotExist)
	}
	return parts, nil
}

// parts lists the part files of a folder by name. As in Spark and Arrow, names
// that begin with a dot or an underscore are not data.
func parts(fsys fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, dataError(dir, err)
	}
	var parts []string
	for _, e := range entries {
		n := e.Name()
		if !e.IsDir() && path.Ext(n) == ".parquet" && !strings.HasPrefix(n, ".") && !strings.HasPrefix(n, "_") {
			parts = append(parts, path.Join(dir, n))
		}
	}
	return parts, nil
}

// dataError names the file that err is about.
func dataError(file string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok && pe.Path == file {
		err = fmt.Errorf("%s: %w", pe.Op, pe.Err) // the name is in front already
	}
	return fmt.Errorf("basket: %w: %s: %w", basket.ErrData, file, err)
}

// withFile calls use with an open file, and puts the file's name into its error.
func withFile(fsys fs.FS, name string, use func(f *scan.File, size int64) error) error {
	file, err := fsys.Open(name)
	if err != nil {
		return dataError(name, err)
	}
	defer file.Close()
	r, size, err := readerAt(file)
	if err != nil {
		return dataError(name, err)
	}
	f, err := scan.Open(r, size)
	if err != nil {
		return dataError(name, err)
	}
	if err := use(f, size); err != nil {
		return dataError(name, err)
	}
	return nil
}

func readerAt(file fs.File) (io.ReaderAt, int64, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.IsDir() {
		return nil, 0, errors.New("a folder; want a file")
	}
	if r, ok := file.(io.ReaderAt); ok {
		return r, info.Size(), nil
	}
	b, err := io.ReadAll(io.LimitReader(file, maxWhole+1))
	if err == nil && len(b) > maxWhole {
		err = fmt.Errorf("over %d bytes in a file system that cannot read from the middle of a file", maxWhole)
	}
	return bytes.NewReader(b), int64(len(b)), err
}
