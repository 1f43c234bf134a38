package basket

import (
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/basket-go/basket/internal/columns"
)

// A batch is regulars or orders that are added together.
type batch struct {
	columns.Batch
	orders  bool   // or regulars
	part    int    // the part that it is of
	arrival uint64 // batches of a lower number arrived earlier
}

// The numbers of IDs and of items from which on a batch is full. They balance the
// cost of a batch against its memory.
const (
	batchIDs   = 1024
	batchItems = 1 << 16
)

func full(b *columns.Batch) bool { return len(b.IDs) >= batchIDs || len(b.Items) >= batchItems }

// partOf returns a sequence as a part. Add adds a value to a batch.
func partOf[T any](values iter.Seq2[T, error], add func(*columns.Batch, T) error) columns.Part {
	return func(b *columns.Batch, pass columns.Pass) error {
		for v, err := range values {
			if err == nil {
				err = add(b, v)
			}
			if err != nil {
				return err
			}
			if full(b) {
				if b = pass(b); b == nil {
					return nil
				}
			}
		}
		if b.Len() > 0 {
			pass(b)
		}
		return nil
	}
}

func partsOf[T any](sequences []iter.Seq2[T, error], add func(*columns.Batch, T) error) []columns.Part {
	parts := make([]columns.Part, len(sequences))
	for i, s := range sequences {
		parts[i] = partOf(s, add)
	}
	return parts
}

func addRegular(b *columns.Batch, r Regular) error {
	b.IDs, b.Items = append(b.IDs, r.UserID), append(b.Items, r.VariantID)
	return nil
}

func addOrder(b *columns.Batch, o Order) error {
	if len(o.Items) > math.MaxInt32 {
		return errManyItems(o)
	}
	b.IDs = append(b.IDs, o.UserID)
	b.Items = append(b.Items, o.Items...)
	b.Ends = append(b.Ends, len(b.Items))
	b.Times = append(b.Times, columns.Time{Sec: o.OrderedAt.Unix(), Nsec: int32(o.OrderedAt.Nanosecond())})
	return nil
}

func init() {
	columns.AddRegulars = func(m any, parts []columns.Part) error { return m.(*Materializer).addRegulars(parts) }
	columns.AddOrders = func(m any, parts []columns.Part) error { return m.(*Materializer).addOrders(parts) }
}

// A dealer deals batches to the shards of a Materializer. Each goroutine has its
// own.
type dealer struct {
	seed   maphash.Seed
	shards []shard
	first  int // the shard to start at: another one for each dealer, so that they do not wait for each other

	// Of each row of the batch: the hash of its user ID, its shard, and the address
	// of its user in the shard.
	hashes    []uint64
	shard     []uint32
	addresses []uint32

	rows []uint32 // the batch's rows by shard
	ends []uint32 // where those of each shard end
}

func newDealer(seed maphash.Seed, shards []shard, first int) *dealer {
	return &dealer{seed: seed, shards: shards, first: first}
}

// deal adds a batch.
func (d *dealer) deal(b *batch) error {
	n := b.Len()
	if cap(d.hashes) < n {
		d.hashes, d.shard, d.addresses, d.rows = make([]uint64, n), make([]uint32, n), make([]uint32, n), make([]uint32, n)
	}
	d.hashes, d.shard, d.addresses, d.rows = d.hashes[:n], d.shard[:n], d.addresses[:n], d.rows[:n]
	d.ends = append(d.ends[:0], make([]uint32, len(d.shards))...)
	for i := range n {
		if b.Dictionary != nil {
			if known := b.Dictionary.Users[b.Indexes[i]].Load(); known != 0 {
				d.shard[i], d.addresses[i] = uint32(known>>32), uint32(known)-1
				d.ends[d.shard[i]]++
				continue
			}
		}
		hash := maphash.String(d.seed, b.ID(i))
		shard, _ := bits.Mul64(hash, uint64(len(d.shards)))
		d.hashes[i], d.shard[i], d.addresses[i] = hash, uint32(shard), unknownUser
		d.ends[shard]++
	}
	sum := uint32(0)
	for s, k := range d.ends {
		d.ends[s] = sum
		sum += k
	}
	for i, s := range d.shard {
		d.rows[d.ends[s]] = uint32(i)
		d.ends[s]++
	}
	for k := range d.shards {
		s := (d.first + k) % len(d.shards)
		start := uint32(0)
		if s > 0 {
			start = d.ends[s-1]
		}
		if rows := d.rows[start:d.ends[s]]; len(rows) > 0 {
			if err := d.shards[s].add(b, rows, d.hashes, d.addresses); err != nil {
				return err
			}
		}
	}
	if b.Dictionary != nil {
		for i, index := range b.Indexes {
			b.Dictionary.Users[index].Store(uint64(d.shard[i])<<32 | uint64(d.addresses[i]+1))
		}
	}
	return nil
}

// ingest adds the rows of parts, as if one came after the other, with as many
// goroutines as the Materializer may use. The error is that of the first part that
// has one; some of the rows may then have been added.
//
// Each goroutine reads a part and deals its batches itself, unless another
// goroutine, which has no part left to read, takes them.
func (m *Materializer) ingest(orders bool, parts []columns.Part) error {
	n := m.goroutines
	in := &ingestion{
		m: m, parts: parts, orders: orders, firstPart: m.nextPart, failed: len(parts),
		handoff: make(chan *batch, 2*(n-1)), free: make(chan *batch, 2*n),
	}
	m.nextPart += uint64(len(parts))
	in.reading.Store(int64(n))
	var others sync.WaitGroup
	defer others.Wait() // also if a sequence ends this goroutine
	for i := 1; i < n; i++ {
		others.Go(func() { in.run(newDealer(m.seed, m.shards, i*len(m.shards)/n)) })
	}
	in.run(m.dealer)
	others.Wait()
	if in.panicked {
		panic(in.panicValue) // where the caller can recover it
	}
	return in.err
}

// An ingestion is one call of ingest.
type ingestion struct {
	m         *Materializer
	parts     []columns.Part
	orders    bool
	firstPart uint64 // number of parts[0] among all of the Materializer

	next    atomic.Int64 // the part to read next
	reading atomic.Int64 // goroutines that may still read parts
	handoff chan *batch  // to a goroutine that has no part left to read
	free    chan *batch  // batches whose memory can be used again

	mu         sync.Mutex
	failed     int // the first part with an error, or len(parts)
	err        error
	panicked   bool
	panicValue any
}

// fail ends the reading of a part and of all later ones.
func (in *ingestion) fail(part int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if part < in.failed {
		in.failed, in.err = part, err
	}
}

// stopped reports whether a part need not be read on, because it or an earlier one
// failed.
func (in *ingestion) stopped(part int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return part >= in.failed || in.panicked
}

// run is what each goroutine does. It keeps a panic, of a sequence for example,
// because in a goroutine of its own it would end the process.
func (in *ingestion) run(d *dealer) {
	returned := false
	defer func() {
		if !returned {
			in.mu.Lock()
			defer in.mu.Unlock()
			if in.panicked, in.panicValue = true, recover(); in.panicValue == nil {
				in.panicValue = "basket: a sequence called runtime.Goexit"
			}
		}
	}()
	in.read(d)
	for b := range in.handoff {
		in.deal(d, b)
		select {
		case in.free <- b:
		default:
		}
	}
	returned = true
}

// read reads parts while there are any.
func (in *ingestion) read(d *dealer) {
	defer func() {
		if in.reading.Add(-1) == 0 {
			close(in.handoff)
		}
	}()
	b := in.newBatch()
	for {
		part := int(in.next.Add(1) - 1)
		if part >= len(in.parts) || in.stopped(part) {
			return
		}
		b.part, b.arrival = part, (in.firstPart+uint64(part))<<32
		err := in.parts[part](&b.Batch, func(*columns.Batch) *columns.Batch {
			if b = in.pass(d, b); in.stopped(part) {
				return nil
			}
			return &b.Batch
		})
		if err != nil {
			in.fail(part, err)
			return
		}
	}
}

// pass hands a batch to a goroutine that waits for one, or else deals it. It
// returns the next batch of the part.
func (in *ingestion) pass(d *dealer, b *batch) *batch {
	part, arrival := b.part, b.arrival+1
	if len(in.handoff) < cap(in.handoff) && in.reading.Load() < int64(in.m.goroutines) {
		b.Own()
		select {
		case in.handoff <- b:
			b = in.newBatch()
			b.part, b.arrival = part, arrival
			return b
		default:
		}
	}
	in.deal(d, b)
	b.part, b.arrival = part, arrival
	return b
}

func (in *ingestion) newBatch() *batch {
	select {
	case b := <-in.free:
		return b
	default:
		return &batch{orders: in.orders}
	}
}

// deal adds a batch and empties it.
func (in *ingestion) deal(d *dealer, b *batch) {
	part := b.part
	if err := in.m.deal(d, b); err != nil {
		in.fail(part, err)
	}
}
