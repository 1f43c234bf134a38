package basketkafka_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "orders"

// A shop is orders with what the features need besides, and the rows that one machine
// computes from them.
type shop struct {
	regulars  []basket.Regular
	inventory []basket.Item
	orders    []basket.Order // by sequence
}

// newShop makes a shop with ties in time and users with one order.
func newShop(seed uint64, users, orders int) shop {
	random := rand.New(rand.NewPCG(seed, 1))
	s := shop{inventory: []basket.Item{{VariantID: 1, Price: 1.1}, {VariantID: 2, Price: 2.3}, {VariantID: 3, Price: 7}}}
	user := func(i int) string { return fmt.Sprintf("user-%03d", i) }
	for range 3 * users {
		s.regulars = append(s.regulars, basket.Regular{UserID: user(random.IntN(users)), VariantID: random.Int64N(12)})
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range orders {
		o := basket.Order{UserID: user(min(random.IntN(users+1), random.IntN(users+1))), OrderedAt: start.Add(time.Duration(random.IntN(orders/users)) * time.Second)}
		for range random.IntN(8) {
			o.Items = append(o.Items, random.Int64N(12))
		}
		s.orders = append(s.orders, o)
	}
	return s
}

func (s shop) snapshot(t testing.TB, meaning basket.Meaning) *basketkafka.Snapshot {
	t.Helper()
	snapshot, err := basketkafka.NewSnapshot(basket.Values(s.regulars), basket.Values(s.inventory), meaning)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// latest returns the rows that a Materializer computes, by user ID.
func (s shop) latest(t testing.TB, meaning basket.Meaning) map[string]basket.Row {
	t.Helper()
	m, err := basket.NewMaterializer(basket.Values(s.regulars), basket.Values(s.inventory), meaning)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.AddAll(basket.Values(s.orders)); err != nil {
		t.Fatal(err)
	}
	rows := map[string]basket.Row{}
	for row, err := range m.Latest(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows[row.UserID] = row
	}
	return rows
}

// events returns the orders as records, shuffled within a window, with some repeats.
func (s shop) events(seed uint64, window int) []*kgo.Record {
	random := rand.New(rand.NewPCG(seed, 2))
	type place struct{ at, sequence int }
	var places []place
	for i := range s.orders {
		places = append(places, place{i + random.IntN(window), i})
		if random.IntN(10) == 0 {
			places = append(places, place{i + random.IntN(2*window), i})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return a.at - b.at })
	var records []*kgo.Record
	for _, p := range places {
		records = append(records, event(s.orders[p.sequence], int64(p.sequence)))
	}
	return records
}

func event(o basket.Order, sequence int64) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(o.UserID), Value: basketkafka.AppendEvent(nil, basketkafka.Event{Order: o, Sequence: sequence})}
}

// broker starts a broker in this process, with the topic of orders.
func broker(t testing.TB, partitions int32, opts ...kfake.Opt) kgo.Opt {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return kgo.SeedBrokers(cluster.ListenAddrs()...)
}

// produce writes records.
func produce(t testing.TB, seeds kgo.Opt, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(seeds, kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(20<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// start runs a feed, which the returned function stops. It fails the test if Run does.
func start(t testing.TB, f *basketkafka.Feed, opts ...kgo.Opt) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, opts...) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func newFeed(t testing.TB, snapshot *basketkafka.Snapshot, sink basketkafka.Sink, opts ...basketkafka.Option) *basketkafka.Feed {
	t.Helper()
	f, err := basketkafka.NewFeed(topic, snapshot, sink, append([]basketkafka.Option{basketkafka.WithReport(func(err error) { t.Log("report: ", err) })}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newSink(t testing.TB) *basket.MemoryStore {
	t.Helper()
	sink, err := basket.NewMemoryStore(func(func(basket.Row, error) bool) {})
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

// until waits for a condition, for at most a minute.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// committed reports whether the run's group has committed the end of the topic.
func committed(t testing.TB, seeds kgo.Opt, snapshot *basketkafka.Snapshot) func() bool {
	t.Helper()
	client, err := kgo.NewClient(seeds)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	return func() bool {
		ends, err := admin.ListEndOffsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		offsets, err := admin.FetchOffsets(t.Context(), "basket-feed-"+snapshot.Name())
		if err != nil {
			return false // the group is not there yet
		}
		all := true
		ends.Each(func(end kadm.ListedOffset) {
			at, ok := offsets.Lookup(topic, end.Partition)
			all = all && (end.Offset == 0 || ok && at.At == end.Offset)
		})
		return all
	}
}

// stored returns the rows of a sink for users that may have one.
func (s shop) stored(t testing.TB, sink basket.Store) map[string]basket.Row {
	t.Helper()
	rows := map[string]basket.Row{}
	for _, o := range s.orders {
		row, err := sink.Row(t.Context(), o.UserID)
		switch {
		case errors.Is(err, basket.ErrUserNotFound):
		case err != nil:
			t.Fatal(err)
		default:
			row.UserID = o.UserID
			rows[o.UserID] = row
		}
	}
	return rows
}

func compare(t testing.TB, want, got map[string]basket.Row) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-one machine +feed):\n%s", diff)
	}
}

// TestFeed_equalsBatch: shuffled, repeated and late events give the rows that one
// machine computes.
func TestFeed_equalsBatch(t *testing.T) {
	for _, meaning := range []basket.Meaning{basket.LastOrder, basket.NextOrder} {
		t.Run(meaning.String(), func(t *testing.T) {
			s := newShop(1, 40, 2000)
			seeds, snapshot, sink := broker(t, 4), s.snapshot(t, meaning), newSink(t)
			f := newFeed(t, snapshot, sink, basketkafka.WithBatch(100))
			start(t, f, seeds)
			records := s.events(3, 50)
			produce(t, seeds, records...)
			until(t, "all events", committed(t, seeds, snapshot))
			compare(t, s.latest(t, meaning), s.stored(t, sink))
			if err := f.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
			until(t, "the figures", func() bool { return f.Stats().Lag == 0 })
			got := f.Stats()
			if got.Rows == 0 || got.Late == 0 {
				t.Errorf("stats %+v: want rows and late orders", got)
			}
			got.Rows, got.Late, got.Deleted, got.Users = 0, 0, 0, 0
			n, repeats := int64(len(s.orders)), int64(len(records)-len(s.orders))
			if diff := cmp.Diff(basketkafka.Stats{Events: n + repeats, Orders: n, Repeats: repeats, Partitions: 4, Kept: n}, got); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFeed_restarts: feeds that come and go give the same rows, whatever of a batch
// they have done.
func TestFeed_restarts(t *testing.T) {
	s := newShop(2, 30, 3000)
	seeds, snapshot, sink := broker(t, 3), s.snapshot(t, basket.LastOrder), newSink(t)
	records := s.events(4, 50)
	random := rand.New(rand.NewPCG(5, 6))
	var feeds sync.WaitGroup
	for len(records) > 0 {
		n := min(len(records), 100+random.IntN(200))
		produce(t, seeds, records[:n]...)
		records = records[n:]
		f := newFeed(t, snapshot, failingSink{sink, 3}, basketkafka.WithBatch(1+random.IntN(100)))
		stop := start(t, f, seeds)
		until(t, "some events", func() bool { return f.Stats().Events > 0 })
		pause := time.Duration(random.IntN(100)) * time.Millisecond
		feeds.Go(func() {
			time.Sleep(pause)
			stop()
		})
	}
	start(t, newFeed(t, snapshot, sink), seeds)
	until(t, "all events", committed(t, seeds, snapshot))
	feeds.Wait()
	compare(t, s.latest(t, basket.LastOrder), s.stored(t, sink))
}

// A failingSink fails in one of so many calls of Put, after some of the rows.
type failingSink struct {
	*basket.MemoryStore
	one int
}

func (s failingSink) Put(ctx context.Context, rows []basket.Row) error {
	if rand.IntN(s.one) == 0 {
		_ = s.MemoryStore.Put(ctx, rows[:len(rows)/2])
		return errors.New("the sink is away")
	}
	return s.MemoryStore.Put(ctx, rows)
}
