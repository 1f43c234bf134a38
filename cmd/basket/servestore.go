package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketpg"
	"github.com/basket-go/basket/adapters/basketredis"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/cmd/basket/internal/outage"
	"github.com/basket-go/basket/serve"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/rueidis"
)

// storeSettings say where feature rows are read from, if not computed from orders.
type storeSettings struct {
	Store         string        `type:"setting" secret:"" placeholder:"WHERE" help:"Read rows that basket materialize has written, in place of --data: FILE.basket, FILE.parquet, redis://HOST:PORT or postgres://HOST/DATABASE."`
	StoreCache    int           `type:"setting" positive:"" placeholder:"N" help:"Keep this many rows of a server, to answer with while it cannot be reached; such answers have the header Basket-Row-Age (default: none)."`
	StoreCacheAge time.Duration `type:"setting" positive:"" placeholder:"TIME" help:"How old a row of --store-cache may be (default 1h)."`

	MaxRowAge time.Duration `type:"setting" positive:"" placeholder:"TIME" help:"How long ago the last order of a user may be (default: no limit)."`
	StaleRows string        `type:"setting" oneof:"refuse,serve" placeholder:"WHAT" help:"What becomes of a user whose row is over --max-row-age: refuse (default), or serve with the header Basket-Row-Age."`
}

// storeForms are the forms of --store and --to.
const storeForms = "FILE.basket, FILE.parquet, redis://HOST:PORT or postgres://HOST/DATABASE"

// storeKind returns the form of a place of rows: "snapshot", "parquet", "redis" or
// "postgres". Its error does not repeat the place, which may have a password.
func storeKind(place string) (string, error) {
	if scheme, _, ok := strings.Cut(place, "://"); ok {
		switch scheme {
		case "redis", "rediss":
			return "redis", nil
		case "postgres", "postgresql":
			return "postgres", nil
		}
		return "", fmt.Errorf("the scheme %.20q: want %s", scheme, storeForms)
	}
	switch {
	case strings.HasSuffix(place, ".basket"):
		return "snapshot", nil
	case strings.HasSuffix(place, ".parquet"):
		return "parquet", nil
	}
	return "", fmt.Errorf("no form that is known: want %s", storeForms)
}

// faults returns what is wrong with the settings.
func (c *storeSettings) faults() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	remote := false
	if c.Store != "" {
		kind, err := storeKind(c.Store)
		if err != nil {
			fault("--store: %w", err)
		}
		remote = kind == "redis" || kind == "postgres"
	}
	if !remote && (c.StoreCache != 0 || c.StoreCacheAge != 0) {
		fault("--store-cache and --store-cache-age are of a --store that is a server: leave them out")
	}
	if c.StoreCache == 0 && c.StoreCacheAge != 0 {
		fault("--store-cache-age is of --store-cache: give that, or leave it out")
	}
	if c.StaleRows != "" && c.MaxRowAge == 0 {
		fault("--stale-rows is of --max-row-age: give that, or leave it out")
	}
	return faults
}

// options are what basket.New needs of the settings.
func (c *storeSettings) options() []basket.Option {
	if c.MaxRowAge == 0 {
		return nil
	}
	policy := basket.RefuseStale
	if c.StaleRows == "serve" {
		policy = basket.ServeStale
	}
	return []basket.Option{basket.WithMaxAge(c.MaxRowAge, policy)}
}

// A remoteStore is a store that is a server of its own.
type remoteStore interface {
	basket.BatchStore
	basket.Deleter
	Newest(ctx context.Context) (time.Time, error)
	Put(ctx context.Context, rows []basket.Row) error
	put(ctx context.Context, rows iter.Seq2[basket.Row, error]) error
	create(ctx context.Context) error // what must be there before the first row
	close()
}

type redisStore struct {
	*basketredis.Store
	client rueidis.Client
}

func (s redisStore) put(ctx context.Context, rows iter.Seq2[basket.Row, error]) error {
	_, err := s.PutAll(ctx, rows)
	return err
}
func (s redisStore) create(context.Context) error { return nil }
func (s redisStore) close()                       { s.client.Close() }

type postgresStore struct {
	*basketpg.Store
	pool *pgxpool.Pool
}

func (s postgresStore) put(ctx context.Context, rows iter.Seq2[basket.Row, error]) error {
	return s.PutAll(ctx, rows)
}
func (s postgresStore) create(ctx context.Context) error { return s.CreateTable(ctx) }
func (s postgresStore) close()                           { s.pool.Close() }

// openRemote connects to a server. Its errors do not repeat the place.
func openRemote(ctx context.Context, kind, place string) (remoteStore, error) {
	if kind == "redis" {
		option, err := rueidis.ParseURL(place)
		if err != nil {
			return nil, fmt.Errorf("the address of Redis cannot be read: want redis://USER:PASSWORD@HOST:PORT/DATABASE, %w", withoutURL(err))
		}
		client, err := rueidis.NewClient(option)
		if err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
		store, err := basketredis.NewStore(client)
		if err != nil {
			client.Close()
			return nil, err
		}
		return redisStore{store, client}, nil
	}
	config, err := pgxpool.ParseConfig(place)
	if err != nil {
		return nil, errors.New("the address of Postgres cannot be read: want postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	store, err := basketpg.NewStore(pool)
	if err == nil {
		err = pool.Ping(ctx)
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return postgresStore{store, pool}, nil
}

// withoutURL returns the cause of an error of package url, which would repeat the URL.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return errors.New("of one line")
}

// openStore opens what --store names: either rows in memory, or a server.
func (s *server) openStore(ctx context.Context) error {
	if s.Store.Store == "" {
		s.data = newMemoryRows(folderSource{s.Data, meaning(s.Meaning)}, s.logEvent, s.reloads("data"))
		return s.data.source.check(ctx)
	}
	kind, err := storeKind(s.Store.Store)
	switch {
	case err != nil:
		return err
	case kind == "snapshot":
		s.data = newMemoryRows(fileSource{s.Store.Store, readSnapshot, replaceSnapshot}, s.logEvent, s.reloads("data"))
		return s.data.source.check(ctx)
	case kind == "parquet":
		s.data = newMemoryRows(fileSource{s.Store.Store, readRows, replaceRows}, s.logEvent, s.reloads("data"))
		return s.data.source.check(ctx)
	}
	s.remote, err = openRemote(ctx, kind, s.Store.Store)
	if err != nil {
		return fmt.Errorf("--store: %w", err)
	}
	return nil
}

// storeOf returns the store that the Predictor reads: the rows in memory, or a server
// with a time limit, a circuit breaker and perhaps a cache.
func (s *server) storeOf(ctx context.Context) (basket.Store, error) {
	if s.data != nil {
		return s.Limits.limitedStore(s.data.store)
	}
	limited, err := basket.LimitStore(s.remote, cmp.Or(s.Limits.StoreTimeout, time.Second))
	if err != nil {
		return nil, err
	}
	breaker := outage.NewBreaker(limited, outage.BreakerSettings{OnChange: func(from, to string) {
		s.logEvent("The store's circuit is "+to+" (it was "+from+")", nil)
	}})
	s.telemetry.Gauge("basket.store.circuit", "Circuit of the store: 0 closed, 1 half open, 2 open.", "1", func() float64 {
		return map[string]float64{"half-open": 1, "open": 2}[breaker.State()]
	})
	store := breaker.Store()
	s.checks = append(s.checks, serve.StoreCheck(store))
	s.followNewest(ctx)
	if s.Store.StoreCache == 0 {
		return store, nil
	}
	cache, err := outage.NewCache(store, s.Store.StoreCache, cmp.Or(s.Store.StoreCacheAge, time.Hour))
	if err != nil {
		return nil, err
	}
	s.telemetry.Counter("basket.store.cached", "Rows that a cache returned in place of the store.", "{row}", cache.Served)
	return cache.Store(), nil
}

// newestInterval is how often a server is asked for the time of its newest order.
const newestInterval = 30 * time.Second

// followNewest asks a server for the time of its newest order, until ctx is done.
func (s *server) followNewest(ctx context.Context) {
	ask := func() {
		limited, cancel := context.WithTimeout(ctx, newestInterval)
		defer cancel()
		if t, err := s.remote.Newest(limited); err == nil && !t.IsZero() {
			s.newest.Store(&t)
		}
	}
	s.background.Go(func() {
		ticker := time.NewTicker(newestInterval)
		defer ticker.Stop()
		for {
			ask()
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

// A fileSource is a file of rows.
type fileSource struct {
	path string
	read func(ctx context.Context, path string) (*basket.MemoryStore, error)
	put  func(ctx context.Context, path string, store *basket.MemoryStore) error
}

func (s fileSource) check(context.Context) error {
	_, err := os.Stat(s.path)
	return err
}

func (s fileSource) load(ctx context.Context, _ terminal) (*basket.MemoryStore, error) {
	store, err := s.read(ctx, s.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return store, nil
}

func (s fileSource) replace(ctx context.Context, store *basket.MemoryStore) error {
	if err := s.put(ctx, s.path, store); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}

// watch looks at size, time and identity of the file, which is replaced by a rename.
func (s fileSource) watch(ctx context.Context, changed func()) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	used := statOf(s.path)
	seen := used
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := statOf(s.path)
		settled := sameFile(now, seen)
		seen = now
		if settled && !sameFile(now, used) {
			used = now
			changed()
		}
	}
}

func statOf(path string) fs.FileInfo {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func readSnapshot(_ context.Context, path string) (*basket.MemoryStore, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return basket.ReadSnapshot(f)
}

func replaceSnapshot(_ context.Context, path string, store *basket.MemoryStore) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return store.ReplaceSnapshot(f)
}

func readRows(ctx context.Context, path string) (*basket.MemoryStore, error) {
	return basket.NewMemoryStore(rowsOf(ctx, path))
}

func replaceRows(ctx context.Context, path string, store *basket.MemoryStore) error {
	return store.Replace(rowsOf(ctx, path))
}

func rowsOf(ctx context.Context, path string) iter.Seq2[basket.Row, error] {
	return basketparquet.Rows(ctx, os.DirFS(filepath.Dir(path)), filepath.Base(path))
}
