package basketredis

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
)

// The fixtures are what Feast 0.67.0 wrote to Redis, and what it makes of some values.
type fixtures struct {
	Redis []struct {
		Project      string
		Version      int       `json:"entity_key_serialization_version"`
		JoinKeys     []string  `json:"join_keys"`
		EntityValues []decoded `json:"entity_values"`
		Key          bytes64   `json:"key_b64"`
		Hash         []struct {
			Field         bytes64 `json:"field_b64"`
			Value         bytes64 `json:"value_b64"`
			View, Feature string
			Decoded       decoded
			Seconds       int64
			Nanos         int64
		}
	}
	EntityKeys []struct {
		Case, Project string
		JoinKeys      []string  `json:"join_keys"`
		EntityValues  []decoded `json:"entity_values"`
		V2            bytes64   `json:"redis_key_v2_b64"`
		V3            bytes64   `json:"redis_key_v3_b64"`
	} `json:"entity_key_vectors"`
	Murmur3 []struct {
		Input  string
		Uint32 uint32
	} `json:"murmur3_vectors"`
}

type bytes64 string

func (b *bytes64) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	*b = bytes64(raw)
	return err
}

type decoded struct {
	Kind  string
	Value json.RawMessage
	Hex   string `json:"value_hex"`
}

func (d decoded) text() string {
	if d.Kind == "bytes_val" {
		b, _ := hex.DecodeString(d.Hex)
		return string(b)
	}
	var s string
	if json.Unmarshal(d.Value, &s) == nil {
		return s
	}
	return string(d.Value)
}

// number returns the value, and the type that it was written as.
func (d decoded) number(t *testing.T) (float64, ValueType) {
	if d.Kind == "" {
		return math.NaN(), Float64
	}
	v, err := strconv.ParseFloat(d.text(), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v, map[string]ValueType{"double_val": Float64, "float_val": Float32, "int64_val": Int64, "int32_val": Int32}[d.Kind]
}

var keyTypes = map[string]KeyType{"string_val": KeyString, "int64_val": KeyInt64, "int32_val": KeyInt32, "bytes_val": KeyBytes}

// Every key, name, value and time of the fixtures is written and read as Feast does.
func TestFeast_fixtures(t *testing.T) {
	var f fixtures
	readJSON(t, "testdata/feast-redis-fixtures.json", &f)
	facts := 0
	equal := func(what, got string, want bytes64) {
		t.Helper()
		if facts++; got != string(want) {
			t.Errorf("%s is %x: want %x", what, got, string(want))
		}
	}
	for _, h := range f.Redis {
		k := entityKeys{project: h.Project, joinKey: h.JoinKeys[0], keyType: keyTypes[h.EntityValues[0].Kind], version: h.Version}
		key, ok := k.append(nil, h.EntityValues[0].text())
		if !ok {
			t.Errorf("no key of %s", h.EntityValues[0].text())
		}
		equal("key", string(key), h.Key)
		for _, field := range h.Hash {
			if field.Feature == "" {
				at := time.Unix(field.Seconds, field.Nanos).UTC()
				equal("event time", string(appendTimestamp(nil, at)), field.Value)
				if got, err := readTimestamp([]byte(field.Value)); err != nil || !got.Equal(at) {
					t.Errorf("event time %x is read as %v, %v: want %v", field.Value, got, err, at)
				}
				continue
			}
			equal("field", fieldName(field.View, field.Feature), field.Field)
			v, typ := field.Decoded.number(t)
			equal("value", string(typ.append(nil, v)), field.Value)
			if got, err := readValue([]byte(field.Value)); err != nil || got != v && !(math.IsNaN(got) && math.IsNaN(v)) {
				t.Errorf("value %x is read as %v, %v: want %v", field.Value, got, err, v)
			}
		}
	}
	for _, m := range f.Murmur3 {
		if facts++; murmur3(m.Input) != m.Uint32 {
			t.Errorf("murmur3 of %q is %d: want %d", m.Input, murmur3(m.Input), m.Uint32)
		}
	}
	if len(f.Redis) != 39 || facts != 517 {
		t.Errorf("the fixtures have %d hashes and %d facts: want 39 and 517", len(f.Redis), facts)
	}
}

func TestFeast_entityKeys(t *testing.T) {
	var f fixtures
	readJSON(t, "testdata/feast-redis-fixtures.json", &f)
	tried := 0
	for _, e := range f.EntityKeys {
		typ, ok := keyTypes[e.EntityValues[0].Kind]
		if len(e.JoinKeys) > 1 || !ok {
			continue // a Feast setting has one join key, and no timestamp for one
		}
		for version, want := range map[int]bytes64{2: e.V2, 3: e.V3} {
			k := entityKeys{project: e.Project, joinKey: e.JoinKeys[0], keyType: typ, version: version}
			got, ok := k.append(nil, e.EntityValues[0].text())
			if tried++; !ok || string(got) != string(want) {
				t.Errorf("%s, version %d: key %x, %v: want %x", e.Case, version, got, ok, string(want))
			}
		}
	}
	if tried != 10 {
		t.Errorf("%d keys were compared: want 10", tried)
	}
	for _, c := range []struct {
		typ    KeyType
		userID string
	}{{KeyInt64, "07"}, {KeyInt64, "+7"}, {KeyInt64, ""}, {KeyInt64, "abc"}, {KeyInt64, "9223372036854775808"}, {KeyInt32, "2147483648"}, {KeyInt64, "-0"}, {KeyInt64, "1_0"}} {
		k := entityKeys{project: "p", joinKey: "k", keyType: c.typ, version: 3}
		if _, ok := k.append(nil, c.userID); ok {
			t.Errorf("user ID %q has a key of type %v: want none, another text has that key", c.userID, c.typ)
		}
	}
}

type valueVector struct {
	name  string
	bytes []byte
}

func valueVectors(t testing.TB) (vectors []valueVector) {
	var f struct {
		Values []struct{ Case, Hex string } `json:"value_vectors"`
	}
	readJSON(t, "testdata/feast-redis-fixtures.json", &f)
	for _, v := range f.Values {
		b, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		vectors = append(vectors, valueVector{v.Case, b})
	}
	return vectors
}

// Values that Feast's protocol buffers wrote, and what becomes of them.
func TestFeast_values(t *testing.T) {
	nan := math.NaN()
	want := map[string]any{ // a number, or a part of the error
		"double 94.61": 94.61, "double 0": 0.0, "double -0": math.Copysign(0, -1), "double NaN": nan,
		"float 94.61": 94.61000061035156, "int64 0": 0.0, "int64 15": 15.0, "int64 300": 300.0, "int64 -1": -1.0,
		"int64 max": "float64 cannot hold", "int32 -2": -2.0, "bool true": 1.0, "string": "a string", "unset": nan, "null_val": nan,
		"decimal 12.30": "a decimal",
	}
	vectors := valueVectors(t)
	if len(vectors) != len(want) {
		t.Errorf("%d vectors: want %d", len(vectors), len(want))
	}
	add := func(name string, b string, w any) {
		vectors, want[name] = append(vectors, valueVector{name, []byte(b)}), w
	}
	add("int64 2^53+1", "\x20\x81\x80\x80\x80\x80\x80\x80\x10", "float64 cannot hold")
	add("int64 2^53", "\x20\x80\x80\x80\x80\x80\x80\x80\x10", 1.0*(1<<53))
	add("timestamp", "\x40\xc0\xec\x80\xd8\x06", 1795176000.0)
	add("varint of 11 bytes", "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "varint")
	add("varint without end", "\x20\xff", "varint")
	add("half a double", "\x29\x00\x00", "8 bytes")
	add("half a float", "\x35\x00", "4 bytes")
	add("double as a varint", "\x28\x01", "kind 5, wire type 0")
	add("list of doubles", "\x7a\x02\x0a\x00", "kind 15")
	add("long string", "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "length")
	add("group", "\x23", "wire type 3")
	add("tag 0", "\x00\x01", "tag")
	add("unknown field after", "\x20\x0f\xfa\x7f\x01x", 15.0)
	add("unknown field before", "\xfa\x7f\x01x\x20\x0f", 15.0)
	add("unknown field only", "\xfa\x7f\x01x", "unknown kind 2047")
	add("two kinds: the last", "\x20\x0f\x12\x01x", "a string")
	for _, v := range vectors {
		got, err := readValue(v.bytes)
		switch w := want[v.name].(type) {
		case float64:
			if err != nil || math.Float64bits(got) != math.Float64bits(w) && !(math.IsNaN(got) && math.IsNaN(w)) {
				t.Errorf("%s, %x: %v, %v: want %v", v.name, v.bytes, got, err, w)
			}
		case string:
			if !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), w) {
				t.Errorf("%s, %x: %v, %v: want an ErrData about %q", v.name, v.bytes, got, err, w)
			}
		default:
			t.Errorf("no expectation for the vector %q", v.name)
		}
	}
}
