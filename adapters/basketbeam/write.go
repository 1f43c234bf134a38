package basketbeam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

const (
	// success is the name of the file that is written last, as Spark and Hadoop do.
	success = "_SUCCESS"

	maxShards = 99_999

	// blockBytes is how large a block of rows grows before it is sent on: large, so
	// that its cost does not matter, but each shard has one.
	blockBytes = 16 << 10
)

func init() {
	register.DoFn3x1[context.Context, string, func(int, []byte), error](&beginFn{})
	register.DoFn2x0[basket.Row, func(int, []byte)](&blocksFn{})
	register.DoFn2x0[Prediction, func(basket.Row)](&priceFn{})
	register.DoFn4x1[context.Context, int, func(*[]byte) bool, func(int, written), error](&writeFn{})
	register.DoFn3x1[context.Context, int, func(*written) bool, error](&finishFn{})
	register.Emitter2[int, []byte]()
	register.Emitter2[int, written]()
	register.Iter1[[]byte]()
	register.Iter1[written]()
}

// WriteRows writes feature rows, a collection of [basket.Row] whose values are named
// by basket.FeatureNames, to a folder, in the form of [basketparquet.WriteRows]: one
// file for each shard, from 1 to 99999, and _SUCCESS; see the doc of the package. The
// folder is made if it is missing. A worker holds the rows of a shard while it writes
// them, some 300 bytes each, and the runner may hold them at the same time: let a
// shard have a million rows at most.
func WriteRows(s beam.Scope, folder string, shards int, rows beam.PCollection) {
	write(s.Scope("basketbeam.WriteRows"), output{folder, "rows", basket.FeatureNames(), shards}, rows)
}

// WritePredictions writes predictions, a collection of [Prediction], as WriteRows
// does. The files are called predictions-00003-of-00008.parquet, for example. Their
// columns are user_id; price, a DOUBLE, where NaN is null; total_orders, the Number;
// and ordered_at, all in the form of [basketparquet.WriteRows].
func WritePredictions(s beam.Scope, folder string, shards int, predictions beam.PCollection) {
	s = s.Scope("basketbeam.WritePredictions")
	write(s, output{folder, "predictions", []string{"price"}, shards}, beam.ParDo(s, &priceFn{}, predictions))
}

type priceFn struct{}

func (*priceFn) ProcessElement(p Prediction, emit func(basket.Row)) { emit(p.row()) }

// An output is a set of files.
type output struct {
	Folder string
	Kind   string   // first part of the files' names
	Names  []string // of the values
	Shards int
}

func (o output) file(shard int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.parquet", o.Kind, shard, o.Shards)
}

func write(s beam.Scope, o output, rows beam.PCollection) {
	if o.Shards < 1 || o.Shards > maxShards {
		panic(fmt.Sprintf("basketbeam: %d shards: want 1 to %d", o.Shards, maxShards))
	}
	// The empty blocks of beginFn give each shard a file, and hold back the files until
	// the older _SUCCESS is removed.
	blocks := beam.Flatten(s,
		beam.ParDo(s, &beginFn{o}, beam.Create(s, o.Folder)),
		beam.ParDo(s, &blocksFn{Shards: o.Shards}, rows))
	files := beam.ParDo(s, &writeFn{o}, beam.GroupByKey(s, blocks))
	beam.ParDo0(s, &finishFn{o}, beam.GroupByKey(s, files))
}

// beginFn removes _SUCCESS and emits an empty block for each shard.
type beginFn struct{ Output output }

func (fn *beginFn) ProcessElement(ctx context.Context, folder string, emit func(int, []byte)) error {
	fsys, err := openWriteFS(ctx, folder)
	if err != nil {
		return err
	}
	if err := fsys.Remove(ctx, success); err != nil {
		return fmt.Errorf("basketbeam: cannot remove %s/%s: %w", folder, success, err)
	}
	for shard := range fn.Output.Shards {
		emit(shard, []byte{})
	}
	return nil
}

// blocksFn packs the rows of each shard, so that a runner moves fewer elements.
type blocksFn struct {
	Shards int

	blocks [][]byte // by shard; nil is empty
}

// StartBundle forgets the rows of a bundle that failed.
func (fn *blocksFn) StartBundle(func(int, []byte)) { fn.blocks = make([][]byte, fn.Shards) }

func (fn *blocksFn) ProcessElement(row basket.Row, emit func(int, []byte)) {
	shard := shardOf(row.UserID, fn.Shards)
	block := appendRow(fn.blocks[shard], row)
	if len(block) >= blockBytes {
		emit(shard, block)
		block = nil
	}
	fn.blocks[shard] = block
}

// FinishBundle emits the rows that are left.
func (fn *blocksFn) FinishBundle(emit func(int, []byte)) {
	for shard, block := range fn.blocks {
		if block != nil {
			emit(shard, block)
		}
	}
	fn.blocks = nil
}

func shardOf(userID string, shards int) int {
	h := fnv.New64a()
	_, _ = io.WriteString(h, userID)
	return int(h.Sum64() % uint64(shards))
}

// written is a file that has been written.
type written struct{ Shard, Rows int }

// writeFn writes the file of a shard.
type writeFn struct{ Output output }

func (fn *writeFn) ProcessElement(ctx context.Context, shard int, blocks func(*[]byte) bool, emit func(int, written)) error {
	rows, err := readBlocks(blocks)
	if err != nil {
		return err
	}
	if err := fn.Output.write(ctx, shard, rows); err != nil {
		return err
	}
	emit(0, written{shard, len(rows)})
	return nil
}

// readBlocks returns the rows of blocks, sorted.
func readBlocks(blocks func(*[]byte) bool) ([]basket.Row, error) {
	var rows []basket.Row
	slab := make([]float64, 0, 4096)
	for block := []byte(nil); blocks(&block); {
		d := decoder{b: block}
		for len(d.b) > 0 {
			rows = append(rows, d.row(&slab))
		}
		if err := d.end("feature rows"); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(rows, func(a, b basket.Row) int {
		return cmp.Or(strings.Compare(a.UserID, b.UserID), cmp.Compare(a.Number, b.Number))
	})
	return rows, nil
}

func (o output) write(ctx context.Context, shard int, rows []basket.Row) error {
	fsys, err := openWriteFS(ctx, o.Folder)
	if err != nil {
		return err
	}
	err = fsys.WriteFile(ctx, o.file(shard), func(w io.Writer) error {
		return basketparquet.WriteRows(w, o.Names, basket.Values(rows))
	})
	if err != nil {
		return fmt.Errorf("basketbeam: cannot write %s/%s: %w", o.Folder, o.file(shard), err)
	}
	return nil
}

// finishFn writes _SUCCESS when all files are there.
type finishFn struct{ Output output }

func (fn *finishFn) ProcessElement(ctx context.Context, _ int, files func(*written) bool) error {
	o := fn.Output
	rows := make([]int, o.Shards)
	missing := o.Shards
	for i := range rows {
		rows[i] = -1
	}
	for f := new(written); files(f); {
		if rows[f.Shard] < 0 {
			missing--
		}
		rows[f.Shard] = f.Rows
	}
	if missing > 0 {
		return fmt.Errorf("basketbeam: folder %s: %d of %d files are missing: want a runner that keeps every element", o.Folder, missing, o.Shards)
	}
	fsys, err := openWriteFS(ctx, o.Folder)
	if err != nil {
		return err
	}
	if err := o.clean(ctx, fsys); err != nil {
		return fmt.Errorf("basketbeam: folder %s: cannot remove older files: %w", o.Folder, err)
	}
	err = fsys.WriteFile(ctx, success, func(w io.Writer) error {
		var list strings.Builder
		for shard, n := range rows {
			fmt.Fprintf(&list, "%s\t%d\n", o.file(shard), n)
		}
		_, err := io.WriteString(w, list.String())
		return err
	})
	if err != nil {
		return fmt.Errorf("basketbeam: cannot write %s/%s: %w", o.Folder, success, err)
	}
	return nil
}

// clean removes temporary files, and the files of jobs with another number of shards.
func (o output) clean(ctx context.Context, fsys WriteFS) error {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return err
	}
	ours := regexp.MustCompile(`^\.?` + regexp.QuoteMeta(o.Kind) + `-[0-9]{5}-of-([0-9]{5})\.parquet(\.[0-9]+)?$`)
	now := fmt.Sprintf("%05d", o.Shards)
	for _, e := range entries {
		m := ours.FindStringSubmatch(e.Name())
		if m == nil || !strings.HasPrefix(e.Name(), ".") && (m[1] == now || m[2] != "") || e.IsDir() {
			continue
		}
		err = errors.Join(err, fsys.Remove(ctx, e.Name()))
	}
	return err
}
