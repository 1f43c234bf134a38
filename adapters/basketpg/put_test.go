package basketpg_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketpg"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TestStore_PutAll compares with a MemoryStore: users that come many times, stale and
// equal times, any bits, in an empty and in a filled table.
func TestStore_PutAll(t *testing.T) {
	pool := newServer(t).pool(t, "")
	for _, users := range []int{1, 700, 30_000, 1_000_000} {
		random := rand.New(rand.NewPCG(1, uint64(users)))
		var rows []basket.Row
		for range 45_000 { // more than two transactions
			rows = append(rows, randomRow(random, users))
		}
		s := newStore(t, pool)
		memory, err := basket.NewMemoryStore(basket.Values[basket.Row](nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range [][]basket.Row{rows[:40_000], rows[40_000:], nil, rows[:100]} {
			if err := s.PutAll(t.Context(), reusing(part)); err != nil {
				t.Fatal(err)
			}
			if err := memory.Put(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
		sameAs(t, s, memory, rows)
	}
}

func randomRow(random *rand.Rand, users int) basket.Row {
	row := basket.Row{
		UserID:    fmt.Sprintf("user-%d", random.IntN(users)),
		OrderedAt: time.Unix(random.Int64N(20)-10, []int64{0, 1, 999, 1000, 999_999_999}[random.IntN(5)]).UTC(), Number: random.IntN(1000),
	}
	for range 4 {
		v := math.Float64frombits(random.Uint64())
		if random.IntN(4) == 0 {
			v = []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1)}[random.IntN(4)]
		}
		row.Values = append(row.Values, v)
	}
	return row
}

// reusing yields rows whose Values are one slice, as a sequence may.
func reusing(rows []basket.Row) iter.Seq2[basket.Row, error] {
	return func(yield func(basket.Row, error) bool) {
		values := make([]float64, 4)
		for _, row := range rows {
			copy(values, row.Values)
			row.Values = values
			if !yield(row, nil) {
				return
			}
		}
	}
}

// sameAs checks that the store has the rows of memory for the users of rows.
func sameAs(t *testing.T, s *basketpg.Store, memory *basket.MemoryStore, rows []basket.Row) {
	t.Helper()
	seen := map[string]bool{}
	var want []basket.Row
	for _, row := range rows {
		if newest, err := memory.Row(t.Context(), row.UserID); err == nil && !seen[row.UserID] {
			want = append(want, newest)
		}
		seen[row.UserID] = true
	}
	if len(want) != memory.Len() {
		t.Fatalf("%d users, want %d", len(want), memory.Len())
	}
	hasRows(t, "PutAll", s, want)
}

// TestStore_PutAll_error: an error of the sequence is returned as it is, and the rest can
// be stored later.
func TestStore_PutAll_error(t *testing.T) {
	s := newStore(t, newServer(t).pool(t, ""))
	broken := errors.New("row group 3 is damaged")
	err := s.PutAll(t.Context(), func(yield func(basket.Row, error) bool) {
		for row := range someRows(25_000) {
			if !yield(row, nil) {
				return
			}
		}
		yield(basket.Row{}, broken)
	})
	if err != broken { //nolint:errorlint // as it is
		t.Errorf("PutAll: %v, want the error of the sequence", err)
	}
	if _, err := s.Row(t.Context(), someRow(19_999).UserID); err != nil {
		t.Errorf("a row of the first transaction: %v", err)
	}
	if err := s.PutAll(t.Context(), someRows(25_000)); err != nil {
		t.Fatal(err)
	}
	hasRows(t, "after the repetition", s, collect(25_000))
	ctx, cancel := context.WithCancel(t.Context())
	err = s.PutAll(ctx, func(yield func(basket.Row, error) bool) {
		for row := range laterRows(25_000) {
			cancel()
			if !yield(row, nil) {
				return
			}
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("PutAll with a context that is canceled meanwhile: %v", err)
	}
}

func collect(n int) []basket.Row {
	var rows []basket.Row
	for row := range someRows(n) {
		rows = append(rows, row)
	}
	return rows
}

// TestStore_concurrentWriters: calls that write the same users in different orders do
// not wait for each other for ever, which the server would end with an error.
func TestStore_concurrentWriters(t *testing.T) {
	if testing.Short() {
		t.Skip("a server takes a second to start")
	}
	s := newStore(t, newServer(t).pool(t, ""))
	ctx := t.Context()
	rows := collect(2000)
	var ids []string
	for i := range rows {
		ids = append(ids, rows[i].UserID)
	}
	var writers sync.WaitGroup
	for w := range 6 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(w)))
			for range 5 {
				mine := make([]basket.Row, 0, len(rows))
				for _, i := range random.Perm(len(rows)) {
					row := rows[i]
					row.OrderedAt = row.OrderedAt.Add(time.Duration(random.IntN(1000)) * time.Hour)
					mine = append(mine, row)
				}
				shuffled := make([]string, 0, len(ids))
				for _, i := range random.Perm(len(ids)) {
					shuffled = append(shuffled, ids[i])
				}
				for name, err := range map[string]error{"Put": s.Put(ctx, mine), "Delete": s.Delete(ctx, shuffled), "PutAll": s.PutAll(ctx, basket.Values(mine))} {
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
		})
	}
	writers.Wait()
}

const (
	killedRows = 110_000
	killEnv    = "BASKETPG_KILLED_AT" // at which row, of TestStore_PutAll_killed
	urlEnv     = "BASKETPG_URL"
)

// TestMain is PutAll of a process that is killed, if the environment says so.
func TestMain(m *testing.M) {
	at, err := strconv.Atoi(os.Getenv(killEnv))
	if err != nil {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv(urlEnv))
	if err != nil {
		panic(err)
	}
	s, err := basketpg.NewStore(pool, basketpg.WithTable("killed"))
	if err != nil {
		panic(err)
	}
	i := 0
	err = s.PutAll(ctx, func(yield func(basket.Row, error) bool) {
		for row := range someRows(killedRows) {
			if i++; i == at {
				time.AfterFunc(time.Duration(at%17)*time.Millisecond, killSelf)
			}
			if !yield(row, nil) {
				return
			}
		}
	})
	if err != nil {
		panic(err)
	}
	time.Sleep(time.Second) // of the last kill
}

func killSelf() {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		panic(err)
	}
	_ = self.Kill()
}

// TestStore_PutAll_killed kills the process at ten places and repeats: afterwards the
// table is complete, and at no time it has a wrong row.
func TestStore_PutAll_killed(t *testing.T) {
	server := newServer(t)
	pool := server.pool(t, "")
	s := newStore(t, pool, basketpg.WithTable("killed"))
	want := collect(killedRows)
	last := -1
	for place := range 10 {
		at := (place + 1) * killedRows / 11
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), fmt.Sprintf("%s=%d", killEnv, at), urlEnv+"="+server.url())
		if out, err := c.CombinedOutput(); err == nil || len(out) > 0 {
			t.Fatalf("the process was not killed at row %d: %v\n%s", at, err, out)
		}
		var stored int
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM killed").Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if stored < last || stored%20_000 != 0 && stored != killedRows {
			t.Errorf("killed at row %d: %d rows after %d: want whole transactions", at, stored, last)
		}
		last = stored
		hasRows(t, fmt.Sprintf("killed at row %d", at), s, want[:stored])
	}
	if last <= 0 {
		t.Error("no row was stored before the end")
	}
	if err := s.PutAll(t.Context(), someRows(killedRows)); err != nil {
		t.Fatal(err)
	}
	hasRows(t, "at the end", s, want)
}
