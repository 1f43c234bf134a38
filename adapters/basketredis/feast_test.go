package basketredis_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketredis"
	"github.com/basket-go/basket/baskettest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/rueidis"
)

func TestFeastStore(t *testing.T) {
	for _, d := range deployments {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			client := d.client(t)
			baskettest.TestStore(t, func(t *testing.T) baskettest.Store {
				if strings.HasSuffix(t.Name(), "/equal_times") {
					t.Skip("Feast ignores a row of equal event time: see TestFeastStore_equalTimes")
				}
				// The suite stores numbers that are no integers in each feature.
				f := basketredis.Feast{Project: unique(), View: "v", JoinKey: "user_id", Number: "order_number"}
				for _, name := range basket.FeatureNames() {
					f.Features = append(f.Features, basketredis.FeastFeature{Name: name, Type: basketredis.Float64})
				}
				return newFeastStore(t, client, f)
			})
		})
	}
}

func newFeastStore(t *testing.T, client rueidis.Client, f basketredis.Feast) *basketredis.FeastStore {
	t.Helper()
	s, err := basketredis.NewFeastStore(client, f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A row of equal event time is ignored, also within one call, as by Feast's own writer.
func TestFeastStore_equalTimes(t *testing.T) {
	s := newFeastStore(t, newSingle(t), basketredis.Feast{Project: "p", View: "v", JoinKey: "user_id"})
	at := time.Date(2026, 11, 20, 12, 0, 0, 1000, time.UTC)
	first := basket.Row{UserID: "ann", OrderedAt: at, Values: []float64{1, 2, 3, 4}}
	other := basket.Row{UserID: "ann", OrderedAt: at, Values: []float64{5, 6, 7, 8}}
	newer := basket.Row{UserID: "ann", OrderedAt: at.Add(time.Microsecond), Values: []float64{9, 9, 9, 9}}
	for _, step := range []struct {
		put  []basket.Row
		want basket.Row
	}{{[]basket.Row{first, other}, first}, {[]basket.Row{other}, first}, {[]basket.Row{newer, first}, newer}} {
		if err := s.Put(t.Context(), step.put); err != nil {
			t.Fatal(err)
		}
		got, err := s.Row(t.Context(), "ann")
		if diff := cmp.Diff(step.want, got); err != nil || diff != "" {
			t.Errorf("after Put of %v: %v, difference to what is wanted:\n%s", step.put, err, diff)
		}
	}
}

// feastHash is a hash that Feast wrote.
type feastHash struct {
	Project string
	Version int      `json:"entity_key_serialization_version"`
	JoinKey []string `json:"join_keys"`
	Values  []struct {
		Kind, Value string
	} `json:"entity_values"`
	Key  string `json:"key_b64"`
	Hash []struct {
		Field   string `json:"field_b64"`
		Value   string `json:"value_b64"`
		View    string
		Feature string
		Seconds int64
		Nanos   int64
		Decoded struct {
			Kind  string
			Value any
		}
	}
}

func feastHashes(t *testing.T) (hashes []feastHash) {
	t.Helper()
	text, err := os.ReadFile("testdata/feast-redis-fixtures.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Redis []feastHash }
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return f.Redis
}

func base64Text(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rows returns the row of each view in the hash.
func (h *feastHash) rows(t *testing.T) map[string]basket.Row {
	t.Helper()
	rows := map[string]basket.Row{}
	for _, f := range h.Hash {
		if f.Feature == "" {
			view := strings.TrimPrefix(base64Text(t, f.Field), "_ts:")
			rows[view] = basket.Row{UserID: h.Values[0].Value, OrderedAt: time.Unix(f.Seconds, f.Nanos).UTC(), Values: make([]float64, 4)}
		}
	}
	for _, f := range h.Hash {
		for i, name := range basket.FeatureNames() {
			if f.Feature != name {
				continue
			}
			v := math.NaN()
			switch x := f.Decoded.Value.(type) {
			case float64:
				v = x
			case string:
				if err := json.Unmarshal([]byte(x), &v); err != nil && x == "inf" {
					v = math.Inf(1)
				} else if err != nil {
					t.Fatal(err)
				}
			}
			rows[f.View].Values[i] = v
		}
	}
	return rows
}

func (h *feastHash) settings(view string) basketredis.Feast {
	f := basketredis.Feast{Project: h.Project, View: view, JoinKey: h.JoinKey[0], KeyVersion: h.Version}
	if h.Values[0].Kind == "int64_val" {
		f.KeyType = basketredis.KeyInt64
	}
	if view == "basket_narrow" {
		for i, name := range basket.FeatureNames() {
			typ := basketredis.Int32
			if i == 0 {
				typ = basketredis.Float32
			}
			f.Features = append(f.Features, basketredis.FeastFeature{Name: name, Type: typ})
		}
	}
	return f
}

// The rows that Feast wrote, of entity keys of versions 2 and 3, are read as they are.
func TestFeastStore_readsFeast(t *testing.T) {
	client, n := newSingle(t), 0
	for _, h := range feastHashes(t) {
		cmd := client.B().Arbitrary("HSET").Keys(base64Text(t, h.Key))
		for _, f := range h.Hash {
			cmd = cmd.Args(base64Text(t, f.Field), base64Text(t, f.Value))
		}
		if err := client.Do(t.Context(), cmd.Build()).Error(); err != nil {
			t.Fatal(err)
		}
		for view, want := range h.rows(t) {
			n++
			s := newFeastStore(t, client, h.settings(view))
			got, err := s.Row(t.Context(), want.UserID)
			if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); err != nil || diff != "" {
				t.Errorf("version %d, view %s: %v, difference:\n%s", h.Version, view, err, diff)
			}
			rows, err := s.Rows(t.Context(), []string{"nobody", want.UserID})
			if diff := cmp.Diff([]basket.Row{{}, want}, rows, cmpopts.EquateNaNs()); err != nil || diff != "" {
				t.Errorf("version %d, view %s: %v, difference of Rows:\n%s", h.Version, view, err, diff)
			}
		}
	}
	if n != 51 {
		t.Errorf("%d rows were read: want 51", n)
	}
}

// Written by a FeastStore, the hashes have the bytes that Feast wrote.
func TestFeastStore_writesAsFeast(t *testing.T) {
	client, n := newSingle(t), 0
	for _, h := range feastHashes(t) {
		want := map[string]string{}
		for _, f := range h.Hash {
			want[base64Text(t, f.Field)] = base64Text(t, f.Value)
		}
		for view, row := range h.rows(t) {
			err := newFeastStore(t, client, h.settings(view)).Put(t.Context(), []basket.Row{row})
			if h.Version == 2 {
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("Put with entity keys of version 2: %v: want ErrUnsupported", err)
				}
				want = map[string]string{}
			} else if err != nil {
				t.Errorf("Put of %v: %v", row, err)
			}
		}
		got, err := client.Do(t.Context(), client.B().Hgetall().Key(base64Text(t, h.Key)).Build()).AsStrMap()
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("hash %x: %v, difference:\n%s", base64Text(t, h.Key), err, diff)
		}
		n += len(got)
	}
	if want := 2 * (10*5 + 4*5 + 3*5); n != want {
		t.Errorf("%d fields were compared: want %d", n, want)
	}
}

// Absent and null are different: a user without a row in the view is not found, and a
// feature without a value is NaN.
func TestFeastStore_absent(t *testing.T) {
	client := newSingle(t)
	f := basketredis.Feast{Project: "p", View: "one", JoinKey: "user_id"}
	one := newFeastStore(t, client, f)
	f.View = "two"
	two := newFeastStore(t, client, f)
	f.View, f.Features = "one", append(basketredis.FeastFeatures(), basketredis.FeastFeature{Name: "added_later"})
	wide := newFeastStore(t, client, f)
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	if err := one.Put(t.Context(), []basket.Row{{UserID: "ann", OrderedAt: at, Values: []float64{1, math.NaN(), 0, 4}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Row(t.Context(), "ann"); !errors.Is(err, basket.ErrUserNotFound) {
		t.Errorf("view without a row: %v: want ErrUserNotFound", err)
	}
	row, err := wide.Row(t.Context(), "ann")
	if diff := cmp.Diff([]float64{1, math.NaN(), 0, 4, math.NaN()}, row.Values, cmpopts.EquateNaNs()); err != nil || diff != "" {
		t.Errorf("feature newer than the row: %v, difference:\n%s", err, diff)
	}
	if err := two.Delete(t.Context(), []string{"ann"}); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Row(t.Context(), "ann"); !errors.Is(err, basket.ErrUserNotFound) {
		t.Errorf("after Delete of another view: %v: want ErrUserNotFound, the key tells the user ID", err)
	}
}

func TestFeastStore_refusesValues(t *testing.T) {
	client := newSingle(t)
	f := basketredis.Feast{Project: "p", View: "v", JoinKey: "user_id", KeyType: basketredis.KeyInt64, Features: []basketredis.FeastFeature{
		{"f64", basketredis.Float64}, {"f32", basketredis.Float32}, {"i64", basketredis.Int64}, {"i32", basketredis.Int32},
	}}
	s := newFeastStore(t, client, f)
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	good := basket.Row{UserID: "1", OrderedAt: at, Values: []float64{0.1, 0.1, 1, 1}}
	for _, c := range []struct {
		row  basket.Row
		want string
	}{
		{basket.Row{UserID: "x", OrderedAt: at, Values: []float64{1, 1, 1, 1}}, "join key, Int64"},
		{basket.Row{UserID: "2", OrderedAt: at, Values: []float64{1, 1e300, 1, 1}}, `"f32"`},
		{basket.Row{UserID: "2", OrderedAt: at, Values: []float64{1, 1, 1.5, 1}}, `"i64"`},
		{basket.Row{UserID: "2", OrderedAt: at, Values: []float64{1, 1, math.Inf(1), 1}}, `"i64"`},
		{basket.Row{UserID: "2", OrderedAt: at, Values: []float64{1, 1, 1 << 63, 1}}, `"i64"`},
		{basket.Row{UserID: "2", OrderedAt: at, Values: []float64{1, 1, 1, 1 << 31}}, `"i32"`},
		{basket.Row{UserID: "2", OrderedAt: at.AddDate(8000, 0, 0), Values: []float64{1, 1, 1, 1}}, "years 1 to 9999"},
	} {
		err := s.Put(t.Context(), []basket.Row{good, c.row})
		if !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `view "v"`) {
			t.Errorf("Put of %v: %v: want an ErrData about the view and %s", c.row, err, c.want)
		}
	}
	if _, err := s.Row(t.Context(), "1"); !errors.Is(err, basket.ErrUserNotFound) {
		t.Errorf("the good row beside a bad one: %v: want ErrUserNotFound", err)
	}
	if _, err := s.Row(t.Context(), "x"); !errors.Is(err, basket.ErrUserNotFound) {
		t.Errorf("Row of a user ID that is no integer: %v: want ErrUserNotFound", err)
	}
}

func TestNewFeastStore_faults(t *testing.T) {
	_, err := basketredis.NewFeastStore(nil, basketredis.Feast{
		KeyType: 9, KeyVersion: 1, Number: "a",
		Features: []basketredis.FeastFeature{{Name: "a"}, {Name: "b", Type: 7}, {Name: "b"}},
	})
	if !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("%v: want ErrInvalidConfig", err)
	}
	for _, want := range []string{"no client", "Feast.Project", "Feast.View", "Feast.JoinKey", "KeyType 9", "KeyVersion 1", `"b" has type 7`, `named "a"`, `named "b"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want it to tell %q", err, want)
		}
	}
}
