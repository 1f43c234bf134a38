package basketkafka_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkDurable compares the two places where a feed could keep its orders: a
// changelog topic, which is what it does, and a file. With BASKET_KAFKA=HOST:PORT the
// topic is of that broker, else of one in this process. An operation is a batch.
//
// The topic was chosen because a file does not follow a partition to another machine;
// this shows what that costs.
func BenchmarkDurable(b *testing.B) {
	for _, batch := range []int{50, 10_000} {
		keys, values := make([][]byte, batch), make([][]byte, batch)
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "%0128d%08d", rand.IntN(1e6), i)
			values[i] = make([]byte, 12)
		}
		b.Run(fmt.Sprintf("topic/%d", batch), func(b *testing.B) {
			client, records := changelogTopic(b), make([]*kgo.Record, batch)
			for b.Loop() {
				for i := range records {
					records[i] = &kgo.Record{Topic: "changelog", Key: keys[i], Value: values[i]}
				}
				if err := client.ProduceSync(b.Context(), records...).FirstErr(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("file/%d", batch), func(b *testing.B) {
			file, err := os.Create(filepath.Join(b.TempDir(), "changelog"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			w := bufio.NewWriterSize(file, 1<<20)
			for b.Loop() {
				for i := range keys {
					_, _ = w.Write(keys[i]) // Flush returns the error
					_, _ = w.Write(values[i])
				}
				if err := w.Flush(); err != nil {
					b.Fatal(err)
				}
				if err := file.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// changelogTopic returns a client of a broker with an empty topic "changelog".
func changelogTopic(b *testing.B) *kgo.Client {
	b.Helper()
	var addresses []string
	if address := os.Getenv("BASKET_KAFKA"); address != "" {
		addresses = []string{address}
	} else {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(cluster.Close)
		addresses = cluster.ListenAddrs()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addresses...), kgo.ProducerLinger(0))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	admin := kadm.NewClient(client)
	if _, err := admin.DeleteTopics(b.Context(), "changelog"); err != nil {
		b.Fatal(err)
	}
	if _, err := admin.CreateTopic(b.Context(), 4, -1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, "changelog"); err != nil {
		b.Fatal(err)
	}
	// The client learns of the topic.
	if err := client.ProduceSync(b.Context(), &kgo.Record{Topic: "changelog", Key: []byte("first")}).FirstErr(); err != nil {
		b.Fatal(err)
	}
	return client
}
