package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/basket-go/basket"
)

// phases returns how many kills or changes a test makes.
func phases(short int) int {
	if long() {
		return 20
	}
	return short
}

// TestFeed_kills: feed processes and the broker are killed in turns under load; the rows
// are those of one machine, and no order is lost or counted twice.
func TestFeed_kills(t *testing.T) {
	place, _ := startRedis(t)
	kafka, dir, program := startKafka(t), feedShop(t), buildBasket(t)
	stream := newOrderStream(t, kafka.address, dir, 4)
	meanings := []basket.Meaning{basket.LastOrder, basket.NextOrder}
	feeds := make([]*feedProcess, len(meanings))
	start := func(i int) {
		feeds[i] = startFeedProcess(t, program, "--brokers", kafka.address, "--data", dir, "--to", fmt.Sprint(place, "/", i), "--meaning", meanings[i].String(), "--batch", "300")
	}
	for i := range feeds {
		start(i)
	}
	random := rand.New(rand.NewPCG(5, uint64(time.Now().UnixNano())))
	began, kills := time.Now(), phases(4)
	for n := range kills {
		before := make([]int, len(feeds))
		for i := range feeds {
			before[i] = feedMetric(t, feeds[i].url, "basket_feed_events_total")
		}
		sent := make(chan error, 1)
		go func() { sent <- stream.send(t.Context(), float64(n+1)/float64(kills+1), 2*time.Second) }()
		for i := range feeds {
			feeds[i].waitEvents(t, before[i])
		}
		time.Sleep(time.Duration(random.Int64N(int64(time.Second))))
		if n%2 == 0 {
			for i := range feeds {
				feeds[i].kill()
				start(i)
			}
		} else {
			if err := kafka.kill(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(random.Int64N(int64(2 * time.Second))))
			down := time.Now()
			if err := kafka.start(); err != nil {
				t.Fatal(err)
			}
			t.Logf("the broker starts in %v", time.Since(down).Round(time.Millisecond))
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.send(t.Context(), 1, time.Second); err != nil {
		t.Fatal(err)
	}
	stream.waitHandled(t, len(feeds), 2*time.Minute, feeds...)
	t.Logf("%d events of %d orders, %d sent again, %d kills in %v", len(stream.events), stream.orders, stream.resent.Load(), kills, time.Since(began).Round(time.Second))
	for i, m := range meanings {
		t.Run(m.String(), func(t *testing.T) {
			t.Logf("since it was started: %s", feeds[i].errs)
			until(t, "the figures", func() bool { return feedMetric(t, feeds[i].url, "basket_feed_lag") == 0 })
			if kept := feedMetric(t, feeds[i].url, "basket_feed_kept"); kept != stream.orders {
				t.Errorf("%d orders are kept, want %d", kept, stream.orders)
			}
			feeds[i].stop(t)
			compareRows(t, batchRows(t, dir, m), storedRows(t, fmt.Sprint(place, "/", i), dir))
		})
	}
}

// TestFeed_rebalance: feeds of one group come and go under load, in order and by a crash;
// the rows are those of one machine.
func TestFeed_rebalance(t *testing.T) {
	place, _ := startRedis(t)
	kafka, dir, program := startKafka(t), feedShop(t), buildBasket(t)
	stream := newOrderStream(t, kafka.address, dir, 6)
	var feeds []*feedProcess
	start := func() {
		feeds = append(feeds, startFeedProcess(t, program, "--brokers", kafka.address, "--data", dir, "--to", place, "--meaning", "next-order", "--batch", "300"))
	}
	start()
	random := rand.New(rand.NewPCG(6, uint64(time.Now().UnixNano())))
	began, changes, joined, left, killed := time.Now(), phases(6), 0, 0, 0
	for n := range changes {
		sent := make(chan error, 1)
		go func() { sent <- stream.send(t.Context(), float64(n+1)/float64(changes+1), 3*time.Second) }()
		time.Sleep(time.Duration(random.Int64N(int64(2 * time.Second))))
		if len(feeds) == 1 || len(feeds) == 2 && random.IntN(2) == 0 {
			joined++
			start()
		} else {
			i := random.IntN(len(feeds))
			if (left+killed)%3 == 2 {
				killed++
				feeds[i].kill()
			} else {
				left++
				feeds[i].stop(t)
			}
			feeds = append(feeds[:i:i], feeds[i+1:]...)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.send(t.Context(), 1, time.Second); err != nil {
		t.Fatal(err)
	}
	stream.waitHandled(t, 1, 2*time.Minute, feeds...)
	t.Logf("%d events of %d orders, %d sent again; %d joined, %d left, %d killed in %v", len(stream.events), stream.orders, stream.resent.Load(), joined, left, killed, time.Since(began).Round(time.Second))
	until(t, "the figures of all partitions", func() bool {
		kept, partitions := 0, 0
		for _, f := range feeds {
			kept += feedMetric(t, f.url, "basket_feed_kept")
			partitions += feedMetric(t, f.url, "basket_feed_partitions")
		}
		return partitions == 6 && kept == stream.orders
	})
	for _, f := range feeds {
		f.stop(t)
	}
	compareRows(t, batchRows(t, dir, basket.NextOrder), storedRows(t, place, dir))
}
