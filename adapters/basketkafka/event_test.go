package basketkafka_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/google/go-cmp/cmp"
)

// badEvents are values that cannot be used, with the key "ann", and what the reason
// says.
var badEvents = []struct{ name, value, want string }{
	{"nothing", ``, "event is no JSON: it ends too early"},
	{"no JSON", `order 7`, "event is no JSON: "},
	{"half an event", `{"user_id":"ann","created_at":"2026-01-02T03:04`, "event is no JSON: it ends too early"},
	{"an array", `[]`, "event is a JSON [: want an object"},
	{"two events", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","sequence":1,"ordered_items":[]} {}`, "followed by another JSON value"},
	{"a field twice", `{"user_id":"ann","user_id":"bob"}`, "duplicate"},
	{"not UTF-8", "{\"user_id\":\"an\xffn\"}", "UTF-8"},
	{"no user_id", `{"created_at":"2026-01-02T03:04:05Z","sequence":1,"ordered_items":[]}`, "event has no user_id"},
	{"no created_at", `{"user_id":"ann","sequence":1,"ordered_items":[]}`, "event has no created_at"},
	{"no sequence", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","ordered_items":[]}`, "event has no sequence"},
	{"no items", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","sequence":1}`, "event has no ordered_items"},
	{"a number as user_id", `{"user_id":7,"created_at":"2026-01-02T03:04:05Z","sequence":1,"ordered_items":[]}`, "user_id is a JSON number: want a string"},
	{"an empty user_id", `{"user_id":"","created_at":"2026-01-02T03:04:05Z","sequence":1,"ordered_items":[]}`, "user_id has 0 bytes: want 1 to 1024"},
	{"another user", `{"user_id":"bob","created_at":"2026-01-02T03:04:05Z","sequence":1,"ordered_items":[]}`, `record has the key "ann", and its event the user_id "bob"`},
	{"no zone", `{"user_id":"ann","created_at":"2026-01-02T03:04:05","sequence":1,"ordered_items":[]}`, `created_at "2026-01-02T03:04:05": want a time with its zone`},
	{"a negative time", `{"user_id":"ann","created_at":"1969-12-31T23:59:59Z","sequence":1,"ordered_items":[]}`, "created_at 1969-12-31T23:59:59Z: want 1970 or later"},
	{"an absurd time", `{"user_id":"ann","created_at":"9999-01-02T03:04:05Z","sequence":1,"ordered_items":[]}`, "created_at 9999-01-02T03:04:05Z is more than 24h0m0s ahead of the clock"},
	{"a time as number", `{"user_id":"ann","created_at":1767323045,"sequence":1,"ordered_items":[]}`, "created_at is a JSON number: want a string"},
	{"a negative sequence", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","sequence":-1,"ordered_items":[]}`, "sequence -1: want 0 or more"},
	{"a large sequence", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","sequence":9223372036854775808,"ordered_items":[]}`, "sequence is 9223372036854775808: want an integer"},
	{"a null", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","sequence":null,"ordered_items":[]}`, "sequence is null: want an integer"},
	{"items as text", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","sequence":1,"ordered_items":"1,2"}`, "ordered_items is a JSON string: want an array"},
	{"half an item", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","sequence":1,"ordered_items":[1,2.5]}`, "ordered_items[1] is 2.5: want an integer"},
	{"an item that stands for another thing", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","sequence":1,"ordered_items":[-9223372036854775808]}`, "ordered_items[0] is -9223372036854775808"},
	{"10 MB of items", `{"user_id":"ann","created_at":"2026-01-02T03:04:05Z","sequence":1,"ordered_items":[` + strings.Repeat("1234567,", 1_250_000) + `1]}`, "event has 10000086 bytes: want at most 1048576"},
	{"deep nesting", `{"other":` + strings.Repeat("[", 20_000), "event is no JSON"},
}

func TestParseEvent_bad(t *testing.T) {
	for _, test := range badEvents {
		t.Run(test.name, func(t *testing.T) {
			_, err := basketkafka.ParseEvent([]byte("ann"), []byte(test.value))
			if !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 400 || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v: want one line with %q", err, test.want)
			}
		})
	}
}

// TestParseEvent: what AppendEvent writes is read back, and other ways to write it are
// read too.
func TestParseEvent(t *testing.T) {
	want := basketkafka.Event{
		Order:    basket.Order{UserID: "ann \"quoted\" é", OrderedAt: time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC), Items: []int64{7, -8, basket.NoVariant}},
		Sequence: 1<<63 - 1,
	}
	for name, value := range map[string]string{
		"as written":     string(basketkafka.AppendEvent(nil, want)),
		"other order":    `{"ordered_items":[7,-8,null],"sequence":9223372036854775807,"created_at":"2026-01-02T03:04:05.678Z","user_id":"ann \"quoted\" é"}`,
		"spaces":         "\n { \"user_id\" : \"ann \\u0022quoted\\u0022 \\u00e9\" , \"created_at\":\"2026-01-02T05:04:05.678+02:00\",\"sequence\":9223372036854775807 , \"ordered_items\" : [ 7 , -8 , null ] } ",
		"another field":  `{"shop":{"id":[1,2,{}]},"ordered_items":[7,-8,null],"sequence":9223372036854775807,"created_at":"2026-01-02T03:04:05.678Z","user_id":"ann \"quoted\" é"}`,
		"fraction of ns": `{"ordered_items":[7,-8,null],"sequence":9223372036854775807,"created_at":"2026-01-02T03:04:05.6780000000Z","user_id":"ann \"quoted\" é"}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := basketkafka.ParseEvent([]byte(want.UserID), []byte(value))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEventSchema: the schema is JSON and has the fields that are read.
func TestEventSchema(t *testing.T) {
	var schema struct {
		Required   []string
		Properties map[string]any
	}
	if err := json.Unmarshal([]byte(basketkafka.EventSchema), &schema); err != nil {
		t.Fatal(err)
	}
	var event map[string]any
	if err := json.Unmarshal(basketkafka.AppendEvent(nil, basketkafka.Event{}), &event); err != nil {
		t.Fatal(err)
	}
	if len(schema.Required) != len(event) || len(schema.Properties) != len(event) {
		t.Errorf("%d fields are required and %d described: want %d", len(schema.Required), len(schema.Properties), len(event))
	}
	for _, name := range schema.Required {
		if _, ok := event[name]; !ok || schema.Properties[name] == nil {
			t.Errorf("the schema has a field %s: written %v, described %v", name, ok, schema.Properties[name] != nil)
		}
	}
}

// FuzzParseEvent: an event that is read and written again is the same.
func FuzzParseEvent(f *testing.F) {
	f.Add("ann", string(basketkafka.AppendEvent(nil, basketkafka.Event{Order: basket.Order{UserID: "ann", OrderedAt: time.Unix(1e9, 5), Items: []int64{1, basket.NoVariant}}, Sequence: 7})))
	for _, bad := range badEvents {
		if len(bad.value) < 1000 {
			f.Add("ann", bad.value)
		}
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		e, err := basketkafka.ParseEvent([]byte(key), []byte(value))
		if err != nil {
			if !errors.Is(err, basket.ErrData) {
				t.Fatalf("error %v: want ErrData", err)
			}
			return
		}
		again, err := basketkafka.ParseEvent([]byte(key), basketkafka.AppendEvent(nil, e))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, again, cmp.Transformer("items", func(o basket.Order) []int64 { return append([]int64{}, o.Items...) })); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkParseEvent(b *testing.B) {
	id := strings.Repeat("0123456789abcdef", 8)
	e := basketkafka.Event{Order: basket.Order{UserID: id, OrderedAt: time.Date(2026, 1, 2, 3, 4, 5, 123456000, time.UTC), Items: make([]int64, 12)}, Sequence: 123456}
	for i := range e.Items {
		e.Items[i] = 33826459213956 + int64(i)
	}
	value := basketkafka.AppendEvent(nil, e)
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := basketkafka.ParseEvent([]byte(id), value); err != nil {
			b.Fatal(err)
		}
	}
}
