package basketparquet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strconv"
	"strings"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
)

// maxStreamed bounds a file that is read whole, because its file system cannot
// read from the middle.
const maxStreamed = 1 << 30

// sequence yields the rows of files, or else an error. Read calls its argument
// with the batches of a file until that returns false.
func sequence[T any](ctx context.Context, fsys fs.FS, files func(fs.FS) ([]string, error), read func(f *scan.File, yield func([]T) bool) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stopped := false
		yieldBatch := func(rows []T) bool {
			for _, row := range rows {
				if !yield(row, nil) {
					stopped = true
					return false
				}
			}
			return ctx.Err() == nil
		}
		names, err := files(fsys)
		for i := 0; i < len(names) && err == nil && !stopped && ctx.Err() == nil; i++ {
			err = withFile(fsys, names[i], func(f *scan.File, size int64) error {
				// Callers keep memory for each row, so its number is bounded. A row
				// of orders takes over a byte.
				if most := 1<<20 + 256*size; f.NumRows() > most {
					return fmt.Errorf("%d rows in %d bytes: want at most %d", f.NumRows(), size, most)
				}
				return read(f, yieldBatch)
			})
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil && !stopped {
			var zero T
			yield(zero, err)
		}
	}
}

// tableFiles returns a function that finds the parquet files of a table.
func tableFiles(table string) func(fs.FS) ([]string, error) {
	return func(fsys fs.FS) ([]string, error) {
		file := table + ".parquet"
		for _, dir := range []string{file, table} {
			info, err := fs.Stat(fsys, dir)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue
			case err != nil:
				return nil, dataError(dir, err)
			case info.IsDir():
				parts, err := partFiles(fsys, dir)
				if err != nil || len(parts) > 0 {
					return parts, err
				}
			case dir == file:
				return []string{file}, nil
			}
		}
		all, err := fs.Glob(fsys, table+"*.parquet")
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
			return nil, dataError(file, fmt.Errorf("no file %[1]s, no folder %[1]s or %[2]s with files *.parquet, no files %[2]s*.parquet: %[3]w", file, table, fs.ErrNotExist))
		}
		return parts, nil
	}
}

// partFiles returns the part files of a folder by name. As in Spark and Arrow,
// names that begin with a dot or an underscore are not data.
func partFiles(fsys fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, dataError(dir, err)
	}
	var parts []string
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() && path.Ext(name) == ".parquet" && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "_") {
			parts = append(parts, path.Join(dir, name))
		}
	}
	return parts, nil
}

// dataError adds the kind and the name of a file to an error.
func dataError(file string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok && pe.Path == file {
		err = fmt.Errorf("%s: %w", pe.Op, pe.Err) // without the name, which is added below
	}
	if q := strconv.Quote(file); q != `"`+file+`"` {
		file = q // it would break the line
	}
	return fmt.Errorf("basket: %w: %s: %w", basket.ErrData, file, err)
}

// withFile calls use with an open file. It adds the file's name to errors.
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
		return nil, 0, errors.New("a folder: want a file")
	}
	if r, ok := file.(io.ReaderAt); ok {
		return r, info.Size(), nil
	}
	b, err := io.ReadAll(io.LimitReader(file, maxStreamed+1))
	if err == nil && len(b) > maxStreamed {
		err = fmt.Errorf("over %d bytes in a file system that cannot read from the middle of a file", maxStreamed)
	}
	return bytes.NewReader(b), int64(len(b)), err
}
