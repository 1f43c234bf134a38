package basketbeam

import (
	"math"
	"testing"
	"time"

	"github.com/basket-go/basket"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var exact = gocmp.Options{
	cmpopts.EquateEmpty(), gocmp.AllowUnexported(fact{}, userKey{}),
	gocmp.Transformer("bits", math.Float64bits),
}

// TestCoders: what is decoded is what was encoded; time zones become UTC.
func TestCoders(t *testing.T) {
	at := time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC)
	far := time.Date(-5, 1, 1, 0, 0, 0, 1, time.UTC)
	orders := []Order{
		{},
		{Order: basket.Order{UserID: "ann", OrderedAt: at, Items: []int64{33_000_000_000_001, 33_000_000_000_000, basket.NoVariant, math.MaxInt64}}, Part: 3, Row: 1 << 40},
		{Order: basket.Order{OrderedAt: far}, Part: -1, Row: -1},
	}
	for _, want := range orders {
		check(t, want, encodeOrder, decodeOrder)
		check(t, fact{order: want}, encodeFact, decodeFact)
	}
	check(t, fact{regular: math.MinInt64, kind: regularKind}, encodeFact, decodeFact)
	for _, want := range []basket.Row{
		{},
		{UserID: "bob", OrderedAt: at, Number: 7, Values: []float64{math.NaN(), math.Copysign(0, -1), math.Inf(1), 0.1}},
	} {
		check(t, want, encodeRow, decodeRow)
	}
	check(t, Prediction{UserID: "eve", OrderedAt: at, Number: 2, Value: 0.1 + 0.2}, encodePrediction, decodePrediction)
	for id, size := range map[string]int{"": 1, "ann": 4, "0a": 2, "0A": 3, "0ab": 4, "0a1b2c3d": 5, "abcdefgh": 9} {
		b := encodeUserKey(userKey{id})
		if got, err := decodeUserKey(b); err != nil || got.id != id || len(b) != size {
			t.Errorf("user ID %q: %d bytes, decoded %q, %v: want %d bytes", id, len(b), got.id, err, size)
		}
	}
	local := Order{Order: basket.Order{OrderedAt: at.In(time.FixedZone("", 3600))}}
	if got, err := decodeOrder(encodeOrder(local)); err != nil || got.OrderedAt != at {
		t.Errorf("%v, %v: want %v", got.OrderedAt, err, at)
	}
}

func check[T any](t *testing.T, want T, encode func(T) []byte, decode func([]byte) (T, error)) {
	t.Helper()
	b := encode(want)
	got, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got, exact); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	for i := range b {
		if _, err := decode(b[:i]); err == nil {
			t.Errorf("%T of %d of %d bytes: no error", want, i, len(b))
		}
	}
	if _, err := decode(append(b, 0)); err == nil {
		t.Errorf("%T and a byte more: no error", want)
	}
}

// FuzzDecode: any bytes give a value or an error, and a value stays the same.
func FuzzDecode(f *testing.F) {
	f.Add(encodeFact(fact{order: Order{Order: basket.Order{UserID: "ann", Items: []int64{1, 2}}}}))
	f.Add(encodeRow(basket.Row{UserID: "bob", Values: []float64{1, 2, 3, 4}}))
	f.Add(encodePrediction(Prediction{UserID: "eve", Value: 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, encodeUserKey, decodeUserKey)
		again(t, b, encodeFact, decodeFact)
		again(t, b, encodeOrder, decodeOrder)
		again(t, b, encodeRow, decodeRow)
		again(t, b, encodePrediction, decodePrediction)
	})
}

func again[T any](t *testing.T, b []byte, encode func(T) []byte, decode func([]byte) (T, error)) {
	v, err := decode(b)
	if err != nil {
		return
	}
	w, err := decode(encode(v))
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(v, w, exact); diff != "" {
		t.Errorf("decoded again (-first +second):\n%s", diff)
	}
}
