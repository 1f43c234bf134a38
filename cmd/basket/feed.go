package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/cmd/basket/internal/telemetry"
	"github.com/basket-go/basket/serve"
)

// feedCmd has the settings of "basket feed"; see setting.
type feedCmd struct {
	Config      string `type:"setting" placeholder:"FILE" help:"YAML file of settings, a line NAME: VALUE each. Flags and environment variables, BASKET_NAME for --name, precede it."`
	PrintConfig bool   `type:"switch" help:"Print each setting with its source, as a configuration file, and exit."`

	Kafka       kafkaSettings `embed:""`
	Data        string        `type:"setting" placeholder:"DIR" help:"Folder of regulars.parquet and inventory.parquet, which are read at the start. Needed."`
	To          string        `type:"setting" secret:"" placeholder:"WHERE" help:"Where to keep each user's newest row: redis://HOST:PORT or postgres://HOST/DATABASE. Needed."`
	CreateTable bool          `type:"switch" help:"Create the table in Postgres if it is missing."`
	Meaning     string        `type:"setting" oneof:"last-order,next-order" initial:"last-order" placeholder:"MEANING" help:"Which order a feature row describes: last-order (default) or next-order."`
	Group       string        `type:"setting" initial:"basket-feed" placeholder:"NAME" help:"Name of the feeds that share the partitions (default basket-feed). The consumer group and the changelog have it, followed by a digest of regulars, inventory and meaning."`
	DeadLetters string        `type:"setting" placeholder:"TOPIC" help:"Topic of events that cannot be used (default: that of --topic with -dead-letters). It is created if it is missing."`
	Batch       int           `type:"setting" positive:"" placeholder:"N" help:"Handle at most this many events together, up to 100000 (default 10000)."`
	Refill      bool          `type:"switch" help:"Write the rows of all users at the start, not only those that change: after the store has lost rows."`
	Addr        string        `type:"setting" placeholder:"HOST:PORT" help:"Serve GET /livez, /readyz and /metrics at this address, without keys: they tell numbers, no user (default: not at all; 127.0.0.1:8001 is usual)."`

	Log       logSettings       `embed:""`
	Telemetry telemetrySettings `embed:""`
}

// Help is what --help says besides the flags.
func (c *feedCmd) Help() string {
	return "Follows a topic of orders and keeps the newest row of each user where basket serve --store reads it, until it is told to stop. Several feeds of the same settings share the partitions of the topic. Regulars, inventory and meaning are fixed for a run: with others, the topic is read from its start again."
}

// faults returns what is wrong with the settings.
func (c *feedCmd) faults() []error {
	faults := c.Kafka.faults()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Data == "" {
		fault("no data: give --data DIR")
	}
	kind := ""
	switch k, err := storeKind(c.To); {
	case c.To == "":
		fault("no store: give --to %s", feedForms)
	case err != nil || k == "snapshot" || k == "parquet":
		// The error of storeKind would offer files.
		fault("--to: no form of a server: want %s; a feed writes row by row, which a file does not allow", feedForms)
	default:
		kind = k
	}
	if c.CreateTable && kind != "postgres" {
		fault("--create-table is of Postgres: leave it out")
	}
	if c.DeadLetters != "" && (!isTopic(c.DeadLetters) || c.DeadLetters == c.Kafka.Topic) {
		fault("--dead-letters %.300q: want another topic than --topic, of 1 to %d letters, digits, dots, underscores and hyphens", c.DeadLetters, maxTopic)
	}
	if c.Batch > 100_000 {
		fault("--batch %d: want 1 to 100000", c.Batch)
	}
	if c.Addr != "" {
		if _, _, err := net.SplitHostPort(c.Addr); err != nil {
			fault("--addr %.200q: want HOST:PORT", c.Addr)
		}
	}
	return append(append(faults, c.Log.faults()...), c.Telemetry.faults()...)
}

// feedForms are the forms of --to of a feed.
const feedForms = "redis://HOST:PORT or postgres://HOST/DATABASE"

// Run follows the topic until ctx is done.
func (c *feedCmd) Run(ctx context.Context, term terminal, k *kong.Context, raw rawFlags) (err error) {
	settings, err := resolve(k.Selected(), raw, os.LookupEnv)
	if err := errors.Join(append([]error{err}, c.faults()...)...); err != nil {
		return err
	}
	if c.PrintConfig {
		return printSettings(term.out, settings)
	}
	f := feeder{feedCmd: c}
	f.logEvent = func(message string, err error) { fmt.Fprintln(term.err, eventLine(message, err)) }
	droppedLines := func() int64 { return 0 }
	if c.Log.Dir != "" {
		report := func(err error) { fmt.Fprintln(term.err, err) }
		logs, openErr := c.Log.open(report)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, logs.Close()) }()
		serve.ReopenOnHangup(ctx, logs, report)
		droppedLines = logs.Dropped
		f.logEvent = func(message string, err error) {
			logs.Service.LogService(ctx, basket.ServiceEvent{Time: time.Now(), Message: message, Err: err})
		}
	}
	if f.telemetry, err = newTelemetry(ctx, f.logEvent, droppedLines); err != nil {
		return err
	}
	defer shutDown(f.telemetry, func(err error) { f.logEvent("Telemetry", err) })
	background, stop := context.WithCancel(ctx)
	defer f.background.Wait()
	defer stop()
	return f.run(background, term)
}

// eventLine is an event in one line, for a terminal.
func eventLine(message string, err error) string {
	if err == nil {
		return "basket: " + printable(message)
	}
	return "basket: " + printable(message+": "+err.Error())
}

// A feeder is what "basket feed" consists of.
type feeder struct {
	*feedCmd
	logEvent   func(message string, err error)
	telemetry  *telemetry.Telemetry
	background sync.WaitGroup
	sink       remoteStore
	feed       *basketkafka.Feed
}

// run opens the parts, and follows the topic until ctx is done.
func (f *feeder) run(ctx context.Context, term terminal) error {
	if err := f.open(ctx); err != nil {
		f.logEvent("Failed to start the feed", err)
		return err
	}
	defer f.sink.close()
	opts, err := f.Kafka.options()
	if err != nil {
		return err
	}
	if err := f.Telemetry.servePProf(ctx, &f.background, term); err != nil {
		return err
	}
	if f.Addr != "" {
		if err := f.serve(ctx, term); err != nil {
			return fmt.Errorf("--addr: %w", err)
		}
	}
	f.logEvent("The feed of "+f.Kafka.Topic+" starts", nil)
	if err := f.feed.Run(ctx, opts...); err != nil {
		f.logEvent("The feed has failed", err)
		return err
	}
	f.logEvent("The feed has stopped", nil)
	return nil
}

// open reads regulars and inventory, and connects to the store.
func (f *feeder) open(ctx context.Context) error {
	fsys := os.DirFS(f.Data)
	snapshot, err := basketkafka.NewSnapshot(basketparquet.Regulars(ctx, fsys), basketparquet.Inventory(ctx, fsys), meaning(f.Meaning))
	if err != nil {
		return err
	}
	kind, err := storeKind(f.To)
	if err != nil {
		return err
	}
	if f.sink, err = openRemote(ctx, kind, f.To); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	f.feed, err = f.newFeed(ctx, snapshot)
	if err != nil {
		f.sink.close()
	}
	return err
}

func (f *feeder) newFeed(ctx context.Context, snapshot *basketkafka.Snapshot) (*basketkafka.Feed, error) {
	if f.CreateTable {
		if err := f.sink.create(ctx); err != nil {
			return nil, err
		}
	}
	opts := []basketkafka.Option{basketkafka.WithGroup(f.Group), basketkafka.WithReport(calm(f.logEvent))}
	if f.DeadLetters != "" {
		opts = append(opts, basketkafka.WithDeadLetters(f.DeadLetters))
	}
	if f.Batch != 0 {
		opts = append(opts, basketkafka.WithBatch(f.Batch))
	}
	if f.Refill {
		opts = append(opts, basketkafka.WithRefill())
	}
	return basketkafka.NewFeed(f.Kafka.Topic, snapshot, f.sink, opts...)
}

// sameReport is how often a report that does not change is logged.
const sameReport = time.Minute

// calm returns a function that logs what a feed waits for, the same once a minute: a feed
// may try again every few seconds for hours.
func calm(logEvent func(string, error)) func(error) {
	last, at := "", time.Time{}
	return func(err error) {
		if text := err.Error(); text != last || time.Since(at) >= sameReport {
			last, at = text, time.Now()
			logEvent("The feed waits", err)
		}
	}
}

// serve serves health and metrics until ctx is done.
func (f *feeder) serve(ctx context.Context, term terminal) error {
	limited, err := basket.LimitStore(f.sink, time.Second)
	if err != nil {
		return err
	}
	checks := []serve.Check{{Name: "feed", Do: f.feed.Check}, serve.StoreCheck(limited)}
	observeChecks(f.telemetry, checks)
	observeFeed(f.telemetry, f.feed.Stats)
	health := serve.NewHealth(ctx, checks, serve.WithReport(func(check string, err error) {
		if err == nil {
			f.logEvent("Ready again: "+check, nil)
			return
		}
		f.logEvent("Not ready: "+check, err)
	}))
	listener, err := net.Listen("tcp", f.Addr)
	if err != nil {
		return err
	}
	metrics := f.telemetry.Handler()
	if loopback, err := isLoopback(f.Addr); err == nil && loopback {
		metrics = localHosts(metrics)
	}
	handler := serve.SecurityHeaders(exactPaths(map[string]http.Handler{"/livez": health, "/readyz": health, "/metrics": metrics}, http.NotFoundHandler()))
	f.background.Go(func() {
		if err := serve.Run(ctx, serve.NewServer(handler), listener, 0); err != nil {
			f.logEvent("The server of health and metrics has failed", err)
		}
	})
	fmt.Fprintf(term.out, "health and metrics on http://%s\n", listener.Addr())
	return nil
}

// observeFeed adds the metrics of a feed.
func observeFeed(t *telemetry.Telemetry, stats func() basketkafka.Stats) {
	counter := func(name, description, unit string, of func(basketkafka.Stats) int64) {
		t.Counter("basket.feed."+name, description, unit, func() int64 { return of(stats()) })
	}
	gauge := func(name, description, unit string, of func(basketkafka.Stats) int64) {
		t.Gauge("basket.feed."+name, description, unit, func() float64 { return float64(of(stats())) })
	}
	counter("events", "Events that were read.", "{event}", func(s basketkafka.Stats) int64 { return s.Events })
	counter("orders", "Orders that were added, the late ones too.", "{order}", func(s basketkafka.Stats) int64 { return s.Orders })
	counter("repeats", "Events of orders that were known.", "{event}", func(s basketkafka.Stats) int64 { return s.Repeats })
	counter("late", "Orders of an event time before that of the user's newest one.", "{order}", func(s basketkafka.Stats) int64 { return s.Late })
	counter("dead_letters", "Events that could not be used.", "{event}", func(s basketkafka.Stats) int64 { return s.DeadLetters })
	counter("rows", "Rows that were put into the store.", "{row}", func(s basketkafka.Stats) int64 { return s.Rows })
	counter("deleted", "Rows that were removed from the store.", "{row}", func(s basketkafka.Stats) int64 { return s.Deleted })
	gauge("partitions", "Partitions that the feed has.", "{partition}", func(s basketkafka.Stats) int64 { return int64(s.Partitions) })
	gauge("users", "Users with orders in these partitions.", "{user}", func(s basketkafka.Stats) int64 { return s.Users })
	gauge("kept", "Orders in these partitions.", "{order}", func(s basketkafka.Stats) int64 { return s.Kept })
	gauge("lag", "Events in these partitions that are not handled, as far as known.", "{event}", func(s basketkafka.Stats) int64 { return s.Lag })
}
