package basketkafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A Sink is a store of feature rows that can be written: a [basket.MemoryStore], a
// basketredis.Store or a basketpg.Store. Put ignores a row that is older than the
// user's present one.
type Sink interface {
	basket.Store
	basket.Deleter
	Put(ctx context.Context, rows []basket.Row) error
}

// A Feed follows a topic of orders: see the package comment. Its methods are safe for
// concurrent use, but only one Run may be active.
//
// The name of its run is that of its group, "-" and [Snapshot.Name]; the consumer group has
// it. The feed uses two topics besides that of the orders, and creates them, with as many
// partitions, if they are missing and the broker allows it: the changelog, compacted, of
// the name of the topic of orders, "-" and the run; and the dead-letter topic, of the name
// of the topic of orders and "-dead-letters".
//
// A dead letter has the key and the value of the event, and the headers basket-reason,
// basket-topic, basket-partition and basket-offset. Of a value over 900,000 bytes it
// has the first 64 KiB, and the header basket-cut-from says how many there were. These
// events are dead letters: no JSON object of [EventSchema], or more than [MaxEvent]
// bytes; a created_at without a zone, before 1970 or more than a day ahead of the
// clock; a user_id that is not the record's key; a sequence that another order of the
// user has, of another time or other items; the 65,537th order of a user.
type Feed struct {
	topic, deadLetters string
	group              string
	snapshot           *Snapshot
	sink               Sink
	batch              int
	refill             bool
	report             func(error)

	running atomic.Bool
	counts  counts
	mu      sync.Mutex
	state   error // of Check: nil if all works
	current *session
	shares  map[int32]share
}

// A share is what a feed has of a partition.
type share struct{ lag, users, orders int64 }

// An Option configures [NewFeed].
type Option func(*Feed)

// WithDeadLetters sets the dead-letter topic.
func WithDeadLetters(topic string) Option { return func(f *Feed) { f.deadLetters = topic } }

// WithGroup sets the name of the feeds that share the partitions, basket-feed by
// default. A feed of another group reads all orders by itself.
func WithGroup(prefix string) Option { return func(f *Feed) { f.group = prefix } }

// WithBatch sets how many events are handled together at most, from 1 to 100,000;
// 10,000 is the default. A batch has fewer if no more are there.
func WithBatch(events int) Option { return func(f *Feed) { f.batch = events } }

// WithRefill puts the newest row of each user into the sink when the feed gets the user's
// partition, besides those that change later: for a sink that is empty after a restart, as
// a [basket.MemoryStore] is, or has lost rows.
func WithRefill() Option { return func(f *Feed) { f.refill = true } }

// WithReport sets what is called when the feed has to wait or start again, with the
// reason; not concurrently. The default is nothing.
func WithReport(report func(error)) Option { return func(f *Feed) { f.report = report } }

// NewFeed returns a feed of a topic into a sink, whose features must be
// [basket.FeatureNames]. Its errors wrap [basket.ErrInvalidConfig] or
// [basket.ErrFeatureMismatch].
func NewFeed(topic string, snapshot *Snapshot, sink Sink, opts ...Option) (*Feed, error) {
	f := &Feed{topic: topic, deadLetters: topic + "-dead-letters", group: "basket-feed", snapshot: snapshot, sink: sink, batch: 10_000, report: func(error) {}}
	for _, o := range opts {
		o(f)
	}
	switch {
	case topic == "" || f.deadLetters == "" || f.group == "" || snapshot == nil || sink == nil || f.report == nil:
		return nil, fmt.Errorf("basketkafka: %w: want a topic, a snapshot, a sink, and no empty option", basket.ErrInvalidConfig)
	case f.deadLetters == topic:
		return nil, fmt.Errorf("basketkafka: %w: the dead letters of the topic %s go to it: want another topic", basket.ErrInvalidConfig, topic)
	case f.batch < 1 || f.batch > 100_000:
		return nil, fmt.Errorf("basketkafka: %w: WithBatch(%d): want 1 to 100000", basket.ErrInvalidConfig, f.batch)
	}
	if names := sink.Features(); !slices.Equal(names, basket.FeatureNames()) {
		return nil, fmt.Errorf("basketkafka: %w: the sink has the features %s: want %s", basket.ErrFeatureMismatch, strings.Join(names, ", "), strings.Join(basket.FeatureNames(), ", "))
	}
	f.setState(errors.New("not started"))
	return f, nil
}

// Run follows the topic until ctx is done; then it finishes the batch at hand, leaves
// its partitions to other feeds, and returns nil. Opts say how to reach the brokers, as
// [kgo.SeedBrokers] and [kgo.SASL] do.
//
// Brokers or a sink that cannot be reached are waited for, and then Run goes on where
// it was: see [Feed.Check]. What time does not mend is an error: a topic that does not
// exist or has got more partitions, a damaged changelog, a sink that refuses rows. Run
// may be called again.
func (f *Feed) Run(ctx context.Context, opts ...kgo.Opt) error {
	if !f.running.CompareAndSwap(false, true) {
		return fmt.Errorf("basketkafka: %w: the feed is running", basket.ErrInvalidConfig)
	}
	defer f.running.Store(false)
	defer f.setState(errors.New("stopped"))
	wait := backoff{}
	for {
		f.setState(errors.New("waiting for the brokers"))
		processed := f.counts.events.Load()
		err := f.runSession(ctx, opts)
		switch {
		case ctx.Err() != nil:
			return nil
		case isPermanent(err):
			return err
		}
		f.setState(err)
		f.report(err)
		if f.counts.events.Load() > processed {
			wait = backoff{}
		}
		if !wait.sleep(ctx) {
			return nil
		}
	}
}

// run is the name of the run.
func (f *Feed) run() string { return f.group + "-" + f.snapshot.Name() }

// permanent is an error that time does not mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

func isPermanent(err error) bool {
	_, ok := errors.AsType[permanent](err)
	return ok || errors.Is(err, basket.ErrData) || errors.Is(err, basket.ErrFeatureMismatch) || errors.Is(err, basket.ErrInvalidConfig)
}

// A backoff is the time between tries: from 100 milliseconds to 5 seconds.
type backoff struct{ last time.Duration }

// sleep waits, and reports whether ctx is not done.
func (b *backoff) sleep(ctx context.Context) bool {
	b.last = min(max(2*b.last, 100*time.Millisecond), 5*time.Second)
	timer := time.NewTimer(b.last)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (f *Feed) setState(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = err
}

// Check returns nil if the feed follows its topic: it is a member of the group, has read
// the changelog of its partitions, reaches the brokers, and did not fail to reach the
// sink when it last had something for it. It is made for a readiness check.
func (f *Feed) Check(ctx context.Context) error {
	f.mu.Lock()
	err, s := f.state, f.current
	f.mu.Unlock()
	if err != nil {
		return fmt.Errorf("basketkafka: %w", err)
	}
	if err := s.consumer.Ping(ctx); err != nil {
		return fmt.Errorf("basketkafka: the brokers do not answer: %w", err)
	}
	return nil
}

// count adds a batch that is durable.
func (f *Feed) count(w *work) {
	c := &f.counts
	c.events.Add(int64(w.events))
	c.orders.Add(int64(len(w.changelog)))
	c.repeats.Add(int64(w.repeats))
	c.late.Add(int64(w.late))
	c.deadLetters.Add(int64(len(w.deadLetters)))
	c.rows.Add(int64(w.rows))
	c.deleted.Add(int64(w.deleted))
}

// counts are those of Stats that only grow.
type counts struct{ events, orders, repeats, late, deadLetters, rows, deleted atomic.Int64 }

// Stats is what a feed has done since it was made, and has now.
type Stats struct {
	Events      int64 // handled, of which are:
	Orders      int64 // added to a history, the late ones too
	Repeats     int64 // known already
	DeadLetters int64 // written to the dead-letter topic
	Late        int64 // orders of an event time before that of the user's newest one

	Rows    int64 // put into the sink
	Deleted int64 // removed from it, because orders of equal time leave the user without a newer row

	Partitions int   // that the feed has now
	Users      int64 // with orders in these
	Kept       int64 // orders in these
	Lag        int64 // events in these that are not handled, as far as known
}

// Stats returns what the feed has done and has now.
func (f *Feed) Stats() Stats {
	c := &f.counts
	s := Stats{
		Events: c.events.Load(), Orders: c.orders.Load(), Repeats: c.repeats.Load(), Late: c.late.Load(),
		DeadLetters: c.deadLetters.Load(), Rows: c.rows.Load(), Deleted: c.deleted.Load(),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Partitions = len(f.shares)
	for _, p := range f.shares {
		s.Users += p.users
		s.Kept += p.orders
		s.Lag += p.lag
	}
	return s
}
