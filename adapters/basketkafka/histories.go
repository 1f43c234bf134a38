package basketkafka

import (
	"fmt"
	"time"

	"github.com/basket-go/basket"
)

// maxOrders is the largest number of orders of a user. Each order of a user costs time
// in proportion to those before.
const maxOrders = 1 << 16

// histories is the users of a partition, with their orders as History.AppendBinary
// encodes them.
type histories struct {
	snapshot *Snapshot
	users    map[string][]byte
	orders   int64

	// Memory of each call.
	history *basket.History
	before  int // orders when it was opened
	encoded []byte
}

func newHistories(s *Snapshot) *histories {
	return &histories{snapshot: s, users: map[string][]byte{}, history: basket.NewHistory("", nil, s.meanPrice, s.meaning)}
}

// A change is what an order changes.
type change struct {
	userID string
	row    basket.Row
	hasRow bool
	newest time.Time // of all orders of the user
	behind bool      // the row, if there is one, is of an earlier order than the newest: see rule 5 of basket.Materializer
	late   bool
}

// insert adds an order. It returns false if the order is there already. Its errors are
// those of orders that cannot be used.
func (p *histories) insert(e Event) (change, bool, error) {
	h, userID, err := p.open(e.UserID)
	if err != nil {
		return change{}, false, err
	}
	if h.Len() >= maxOrders {
		return change{}, false, fmt.Errorf("basketkafka: %w: user %.64q has %d orders: want at most that many", basket.ErrData, userID, h.Len())
	}
	before, _ := h.Newest()
	if added, err := h.Insert(e.Sequence, e.Order); err != nil || !added {
		return change{}, false, err
	}
	if err := p.store(userID); err != nil {
		return change{}, false, err
	}
	c := changeOf(h, userID)
	c.late = e.OrderedAt.Before(before)
	return c, true, nil
}

// changeOf returns the change that leads to a history.
func changeOf(h *basket.History, userID string) change {
	c := change{userID: userID}
	c.row, c.hasRow = h.Latest()
	c.newest, _ = h.Newest()
	c.behind = h.Len() > 1 && (!c.hasRow || c.row.OrderedAt.Before(c.newest))
	return c
}

// merge adds orders from the changelog.
func (p *histories) merge(userID string, data []byte) error {
	h, userID, err := p.open(userID)
	if err != nil {
		return err
	}
	if err := h.Merge(data); err != nil {
		return err
	}
	return p.store(userID)
}

// open returns the history of a user, valid until the next call, and the user's ID in
// the memory that is kept anyway.
func (p *histories) open(userID string) (*basket.History, string, error) {
	userID, regulars := p.snapshot.user(userID)
	p.history.Reset(userID, regulars)
	var err error
	if data, known := p.users[userID]; known {
		err = p.history.Merge(data)
	}
	p.before = p.history.Len()
	return p.history, userID, err
}

// store keeps the history that open has returned.
func (p *histories) store(userID string) error {
	var err error
	if p.encoded, err = p.history.AppendBinary(p.encoded[:0]); err != nil {
		return err
	}
	p.users[userID] = append(p.users[userID][:0], p.encoded...)
	p.orders += int64(p.history.Len() - p.before)
	return nil
}
