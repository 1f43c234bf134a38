package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketredis"
	"github.com/redis/rueidis"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The load of the delay: events a second of so many users, of which one in some is
// watched.
const (
	delayRate   = 5000
	delayLength = 20 * time.Second
	delayUsers  = 20_000
	delayWatch  = 25
)

// A watched event is one whose row is waited for.
type watched struct {
	userID string
	at     time.Time
}

// delay measures the time from an event, before it is sent, to when its row is read from
// Redis.
func (s *feedServers) delay(ctx context.Context, name string) (err error) {
	if !s.selected(name) {
		return nil
	}
	s.logf("%s", name)
	if err := s.flush(ctx); err != nil {
		return err
	}
	topic, err := s.newTopic(ctx)
	if err != nil {
		return err
	}
	worker, err := s.startWorker(ctx, topic, s.shop().data, 1, s.redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, worker.close()) }()
	if err := s.firstRows(ctx, topic, worker); err != nil {
		return err
	}
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.redis}, DisableCache: true})
	if err != nil {
		return err
	}
	defer client.Close()
	store, err := basketredis.NewStore(client)
	if err != nil {
		return err
	}
	events := make(chan watched, 1<<16)
	var delays []int64
	var watchErr error
	var watcher sync.WaitGroup
	watcher.Go(func() { delays, watchErr = watchRows(ctx, store, events) })
	sent, sendErr := s.sendSteadily(ctx, topic, events)
	close(events)
	watcher.Wait()
	if err := errors.Join(sendErr, watchErr); err != nil {
		return err
	}
	if len(delays) == 0 {
		return errors.New("no event was watched")
	}
	note := fmt.Sprintf("%d events in %v, of which %d were watched, from before the event is sent to when a reader that asks every millisecond sees the row; the reader and the sender share the machine's cores with feed, broker and Redis", sent, delayLength, len(delays))
	for _, q := range []struct {
		name  string
		share float64
	}{{"P50", 0.5}, {"P99", 0.99}} {
		r := newResult(fmt.Sprintf("%s, %s at %d events a second", name, q.name, delayRate), nanoseconds, []float64{float64(quantile(delays, q.share))}, candidate{}, nil, nil)
		r.Note = note
		s.add(r)
	}
	return nil
}

// firstRows gives each user a row before the time counts.
func (s *feedServers) firstRows(ctx context.Context, topic string, worker *process) error {
	var first []*kgo.Record
	for i := range delayUsers {
		for n := range 2 {
			first = append(first, delayEvent(i, int64(n), time.Now().Add(time.Duration(n-10)*time.Second)))
		}
	}
	if err := s.produce(ctx, topic, first); err != nil {
		return err
	}
	_, err := worker.ask(answerLimit, "%d", len(first))
	return err
}

func delayEvent(user int, sequence int64, at time.Time) *kgo.Record {
	o := basket.Order{UserID: fmt.Sprintf("%0128d", user), OrderedAt: at.UTC(), Items: []int64{1, 2, 3, 4, 5}}
	return feedEvent(o, sequence)
}

// sendSteadily sends events at a fixed rate, and tells of those that are watched.
func (s *feedServers) sendSteadily(ctx context.Context, topic string, events chan<- watched) (sent int, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.ProducerLinger(0), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	random := rand.New(rand.NewPCG(3, 4))
	start := time.Now()
	for n := 0; ctx.Err() == nil && time.Since(start) < delayLength; n++ {
		if wait := time.Until(start.Add(time.Duration(n) * time.Second / delayRate)); wait > time.Millisecond {
			time.Sleep(wait)
		}
		at := time.Now().Truncate(time.Microsecond)
		r := delayEvent(random.IntN(delayUsers), int64(10+n), at)
		if n%delayWatch == 0 {
			events <- watched{string(r.Key), at}
		}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				fail(err)
			}
		})
		sent++
	}
	return sent, errors.Join(client.Flush(ctx), context.Cause(ctx))
}

// watchRows returns the nanoseconds until the rows of events are read.
func watchRows(ctx context.Context, store *basketredis.Store, events <-chan watched) (delays []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, delayLength+time.Minute)
	defer cancel()
	var waiting []watched
	open := true
	for open || len(waiting) > 0 {
		waiting, open = received(waiting, events)
		ids := make([]string, len(waiting))
		for i, w := range waiting {
			ids[i] = w.userID
		}
		if len(ids) > 0 {
			rows, err := store.Rows(ctx, ids)
			if err != nil {
				return nil, err
			}
			now := time.Now()
			rest := waiting[:0]
			for i, w := range waiting {
				if rows[i].OrderedAt.Before(w.at) {
					rest = append(rest, w)
					continue
				}
				delays = append(delays, int64(now.Sub(w.at)))
			}
			waiting = rest
		}
		time.Sleep(time.Millisecond)
	}
	return delays, nil
}

// received appends what is in a channel now, and reports whether it is open.
func received(waiting []watched, events <-chan watched) ([]watched, bool) {
	for {
		select {
		case w, ok := <-events:
			if !ok {
				return waiting, false
			}
			waiting = append(waiting, w)
		default:
			return waiting, true
		}
	}
}
