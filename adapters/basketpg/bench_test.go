package basketpg_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketpg"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// someRows yields rows of n users, by user ID.
func someRows(n int) iter.Seq2[basket.Row, error] {
	return func(yield func(basket.Row, error) bool) {
		for i := range n {
			if !yield(someRow(i), nil) {
				return
			}
		}
	}
}

func someRow(i int) basket.Row {
	v := float64(i)
	row := basket.Row{
		UserID: fmt.Sprintf("user-%07d", i), OrderedAt: time.Unix(1_700_000_000+int64(i), int64(i%1_000_000_000)).UTC(),
		Number: 1 + i%50, Values: []float64{v * 0.7, v, 3, v / 3},
	}
	if i%10 == 0 {
		row.Values[2] = math.NaN()
	}
	return row
}

func userIDs(n, of int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = someRow(i * 7919 % of).UserID
	}
	return ids
}

const bareColumns = "ordered_at, number, prior_basket_value, prior_item_count, prior_regulars_count, regulars_count"

// bareQuery reads rows as a program of one's own would: a prepared query, and Scan.
func bareQuery(ctx context.Context, pool *pgxpool.Pool, sql string, arg any) (int, error) {
	rows, err := pool.Query(ctx, sql, arg)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var userID string
		var at time.Time
		var number int64
		var a, b, c, d pgtype.Float8
		if err := rows.Scan(&userID, &at, &number, &a, &b, &c, &d); err != nil {
			return 0, err
		}
		n++
	}
	return n, rows.Err()
}

// versus runs two functions in turn, and reports the time of each, and how many times as
// long as the first the second takes.
func versus(b *testing.B, bare, ours func() error) {
	b.Helper()
	var times [2]time.Duration
	for i := 0; b.Loop(); i++ {
		for k := range 2 {
			f := (i + k) % 2 // either is first in half of the rounds
			start := time.Now()
			if err := []func() error{bare, ours}[f](); err != nil {
				b.Fatal(err)
			}
			times[f] += time.Since(start)
		}
	}
	b.ReportMetric(float64(times[0].Microseconds())/float64(b.N), "bare-µs")
	b.ReportMetric(float64(times[1].Microseconds())/float64(b.N), "store-µs")
	b.ReportMetric(float64(times[1])/float64(times[0]), "times-bare")
}

func BenchmarkRead(b *testing.B) {
	const users = 200_000
	pool := newServer(b).pool(b, "")
	s := newStore(b, pool, basketpg.WithTable("bench_rows"))
	ctx := context.Background()
	if err := s.PutAll(ctx, someRows(users)); err != nil {
		b.Fatal(err)
	}
	if _, err := pool.Exec(ctx, "VACUUM ANALYZE bench_rows"); err != nil {
		b.Fatal(err)
	}
	b.Run("users=1", func(b *testing.B) {
		ids, i := userIDs(1000, users), 0
		versus(b, func() error {
			n, err := bareQuery(ctx, pool, "SELECT user_id, "+bareColumns+" FROM bench_rows WHERE user_id = $1", ids[i%1000])
			if err == nil && n != 1 {
				err = fmt.Errorf("%d rows", n)
			}
			return err
		}, func() error {
			i++
			_, err := s.Row(ctx, ids[i%1000])
			return err
		})
	})
	b.Run("users=1000", func(b *testing.B) {
		ids := userIDs(1000, users)
		versus(b, func() error {
			n, err := bareQuery(ctx, pool, "SELECT user_id, "+bareColumns+" FROM bench_rows WHERE user_id = ANY($1)", ids)
			if err == nil && n != 1000 {
				err = fmt.Errorf("%d rows", n)
			}
			return err
		}, func() error {
			_, err := s.Rows(ctx, ids)
			return err
		})
	})
}

// BenchmarkPutAll compares with one COPY of pgx, of all rows, to the same table.
func BenchmarkPutAll(b *testing.B) {
	const users = 1_000_000
	pool := newServer(b).pool(b, "")
	ctx := context.Background()
	s := newStore(b, pool, basketpg.WithTable("bench_rows"))
	truncate := func() error {
		_, err := pool.Exec(ctx, "TRUNCATE bench_rows; CHECKPOINT")
		return err
	}
	measure := func(f func() error) time.Duration {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	var bare, empty, full, changed time.Duration
	for b.Loop() {
		measure(truncate)
		bare += measure(func() error { return bareCopy(ctx, pool, users) })
		measure(truncate)
		empty += measure(func() error { return s.PutAll(ctx, someRows(users)) })
		full += measure(func() error { return s.PutAll(ctx, someRows(users)) })
		changed += measure(func() error { return s.PutAll(ctx, laterRows(users)) })
	}
	rate := func(d time.Duration) float64 { return float64(users) * float64(b.N) / d.Seconds() }
	b.ReportMetric(rate(bare), "bare-rows/s")
	b.ReportMetric(rate(empty), "empty-rows/s")
	b.ReportMetric(rate(full), "same-rows/s")
	b.ReportMetric(rate(changed), "newer-rows/s")
	b.ReportMetric(rate(empty)/rate(bare), "of-bare")
}

func bareCopy(ctx context.Context, pool *pgxpool.Pool, n int) error {
	i := -1
	_, err := pool.CopyFrom(ctx, pgx.Identifier{"bench_rows"},
		[]string{"user_id", "ordered_at", "number", "prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count"},
		pgx.CopyFromFunc(func() ([]any, error) {
			if i++; i == n {
				return nil, nil
			}
			r := someRow(i)
			return []any{r.UserID, r.OrderedAt, r.Number, r.Values[0], r.Values[1], r.Values[2], r.Values[3]}, nil
		}))
	return err
}

// laterRows yields newer rows of the same users.
func laterRows(n int) iter.Seq2[basket.Row, error] {
	return func(yield func(basket.Row, error) bool) {
		for row := range someRows(n) {
			row.OrderedAt = row.OrderedAt.Add(time.Hour)
			if !yield(row, nil) {
				return
			}
		}
	}
}
