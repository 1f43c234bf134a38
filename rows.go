package basket

import (
	"cmp"
	"context"
	"encoding/binary"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Rows yields every feature row, by user ID and then event time. The caller may
// keep the rows. If ctx is done, Rows yields ctx.Err() and ends. No order may be
// added while a sequence of rows is read.
func (m *Materializer) Rows(ctx context.Context) iter.Seq2[Row, error] {
	return m.rows(ctx, func(h *History, _ join, dst *rowBlock) {
		h.each(func(j join) bool {
			dst.add(h, j)
			return true
		})
	})
}

// Latest yields the last row of each user that has one, by user ID. The caller
// may keep the rows. If ctx is done, Latest yields ctx.Err() and ends. No order may
// be added while a sequence of rows is read.
func (m *Materializer) Latest(ctx context.Context) iter.Seq2[Row, error] {
	return m.rows(ctx, func(h *History, last join, dst *rowBlock) {
		if last.number > 0 {
			dst.add(h, last)
		}
	})
}

// A rowBlock is the rows of some users.
type rowBlock struct {
	rows   []Row
	values []float64 // memory of the next rows' Values
	loaded int64     // see shard.find
}

func (b *rowBlock) add(h *History, j join) {
	const width = 4
	if len(b.values) < width {
		b.values = make([]float64, 256*width)
	}
	b.rows = append(b.rows, h.row(j, b.values[:width:width]))
	b.values = b.values[width:]
}

// blockUsers is the number of users whose rows are computed together.
const blockUsers = 256

// rows yields what compute adds of each user's history, of which it gets the last
// row too, by user ID.
func (m *Materializer) rows(ctx context.Context, compute func(*History, join, *rowBlock)) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		users, err := m.arrange(ctx)
		if err != nil {
			yield(Row{}, err)
			return
		}
		blocks := (len(users) + blockUsers - 1) / blockUsers
		fill := func(i int, b *rowBlock) {
			b.rows = b.rows[:0]
			h := History{meaning: m.meaning, meanPrice: m.meanPrice}
			var scratch []orderFact
			block := users[i*blockUsers : min((i+1)*blockUsers, len(users))]
			for _, u := range block { // see shard.find
				b.loaded |= m.shards[u.shard].load(u.user)
			}
			for _, u := range block {
				s := &m.shards[u.shard]
				r := s.record(s.records[u.user])
				h.userID, h.regulars, h.facts = recordID(r), s.regulars(r), s.history(u.user, &scratch)
				compute(&h, s.last[u.user], b)
			}
		}
		use := func(b *rowBlock) bool {
			if err = ctx.Err(); err != nil {
				return false
			}
			for _, row := range b.rows {
				if !yield(row, nil) {
					return false
				}
			}
			return true
		}
		inOrder(m.goroutines, blocks, fill, use)
		if err != nil {
			yield(Row{}, err)
		}
	}
}

// inOrder calls fill for the numbers below count, and use with the results in the
// order of the numbers, until use returns false. With more than one goroutine, the
// next results are computed while use works; all of them have ended when inOrder
// returns, also if use panics.
func inOrder[T any](goroutines, count int, fill func(int, *T), use func(*T) bool) {
	if goroutines == 1 {
		var v T
		for i := range count {
			if fill(i, &v); !use(&v) {
				return
			}
		}
		return
	}
	type result struct {
		v    T
		done chan struct{}
	}
	// Result i is in results[i%window] from its fill to the end of its use.
	window := 4 * goroutines
	results := make([]result, window)
	work := make(chan int, window)
	for i := range min(window, count) {
		results[i].done = make(chan struct{}, 1)
		work <- i
	}
	var fillers sync.WaitGroup
	defer fillers.Wait()
	defer close(work)
	for range min(goroutines, count) {
		fillers.Go(func() {
			for i := range work {
				r := &results[i%window]
				fill(i, &r.v)
				r.done <- struct{}{}
			}
		})
	}
	for i := range count {
		r := &results[i%window]
		<-r.done
		if !use(&r.v) {
			return
		}
		if i+window < count {
			work <- i + window
		}
	}
}

// A userRef is a user of a shard.
type userRef struct {
	prefix      uint64 // bytes of the ID, after those that all IDs share, big-endian
	shard, user uint32
}

// arrange sorts the facts of each shard, and returns the users by ID.
func (m *Materializer) arrange(ctx context.Context) ([]userRef, error) {
	if err := m.flush(); err != nil {
		return nil, err
	}
	m.sealed = true
	scratch := make(chan []orderFact, m.goroutines) // of goroutines that are done with it
	eachOf(ctx, m.goroutines, len(m.shards), func(i int) {
		var facts []orderFact
		select {
		case facts = <-scratch:
		default:
		}
		m.shards[i].arrange(m.meaning, &facts)
		scratch <- facts
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// IDs are compared by eight bytes first, those after the longest prefix that all
	// of them share.
	shared := m.sharedPrefix()
	runs := make([][]userRef, len(m.shards))
	eachOf(ctx, m.goroutines, len(m.shards), func(i int) {
		s := &m.shards[i]
		runs[i] = make([]userRef, len(s.records))
		for u := range runs[i] {
			var prefix [8]byte
			copy(prefix[:], s.id(uint32(u))[shared:])
			runs[i][u] = userRef{binary.BigEndian.Uint64(prefix[:]), uint32(i), uint32(u)}
		}
		slices.SortFunc(runs[i], m.compareUsers)
	})
	for len(runs) > 1 {
		merged := make([][]userRef, (len(runs)+1)/2)
		eachOf(ctx, m.goroutines, len(merged), func(i int) {
			merged[i] = runs[2*i]
			if 2*i+1 < len(runs) {
				merged[i] = merge(runs[2*i], runs[2*i+1], m.compareUsers)
			}
		})
		runs = merged
	}
	return runs[0], ctx.Err()
}

// sharedPrefix returns the length of the longest prefix that all IDs share.
func (m *Materializer) sharedPrefix() int {
	first, shared := "", -1
	for i := range m.shards {
		s := &m.shards[i]
		for u := range s.records {
			id := s.id(uint32(u))
			if shared < 0 {
				first, shared = id, len(id)
			}
			shared = min(shared, len(id))
			for k := range shared {
				if id[k] != first[k] {
					shared = k
					break
				}
			}
			if shared == 0 {
				return 0
			}
		}
	}
	return max(shared, 0)
}

func (m *Materializer) compareUsers(a, b userRef) int {
	if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
		return c
	}
	return strings.Compare(m.shards[a.shard].id(a.user), m.shards[b.shard].id(b.user))
}

// merge merges two sorted slices.
func merge[T any](a, b []T, compare func(a, b T) int) []T {
	merged := make([]T, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compare(b[0], a[0]) < 0 {
			merged, b = append(merged, b[0]), b[1:]
		} else {
			merged, a = append(merged, a[0]), a[1:]
		}
	}
	return append(append(merged, a...), b...)
}

// eachOf calls f for the numbers below n, in some goroutines, until ctx is done. It
// returns when all calls have.
func eachOf(ctx context.Context, goroutines, n int, f func(int)) {
	var next atomic.Int64
	work := func() {
		for ctx.Err() == nil {
			i := int(next.Add(1) - 1)
			if i >= n {
				return
			}
			f(i)
		}
	}
	var others sync.WaitGroup
	for range min(goroutines, n) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}
