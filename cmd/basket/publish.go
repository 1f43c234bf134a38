package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"
	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/basket-go/basket/basketparquet"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// publishCmd has the settings of "basket publish"; see setting.
type publishCmd struct {
	Kafka       kafkaSettings `embed:""`
	Data        string        `type:"setting" placeholder:"DIR" help:"Folder of orders.parquet. Needed."`
	Rate        int           `type:"setting" positive:"" placeholder:"N" help:"Publish at most this many orders a second (default: no limit)."`
	CreateTopic int           `type:"setting" positive:"" placeholder:"PARTITIONS" help:"Create the topic, with this many partitions and without a limit of time, if it is missing. Their number cannot grow later, and limits that of feeds."`
}

// Help is what --help says besides the flags.
func (c *publishCmd) Help() string {
	return "Writes each order of DIR as an event to the topic, in the order of the file, whose number of the order is the event's sequence. So a run may be repeated: feeds count each order once. Orders that come later, of other programs, need greater sequences."
}

// Limits of time of the brokers: until the first answer, and of an acknowledgement.
const (
	brokersLimit = 15 * time.Second
	ackLimit     = 2 * time.Minute
)

func (c *publishCmd) Run(ctx context.Context, term terminal, k *kong.Context, raw rawFlags) error {
	_, err := resolve(k.Selected(), raw, os.LookupEnv)
	if err := errors.Join(append([]error{err}, c.faults()...)...); err != nil {
		return err
	}
	opts, err := c.Kafka.options()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(opts, kgo.DefaultProduceTopic(c.Kafka.Topic), kgo.RecordDeliveryTimeout(ackLimit),
		kgo.UnknownTopicRetries(-1))...) // it was there a moment ago
	if err != nil {
		return err
	}
	defer client.Close()
	if err := c.prepareTopic(ctx, client); err != nil {
		return err
	}
	groups, err := basketparquet.RowGroups(ctx, os.DirFS(c.Data), "orders")
	if err != nil {
		return err
	}
	total := int64(0)
	for _, g := range groups {
		total += g.Rows
	}
	bar := progress(total, "publishing", "orders", term)
	start := time.Now()
	n, err := publish(ctx, client, paced(ctx, basketparquet.Orders(ctx, os.DirFS(c.Data)), c.Rate), func(n int64) { _ = bar.Set64(n) })
	_ = bar.Finish()
	if err != nil {
		return fmt.Errorf("%w; %d of %d orders are published: run it again, which counts each order once", err, n, total)
	}
	fmt.Fprintf(term.out, "published %d orders to %s in %v\n", n, c.Kafka.Topic, time.Since(start).Round(time.Millisecond))
	return nil
}

// faults returns what is wrong with the settings.
func (c *publishCmd) faults() []error {
	faults := c.Kafka.faults()
	if c.Data == "" {
		faults = append(faults, errors.New("no data: give --data DIR"))
	}
	if c.CreateTopic > 10_000 {
		faults = append(faults, fmt.Errorf("--create-topic %d: want 1 to 10000 partitions", c.CreateTopic))
	}
	return faults
}

// prepareTopic creates the topic if it is to, and checks that it is there.
func (c *publishCmd) prepareTopic(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, brokersLimit)
	defer cancel()
	admin, topic := kadm.NewClient(client), c.Kafka.Topic
	details, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return fmt.Errorf("--brokers %s: %w: check the address, --kafka-tls and --kafka-sasl", strings.Join(c.Kafka.Brokers, ","), err)
	}
	err = details[topic].Err
	switch partitions := len(details[topic].Partitions); {
	case err == nil && c.CreateTopic > 0 && c.CreateTopic != partitions:
		return fmt.Errorf("the topic %s has %d partitions: want --create-topic %d, or leave it out", topic, partitions, partitions)
	case err == nil:
		return nil
	case !errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("topic %s: %w", topic, err)
	case c.CreateTopic == 0:
		return fmt.Errorf("the topic %s does not exist: give --create-topic PARTITIONS", topic)
	}
	_, err = admin.CreateTopic(ctx, int32(c.CreateTopic), -1, map[string]*string{"retention.ms": kadm.StringPtr("-1")}, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}

// publish writes orders as events, with their number as the sequence, and waits until
// the brokers have them. It returns how many they have.
func publish(ctx context.Context, client *kgo.Client, orders iter.Seq2[basket.Order, error], progress func(int64)) (int64, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var acked atomic.Int64
	sequence := int64(0)
	var err error
	for o, orderErr := range orders {
		if err = orderErr; err != nil || ctx.Err() != nil {
			break
		}
		record := &kgo.Record{Key: []byte(o.UserID), Value: basketkafka.AppendEvent(nil, basketkafka.Event{Order: o, Sequence: sequence})}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				fail(err) // only the first counts
				return
			}
			acked.Add(1)
		})
		if sequence++; sequence%1024 == 0 {
			progress(acked.Load())
		}
	}
	flushErr := client.Flush(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err == nil {
		err = flushErr
	}
	return acked.Load(), err
}
