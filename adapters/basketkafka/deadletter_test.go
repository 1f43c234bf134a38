package basketkafka_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestFeed_deadLetters: events that cannot be used go to the dead-letter topic with the
// reason and where they were; the others count.
func TestFeed_deadLetters(t *testing.T) {
	s := newShop(3, 5, 50)
	seeds, snapshot, sink := broker(t, 1, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000000"})), s.snapshot(t, basket.LastOrder), newSink(t)
	f := newFeed(t, snapshot, sink)
	start(t, f, seeds)

	var records []*kgo.Record
	want := map[int64]string{} // reasons by offset
	for i, o := range s.orders {
		if i < len(badEvents) {
			want[int64(len(records))] = badEvents[i].want
			records = append(records, &kgo.Record{Topic: topic, Key: []byte("ann"), Value: []byte(badEvents[i].value)})
		}
		records = append(records, event(o, int64(i)))
	}
	want[int64(len(records))] = "two orders of the sequence 0"
	other := s.orders[0]
	other.OrderedAt = other.OrderedAt.Add(time.Second)
	records = append(records, event(other, 0))
	want[int64(len(records))] = `record has the key ""`
	records = append(records, &kgo.Record{Topic: topic, Value: event(other, 99).Value})
	want[int64(len(records))] = "event is no JSON"
	records = append(records, &kgo.Record{Topic: topic, Key: []byte(strings.Repeat("k", 5000))})
	produce(t, seeds, records...)
	until(t, "all events", committed(t, seeds, snapshot))
	compare(t, s.latest(t, basket.LastOrder), s.stored(t, sink))

	client, err := kgo.NewClient(seeds, kgo.ConsumeTopics(topic+"-dead-letters"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	letters := 0
	for letters < len(want) {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			letters++
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			var offset int64
			for ; offset < int64(len(records)) && headers["basket-offset"] != itoa(offset); offset++ {
			}
			if want[offset] == "" || !strings.Contains(headers["basket-reason"], want[offset]) || headers["basket-topic"] != topic || headers["basket-partition"] != "0" {
				t.Errorf("headers %v: want the reason %q", headers, want[offset])
			}
			value := records[offset].Value
			if len(value) > 900_000 {
				if headers["basket-cut-from"] != itoa(int64(len(value))) {
					t.Errorf("headers %v: want basket-cut-from %d", headers, len(value))
				}
				value = value[:64<<10]
			}
			if string(r.Value) != string(value) || !strings.HasPrefix(string(records[offset].Key), string(r.Key)) {
				t.Errorf("the letter of offset %d has other bytes than its event: %d and %d", offset, len(r.Value), len(value))
			}
		})
	}
	until(t, "the figures", func() bool { return f.Stats().Lag == 0 && f.Stats().DeadLetters == int64(len(want)) })
	if diff := cmp.Diff(int64(len(s.orders)), f.Stats().Orders); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
