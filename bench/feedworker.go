package main

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"iter"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/basket-go/basket/adapters/basketredis"
	"github.com/basket-go/basket/basketparquet"
	"github.com/redis/rueidis"
	"github.com/twmb/franz-go/pkg/kgo"
)

// feedArg, as the first argument, runs this program as a feed of a topic.
const feedArg = "feed"

// feedWorker runs a feed. It prints "ready", and answers a line that is a number by a
// feedFigures, once the feed has handled so many events. It ends with its input.
func feedWorker(args []string) error {
	f := flag.NewFlagSet(feedArg, flag.ContinueOnError)
	brokers := f.String("brokers", "", "address of a broker")
	topic := f.String("topic", "", "topic of orders")
	data := f.String("data", "", "folder of regulars and inventory")
	copies := f.Int("copies", 1, "copies of each user")
	redis := f.String("redis", "", "address of Redis; default: a MemoryStore")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	fsys := os.DirFS(*data)
	regulars := copied(basketparquet.Regulars(ctx, fsys), *copies, func(r *basket.Regular) *string { return &r.UserID })
	snapshot, err := basketkafka.NewSnapshot(regulars, basketparquet.Inventory(ctx, fsys), basket.LastOrder)
	if err != nil {
		return err
	}
	sink, err := feedSink(*redis)
	if err != nil {
		return err
	}
	feed, err := basketkafka.NewFeed(*topic, snapshot, sink, basketkafka.WithReport(func(err error) { fmt.Fprintln(os.Stderr, err) }))
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	before := memoryNow()
	done := make(chan error, 1)
	go func() { done <- feed.Run(ctx, kgo.SeedBrokers(*brokers)) }()
	fmt.Println("ready")
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		n, err := strconv.ParseInt(s.Text(), 10, 64)
		if err != nil {
			return err
		}
		fmt.Println(followed(feed, n, before))
	}
	stop()
	return <-done
}

// feedSink returns a store without rows.
func feedSink(redis string) (basketkafka.Sink, error) {
	if redis == "" {
		return basket.NewMemoryStore(func(func(basket.Row, error) bool) {})
	}
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{redis}, DisableCache: true})
	if err != nil {
		return nil, err
	}
	return basketredis.NewStore(client) // the client ends with the process
}

// A feedFigures is what a feed took for some events.
type feedFigures struct {
	wall, cpu time.Duration
	events    int64 // that were handled in that time
	users     int64
	resident  int64 // bytes of the process more than before the first event
	live      int64 // bytes on the heap, after a collection, more than before
}

// String is the line that parseFeedFigures reads.
func (f feedFigures) String() string {
	return fmt.Sprint(int64(f.wall), int64(f.cpu), f.events, f.users, f.resident, f.live)
}

func parseFeedFigures(line string) (f feedFigures, err error) {
	_, err = fmt.Sscan(line, &f.wall, &f.cpu, &f.events, &f.users, &f.resident, &f.live)
	return f, err
}

// followed waits until a feed has handled n events. Time counts from the first batch, so
// that joining the consumer group is not part of it.
func followed(feed *basketkafka.Feed, n int64, before memoryFigures) feedFigures {
	var first basketkafka.Stats
	var wall, cpu time.Duration
	for {
		s := feed.Stats()
		if s.Events > 0 && first.Events == 0 {
			first, wall, cpu = s, wallTime(), cpuTime()
		}
		if s.Kept+s.Repeats+s.DeadLetters >= n && s.Lag == 0 {
			now := memoryNow()
			return feedFigures{
				wall: wallTime() - wall, cpu: cpuTime() - cpu, events: s.Events - first.Events, users: s.Users,
				resident: now.resident - before.resident, live: now.live - before.live,
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

type memoryFigures struct{ resident, live int64 }

// memoryNow returns the resident memory, where the system tells it, and then the heap.
func memoryNow() memoryFigures {
	resident, _ := parseKilobytes(valueOf("/proc/self/status", "VmRSS", ":"))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memoryFigures{int64(resident), int64(m.HeapAlloc)}
}

// copied yields each value and its copies, whose user IDs have an end.
func copied[T any](values iter.Seq2[T, error], copies int, userID func(*T) *string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range values {
			id := *userID(&v)
			for i := range cmp.Or(copies, 1) {
				if i > 0 {
					*userID(&v) = fmt.Sprint(id, "-", i)
				}
				if !yield(v, err) {
					return
				}
			}
		}
	}
}
