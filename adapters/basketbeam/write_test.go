package basketbeam

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/basket-go/basket"
	gocmp "github.com/google/go-cmp/cmp"
)

// TestWriteRows_repeated: a runner that loses a worker repeats a part of the work.
// The same file is then written again, with the same bytes.
func TestWriteRows_repeated(t *testing.T) {
	dir := t.TempDir()
	o := output{dir, "rows", basket.FeatureNames(), 2}
	rows := []basket.Row{
		{UserID: "b", Number: 1, Values: []float64{1, 2, 3, 4}},
		{UserID: "a", Number: 2, Values: []float64{5, 6, 7, 8}},
		{UserID: "a", Number: 1, Values: []float64{9, 10, 11, 12}},
	}
	var files [][]byte
	for attempt := range 3 {
		blocks := [][]byte{{}, appendRow(appendRow(nil, rows[attempt]), rows[(attempt+1)%3]), appendRow(nil, rows[(attempt+2)%3])}
		i := 0
		next := func(b *[]byte) bool {
			if i == len(blocks) {
				return false
			}
			*b, i = blocks[i], i+1
			return true
		}
		fn := &writeFn{o}
		err := fn.ProcessElement(t.Context(), 1, next, func(_ int, w written) {
			if w != (written{1, 3}) {
				t.Errorf("written %v, want shard 1 with 3 rows", w)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "rows-00001-of-00002.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	if !bytes.Equal(files[0], files[1]) || !bytes.Equal(files[0], files[2]) {
		t.Error("the attempts differ: want files of equal bytes")
	}
	if diff := gocmp.Diff([]string{"rows-00001-of-00002.parquet"}, fileNames(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestWriteRows_again: a job replaces the output of an earlier one, and removes what
// an interrupted one has left; other files stay.
func TestWriteRows_again(t *testing.T) {
	out := t.TempDir()
	stale := []string{".rows-00001-of-00003.parquet.123", ".rows-00000-of-00009.parquet.5", "rows-00005-of-00009.parquet"}
	foreign := []string{".rows", "predictions-00005-of-00009.parquet", "rows-00005-of-00009.parquet.bak", "rows.parquet"}
	for _, name := range slices.Concat(stale, foreign) {
		if err := os.WriteFile(filepath.Join(out, name), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shop := randomShop(9, 20, 200).write(t, 1, 1000)
	for range 2 {
		err := run(t, func(s beam.Scope) {
			WriteRows(s, out, 3, Latest(s, Read(s, shop), basket.LastOrder))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := append([]string{success, "rows-00000-of-00003.parquet", "rows-00001-of-00003.parquet", "rows-00002-of-00003.parquet"}, foreign...)
	slices.Sort(want)
	if diff := gocmp.Diff(want, fileNames(t, out)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// TestWriteRows_failed: a job that fails leaves no _SUCCESS, not even that of an
// earlier job whose files it may have replaced.
func TestWriteRows_failed(t *testing.T) {
	out := t.TempDir()
	fn := &beginFn{output{out, "rows", nil, 2}}
	if err := os.WriteFile(filepath.Join(out, success), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var shards []int
	if err := fn.ProcessElement(t.Context(), out, func(shard int, _ []byte) { shards = append(shards, shard) }); err != nil {
		t.Fatal(err)
	}
	if len(fileNames(t, out)) != 0 || !slices.Equal(shards, []int{0, 1}) {
		t.Errorf("files %v, shards %v: want no file, and shards 0 and 1", fileNames(t, out), shards)
	}
	finish := &finishFn{fn.Output}
	one := []written{{0, 5}}
	err := finish.ProcessElement(t.Context(), 0, func(w *written) bool {
		if len(one) == 0 {
			return false
		}
		*w, one = one[0], nil
		return true
	})
	checkFailed(t, err, out, "1 of 2 files are missing")
}

// TestLocalFS_failed: a write that fails leaves the old file, and nothing else.
func TestLocalFS_failed(t *testing.T) {
	dir := t.TempDir()
	fsys, err := openWriteFS(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for _, fails := range []error{nil, broken} {
		err := fsys.WriteFile(t.Context(), "x", func(w io.Writer) error {
			if _, err := io.WriteString(w, "text"); err != nil {
				return err
			}
			return fails
		})
		if !errors.Is(err, fails) {
			t.Errorf("error %v, want %v", err, fails)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "x"))
	if err != nil || string(data) != "text" || len(fileNames(t, dir)) != 1 {
		t.Errorf("file %q, error %v, files %v: want the first one alone", data, err, fileNames(t, dir))
	}
}

func TestWriteRows_refusesShards(t *testing.T) {
	for _, shards := range []int{0, -1, 100_000} {
		func() {
			defer func() {
				if r := recover(); r == nil {
					t.Errorf("%d shards: no panic", shards)
				}
			}()
			_ = run(t, func(s beam.Scope) { WriteRows(s, t.TempDir(), shards, beam.Create(s, basket.Row{})) })
		}()
	}
}

// TestShardOf pins the shards, which must not change between two attempts or workers.
func TestShardOf(t *testing.T) {
	counts := make([]int, 8)
	for i := range 8000 {
		counts[shardOf(string(rune('a'+i%26))+string(rune(i)), 8)]++
	}
	for shard, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("shard %d has %d of 8000 users", shard, n)
		}
	}
	if got := shardOf("ann", 16); got != 8 {
		t.Errorf("ann is in shard %d, want 8", got)
	}
}
