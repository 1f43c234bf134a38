package basketkafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/basket-go/basket"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A record of the changelog is an order: the key is the user ID and, in 8 bytes, the
// sequence, so that compaction drops nothing but repeats; the value is a history of
// that order alone. The partition is that of the event.

// changelogRecord returns the record of an event that histories has accepted.
func (p *histories) changelogRecord(topic string, partition int32, e Event) (*kgo.Record, error) {
	_, regulars := p.snapshot.user(e.UserID)
	p.history.Reset(e.UserID, regulars)
	if _, err := p.history.Insert(e.Sequence, e.Order); err != nil {
		return nil, err
	}
	key := binary.BigEndian.AppendUint64(append(make([]byte, 0, len(e.UserID)+8), e.UserID...), uint64(e.Sequence))
	value, err := p.history.AppendBinary(make([]byte, 0, 24))
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: topic, Partition: partition, Key: key, Value: value}, nil
}

// restore adds a record of the changelog.
func (p *histories) restore(r *kgo.Record) error {
	n := len(r.Key) - 8
	if string(r.Key) == markerKey {
		return nil
	}
	if n < 1 {
		return fmt.Errorf("basketkafka: %w: record %d of partition %d of the changelog %s has a key of %d bytes: want a changelog that feeds have written",
			basket.ErrData, r.Offset, r.Partition, r.Topic, len(r.Key))
	}
	if err := p.merge(string(r.Key[:n]), r.Value); err != nil {
		return fmt.Errorf("record %d of partition %d of the changelog %s: %w", r.Offset, r.Partition, r.Topic, err)
	}
	return nil
}

// markerKey is the key of a record that a feed writes to find the end of a partition
// of the changelog. It is no user ID with a sequence: those are longer.
const markerKey = "end"

// restoreAll reads partitions of the changelog up to where they end now.
func (s *session) restoreAll(ctx context.Context, partitions []int32) (map[int32]*histories, error) {
	ends := map[int32]int64{}
	markers := make([]*kgo.Record, len(partitions))
	for i, p := range partitions {
		markers[i] = &kgo.Record{Topic: s.changelog, Partition: p, Key: []byte(markerKey)}
		markers[i].Value = []byte{}
	}
	for _, r := range s.writer.ProduceSync(ctx, markers...) {
		if r.Err != nil {
			return nil, fmt.Errorf("changelog %s: %w", s.changelog, r.Err)
		}
		ends[r.Record.Partition] = r.Record.Offset
	}
	all := map[int32]*histories{}
	from := map[int32]kgo.Offset{}
	for _, p := range partitions {
		all[p] = newHistories(s.feed.snapshot)
		from[p] = kgo.NewOffset().AtStart()
	}
	reader, err := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.changelog: from}))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	for len(ends) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := fetchErrors(fetches); err != nil {
			return nil, err
		}
		var fault error
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
			if fault == nil {
				fault = all[r.Partition].restore(r)
			}
		})
		if fault != nil {
			return nil, fault
		}
	}
	return all, nil
}

// fetchErrors returns the errors of fetches that the client does not mend by itself, and
// that of the membership of the group, which it does.
func fetchErrors(fetches kgo.Fetches) (membership, fault error) {
	var faults []error
	fetches.EachError(func(topic string, partition int32, err error) {
		_, member := errors.AsType[*kgo.ErrGroupSession](err)
		switch {
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
		case member:
			membership = err
		case topic == "":
			faults = append(faults, err)
		default:
			faults = append(faults, fmt.Errorf("partition %d of %s: %w", partition, topic, err))
		}
	})
	return membership, errors.Join(faults...)
}
