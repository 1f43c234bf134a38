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
	"slices"
	"strconv"
	"strings"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
)

// maxStreamed bounds a file that is read whole, because its file system cannot
// read from the middle.
const maxStreamed = 1 << 30

// A RowGroup is a row group of a table's file: a part of the table that can be
// read by itself, by another goroutine or on another machine. It can be encoded,
// as JSON or by gob for example.
type RowGroup struct {
	File  string // name in the file system
	Index int    // number in the file, from zero
	Rows  int64
}

// RowGroups returns the row groups of a table, "orders", "regulars" or
// "inventory", in the order of its rows. It reads only the footers of the files.
func RowGroups(ctx context.Context, fsys fs.FS, table string) ([]RowGroup, error) {
	if !slices.Contains([]string{"orders", "regulars", "inventory"}, table) {
		return nil, fmt.Errorf("basket: %w: table %.64q: want orders, regulars or inventory", basket.ErrInvalidConfig, table)
	}
	names, err := tableFiles(fsys, table)
	if err != nil {
		return nil, err
	}
	var groups []RowGroup
	for _, name := range names {
		rows, err := groupRows(ctx, fsys, name)
		if err != nil {
			return nil, err
		}
		for i, n := range rows {
			groups = append(groups, RowGroup{name, i, n})
		}
	}
	return groups, nil
}

// groupRows returns the number of rows of each row group of a file.
func groupRows(ctx context.Context, fsys fs.FS, name string) (rows []int64, err error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	err = withFile(fsys, name, func(f *scan.File) error {
		rows = f.GroupRows()
		return nil
	})
	return rows, err
}

// Orders yields the rows of a row group of the table orders, as [Orders] does.
func (g RowGroup) Orders(ctx context.Context, fsys fs.FS) iter.Seq2[basket.Order, error] {
	return readParts(ctx, fsys, []part{partOf(g)}, eachOrder)
}

// Inventory yields the rows of a row group of the table inventory, as [Inventory]
// does.
func (g RowGroup) Inventory(ctx context.Context, fsys fs.FS) iter.Seq2[basket.Item, error] {
	return readParts(ctx, fsys, []part{partOf(g)}, readInventory)
}

// Regulars yields the rows of a row group of the table regulars, as [Regulars]
// does.
func (g RowGroup) Regulars(ctx context.Context, fsys fs.FS) iter.Seq2[basket.Regular, error] {
	return readParts(ctx, fsys, []part{partOf(g)}, eachRegular)
}

// A part is successive row groups of a file.
type part struct {
	file  string
	first int
	rows  []int64 // of each row group, or nil for all of the file
}

func partOf(g RowGroup) part { return part{g.File, g.Index, []int64{g.Rows}} }

// of returns the file with the row groups of the part, which must be as they were
// when they were listed.
func (p part) of(f *scan.File) (*scan.File, error) {
	if p.rows == nil {
		return f, nil
	}
	rows := f.GroupRows()
	for i, want := range p.rows {
		switch g := p.first + i; {
		case g < 0 || g >= len(rows):
			return nil, fmt.Errorf("row group %d: the file has %d; has it changed?", g, len(rows))
		case rows[g] != want:
			return nil, fmt.Errorf("row group %d has %d rows: want %d, as listed; has the file changed?", g, rows[g], want)
		}
	}
	return f.Part(p.first, p.first+len(p.rows)), nil
}

// tableRows yields the rows of a table, or else an error.
func tableRows[T any](ctx context.Context, fsys fs.FS, table string, read func(f *scan.File, yield func(T) bool) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		names, err := tableFiles(fsys, table)
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		parts := make([]part, len(names))
		for i, name := range names {
			parts[i].file = name
		}
		readParts(ctx, fsys, parts, read)(yield)
	}
}

// readParts yields the rows of parts of files, or else an error.
func readParts[T any](ctx context.Context, fsys fs.FS, parts []part, read func(f *scan.File, yield func(T) bool) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n, stopped := 0, false
		yieldRow := func(row T) bool {
			if n++; n%batch == 0 && ctx.Err() != nil {
				return false
			}
			if !yield(row, nil) {
				stopped = true
			}
			return !stopped
		}
		var err error
		for i := 0; i < len(parts) && err == nil && !stopped && ctx.Err() == nil; i++ {
			err = withFile(fsys, parts[i].file, func(f *scan.File) error {
				f, err := parts[i].of(f)
				if err != nil {
					return err
				}
				return read(f, yieldRow)
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

// tableFiles returns the names of the parquet files of a table.
func tableFiles(fsys fs.FS, table string) ([]string, error) {
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
func withFile(fsys fs.FS, name string, use func(*scan.File) error) error {
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
	// Callers keep memory for each row, so their number is bounded. A row of orders
	// takes over a byte.
	if most := 1<<20 + 256*size; f.NumRows() > most {
		return dataError(name, fmt.Errorf("%d rows in %d bytes: want at most %d", f.NumRows(), size, most))
	}
	if err := use(f); err != nil {
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
