package basketotel

import (
	"context"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxSeries is how many combinations of attributes a metric has, besides those of
// what is counted as other.
const maxSeries = 200

// other stands for values of attributes that are not known, or too many.
const other = "_OTHER"

// A key is the attributes of a metric, as comparable values.
type key[K any] interface {
	comparable
	set() attribute.Set
	other() K // the key beyond maxSeries, of which there are few
}

// A table has a value for each key. To read it takes no lock and allocates nothing;
// to add a key copies it, which happens at most some hundred times.
type table[K key[K], V any] struct {
	now    atomic.Pointer[map[K]*V]
	change sync.Mutex // held while now is replaced
	make   func(K) *V
}

func newTable[K key[K], V any](makeValue func(K) *V) *table[K, V] {
	t := &table[K, V]{make: makeValue}
	t.now.Store(&map[K]*V{})
	return t
}

// all returns the table as it is, not to be modified.
func (t *table[K, V]) all() map[K]*V { return *t.now.Load() }

// get returns the value of a key, which may be that of other keys too.
func (t *table[K, V]) get(k K) *V {
	if v, ok := t.all()[k]; ok {
		return v
	}
	return t.add(k)
}

func (t *table[K, V]) add(k K) *V {
	t.change.Lock()
	defer t.change.Unlock()
	old := t.all()
	if len(old) >= maxSeries {
		k = k.other()
	}
	if v, ok := old[k]; ok {
		return v
	}
	m := maps.Clone(old)
	m[k] = t.make(k)
	t.now.Store(&m)
	return m[k]
}

// A counter is one combination of attributes of a counter. It is read when metrics are
// collected, because to add to an SDK's counter takes several times as long.
type counter struct {
	n       atomic.Int64
	options []metric.ObserveOption
}

// A histogram is an instrument whose attributes are made once for each key.
type histogram[K key[K]] struct {
	instrument metric.Float64Histogram
	options    *table[K, []metric.RecordOption]
}

func newHistogram[K key[K]](m metric.Meter, name, description string, buckets []float64) (*histogram[K], error) {
	instrument, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
		metric.WithExplicitBucketBoundaries(buckets...))
	return &histogram[K]{instrument, newTable(func(k K) *[]metric.RecordOption {
		return &[]metric.RecordOption{metric.WithAttributeSet(k.set())}
	})}, err
}

func (h *histogram[K]) record(ctx context.Context, seconds float64, k K) {
	h.instrument.Record(ctx, seconds, *h.options.get(k)...)
}

// maxText is the length of the longest value of an attribute, in bytes.
const maxText = 128

// attributeText returns a value that every exporter accepts.
func attributeText(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxText)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// withKind appends error.type if something failed.
func withKind(kvs []attribute.KeyValue, kind string) attribute.Set {
	if kind != "" {
		kvs = append(kvs, attribute.String("error.type", kind))
	}
	return attribute.NewSet(kvs...)
}
