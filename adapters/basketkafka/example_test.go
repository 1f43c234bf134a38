package basketkafka_test

import (
	"context"
	"fmt"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A feed moves a user's row with each order. Here the broker is one in this process;
// give the addresses of yours.
func ExampleFeed() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cluster.Close()
	brokers := kgo.SeedBrokers(cluster.ListenAddrs()...)

	snapshot, err := basketkafka.NewSnapshot(
		basket.Values([]basket.Regular{{UserID: "ann", VariantID: 7}}),
		basket.Values([]basket.Item{{VariantID: 7, Price: 2}, {VariantID: 8, Price: 3}}),
		basket.LastOrder)
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := basket.NewMemoryStore(func(func(basket.Row, error) bool) {}) // or basketredis.NewStore
	if err != nil {
		fmt.Println(err)
		return
	}
	feed, err := basketkafka.NewFeed("orders", snapshot, store)
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- feed.Run(ctx, brokers) }()

	// A producer of your shop sends orders.
	producer, err := kgo.NewClient(brokers)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer producer.Close()
	for i, items := range [][]int64{{7, 7, 8}, {8}} {
		e := basketkafka.Event{
			Order:    basket.Order{UserID: "ann", OrderedAt: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC), Items: items},
			Sequence: int64(i),
		}
		value := basketkafka.AppendEvent(nil, e)
		fmt.Printf("%s\n", value)
		if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "orders", Key: []byte(e.UserID), Value: value}).FirstErr(); err != nil {
			fmt.Println(err)
			return
		}
	}
	for feed.Stats().Rows == 0 {
		time.Sleep(time.Millisecond)
	}
	row, err := store.Row(ctx, "ann")
	fmt.Println(row.Values, err)
	stop()
	fmt.Println(<-done)
	// Output:
	// {"user_id":"ann","created_at":"2026-01-01T00:00:00Z","sequence":0,"ordered_items":[7,7,8]}
	// {"user_id":"ann","created_at":"2026-01-02T00:00:00Z","sequence":1,"ordered_items":[8]}
	// [7.5 3 1 0] <nil>
	// <nil>
}

func ExampleParseEvent() {
	e, err := basketkafka.ParseEvent([]byte("ann"), []byte(`{"user_id":"ann","created_at":"2026-01-02T15:04:05+01:00","sequence":7,"ordered_items":[1,null]}`))
	fmt.Println(e.UserID, e.OrderedAt, e.Sequence, len(e.Items), err)
	_, err = basketkafka.ParseEvent([]byte("ann"), []byte(`{"user_id":"ann","created_at":"2026-01-02","sequence":7,"ordered_items":[]}`))
	fmt.Println(err)
	// Output:
	// ann 2026-01-02 14:04:05 +0000 UTC 7 2 <nil>
	// basketkafka: bad data: created_at "2026-01-02": want a time with its zone, as 2026-01-02T15:04:05Z
}
