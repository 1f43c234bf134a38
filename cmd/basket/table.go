package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/basket-go/basket/basketparquet"
)

// A table is an input file of columns of numbers.
type table struct {
	path    string
	columns []string
	rows    func(ctx context.Context, columns []string) iter.Seq2[[]float64, error] // row-major batches, valid until the next
	size    int64                                                                   // of the work, in units of its own
	done    func() int64                                                            // how much of it is done
	close   func()
}

func openTable(path string) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a folder: want a file")
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	open := openParquet
	if strings.EqualFold(filepath.Ext(path), ".csv") {
		open = openCSV
	}
	t, err := open(f, info.Size())
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t.path, t.close = path, func() { _ = f.Close() }
	return t, nil
}

func openParquet(f *os.File, size int64) (*table, error) {
	file, err := basketparquet.OpenTable(f, size)
	if err != nil {
		return nil, err
	}
	t := &table{columns: file.Columns(), size: file.NumRows()}
	done := int64(0)
	t.done = func() int64 { return done }
	t.rows = func(ctx context.Context, columns []string) iter.Seq2[[]float64, error] {
		return func(yield func([]float64, error) bool) {
			for rows, err := range file.Rows(ctx, columns...) {
				done += int64(len(rows) / len(columns))
				if !yield(rows, err) {
					return
				}
			}
		}
	}
	return t, nil
}

// csvBatch is how many rows of a CSV file are read at a time.
const csvBatch = 4096

func openCSV(f *os.File, size int64) (*table, error) {
	buffered := bufio.NewReaderSize(f, 1<<16)
	if bom, _ := buffered.Peek(3); string(bom) == "\ufeff" {
		_, _ = buffered.Discard(3)
	}
	r := csv.NewReader(buffered)
	r.ReuseRecord = true
	header, err := r.Read()
	if err == io.EOF {
		return nil, errors.New("the file is empty: want a line of column names")
	}
	if err != nil {
		return nil, err
	}
	header = slices.Clone(header)
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
	}
	return &table{
		columns: header, size: size, done: r.InputOffset,
		rows: func(ctx context.Context, columns []string) iter.Seq2[[]float64, error] {
			return func(yield func([]float64, error) bool) { readCSV(ctx, r, header, columns, yield) }
		},
	}, nil
}

func readCSV(ctx context.Context, r *csv.Reader, header, columns []string, yield func([]float64, error) bool) {
	at := make([]int, len(columns))
	for j, name := range columns {
		at[j] = slices.Index(header, name)
	}
	batch := make([]float64, 0, csvBatch*len(columns))
	for {
		record, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			yield(nil, err)
			return
		}
		for j, i := range at {
			v, err := number(record[i])
			if err != nil {
				line, _ := r.FieldPos(i)
				yield(nil, fmt.Errorf("line %d: column %q: %q is not a number: want one, or nothing for missing", line, columns[j], record[i]))
				return
			}
			batch = append(batch, v)
		}
		if len(batch) == cap(batch) {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(batch, nil) {
				return
			}
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		yield(batch, nil)
	}
}

// number reads a field; empty is missing. A number that is too large for
// float64 is an infinity, as other readers of CSV have it.
func number(field string) (float64, error) {
	field = strings.TrimSpace(field)
	if field == "" {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(field, 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	return v, err
}

// writeTable writes batches in the form that the extension says.
func writeTable(w io.Writer, extension string, names []string, batches iter.Seq2[[]float64, error]) error {
	if strings.EqualFold(extension, ".csv") {
		return writeCSV(w, names, batches)
	}
	return basketparquet.WriteTable(w, names, batches)
}

// writeCSV writes numbers in the shortest form that reads back as the same.
func writeCSV(w io.Writer, names []string, batches iter.Seq2[[]float64, error]) error {
	out := bufio.NewWriterSize(w, 1<<16)
	if _, err := out.WriteString(strings.Join(names, ",") + "\n"); err != nil {
		return err
	}
	var line []byte
	for batch, err := range batches {
		if err != nil {
			return err
		}
		for i := 0; i < len(batch); i += len(names) {
			line = line[:0]
			for _, v := range batch[i : i+len(names)] {
				line = append(strconv.AppendFloat(line, v, 'g', -1, 64), ',')
			}
			line[len(line)-1] = '\n'
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// writeWhole writes a file that appears under its name only when it is whole:
// it is written beside it and renamed.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	w := &syncedFile{file: f}
	if err := write(w); err != nil {
		return errors.Join(err, w.wait())
	}
	if err := errors.Join(w.wait(), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// A syncedFile is synced in the background while it is written, so that the last
// sync, for which the program waits, has little to do.
type syncedFile struct {
	file     *os.File
	unsynced int
	syncs    sync.WaitGroup
	syncing  atomic.Bool
	err      error // of the last sync that failed; the system may tell it once only
}

func (f *syncedFile) Write(b []byte) (int, error) {
	n, err := f.file.Write(b)
	f.unsynced += n
	if f.unsynced >= 8<<20 && f.syncing.CompareAndSwap(false, true) {
		f.unsynced = 0
		f.syncs.Go(func() {
			if err := f.file.Sync(); err != nil {
				f.err = err
			}
			f.syncing.Store(false)
		})
	}
	return n, err
}

// wait returns the error of the syncs, after they have ended.
func (f *syncedFile) wait() error {
	f.syncs.Wait()
	return f.err
}

func wantExtension(flag, path string, extensions ...string) error {
	if slices.Contains(extensions, strings.ToLower(filepath.Ext(path))) {
		return nil
	}
	return fmt.Errorf("%s %s: want a file name that ends in %s", flag, path, strings.Join(extensions, " or "))
}
