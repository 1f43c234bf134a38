package xgboost

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// toUBJ converts JSON to UBJSON. It chooses the forms of arrays and integers at
// random, because XGBoost writes only some of those that the format allows.
func toUBJ(t testing.TB, text string, seed uint64) []byte {
	t.Helper()
	// encoding/json refuses the words, so they become strings.
	text = strings.NewReplacer("-Infinity", `"-Inf!"`, "Infinity", `"+Inf!"`, "NaN", `"NaN!"`).Replace(text)
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	w := ubjWriter{r: rand.New(rand.NewPCG(seed, 2))}
	w.value(v)
	return w.out
}

type ubjWriter struct {
	out []byte
	r   *rand.Rand
}

func (w *ubjWriter) value(v any) {
	switch v := v.(type) {
	case nil:
		w.out = append(w.out, 'Z')
	case bool:
		w.out = append(w.out, map[bool]byte{true: 'T', false: 'F'}[v])
	case json.Number:
		if i, err := v.Int64(); err == nil {
			w.integer(i)
			return
		}
		f, _ := v.Float64()
		w.float(f)
	case string:
		if word, ok := strings.CutSuffix(v, "!"); ok {
			f, _ := strconv.ParseFloat(word, 64)
			w.float(f)
			return
		}
		w.out = append(w.out, 'S')
		w.text(v)
	case []any:
		w.array(v)
	case map[string]any:
		w.out = append(w.out, '{')
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			w.text(k)
			w.value(v[k])
		}
		w.out = append(w.out, '}')
	}
}

func (w *ubjWriter) text(s string) {
	w.integer(int64(len(s)))
	w.out = append(w.out, s...)
}

// integer writes v in a random type whose range contains it.
func (w *ubjWriter) integer(v int64) {
	types := "L"
	for _, c := range []struct {
		marker    string
		low, high int64
	}{{"l", math.MinInt32, math.MaxInt32}, {"I", math.MinInt16, math.MaxInt16}, {"i", math.MinInt8, math.MaxInt8}, {"U", 0, 255}} {
		if v >= c.low && v <= c.high {
			types += c.marker
		}
	}
	m := types[w.r.IntN(len(types))]
	w.out = append(w.out, m)
	w.raw(m, v)
}

func (w *ubjWriter) raw(m byte, v int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(v))
	w.out = append(w.out, b[8-width(m):]...)
}

func (w *ubjWriter) float(f float64) {
	if w.r.IntN(2) == 0 {
		w.out = append(w.out, 'D')
		w.raw('D', int64(math.Float64bits(f)))
		return
	}
	w.out = append(w.out, 'd')
	w.raw('d', int64(math.Float32bits(float32(f))))
}

func (w *ubjWriter) array(v []any) {
	w.out = append(w.out, '[')
	integers := len(v) > 0
	for _, e := range v {
		n, ok := e.(json.Number)
		if _, err := n.Int64(); !ok || err != nil {
			integers = false
		}
	}
	switch kind := w.r.IntN(3); {
	case kind == 0 && integers: // of one type
		w.out = append(w.out, "$L#"...)
		w.integer(int64(len(v)))
		for _, e := range v {
			i, _ := e.(json.Number).Int64()
			w.raw('L', i)
		}
	case kind == 1: // counted
		w.out = append(w.out, '#')
		w.integer(int64(len(v)))
		for _, e := range v {
			w.value(e)
		}
	default: // closed
		for _, e := range v {
			if w.r.IntN(5) == 0 {
				w.out = append(w.out, 'N')
			}
			w.value(e)
		}
		w.out = append(w.out, ']')
	}
}

// TestUBJReader_refuses tests files that state large sizes in few bytes, and others.
func TestUBJReader_refuses(t *testing.T) {
	huge := "L\x7f\xff\xff\xff\xff\xff\xff\xff"
	for _, c := range []struct{ name, data, want string }{
		{"true a billion times", "{i\x01a[$T#l\x3f\xff\xff\xff", `"a": byte 6: array of type 'T': want one of a number's types`},
		{"null a billion times", "{i\x01a[$Z#l\x3f\xff\xff\xff", `"a": byte 6: array of type 'Z'`},
		{"no-op a billion times", "{i\x01a[$N#l\x3f\xff\xff\xff", `"a": byte 6: array of type 'N'`},
		{"huge array", "{i\x01a[$l#" + huge, `"a": byte 8: length 9223372036854775807: want 0 to 0, by the size of the file`},
		{"huge mixed array", "{i\x01a[#" + huge, `"a": byte 6: length 9223372036854775807: want 0 to 0`},
		{"negative count", "{i\x01a[#i\xff", `"a": byte 6: length -1: want 0 to 0`},
		{"array longer than the file", "{i\x01a[$l#i\x02\x00\x00\x00\x00}", `"a": byte 8: length 2: want 0 to 1`},
		{"no count", "{i\x01a[$l\x00", `"a": byte 7: array of type 'l' without a count`},
		{"huge string", "{i\x01aS" + huge, `"a": byte 5: length 9223372036854775807`},
		{"huge key", "{" + huge, `byte 1: length 9223372036854775807`},
		{"key with a wrong length", "{S", `first bytes "{S": want those of JSON`},
		{"counted object", "{i\x01a{#i\x00", `"a": byte 5: '#': want the marker of an integer`},
		{"deep", strings.Repeat("{i\x01a", 100000), `byte 257: nested more than 64 deep`},
		{"deep arrays", "{i\x01a" + strings.Repeat("[", 100000), `nested more than 64 deep`},
		{"unknown type", "{i\x01ax", `"a": byte 5: type 'x': not one of UBJSON`},
		{"key twice", "{i\x01aZi\x01aZ}", `key "a" is a duplicate`},
		{"cut off", "{i\x01al\x00\x00", `"a": byte 5: want 4 bytes: the file has 2 left`},
		{"no value", "{i\x01a", `"a": byte 4: the file ends: want a value`},
		{"no end", "{i\x01aZ", `byte 5: the file ends: want a length`},
		{"wrong type", "{i\x07learner[]}", `learner: byte 10: '[': want '{'`},
		{"no string", "{i\x07learner{i\x09objective{i\x04nameZ}}}", `learner.objective.name: byte 30: type 'Z': want a string`},
		{"no integer", "{i\x07version[Z]}", `version[0]: byte 12: type 'Z': want an integer`},
		{"large integer", "{i\x07version[" + huge + "]}", `version[0]: 9223372036854775807: want an integer of 32 bits`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read([]byte(c.data), Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %.300v: want %s", err, c.want)
			}
		})
	}
}
