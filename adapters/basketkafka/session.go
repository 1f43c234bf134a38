package basketkafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/basket-go/basket"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stopLimit is how long the batch at hand may take after a stop.
const stopLimit = 10 * time.Second

// A session is a membership of the consumer group, from which a feed starts again if
// something fails.
type session struct {
	feed      *Feed
	opts      []kgo.Opt
	changelog string
	consumer  *kgo.Client // of orders; writes dead letters
	writer    *kgo.Client // of the changelog
	parser    parser

	ctx  context.Context // of restoring
	fail context.CancelCauseFunc

	mu         sync.Mutex // between callbacks and the batch at hand
	partitions map[int32]*histories
}

// runSession follows the topic until ctx is done or something fails.
func (f *Feed) runSession(ctx context.Context, opts []kgo.Opt) (err error) {
	s := &session{feed: f, opts: opts, changelog: f.topic + "-" + f.run(), partitions: map[int32]*histories{}}
	s.ctx, s.fail = context.WithCancelCause(ctx)
	defer s.fail(nil)
	if s.writer, err = s.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)); err != nil {
		return permanent{fmt.Errorf("basketkafka: %w: %w", basket.ErrInvalidConfig, err)}
	}
	defer s.writer.Close()
	if err := s.prepareTopics(); err != nil {
		return err
	}
	s.consumer, err = s.client(
		kgo.ConsumerGroup(f.run()), kgo.ConsumeTopics(f.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(s.assigned), kgo.OnPartitionsRevoked(s.revoked), kgo.OnPartitionsLost(s.revoked),
		kgo.SessionTimeout(10*time.Second), kgo.RebalanceTimeout(2*time.Minute), kgo.ProducerLinger(0),
	)
	if err != nil {
		return permanent{fmt.Errorf("basketkafka: %w: %w", basket.ErrInvalidConfig, err)}
	}
	defer s.close()
	f.setState(errors.New("joining the consumer group"))
	f.mu.Lock()
	f.current = s
	f.mu.Unlock()
	for {
		fetches := s.consumer.PollRecords(s.ctx, f.batch)
		membership, err := fetchErrors(fetches)
		if membership != nil && s.ctx.Err() == nil { // the client joins again
			f.setState(membership)
			f.report(membership)
		}
		if err == nil && fetches.NumRecords() > 0 {
			err = s.handle(fetches)
		}
		s.consumer.AllowRebalance()
		if err == nil {
			err = context.Cause(s.ctx)
		}
		if err != nil {
			return err
		}
	}
}

// client makes a client with the caller's options, which may override ours.
func (s *session) client(opts ...kgo.Opt) (*kgo.Client, error) {
	// A broker that has just started may not know its topics yet.
	opts = append(opts, kgo.UnknownTopicRetries(-1), kgo.RetryTimeout(time.Minute))
	return kgo.NewClient(append(opts, s.opts...)...)
}

// close leaves the group: others take over the partitions at once.
func (s *session) close() {
	s.feed.mu.Lock()
	s.feed.state = errors.New("starting again")
	s.feed.current, s.feed.shares = nil, nil
	s.feed.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	_ = s.consumer.LeaveGroupContext(ctx) // or the session timeout ends the membership
	s.consumer.CloseAllowingRebalance()
}

// prepareTopics checks the topics, and creates those of the feed.
func (s *session) prepareTopics() error {
	f, admin := s.feed, kadm.NewClient(s.writer)
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	details, err := admin.ListTopics(ctx, f.topic, s.changelog, f.deadLetters)
	if err == nil {
		err = details.Error()
	}
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		if errors.Is(err, kerr.InvalidTopicException) {
			return permanent{fmt.Errorf("basketkafka: topics %s, %s and %s: %w", f.topic, s.changelog, f.deadLetters, err)}
		}
		return fmt.Errorf("waiting for the brokers: %w", err)
	}
	partitions := len(details[f.topic].Partitions)
	if !details.Has(f.topic) || partitions == 0 {
		return permanent{fmt.Errorf("basketkafka: the topic %s does not exist: create it first, with as many partitions as it will ever need", f.topic)}
	}
	create := func(topic string, configs map[string]*string) error {
		_, err := admin.CreateTopic(ctx, int32(partitions), -1, configs, topic)
		switch {
		case err == nil, errors.Is(err, kerr.TopicAlreadyExists): // perhaps by another feed
			return nil
		case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.PolicyViolation):
			return permanent{fmt.Errorf("basketkafka: the topic %s cannot be created: %w: create it with %d partitions, the changelog with cleanup.policy=compact", topic, err, partitions)}
		}
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	if !details.Has(s.changelog) {
		if err := create(s.changelog, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}); err != nil {
			return err
		}
	} else if n := len(details[s.changelog].Partitions); n != partitions {
		return permanent{fmt.Errorf("basketkafka: the topic %s has %d partitions, and its changelog %s %d: users have moved to other partitions; delete the changelog and the consumer group %s to count all orders again",
			f.topic, partitions, s.changelog, n, f.run())}
	}
	if !details.Has(f.deadLetters) {
		return create(f.deadLetters, nil)
	}
	return nil
}

// assigned reads the changelog of new partitions, before the first event of them.
func (s *session) assigned(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	added := topics[s.feed.topic]
	if len(added) > 0 {
		s.feed.setState(fmt.Errorf("reading the changelog of %d partitions", len(added)))
		restored, err := s.restoreAll(s.ctx, added)
		if err == nil && s.feed.refill {
			err = s.refill(restored)
		}
		var lags map[int32]int64
		if err == nil {
			lags, err = s.lags(s.ctx, added)
		}
		if err != nil {
			s.fail(err)
			return
		}
		s.mu.Lock()
		maps.Copy(s.partitions, restored)
		s.mu.Unlock()
		s.tell(lags)
	}
	s.feed.setState(nil) // a member without a partition stands by
}

// lags returns how many events of partitions the group has not committed.
func (s *session) lags(ctx context.Context, partitions []int32) (map[int32]int64, error) {
	admin, topic := kadm.NewClient(s.writer), s.feed.topic
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	committed, err := admin.FetchOffsets(ctx, s.feed.run())
	if err != nil {
		return nil, fmt.Errorf("offsets of the group %s: %w", s.feed.run(), err)
	}
	lags := map[int32]int64{}
	for _, p := range partitions {
		end, _ := ends.Lookup(topic, p)
		start, _ := starts.Lookup(topic, p)
		from := start.Offset
		if at, ok := committed.Lookup(topic, p); ok {
			from = max(from, at.At)
		}
		lags[p] = max(end.Offset-from, 0)
	}
	return lags, nil
}

// tellLags tells the lags while the feed waits for its sink. If the brokers do not answer
// at once, they stay as they are.
func (s *session) tellLags(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s.mu.Lock()
	partitions := slices.Collect(maps.Keys(s.partitions))
	s.mu.Unlock()
	if lags, err := s.lags(ctx, partitions); err == nil {
		s.tell(lags)
	}
}

// refill puts the rows of all users of partitions into the sink.
func (s *session) refill(partitions map[int32]*histories) error {
	for _, p := range partitions {
		w := work{changes: map[string]change{}}
		for userID := range p.users {
			h, userID, err := p.open(userID)
			if err != nil {
				return err
			}
			if w.changes[userID] = changeOf(h, userID); len(w.changes) == s.feed.batch {
				if err := s.putRows(s.ctx, &w); err != nil {
					return err
				}
				clear(w.changes)
			}
		}
		if err := s.putRows(s.ctx, &w); err != nil {
			return err
		}
		s.feed.count(&w)
	}
	return nil
}

// revoked forgets partitions that another feed gets.
func (s *session) revoked(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	s.mu.Lock()
	for _, p := range topics[s.feed.topic] {
		delete(s.partitions, p)
	}
	s.mu.Unlock()
	s.tell(nil)
}

// tell updates what Stats says of the partitions.
func (s *session) tell(lags map[int32]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	shares := map[int32]share{}
	for p, h := range s.partitions {
		lag, ok := lags[p]
		if !ok {
			lag = s.feed.shares[p].lag
		}
		shares[p] = share{lag: lag, users: int64(len(h.users)), orders: h.orders}
	}
	s.feed.shares = shares
}

// A work is what a batch of events has to write.
type work struct {
	changes     map[string]change // by user ID, the last of each
	changelog   []*kgo.Record
	deadLetters []*kgo.Record
	last        []*kgo.Record // of each partition
	lags        map[int32]int64

	events, repeats, late, rows, deleted int
}

// handle applies a batch and makes it durable: first the rows, then the orders, then
// the offsets. After an error nothing of it counts: the session ends.
func (s *session) handle(fetches kgo.Fetches) error {
	w := work{changes: map[string]change{}, lags: map[int32]int64{}}
	now := time.Now()
	var fault error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if fault == nil && len(p.Records) > 0 {
			fault = s.apply(&w, p.FetchPartition, now)
		}
	})
	if fault != nil {
		return fault
	}
	// A stop lets the batch come to its end.
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	defer cancel()
	defer context.AfterFunc(s.ctx, func() { time.AfterFunc(stopLimit, cancel) })()

	if err := s.putRows(ctx, &w); err != nil {
		return err
	}
	if err := write(ctx, s.writer, "changelog", w.changelog); err != nil {
		return err
	}
	if err := write(ctx, s.consumer, "dead letters", w.deadLetters); err != nil {
		return err
	}
	if err := s.consumer.CommitRecords(ctx, w.last...); err != nil && s.ctx.Err() == nil {
		// The next commit has these offsets too; or another member reads the events again,
		// and finds them in the changelog.
		s.feed.report(fmt.Errorf("commit of offsets: %w", err))
	}
	s.feed.count(&w)
	s.feed.setState(nil)
	s.tell(w.lags)
	return nil
}

// apply adds the events of a partition to its histories.
func (s *session) apply(w *work, p kgo.FetchPartition, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	histories, ok := s.partitions[p.Partition]
	if !ok {
		return fmt.Errorf("events of partition %d, whose changelog has not been read", p.Partition)
	}
	w.events += len(p.Records)
	for _, r := range p.Records {
		var c change
		added := false
		e, err := s.parser.parse(r.Key, r.Value, now)
		if err == nil {
			c, added, err = histories.insert(e)
		}
		switch {
		case err != nil:
			w.deadLetters = append(w.deadLetters, deadLetter(s.feed.deadLetters, r, err))
			continue
		case !added:
			w.repeats++
			continue
		}
		record, err := histories.changelogRecord(s.changelog, p.Partition, e)
		if err != nil {
			return err
		}
		w.changelog = append(w.changelog, record)
		w.changes[c.userID] = c
		if c.late {
			w.late++
		}
	}
	last := p.Records[len(p.Records)-1]
	w.last = append(w.last, last)
	w.lags[p.Partition] = max(p.HighWatermark-last.Offset-1, 0)
	return nil
}

// putRows writes the rows of a batch to the sink, and waits for it while it cannot be
// reached.
func (s *session) putRows(ctx context.Context, w *work) error {
	if len(w.changes) == 0 {
		return nil
	}
	rows := make([]basket.Row, 0, len(w.changes))
	var behind []change
	for _, c := range w.changes {
		if c.hasRow {
			rows = append(rows, c.row)
		}
		if c.behind {
			behind = append(behind, c)
		}
	}
	f, wait := s.feed, backoff{}
	for failed := false; ; failed = true {
		deleted, err := s.deleteNewer(ctx, behind)
		if err == nil {
			err = f.sink.Put(ctx, rows)
		}
		if err == nil {
			w.deleted += deleted
			w.rows += len(rows)
			if failed {
				f.setState(nil)
			}
			return nil
		}
		err = fmt.Errorf("sink: %w", err)
		if isPermanent(err) || ctx.Err() != nil {
			return err
		}
		f.setState(err)
		f.report(err)
		s.tellLags(ctx)
		if !wait.sleep(ctx) {
			return err
		}
	}
}

// deleteNewer removes rows that Put would not replace: those of users whose orders of
// equal time, by rule 5 of basket.Materializer, leave them an older row than before,
// or none. A row that is newer than all orders so far is of an earlier run, and stays.
func (s *session) deleteNewer(ctx context.Context, changes []change) (int, error) {
	var userIDs []string
	for _, c := range changes {
		stored, err := s.feed.sink.Row(ctx, c.userID)
		switch {
		case errors.Is(err, basket.ErrUserNotFound):
		case err != nil:
			return 0, err
		case stored.OrderedAt.After(c.newest), c.hasRow && !stored.OrderedAt.After(c.row.OrderedAt):
		default:
			userIDs = append(userIDs, c.userID)
		}
	}
	if len(userIDs) == 0 {
		return 0, nil
	}
	slices.Sort(userIDs)
	return len(userIDs), s.feed.sink.Delete(ctx, userIDs)
}

// write writes records, and waits until the brokers have them.
func write(ctx context.Context, client *kgo.Client, what string, records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
