package basketkafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestFeed_members: a second and third feed join and leave while events arrive.
func TestFeed_members(t *testing.T) {
	s := newShop(4, 60, 6000)
	seeds, snapshot, sink := broker(t, 6), s.snapshot(t, basket.LastOrder), newSink(t)
	records := s.events(7, 50)
	produced := make(chan struct{})
	go func() {
		defer close(produced)
		for len(records) > 0 {
			n := min(len(records), 100)
			produce(t, seeds, records[:n]...)
			records = records[n:]
			time.Sleep(10 * time.Millisecond)
		}
	}()
	first := newFeed(t, snapshot, sink, basketkafka.WithBatch(50))
	start(t, first, seeds, kgo.HeartbeatInterval(100*time.Millisecond))
	for range 3 {
		var stops []func()
		for range 2 {
			f := newFeed(t, snapshot, sink, basketkafka.WithBatch(50))
			stops = append(stops, start(t, f, seeds, kgo.HeartbeatInterval(100*time.Millisecond)))
			until(t, "a share of the partitions", func() bool { return f.Stats().Partitions > 0 })
		}
		for _, stop := range stops {
			stop()
		}
	}
	<-produced
	until(t, "all events", committed(t, seeds, snapshot))
	until(t, "all partitions", func() bool { return first.Stats().Partitions == 6 })
	compare(t, s.latest(t, basket.LastOrder), s.stored(t, sink))
	if n := first.Stats().Kept; n != int64(len(s.orders)) {
		t.Errorf("%d orders kept: want %d", n, len(s.orders))
	}
}

// TestFeed_anotherSnapshot: another snapshot is another run, which reads the topic from
// its start, and leaves newer rows until it has come as far.
func TestFeed_anotherSnapshot(t *testing.T) {
	s := newShop(5, 20, 500)
	for i := range s.orders { // without ties, which take rows away in either run
		s.orders[i].OrderedAt = s.orders[i].OrderedAt.Add(time.Duration(i))
	}
	seeds, sink := broker(t, 2), newSink(t)
	produce(t, seeds, s.events(8, 20)...)
	snapshot := s.snapshot(t, basket.LastOrder)
	stop := start(t, newFeed(t, snapshot, sink), seeds)
	until(t, "the first run", committed(t, seeds, snapshot))
	stop()

	again := s
	again.regulars = append([]basket.Regular{s.regulars[1], s.regulars[0], s.regulars[0]}, s.regulars[2:]...)
	if got := again.snapshot(t, basket.LastOrder).Name(); got != snapshot.Name() {
		t.Errorf("the same regulars in another order have the name %s: want %s", got, snapshot.Name())
	}
	names := map[string]bool{snapshot.Name(): true, s.snapshot(t, basket.NextOrder).Name(): true}
	s.inventory = append(s.inventory, basket.Item{VariantID: 4, Price: 100})
	names[s.snapshot(t, basket.LastOrder).Name()] = true
	s.regulars = s.regulars[:len(s.regulars)/2]
	snapshot = s.snapshot(t, basket.LastOrder)
	if names[snapshot.Name()] = true; len(names) != 4 {
		t.Errorf("four snapshots have the names %v", names)
	}
	f := newFeed(t, snapshot, watchedSink{sink, t}, basketkafka.WithBatch(10))
	start(t, f, seeds)
	until(t, "the second run", committed(t, seeds, snapshot))
	compare(t, s.latest(t, basket.LastOrder), s.stored(t, sink))
}

// A watchedSink fails the test if a row is removed.
type watchedSink struct {
	*basket.MemoryStore
	t *testing.T
}

func (s watchedSink) Delete(ctx context.Context, userIDs []string) error {
	s.t.Errorf("Delete(%q) while an older run's rows are there", userIDs)
	return s.MemoryStore.Delete(ctx, userIDs)
}

// TestFeed_groups: a feed of another group reads all orders by itself; one that refills
// fills an empty sink after a restart.
func TestFeed_groups(t *testing.T) {
	s := newShop(9, 20, 400)
	seeds, snapshot := broker(t, 2), s.snapshot(t, basket.LastOrder)
	produce(t, seeds, s.events(1, 20)...)
	want := s.latest(t, basket.LastOrder)

	first := newSink(t)
	stop := start(t, newFeed(t, snapshot, first), seeds)
	until(t, "the first feed", committed(t, seeds, snapshot))
	stop()
	compare(t, want, s.stored(t, first))

	other := newSink(t)
	f := newFeed(t, snapshot, other, basketkafka.WithGroup("another"))
	start(t, f, seeds)
	until(t, "another group", func() bool {
		return f.Stats().Orders == int64(len(s.orders)) && f.Stats().Lag == 0 && f.Stats().Kept == f.Stats().Orders
	})
	compare(t, want, s.stored(t, other))

	again := newSink(t)
	f = newFeed(t, snapshot, again, basketkafka.WithRefill(), basketkafka.WithBatch(7))
	start(t, f, seeds)
	until(t, "a feed that refills", func() bool { return f.Check(t.Context()) == nil })
	compare(t, want, s.stored(t, again))
	if n := f.Stats().Orders; n != 0 {
		t.Errorf("%d orders are new: want none", n)
	}
}

// TestFeed_tiesLeaveNoRow: three orders of equal time after one take the user's row away
// (rule 5 of basket.Materializer), and so does the feed, wherever the batches end.
func TestFeed_tiesLeaveNoRow(t *testing.T) {
	at := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	for batch := 1; batch <= 4; batch++ {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			s := newShop(1, 1, 0)
			for _, day := range []int{1, 2, 2, 2} {
				s.orders = append(s.orders, basket.Order{UserID: "ann", OrderedAt: at(day)})
			}
			seeds, snapshot, sink := broker(t, 1), s.snapshot(t, basket.LastOrder), newSink(t)
			start(t, newFeed(t, snapshot, sink, basketkafka.WithBatch(batch)), seeds)
			for i, o := range s.orders {
				produce(t, seeds, event(o, int64(i)))
			}
			until(t, "all events", committed(t, seeds, snapshot))
			compare(t, s.latest(t, basket.LastOrder), s.stored(t, sink))
			if _, err := sink.Row(t.Context(), "ann"); !errors.Is(err, basket.ErrUserNotFound) {
				t.Errorf("Row: %v: want ErrUserNotFound", err)
			}
		})
	}
}

// TestFeed_brokerAway: a broker that is away at the start is waited for, and Check says
// so.
func TestFeed_brokerAway(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	address := cluster.ListenAddrs()[0]
	cluster.Close()
	_, port, _ := strings.Cut(address, ":")

	s := newShop(6, 5, 50)
	snapshot, sink := s.snapshot(t, basket.LastOrder), newSink(t)
	f := newFeed(t, snapshot, sink)
	if err := f.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "not started") {
		t.Errorf("Check before Run: %v", err)
	}
	stop := start(t, f, kgo.SeedBrokers(address))
	until(t, "a failing check", func() bool {
		err := f.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "waiting for the brokers")
	})
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	seeds := broker(t, 2, kfake.Ports(number))
	produce(t, seeds, s.events(9, 5)...)
	until(t, "all events", committed(t, seeds, snapshot))
	until(t, "a check that works", func() bool { return f.Check(t.Context()) == nil })
	compare(t, s.latest(t, basket.LastOrder), s.stored(t, sink))
	stop()
	if err := f.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("Check after Run: %v", err)
	}
}

// TestFeed_permanent: Run returns what time does not mend.
func TestFeed_permanent(t *testing.T) {
	s := newShop(7, 5, 50)
	snapshot := s.snapshot(t, basket.LastOrder)
	changelog := topic + "-basket-feed-" + snapshot.Name()
	tests := []struct {
		name    string
		prepare func(t *testing.T, admin *kadm.Client, client *kgo.Client)
		sink    func(*basket.MemoryStore) basketkafka.Sink
		is      error
		want    string
	}{
		{name: "no topic", prepare: func(t *testing.T, admin *kadm.Client, _ *kgo.Client) {
			if _, err := admin.DeleteTopic(t.Context(), topic); err != nil {
				t.Fatal(err)
			}
		}, want: "the topic orders does not exist: create it first"},
		{name: "more partitions", prepare: func(t *testing.T, admin *kadm.Client, _ *kgo.Client) {
			if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, changelog); err != nil {
				t.Fatal(err)
			}
		}, want: "the topic orders has 2 partitions, and its changelog " + changelog + " 1"},
		{name: "a changelog of something else", prepare: func(t *testing.T, admin *kadm.Client, client *kgo.Client) {
			if _, err := admin.CreateTopic(t.Context(), 2, 1, nil, changelog); err != nil {
				t.Fatal(err)
			}
			if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: changelog, Key: []byte("something"), Value: []byte("else")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}, is: basket.ErrData, want: "of the changelog " + changelog},
		{name: "a sink that refuses", sink: func(s *basket.MemoryStore) basketkafka.Sink { return refusingSink{s} }, is: basket.ErrData, want: "sink: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			seeds := broker(t, 2)
			client, err := kgo.NewClient(seeds)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			produce(t, seeds, s.events(1, 5)...)
			if test.prepare != nil {
				test.prepare(t, kadm.NewClient(client), client)
			}
			var sink basketkafka.Sink = newSink(t)
			if test.sink != nil {
				sink = test.sink(sink.(*basket.MemoryStore))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err = newFeed(t, snapshot, sink).Run(ctx, seeds)
			if err == nil || !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("Run: %v: want %v with %q", err, test.is, test.want)
			}
		})
	}
}

type refusingSink struct{ *basket.MemoryStore }

func (refusingSink) Put(context.Context, []basket.Row) error {
	return fmt.Errorf("%w: no such row", basket.ErrData)
}

// TestFeed_stop: the batch at hand comes to its end before Run returns.
func TestFeed_stop(t *testing.T) {
	s := newShop(8, 5, 50)
	seeds, snapshot := broker(t, 1), s.snapshot(t, basket.LastOrder)
	sink := slowSink{newSink(t), make(chan struct{}), make(chan struct{})}
	stop := start(t, newFeed(t, snapshot, sink), seeds)
	produce(t, seeds, s.events(1, 5)...)
	<-sink.entered
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	select {
	case <-stopped:
		t.Error("Run has returned before its batch ended")
	case <-time.After(50 * time.Millisecond):
	}
	close(sink.leave)
	<-stopped
	if sink.Len() == 0 {
		t.Error("the sink has no rows of the batch")
	}
	client, err := kgo.NewClient(seeds)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	offsets, err := kadm.NewClient(client).FetchOffsets(t.Context(), "basket-feed-"+snapshot.Name())
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := offsets.Lookup(topic, 0); !ok || at.At < 1 {
		t.Errorf("the committed offset is %d, %v: want that of the batch", at.At, ok)
	}
}

type slowSink struct {
	*basket.MemoryStore
	entered, leave chan struct{}
}

func (s slowSink) Put(ctx context.Context, rows []basket.Row) error {
	select {
	case s.entered <- struct{}{}:
	default:
	}
	<-s.leave
	return s.MemoryStore.Put(ctx, rows)
}

func TestNewFeed_invalid(t *testing.T) {
	snapshot, sink := newShop(1, 1, 1).snapshot(t, basket.LastOrder), newSink(t)
	other, err := basket.NewMemoryStore(func(func(basket.Row, error) bool) {}, "price")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		make func() (*basketkafka.Feed, error)
		want error
	}{
		"no topic":    {func() (*basketkafka.Feed, error) { return basketkafka.NewFeed("", snapshot, sink) }, basket.ErrInvalidConfig},
		"no snapshot": {func() (*basketkafka.Feed, error) { return basketkafka.NewFeed(topic, nil, sink) }, basket.ErrInvalidConfig},
		"same topic": {func() (*basketkafka.Feed, error) {
			return basketkafka.NewFeed(topic, snapshot, sink, basketkafka.WithDeadLetters(topic))
		}, basket.ErrInvalidConfig},
		"no batch": {func() (*basketkafka.Feed, error) {
			return basketkafka.NewFeed(topic, snapshot, sink, basketkafka.WithBatch(0))
		}, basket.ErrInvalidConfig},
		"other values": {func() (*basketkafka.Feed, error) { return basketkafka.NewFeed(topic, snapshot, other) }, basket.ErrFeatureMismatch},
	} {
		if _, err := test.make(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v: want %v", name, err, test.want)
		}
	}
	if _, err := basketkafka.NewSnapshot(basket.Values([]basket.Regular{}), basket.Values([]basket.Item{}), basket.LastOrder); !errors.Is(err, basket.ErrData) {
		t.Errorf("no price: %v: want ErrData", err)
	}
	f := newFeed(t, snapshot, sink)
	start(t, f, broker(t, 1))
	until(t, "a running feed", func() bool { return f.Check(t.Context()) == nil })
	if err := f.Run(t.Context()); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("a second Run: %v", err)
	}
}
