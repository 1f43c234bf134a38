package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/basket-go/basket/basketparquet"
	"github.com/twmb/franz-go/pkg/kgo"
)

// feedCopies is how often the shop is in the topic, under other user IDs.
const feedCopies = 4

// The bars of a feed on one core, in events a second.
const (
	feedMemoryBar = 100_000
	feedRedisBar  = 40_000
)

// feed measures a feed of orders from a Kafka topic: events a second of one core, the
// time from an event to its row in Redis, and memory.
func (b *bench) feed(ctx context.Context) (err error) {
	const prefix = "feed: "
	toMemory, toRedis, delay := prefix+"events a second to a MemoryStore", prefix+"events a second to Redis", prefix+"from an event to its row in Redis"
	million := prefix + "1,000,000 users of 3 orders, resident"
	if !slices.ContainsFunc([]string{toMemory, toRedis, delay, million}, b.selected) {
		return nil
	}
	s, err := b.startFeedServers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	return errors.Join(
		s.throughput(ctx, toMemory, feedMemoryBar, ""),
		s.throughput(ctx, toRedis, feedRedisBar, s.redis),
		s.delay(ctx, delay),
		s.millionUsers(ctx, million),
	)
}

// throughput measures events a second, with the bar for them.
func (s *feedServers) throughput(ctx context.Context, name string, required float64, redis string) error {
	if !s.selected(name) {
		return nil
	}
	data := s.shop().data
	events, err := feedEvents(ctx, data, feedCopies)
	if err != nil {
		return err
	}
	s.logf("%s", name)
	var rates []float64
	var last feedFigures
	for range s.rounds {
		topic, err := s.newTopic(ctx)
		if err != nil {
			return err
		}
		if err := s.produce(ctx, topic, events); err != nil {
			return err
		}
		last, err = s.followOnce(ctx, topic, data, feedCopies, len(events), redis)
		if err := errors.Join(err, s.deleteTopic(ctx, topic)); err != nil {
			return err
		}
		took := last.wall
		if s.clock == "cpu" {
			took = last.cpu
		}
		rates = append(rates, float64(last.events)/took.Seconds())
	}
	r := newResult(name, perSecond, rates, candidate{name: "required"}, []float64{required}, minRatio(1))
	r.Note = fmt.Sprintf("%d events of %d users, in order of event time with up to a minute of delay, in 4 partitions; the feed has one core, broker and store another; in the last round %.0f events a second of CPU time, %.0f bytes of resident memory a user and %.0f an order, on the heap %.0f and %.0f",
		len(events), last.users, float64(last.events)/last.cpu.Seconds(),
		float64(last.resident)/float64(last.users), float64(last.resident)/float64(len(events)), float64(last.live)/float64(last.users), float64(last.live)/float64(len(events)))
	s.add(r)
	return nil
}

// followOnce measures a feed that handles all n events of a topic.
func (s *feedServers) followOnce(ctx context.Context, topic, data string, copies, n int, redis string) (f feedFigures, err error) {
	if err := s.flush(ctx); err != nil {
		return f, err
	}
	worker, err := s.startWorker(ctx, topic, data, copies, redis)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, worker.close()) }()
	line, err := worker.ask(answerLimit, "%d", n)
	if err != nil {
		return f, err
	}
	return parseFeedFigures(line)
}

// startAgain measures the time until a feed, which another has preceded, has all n orders.
// Regulars are read before.
func (s *feedServers) startAgain(ctx context.Context, topic, data string, n int) (took time.Duration, err error) {
	worker, err := s.startWorker(ctx, topic, data, 1, s.redis)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, worker.close()) }()
	start := time.Now()
	_, err = worker.ask(answerLimit, "%d", n)
	return time.Since(start), err
}

// feedEvents returns the shop's orders as events, in the order in which they come: up to a
// minute after their event time.
func feedEvents(ctx context.Context, data string, copies int) ([]*kgo.Record, error) {
	random := rand.New(rand.NewPCG(1, 2))
	type arrival struct {
		at     time.Time
		record *kgo.Record
	}
	var arrivals []arrival
	sequence := int64(0)
	for o, err := range copied(basketparquet.Orders(ctx, os.DirFS(data)), copies, func(o *basket.Order) *string { return &o.UserID }) {
		if err != nil {
			return nil, err
		}
		at := o.OrderedAt.Add(time.Duration(random.Int64N(int64(time.Minute))))
		arrivals = append(arrivals, arrival{at, feedEvent(o, sequence)})
		sequence++
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	records := make([]*kgo.Record, len(arrivals))
	for i, a := range arrivals {
		records[i] = a.record
	}
	return records, nil
}

func feedEvent(o basket.Order, sequence int64) *kgo.Record {
	return &kgo.Record{Key: []byte(o.UserID), Value: basketkafka.AppendEvent(nil, basketkafka.Event{Order: o, Sequence: sequence})}
}

// produce writes records to a topic.
func (s *feedServers) produce(ctx context.Context, topic string, records []*kgo.Record) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	for _, r := range records {
		r.Topic, r.Context = topic, nil // both are of an earlier round
		s.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				fail(err)
			}
		})
	}
	return cmp.Or(s.client.Flush(ctx), context.Cause(ctx))
}

// millionUsers measures the memory of a feed of many users.
func (s *feedServers) millionUsers(ctx context.Context, name string) (err error) {
	if !s.long || !s.selected(name) {
		return nil
	}
	data, err := s.makeShop(ctx, &madeShop{users: 1_000_000, orders: 3_000_000})
	if err != nil {
		return err
	}
	topic, err := s.newTopic(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.deleteTopic(ctx, topic)) }()
	n := 0
	var batch []*kgo.Record
	for o, err := range basketparquet.Orders(ctx, os.DirFS(data)) {
		if err != nil {
			return err
		}
		batch = append(batch, feedEvent(o, int64(n)))
		if n++; len(batch) == 100_000 {
			if err := s.produce(ctx, topic, batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	if err := s.produce(ctx, topic, batch); err != nil {
		return err
	}
	s.logf("%s", name)
	f, err := s.followOnce(ctx, topic, data, 1, n, s.redis)
	if err != nil {
		return err
	}
	again, err := s.startAgain(ctx, topic, data, n)
	if err != nil {
		return err
	}
	s.logf("feed: ready again after %v", again)
	r := newResult(name, bytes, []float64{float64(f.resident)}, candidate{}, nil, nil)
	r.Note = fmt.Sprintf("%d users of %s with %d orders: %.0f bytes of resident memory a user, %.0f on the heap, more than regulars and user IDs take before; %.0f events a second into Redis; a feed that starts again has read its changelog after %v", f.users, filepath.Base(data), n,
		float64(f.resident)/float64(f.users), float64(f.live)/float64(f.users), float64(f.events)/f.wall.Seconds(), again.Round(time.Millisecond))
	s.add(r)
	return nil
}
