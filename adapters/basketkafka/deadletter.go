package basketkafka

import (
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Bounds of what a dead letter repeats of its event. A whole value and the headers fit
// into Kafka's default max.message.bytes, 1 MiB.
const (
	maxLetterValue = 900_000
	cutLetterValue = 64 << 10
	maxLetterKey   = 2 << 10
)

// deadLetter returns the record for an event that cannot be used. Reason is one line.
func deadLetter(topic string, r *kgo.Record, reason error) *kgo.Record {
	letter := &kgo.Record{
		Topic: topic, Timestamp: r.Timestamp,
		Key: r.Key[:min(len(r.Key), maxLetterKey)], Value: r.Value,
		Headers: []kgo.RecordHeader{
			{Key: "basket-reason", Value: []byte(strings.ToValidUTF8(strings.TrimPrefix(reason.Error(), "basketkafka: "), "\uFFFD"))},
			{Key: "basket-topic", Value: []byte(r.Topic)},
			{Key: "basket-partition", Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
			{Key: "basket-offset", Value: strconv.AppendInt(nil, r.Offset, 10)},
		},
	}
	if len(r.Value) > maxLetterValue {
		letter.Value = r.Value[:cutLetterValue]
		letter.Headers = append(letter.Headers, kgo.RecordHeader{Key: "basket-cut-from", Value: strconv.AppendInt(nil, int64(len(r.Value)), 10)})
	}
	return letter
}
