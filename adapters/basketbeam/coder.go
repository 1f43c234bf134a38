package basketbeam

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/basket-go/basket"
)

// Beam encodes a struct as JSON unless its type has a coder. Those of this file are
// shorter, keep every bit of a float64 and NaN, and use no reflection.
func init() {
	beam.RegisterCoder(reflect.TypeFor[Order](), encodeOrder, decodeOrder)
	beam.RegisterCoder(reflect.TypeFor[userKey](), encodeUserKey, decodeUserKey)
	beam.RegisterCoder(reflect.TypeFor[fact](), encodeFact, decodeFact)
	beam.RegisterCoder(reflect.TypeFor[basket.Row](), encodeRow, decodeRow)
	beam.RegisterCoder(reflect.TypeFor[Prediction](), encodePrediction, decodePrediction)
	register.Function1x1(encodeOrder) // so that Beam calls them without reflection
	register.Function1x2(decodeOrder)
	register.Function1x1(encodeUserKey)
	register.Function1x2(decodeUserKey)
	register.Function1x1(encodeFact)
	register.Function1x2(decodeFact)
	register.Function1x1(encodeRow)
	register.Function1x2(decodeRow)
	register.Function1x1(encodePrediction)
	register.Function1x2(decodePrediction)
}

func encodeOrder(o Order) []byte { return appendOrder(make([]byte, 0, 64), o) }

func decodeOrder(b []byte) (Order, error) {
	d := decoder{b: b}
	o := d.order()
	return o, d.end("an order")
}

// encodeUserKey writes a byte 1 and two hexadecimal digits a byte, if the ID consists
// of these, as hashes do, and else a byte 0 and the ID. The key is most of what a
// runner moves for each order.
func encodeUserKey(k userKey) []byte {
	if len(k.id)%2 == 0 && k.id != "" && strings.Trim(k.id, "0123456789abcdef") == "" {
		if b, err := hex.AppendDecode([]byte{1}, []byte(k.id)); err == nil {
			return b
		}
	}
	return append([]byte{0}, k.id...)
}

func decodeUserKey(b []byte) (userKey, error) {
	switch {
	case len(b) > 0 && b[0] == 0:
		return userKey{string(b[1:])}, nil
	case len(b) > 1 && b[0] == 1:
		return userKey{hex.EncodeToString(b[1:])}, nil
	}
	return userKey{}, (&decoder{failed: true}).end("a user ID")
}

// encodeFact marks an order by a first byte 0 and a regular by 1.
func encodeFact(f fact) []byte {
	if f.kind == regularKind {
		return binary.AppendVarint([]byte{1}, f.regular)
	}
	return appendOrder(make([]byte, 1, 64), f.order)
}

func decodeFact(b []byte) (fact, error) {
	d := decoder{b: b}
	var f fact
	switch kind := d.byte(); kind {
	case 0:
		f.order = d.order()
	case 1:
		f.kind = regularKind
		f.regular = d.varint()
	default:
		d.failed = true
	}
	return f, d.end("an order or a regular")
}

// encodeRow leaves out the Age, which is no part of what is stored.
func encodeRow(r basket.Row) []byte {
	return appendRow(make([]byte, 0, len(r.UserID)+8*len(r.Values)+16), r)
}

func decodeRow(b []byte) (basket.Row, error) {
	d := decoder{b: b}
	r := d.row(nil)
	return r, d.end("a feature row")
}

func encodePrediction(p Prediction) []byte { return encodeRow(p.row()) }

func decodePrediction(b []byte) (Prediction, error) {
	r, err := decodeRow(b)
	if err == nil && len(r.Values) != 1 {
		err = fmt.Errorf("basketbeam: encoded prediction has %d values: want 1", len(r.Values))
	}
	if err != nil {
		return Prediction{}, err
	}
	return Prediction{UserID: r.UserID, OrderedAt: r.OrderedAt, Number: r.Number, Value: r.Values[0]}, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTime keeps the instant; all times are decoded as UTC.
func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond()))
}

// appendOrder writes the items as differences, since the IDs of a shop's variants
// often have their first digits in common.
func appendOrder(b []byte, o Order) []byte {
	b = appendString(b, o.UserID)
	b = appendTime(b, o.OrderedAt)
	b = binary.AppendVarint(b, o.Part)
	b = binary.AppendVarint(b, o.Row)
	b = binary.AppendUvarint(b, uint64(len(o.Items)))
	last := int64(0)
	for _, v := range o.Items {
		b = binary.AppendVarint(b, v-last)
		last = v
	}
	return b
}

func appendRow(b []byte, r basket.Row) []byte {
	b = appendString(b, r.UserID)
	b = appendTime(b, r.OrderedAt)
	b = binary.AppendVarint(b, int64(r.Number))
	b = binary.AppendUvarint(b, uint64(len(r.Values)))
	for _, v := range r.Values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// A decoder reads what the append functions wrote. After a failure it reads zeros.
type decoder struct {
	b      []byte
	failed bool
}

// end returns an error if what was read is not the whole of the bytes.
func (d *decoder) end(what string) error {
	if d.failed || len(d.b) > 0 {
		return errors.New("basketbeam: these bytes do not encode " + what + ": want all workers to run the same program")
	}
	return nil
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.failed, d.b = true, nil
		return nil
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.skip(n)
	return v
}

// skip skips the n bytes of a number; n is 0 or less if there is none.
func (d *decoder) skip(n int) {
	if n <= 0 {
		d.failed, d.b = true, nil
		return
	}
	d.b = d.b[n:]
}

func (d *decoder) string() string { return string(d.take(d.uvarint())) }

func (d *decoder) time() time.Time {
	sec, nsec := d.varint(), d.uvarint()
	if nsec >= 1e9 {
		d.failed = true
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

// count reads the number of things that take size bytes or more each.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.failed, d.b = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) order() Order {
	var o Order
	o.UserID = d.string()
	o.OrderedAt = d.time()
	o.Part, o.Row = d.varint(), d.varint()
	n := d.count(1)
	if n == 0 {
		return o
	}
	o.Items = make([]int64, n)
	last := int64(0)
	for i := range o.Items {
		last += d.varint()
		o.Items[i] = last
	}
	return o
}

// row reads a row, whose values it puts into a slice of its own, or else appends to
// slab if that has the capacity.
func (d *decoder) row(slab *[]float64) basket.Row {
	var r basket.Row
	r.UserID = d.string()
	r.OrderedAt = d.time()
	r.Number = int(d.varint())
	n := d.count(8)
	if slab == nil {
		slab = new([]float64)
	}
	if cap(*slab)-len(*slab) < n {
		*slab = make([]float64, 0, max(n, cap(*slab)))
	}
	start := len(*slab)
	*slab = (*slab)[:start+n]
	r.Values = (*slab)[start : start+n : start+n]
	for i := range r.Values {
		r.Values[i] = math.Float64frombits(binary.LittleEndian.Uint64(d.take(8)))
	}
	return r
}
