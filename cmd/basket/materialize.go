package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

type materializeCmd struct {
	Data        string `required:"" placeholder:"DIR" help:"Folder of orders.parquet, regulars.parquet and inventory.parquet."`
	To          string `required:"" placeholder:"WHERE" help:"Where to write each user's newest row: FILE.basket, FILE.parquet, redis://HOST:PORT or postgres://HOST/DATABASE."`
	Meaning     string `enum:"last-order,next-order" default:"last-order" help:"Which order a feature row describes: last-order or next-order (${default})."`
	Rate        int    `placeholder:"N" help:"Write at most this many rows a second to a server (default: no limit)."`
	CreateTable bool   `help:"Create the table in Postgres if it is missing."`
}

// Help is what --help says besides the flags.
func (c *materializeCmd) Help() string {
	return "A file appears whole or not at all. Rows in a server are replaced by newer ones only, so a run that was ended can be run again. Users who have no orders any more stay in a server until they are deleted."
}

func (c *materializeCmd) Run(ctx context.Context, term terminal) error {
	kind, err := storeKind(c.To)
	switch {
	case err != nil:
		return fmt.Errorf("--to: %w", err)
	case c.Rate < 0:
		return fmt.Errorf("--rate %d: want 1 or more", c.Rate)
	case c.Rate > 0 && (kind == "snapshot" || kind == "parquet"):
		return fmt.Errorf("--rate is of a server: leave it out")
	case c.CreateTable && kind != "postgres":
		return fmt.Errorf("--create-table is of Postgres: leave it out")
	}
	var remote remoteStore
	if kind == "redis" || kind == "postgres" {
		if remote, err = openRemote(ctx, kind, c.To); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
		defer remote.close()
		if c.CreateTable {
			if err := remote.create(ctx); err != nil {
				return err
			}
		}
	}
	history, err := materialize(ctx, c.Data, meaning(c.Meaning), term)
	if err != nil {
		return err
	}
	bar := progress(int64(history.Users()), "writing", "rows", term)
	defer func() { _ = bar.Finish() }()
	rows := counted(history.Latest(ctx), bar)
	switch kind {
	case "snapshot":
		store, err := basket.NewMemoryStore(rows)
		if err != nil {
			return err
		}
		return writeWhole(c.To, store.WriteSnapshot)
	case "parquet":
		return writeWhole(c.To, func(w io.Writer) error {
			return basketparquet.WriteRows(w, basket.FeatureNames(), rows)
		})
	}
	return remote.put(ctx, paced(ctx, rows, c.Rate))
}

// paced yields at most rate values a second, or all at once if it is 0.
func paced[T any](ctx context.Context, rows iter.Seq2[T, error], rate int) iter.Seq2[T, error] {
	if rate == 0 {
		return rows
	}
	return func(yield func(T, error) bool) {
		start, n := time.Now(), 0
		for row, err := range rows {
			due := start.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
			if wait := time.Until(due); wait > time.Millisecond {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					var none T
					yield(none, ctx.Err())
					return
				}
			}
			n++
			if !yield(row, err) {
				return
			}
		}
	}
}
