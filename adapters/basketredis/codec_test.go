package basketredis

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Rows are the bytes of the package comment, as another program makes them.
func TestRow_bytes(t *testing.T) {
	var rows []struct {
		Names          []string
		Seconds, Nanos int64
		Number         int
		Values         []string
		Hex            string
	}
	readJSON(t, "testdata/rows.json", &rows)
	if len(rows) == 0 {
		t.Fatal("no rows in testdata/rows.json")
	}
	for _, r := range rows {
		row := basket.Row{OrderedAt: time.Unix(r.Seconds, r.Nanos).UTC(), Number: r.Number}
		for _, v := range r.Values {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Fatal(err)
			}
			row.Values = append(row.Values, f)
		}
		c := newRowCodec(r.Names)
		if got := hex.EncodeToString(c.append(nil, row)); got != r.Hex {
			t.Errorf("row %v is written as\n%s: want\n%s", row, got, r.Hex)
		}
		b, err := hex.DecodeString(r.Hex)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.read(b)
		if err != nil || !sameRow(got, row) {
			t.Errorf("row %s is read as %v, %v: want %v", r.Hex, got, err, row)
		}
	}
}

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sameRow compares values by their bits.
func sameRow(a, b basket.Row) bool {
	bitwise := cmp.Comparer(func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
	return cmp.Equal(a, b, bitwise, cmpopts.EquateEmpty())
}

func FuzzReadRow(f *testing.F) {
	c := newRowCodec(basket.FeatureNames())
	f.Add(c.append(nil, basket.Row{OrderedAt: time.Unix(1795176000, 5).UTC(), Number: 300, Values: []float64{1, math.NaN(), -0.5, 1e300}}))
	f.Add([]byte{rowVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := c.read(b)
		if err != nil {
			return
		}
		if err := checkRow(row, c.names); err != nil {
			t.Fatalf("%x is read as a row that cannot be written: %v", b, err)
		}
		again, err := c.read(c.append(nil, row))
		if err != nil || !sameRow(again, row) {
			t.Fatalf("%x is read as %v, and that, written, as %v, %v", b, row, again, err)
		}
	})
}

func FuzzReadValue(f *testing.F) {
	for _, v := range valueVectors(f) {
		f.Add(v.bytes)
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := readValue(b)
		if err != nil {
			return
		}
		for _, typ := range []ValueType{Float64, Float32, Int64, Int32} {
			if !typ.holds(v) || typ == Float32 && float64(float32(v)) != v {
				continue
			}
			again, err := readValue(typ.append(nil, v))
			if err != nil || again != v && !math.IsNaN(v) {
				t.Fatalf("%x is read as %v, and that, written as %v, as %v, %v", b, v, typ, again, err)
			}
		}
	})
}

func FuzzReadTimestamp(f *testing.F) {
	f.Add([]byte{0x08, 0xc0, 0xec, 0x80, 0xd8, 0x06, 0x10, 0xe8, 0x07})
	f.Add(appendTimestamp(nil, time.Unix(-5, 7)))
	f.Fuzz(func(t *testing.T, b []byte) {
		at, err := readTimestamp(b)
		if err != nil {
			return
		}
		again, err := readTimestamp(appendTimestamp(nil, at))
		if err != nil || !again.Equal(at) {
			t.Fatalf("%x is read as %v, and that, written, as %v, %v", b, at, again, err)
		}
	})
}

// Keys of different users or settings must differ.
func FuzzEntityKey(f *testing.F) {
	f.Add("abc123", "-7", "user_id", "basket", byte(0))
	f.Add("7", "07", "user_id", "basket", byte(1))
	f.Add("\x00\xff", "2147483648", "t", "p", byte(2))
	f.Fuzz(func(t *testing.T, one, two, joinKey, project string, kind byte) {
		k := entityKeys{project: project, joinKey: joinKey, keyType: KeyType(kind % 4), version: 2 + int(kind/4%2)}
		a, okA := k.append([]byte("before"), one)
		b, okB := k.append([]byte("before"), two)
		if okA && okB && one != two && bytes.Equal(a, b) {
			t.Fatalf("users %q and %q have the same key %x", one, two, a)
		}
		if !bytes.HasPrefix(a, []byte("before")) || okA && !bytes.HasSuffix(a, []byte(project)) {
			t.Fatalf("key %x: want it to begin with what was there, and to end with the project", a)
		}
	})
}
