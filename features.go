package basket

import (
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/basket-go/basket/internal/columns"
)

// A Row is a feature row: what is known of one user just after one order.
type Row struct {
	UserID    string
	OrderedAt time.Time // event time of the order, in UTC
	Number    int       // which of the user's feature rows it is, from one, by event time
	Values    []float64 // by feature name; NaN is missing; shared, not to be modified

	// Age is how old the row is if the one who uses it should know, and else 0: the time
	// since it was read from its store, if that cannot be read now and a wrapper of it
	// returns the last row that it knows; and the time since OrderedAt, in a Prediction
	// whose row is older than [WithMaxAge] says; of both, the longer one. It is no part
	// of what is stored.
	Age time.Duration
}

// FeatureNames returns the names of the values that a [Materializer]
// computes, in their order. The caller owns the slice.
func FeatureNames() []string {
	return []string{"prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count"}
}

// A Meaning says which order a feature row describes. It is an option of
// [NewMaterializer].
type Meaning int

const (
	// LastOrder rows describe an order that has happened and the order before it,
	// as the Python service that basket replaces computes them. A user needs two
	// orders to have a row. It is the default.
	LastOrder Meaning = iota

	// NextOrder rows describe the order that has not happened yet: the prior
	// values are those of the order just made, and regulars_count is the number of
	// the user's regulars. A user needs one order to have a row.
	NextOrder
)

// String returns "last-order" or "next-order".
func (m Meaning) String() string {
	switch m {
	case LastOrder:
		return "last-order"
	case NextOrder:
		return "next-order"
	}
	return fmt.Sprintf("Meaning(%d)", int(m))
}

func (m Meaning) apply(mat *Materializer) { mat.meaning = m }

// A Materializer computes feature rows from orders. It keeps 24 bytes per order,
// not the order itself, and some 130 bytes per user besides the ID. It is not safe
// for concurrent use, but may work with several goroutines: see [WithGoroutines].
//
// The rules, with sums in the order in which pandas and numpy add, so that every
// bit of a value equals that of the Python service:
//
//  1. The mean item price is the sum of the inventory's prices, unknown ones
//     counted as zero, by numpy's pairwise summation, divided by the number of
//     known ones.
//  2. Orders are sorted by user ID and event time; orders of equal time stay in
//     the order of arrival.
//  3. An order's item count is the length of its Items, repeats counted. Its
//     regulars count is the number of distinct items among the user's regulars.
//     Its basket value is the item count times the mean item price.
//  4. An order's place is its rank by event time among the user's orders, from
//     one; orders of equal time share the mean of their ranks, truncated to an
//     integer.
//  5. LastOrder: each order is joined with every order of the same user whose
//     place is one less, in sorted order. The joined order gives
//     prior_basket_value, prior_item_count and prior_regulars_count, the order
//     itself regulars_count. Without a join there is no row: orders of equal time
//     can leave gaps. NextOrder: each order gives one row, with its own values as
//     the prior ones and the number of the user's distinct regulars as
//     regulars_count.
//  6. Rows come in the sorted order of their orders; Row.Number counts the user's
//     rows so far.
type Materializer struct {
	meaning    Meaning
	meanPrice  float64
	goroutines int
	seed       maphash.Seed
	shards     []shard
	nextPart   uint64 // number of the next sequence of regulars or orders
	dealer     *dealer
	added      *batch // orders of Add that are not in the shards yet
	flushErr   error  // of flush, after which orders are missing
	sealed     bool   // no regulars may be added

	progress   func(rows int64)
	progressMu sync.Mutex // held while progress is called
	read       int64      // regulars and orders
}

// A MaterializerOption configures [NewMaterializer]: a [Meaning],
// [WithGoroutines] or [WithProgress].
type MaterializerOption interface{ apply(*Materializer) }

type materializerOption func(*Materializer)

func (o materializerOption) apply(m *Materializer) { o(m) }

// WithGoroutines sets how many goroutines a [Materializer] works with, from 1 on;
// 1 is the default. The rows and their order do not depend on it. With more than
// one, the sequences given to AddAll and AddRegulars are read by several
// goroutines, each sequence by one of them.
func WithGoroutines(n int) MaterializerOption {
	return materializerOption(func(m *Materializer) { m.goroutines = n })
}

// WithProgress calls f now and then with the number of regulars and orders that a
// [Materializer] has read so far. The calls do not overlap, but may come from
// several goroutines.
func WithProgress(f func(rows int64)) MaterializerOption {
	return materializerOption(func(m *Materializer) { m.progress = f })
}

// shardCount is the number of shards. A shard of a large shop fits into a cache
// while it is sorted; a batch has enough orders of each shard.
const shardCount = 16

// NewMaterializer starts from the users' regulars and the inventory, which it
// reads first. Repeated regulars count once. An inventory without a known price,
// or with an infinite one, is an error that wraps ErrData; an error of a sequence
// is returned as it is.
func NewMaterializer(regulars iter.Seq2[Regular, error], inventory iter.Seq2[Item, error], opts ...MaterializerOption) (*Materializer, error) {
	return newMaterializer(shardCount, regulars, inventory, opts...)
}

func newMaterializer(shards int, regulars iter.Seq2[Regular, error], inventory iter.Seq2[Item, error], opts ...MaterializerOption) (*Materializer, error) {
	m := &Materializer{goroutines: 1, seed: maphash.MakeSeed(), shards: make([]shard, shards), nextPart: 1, added: &batch{orders: true}}
	m.dealer = newDealer(m.seed, m.shards, 0)
	for _, o := range opts {
		o.apply(m)
	}
	if m.meaning != LastOrder && m.meaning != NextOrder {
		return nil, fmt.Errorf("basket: %w: %v: want LastOrder or NextOrder", ErrInvalidConfig, m.meaning)
	}
	if m.goroutines < 1 || m.goroutines > maxGoroutines {
		return nil, fmt.Errorf("basket: %w: WithGoroutines(%d): want 1 to %d", ErrInvalidConfig, m.goroutines, maxGoroutines)
	}
	var err error
	if m.meanPrice, err = MeanItemPrice(inventory); err != nil {
		return nil, err
	}
	if err := m.AddRegulars(regulars); err != nil {
		return nil, err
	}
	return m, nil
}

const maxGoroutines = 1024

// AddRegulars adds the regulars of sequences, as NewMaterializer does. After an
// order has been added, or rows have been read, it is an ErrInvalidConfig.
func (m *Materializer) AddRegulars(parts ...iter.Seq2[Regular, error]) error {
	return m.addRegulars(partsOf(parts, addRegular))
}

func (m *Materializer) addRegulars(parts []columns.Part) error {
	if m.sealed {
		return fmt.Errorf("basket: %w: regulars after orders: want all regulars first", ErrInvalidConfig)
	}
	return m.ingest(false, parts)
}

// Users returns the number of users that have regulars or orders.
func (m *Materializer) Users() int {
	_ = m.flush() // Rows and Latest return the error
	n := 0
	for i := range m.shards {
		n += len(m.shards[i].records)
	}
	return n
}

// MeanItemPrice is rule 1 of [Materializer]. An inventory without a known price,
// or with an infinite one, is an error that wraps ErrData; an error of the
// sequence is returned as it is.
func MeanItemPrice(inventory iter.Seq2[Item, error]) (float64, error) {
	var prices []float64
	known := 0
	for item, err := range inventory {
		switch {
		case err != nil:
			return 0, err
		case math.IsInf(item.Price, 0):
			return 0, fmt.Errorf("basket: %w: inventory: variant %d has the price %v: want a finite one, or none", ErrData, item.VariantID, item.Price)
		case math.IsNaN(item.Price):
			prices = append(prices, 0)
		default:
			prices = append(prices, item.Price)
			known++
		}
	}
	if known == 0 {
		return 0, fmt.Errorf("basket: %w: inventory: none of its %d lines has a price, so no basket has a value: want at least one", ErrData, len(prices))
	}
	return pairwiseSum(prices) / float64(known), nil
}

// Add adds one order, in any order of arrival. It does not keep o.Items.
func (m *Materializer) Add(o Order) error {
	m.sealed = true
	if err := addOrder(&m.added.Batch, o); err != nil {
		return err
	}
	if full(&m.added.Batch) {
		return m.flush()
	}
	return nil
}

// flush moves what Add has collected to the shards.
func (m *Materializer) flush() error {
	b := m.added
	if b.Len() == 0 {
		return m.flushErr
	}
	b.arrival = m.nextPart << 32
	m.nextPart++
	if err := m.deal(m.dealer, b); err != nil {
		m.flushErr = err
	}
	return m.flushErr
}

// deal adds a batch to the shards and empties it.
func (m *Materializer) deal(d *dealer, b *batch) error {
	n := b.Len()
	err := d.deal(b)
	b.Reset()
	if m.progress != nil {
		m.progressMu.Lock()
		defer m.progressMu.Unlock()
		m.read += int64(n)
		m.progress(m.read)
	}
	return err
}

// AddAll adds the orders of sequences: those of the first one arrive before those
// of the second one, and so on, although they may be read at the same time; see
// [WithGoroutines]. It returns the error of the first sequence that yields one, as
// it is; some of the orders have then been added.
func (m *Materializer) AddAll(parts ...iter.Seq2[Order, error]) error {
	return m.addOrders(partsOf(parts, addOrder))
}

func (m *Materializer) addOrders(parts []columns.Part) error {
	if err := m.flush(); err != nil {
		return err
	}
	m.sealed = true
	return m.ingest(true, parts)
}
