package basket

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"
)

// Insert adds an order of the user, of any event time, unless the history has it
// already, and reports whether it did. Sequence tells an order of the user from the
// others, and decides between orders of equal time: the lower one comes first. So
// the history does not depend on the order of the calls, nor on how often an order
// is inserted. Insert does not keep o.Items.
//
// Another order of the same sequence, with another event time or other numbers of
// items and regulars, is an ErrData. After Add it is an ErrInvalidConfig.
func (h *History) Insert(sequence int64, o Order) (bool, error) {
	f, err := h.fact(o)
	if err != nil {
		return false, err
	}
	return h.insert(sequence, f)
}

func (h *History) insert(sequence int64, f orderFact) (bool, error) {
	if len(h.sequences) != len(h.facts) {
		return false, fmt.Errorf("basket: %w: Insert into a history without sequence numbers: want Add", ErrInvalidConfig)
	}
	if i := slices.Index(h.sequences, sequence); i >= 0 {
		if h.facts[i] == f {
			return false, nil
		}
		return false, fmt.Errorf("basket: %w: user %.64q has two orders of the sequence %d: %v and %v: want another sequence for each order",
			ErrData, h.userID, sequence, h.facts[i], f)
	}
	i := len(h.facts)
	for i > 0 && (f.before(&h.facts[i-1]) || !h.facts[i-1].before(&f) && sequence < h.sequences[i-1]) {
		i--
	}
	h.facts = slices.Insert(h.facts, i, f)
	h.sequences = slices.Insert(h.sequences, i, sequence)
	return true, nil
}

// String describes an order to the one who looks for it.
func (f orderFact) String() string {
	return fmt.Sprintf("%s with %d items, %d of them regulars", f.time().Format(time.RFC3339Nano), f.items, f.regulars)
}

func (f *orderFact) time() time.Time { return time.Unix(f.sec, int64(f.nsec)).UTC() }

// Len returns the number of orders.
func (h *History) Len() int { return len(h.facts) }

// Newest returns the event time of the newest order, and whether there is an order.
// Latest may describe an older one: see rule 5 of [Materializer].
func (h *History) Newest() (time.Time, bool) {
	if len(h.facts) == 0 {
		return time.Time{}, false
	}
	return h.facts[len(h.facts)-1].time(), true
}

// historyFormat is the first byte of an encoded history.
const historyFormat = 1

// AppendBinary appends the orders of a history that is filled by Insert, in a form
// that Merge reads: some 8 to 16 bytes an order, at most 36. It holds what rules 3 to
// 5 of [Materializer] need of an order, and neither user ID nor regulars nor items;
// the numbers of regulars are those with which the orders were inserted. After Add it
// is an ErrInvalidConfig.
//
// The form is a byte 1 and, for each order by time and sequence, five varints of
// package encoding/binary: the seconds since the order before, for the first one since
// 1970, zigzag; the nanoseconds; the sequence less that of the order before, zigzag;
// the number of items; the number of regulars.
func (h *History) AppendBinary(dst []byte) ([]byte, error) {
	if len(h.sequences) != len(h.facts) {
		return dst, fmt.Errorf("basket: %w: encoding of a history without sequence numbers: want one that is filled by Insert", ErrInvalidConfig)
	}
	dst = append(dst, historyFormat)
	sec, sequence := int64(0), int64(0)
	for i := range h.facts {
		f := &h.facts[i]
		dst = binary.AppendVarint(dst, f.sec-sec) // wraps around, as in Merge
		dst = binary.AppendUvarint(dst, uint64(f.nsec))
		dst = binary.AppendVarint(dst, h.sequences[i]-sequence)
		dst = binary.AppendUvarint(dst, uint64(f.items))
		dst = binary.AppendUvarint(dst, uint64(f.regulars))
		sec, sequence = f.sec, h.sequences[i]
	}
	return dst, nil
}

// Merge inserts the orders that AppendBinary has encoded, those of the same user with
// the same regulars. It does not keep data. Data that AppendBinary does not write is an
// ErrData, and so is an order that Insert would refuse; the history is then as it
// was.
func (h *History) Merge(data []byte) error {
	if len(data) == 0 || data[0] != historyFormat {
		return fmt.Errorf("basket: %w: history of user %.64q: not in the format %d", ErrData, h.userID, historyFormat)
	}
	into := h
	if len(h.facts) > 0 {
		into = &History{userID: h.userID}
	}
	d := historyDecoder{data: data[1:]}
	for len(d.data) > 0 {
		if !d.next() {
			into.facts, into.sequences = into.facts[:0], into.sequences[:0]
			return fmt.Errorf("basket: %w: history of user %.64q: damaged %d bytes before its end", ErrData, h.userID, len(d.data))
		}
		into.facts, into.sequences = append(into.facts, d.fact), append(into.sequences, d.sequence)
	}
	if into == h {
		return nil
	}
	if len(into.facts) == 1 { // inserted or not
		_, err := h.insert(into.sequences[0], into.facts[0])
		return err
	}
	facts, sequences := h.facts, h.sequences
	h.facts, h.sequences = slices.Clone(facts), slices.Clone(sequences)
	for i, f := range into.facts {
		if _, err := h.insert(into.sequences[i], f); err != nil {
			h.facts, h.sequences = facts, sequences
			return err
		}
	}
	return nil
}

// A historyDecoder decodes the orders of an encoded history.
type historyDecoder struct {
	data     []byte
	fact     orderFact
	sequence int64
	started  bool
}

// next decodes an order, and reports whether AppendBinary could have written it there.
func (d *historyDecoder) next() bool {
	before, sequenceBefore := d.fact, d.sequence
	sec, ok1 := d.varint()
	nsec, ok2 := d.uvarint()
	sequence, ok3 := d.varint()
	items, ok4 := d.uvarint()
	regulars, ok5 := d.uvarint()
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || nsec >= 1e9 || items > math.MaxInt32 || regulars > items {
		return false
	}
	d.fact = orderFact{sec: before.sec + sec, nsec: int32(nsec), items: int32(items), regulars: int32(regulars)}
	d.sequence += sequence
	sorted := before.before(&d.fact) || !d.fact.before(&before) && sequenceBefore < d.sequence
	first := !d.started
	d.started = true
	return first || sorted
}

func (d *historyDecoder) varint() (int64, bool) {
	v, n := binary.Varint(d.data)
	d.data = d.data[max(n, 0):]
	return v, n > 0
}

func (d *historyDecoder) uvarint() (uint64, bool) {
	if len(d.data) > 0 && d.data[0] < 0x80 { // most are
		v := d.data[0]
		d.data = d.data[1:]
		return uint64(v), true
	}
	v, n := binary.Uvarint(d.data)
	d.data = d.data[max(n, 0):]
	return v, n > 0
}
