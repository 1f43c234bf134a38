package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/basket-go/basket/basketparquet"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// streamed sends the orders as events, and returns the newest row of each user.
func streamed(ctx context.Context, data, brokers string) ([]basket.Row, error) {
	if brokers == "" {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return nil, err
		}
		defer cluster.Close()
		brokers = strings.Join(cluster.ListenAddrs(), ",")
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topic := fmt.Sprintf("basket-parity-%x", rand.Uint64())
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 4, -1, nil, topic); err != nil {
		return nil, err
	}
	records, users, err := events(ctx, data, topic)
	if err != nil {
		return nil, err
	}
	snapshot, err := basketkafka.NewSnapshot(basketparquet.Regulars(ctx, os.DirFS(data)), basketparquet.Inventory(ctx, os.DirFS(data)), basket.LastOrder)
	if err != nil {
		return nil, err
	}
	store, err := basket.NewMemoryStore(func(func(basket.Row, error) bool) {})
	if err != nil {
		return nil, err
	}
	feed, err := basketkafka.NewFeed(topic, snapshot, store)
	if err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- feed.Run(run, kgo.SeedBrokers(strings.Split(brokers, ",")...)) }()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return nil, err
	}
	for feed.Stats().Events < int64(len(records)) {
		select {
		case err := <-done:
			return nil, fmt.Errorf("the feed ended: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop() // lets the last batch come to its end
	if err := <-done; err != nil {
		return nil, err
	}
	if n := feed.Stats().DeadLetters; n > 0 {
		return nil, fmt.Errorf("%d of the events are dead letters", n)
	}
	rows, err := store.Rows(ctx, users)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(r basket.Row) bool { return r.Values == nil }), nil
}

// events returns the orders as records, in the order of a minute's jitter of their event
// times, one in twenty twice; and the users. The sequence is the number in the files.
func events(ctx context.Context, data, topic string) ([]*kgo.Record, []string, error) {
	type arrival struct {
		at     time.Time
		record *kgo.Record
	}
	random := rand.New(rand.NewPCG(1, 2))
	var arrivals []arrival
	users := map[string]bool{}
	sequence := int64(0)
	for o, err := range basketparquet.Orders(ctx, os.DirFS(data)) {
		if err != nil {
			return nil, nil, err
		}
		jitter := func() time.Time { return o.OrderedAt.Add(time.Duration(random.Int64N(int64(time.Minute)))) }
		users[strings.Clone(o.UserID)] = true
		record := kgo.Record{Topic: topic, Key: []byte(o.UserID), Value: basketkafka.AppendEvent(nil, basketkafka.Event{Order: o, Sequence: sequence})}
		sequence++
		arrivals = append(arrivals, arrival{jitter(), &record})
		if random.IntN(20) == 0 {
			repeat := record
			arrivals = append(arrivals, arrival{jitter(), &repeat})
		}
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	records := make([]*kgo.Record, len(arrivals))
	for i, a := range arrivals {
		records[i] = a.record
	}
	var ids []string
	for id := range users {
		ids = append(ids, id)
	}
	return records, ids, nil
}
