// Package basketbeam computes feature rows and predictions of all users of a shop
// with Apache Beam, on Flink for example; examples/beam is a program, and tells on
// which runners it has been run. It is for shops that are too large for one machine:
// package basketparquet materializes ten million orders on a small one in seconds.
//
// The transforms can be combined, and combined with others. A pipeline that writes a
// prediction for each user:
//
//	tables := basketbeam.Read(s, "/data/shop")
//	rows := basketbeam.Latest(s, tables, basket.LastOrder)
//	predictions := basketbeam.Predict(s, "/data/model.txt", rows)
//	basketbeam.WritePredictions(s, "/data/out", 16, predictions)
//
// The features are those of [basket.Materializer] to the last bit: Beam groups the
// orders by user, and a [basket.History] computes the rows. Each row group of a
// parquet file is read by itself, so the work spreads over the workers if files have
// several row groups or tables several files. A worker holds the orders of one user at
// a time for each thread, and one output file's rows while it writes them.
//
// The collections have the global window.
//
// # Folders
//
// A folder is a path that each worker sees: of the local disk, if all workers are on
// one machine, or of a network file system. [RegisterFS] adds object stores.
//
// # Output
//
// [WriteRows] and [WritePredictions] write to a folder one parquet file for each
// shard, such as rows-00003-of-00008.parquet. A user's rows are in one file, and the
// rows of a file are sorted by user ID and number. Of equal input, the same shard
// has the same rows, however often a runner repeats a part of the work.
//
// A file appears whole or not at all: it is written under a temporary name that
// begins with a dot, synced and renamed. When all files of a job are there, files of
// the same kind from a job with another number of shards and temporary files are
// removed, and last the file _SUCCESS is written, which has a line for each shard: the
// name of its file, a tab and the number of its rows. The job removes an older
// _SUCCESS before it writes the first file. So a reader may rely on this: if _SUCCESS
// is there, the files that it names are the complete result of one job. Without
// it, each file is whole, but may be of an earlier job, or other files may be missing.
// One transform of one job at a time may write to a folder; a folder for each job is
// best.
//
// # Errors
//
// Errors name the file and the cause, as those of basketparquet do, and end the job:
// the runner shows them in its own error or log, after repeating the work as often as
// it is set to. No _SUCCESS is written then.
package basketbeam

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

// Tables are the collections from which feature rows are computed. [Read] makes them
// of parquet files; a pipeline with other sources makes its own.
type Tables struct {
	Orders        beam.PCollection // KV<string, Order>: user ID and order
	Regulars      beam.PCollection // KV<string, int64>: user ID and variant ID; repeats count once
	MeanItemPrice beam.PCollection // float64: one element, as [basket.MeanItemPrice] computes it
}

// An Order is an order and its place in the table of orders. Of a user's orders of
// equal event time, that of the lower Part arrived first, and within a part that of
// the lower Row.
type Order struct {
	basket.Order       // without UserID, which is the key
	Part         int64 // number of the row group in the table, from zero
	Row          int64 // number of the order in the row group, from zero
}

// A part is a row group of a table, and its number in the table.
type part struct {
	Part  int64
	Group basketparquet.RowGroup
}

func init() {
	register.DoFn3x1[context.Context, string, func(part), error](&listFn{})
	register.DoFn3x1[context.Context, part, func(string, Order), error](&ordersFn{})
	register.DoFn3x1[context.Context, part, func(string, int64), error](&regularsFn{})
	register.DoFn3x1[context.Context, string, func(float64), error](&meanItemPriceFn{})
	register.Emitter1[part]()
	register.Emitter1[float64]()
	register.Emitter2[string, Order]()
	register.Emitter2[string, int64]()
}

// Read reads the tables orders, regulars and inventory of a folder, as
// [basketparquet] finds them. The inventory is read by one worker, since the order
// of its sum decides about the last bits. A user ID of the collections is part of a
// larger string: a DoFn that keeps some clones them.
func Read(s beam.Scope, folder string) Tables {
	s = s.Scope("basketbeam.Read")
	name := beam.Create(s, folder)
	return Tables{
		Orders:        beam.ParDo(s.Scope("orders"), &ordersFn{folder}, rowGroups(s.Scope("orders"), folder, "orders")),
		Regulars:      beam.ParDo(s.Scope("regulars"), &regularsFn{folder}, rowGroups(s.Scope("regulars"), folder, "regulars")),
		MeanItemPrice: beam.ParDo(s.Scope("inventory"), &meanItemPriceFn{}, name),
	}
}

// rowGroups spreads the row groups of a table over the workers.
func rowGroups(s beam.Scope, folder, table string) beam.PCollection {
	return beam.Reshuffle(s, beam.ParDo(s, &listFn{folder}, beam.Create(s, table)))
}

type listFn struct{ Folder string }

func (fn *listFn) ProcessElement(ctx context.Context, table string, emit func(part)) error {
	fsys, err := openFS(ctx, fn.Folder)
	if err != nil {
		return err
	}
	groups, err := basketparquet.RowGroups(ctx, fsys, table)
	if err != nil {
		return inFolder(fn.Folder, err)
	}
	for i, g := range groups {
		emit(part{int64(i), g})
	}
	return nil
}

type ordersFn struct{ Folder string }

func (fn *ordersFn) ProcessElement(ctx context.Context, p part, emit func(string, Order)) error {
	fsys, err := openFS(ctx, fn.Folder)
	if err != nil {
		return err
	}
	row := int64(0)
	for o, err := range p.Group.Orders(ctx, fsys) {
		if err != nil {
			return inFolder(fn.Folder, err)
		}
		userID := o.UserID
		o.UserID = ""
		o.Items = append([]int64(nil), o.Items...)
		emit(userID, Order{Order: o, Part: p.Part, Row: row})
		row++
	}
	return nil
}

type regularsFn struct{ Folder string }

func (fn *regularsFn) ProcessElement(ctx context.Context, p part, emit func(string, int64)) error {
	fsys, err := openFS(ctx, fn.Folder)
	if err != nil {
		return err
	}
	for r, err := range p.Group.Regulars(ctx, fsys) {
		if err != nil {
			return inFolder(fn.Folder, err)
		}
		emit(r.UserID, r.VariantID)
	}
	return nil
}

type meanItemPriceFn struct{}

func (*meanItemPriceFn) ProcessElement(ctx context.Context, folder string, emit func(float64)) error {
	fsys, err := openFS(ctx, folder)
	if err != nil {
		return err
	}
	mean, err := basket.MeanItemPrice(basketparquet.Inventory(ctx, fsys))
	if err != nil {
		return inFolder(folder, err)
	}
	emit(mean)
	return nil
}

// inFolder names the folder, as a job may read several.
func inFolder(folder string, err error) error {
	return fmt.Errorf("basketbeam: folder %s: %w", folder, err)
}
