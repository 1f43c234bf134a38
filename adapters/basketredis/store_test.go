package basketredis_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketredis"
	"github.com/basket-go/basket/baskettest"
	"github.com/redis/rueidis"
)

// deployments are the kinds of Redis that the stores are tested with.
var deployments = []struct {
	name   string
	client func(t *testing.T) rueidis.Client
}{
	{"single", func(t *testing.T) rueidis.Client { return newSingle(t) }},
	{"cluster", func(t *testing.T) rueidis.Client {
		return newClient(t, rueidis.ClientOption{InitAddress: startCluster(t)})
	}},
	{"sentinel", func(t *testing.T) rueidis.Client {
		return newClient(t, rueidis.ClientOption{InitAddress: []string{startSentinel(t)}, Sentinel: rueidis.SentinelOption{MasterSet: "basket"}})
	}},
}

func TestStore(t *testing.T) {
	for _, d := range deployments {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			client := d.client(t)
			baskettest.TestStore(t, func(t *testing.T) baskettest.Store {
				s, err := basketredis.NewStore(client, basketredis.WithPrefix(unique()))
				if err != nil {
					t.Fatal(err)
				}
				return s
			})
		})
	}
}

func newStore(t testing.TB, client rueidis.Client, opts ...basketredis.Option) *basketredis.Store {
	t.Helper()
	s, err := basketredis.NewStore(client, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func rowOf(userID string, at time.Time, v float64) basket.Row {
	return basket.Row{UserID: userID, OrderedAt: at, Number: 1, Values: []float64{v, v, v, v}}
}

func ExampleStore() {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"redis:6379"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	store, err := basketredis.NewStore(client, basketredis.WithPrefix("shop:rows:"))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	row, err := store.Row(ctx, "ann")
	switch {
	case errors.Is(err, basket.ErrUserNotFound):
		fmt.Println("no row yet")
	case err == nil:
		fmt.Println(row.OrderedAt, row.Values)
	default:
		log.Fatal(err)
	}
}

// What is no row of the store is an error that names the store and the cause, and
// neither a user nor values; it is never replaced, and other rows are still stored.
func TestStore_otherContent(t *testing.T) {
	client := newSingle(t)
	good := newStore(t, client)
	if err := good.Put(t.Context(), []basket.Row{rowOf("good", noon, 12345.678)}); err != nil {
		t.Fatal(err)
	}
	value, err := client.Do(t.Context(), client.B().Get().Key("basket:good").Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	other := newStore(t, client, basketredis.WithPrefix("other:"), basketredis.WithFeatures("a", "b", "c", "d"))
	if err := other.Put(t.Context(), []basket.Row{rowOf("x", noon, 1)}); err != nil {
		t.Fatal(err)
	}
	features, err := client.Do(t.Context(), client.B().Get().Key("other:x").Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, value string
		kind        error
		want        string
		replaced    bool // by a newer row: it has the same format
	}{
		{"version", "\x02" + value[1:], basket.ErrFeatureMismatch, "version 2: want 1", false},
		{"features", features, basket.ErrFeatureMismatch, "other features", true},
		{"empty", "", basket.ErrData, "empty", false},
		{"text", `{"a":1}`, basket.ErrFeatureMismatch, "version 123", false},
		{"header only", value[:21], basket.ErrData, "21 bytes", false},
		{"short", value[:len(value)-1], basket.ErrData, "31 bytes of values: want 32", true},
		{"long", value + "x", basket.ErrData, "33 bytes of values: want 32", true},
		{"number", value[:21] + strings.Repeat("\xff", 33), basket.ErrData, "number", true},
		{"time", value[:8] + "\x7f" + value[9:], basket.ErrData, "event time", false},
		{"nanoseconds", value[:9] + "\xff\xff\xff\xff" + value[13:], basket.ErrData, "event time", false},
		{"list", "LIST", basket.ErrData, "another type", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := client.B().Set().Key("basket:bad").Value(c.value).Build()
			if c.value == "LIST" {
				set = client.B().Arbitrary("LPUSH").Keys("basket:bad").Args("x").Build()
			}
			for _, cmd := range (rueidis.Commands{client.B().Del().Key("basket:bad").Build(), set}) {
				if err := client.Do(t.Context(), cmd).Error(); err != nil {
					t.Fatal(err)
				}
			}
			_, one := good.Row(t.Context(), "bad")
			_, many := good.Rows(t.Context(), []string{"good", "bad"})
			for _, err := range []error{one, many} {
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `keys "basket:"`) {
					t.Errorf("%v: want %v of the store, about %q", err, c.kind, c.want)
				} else if strings.Contains(err.Error(), "good") || strings.Contains(err.Error(), "12345") {
					t.Errorf("%v: want nothing of a user", err)
				}
			}
			if many == nil || !strings.Contains(many.Error(), "user ID 1 of the batch") {
				t.Errorf("Rows: %v: want the index of the bad row", many)
			}
			err := good.Put(t.Context(), []basket.Row{rowOf("bad", noon.AddDate(1, 0, 0), 2), rowOf("new "+c.name, noon, 3)})
			if c.replaced != (err == nil) || err != nil && !errors.Is(err, basket.ErrData) {
				t.Errorf("Put over it: %v: want ErrData unless it has the format", err)
			}
			if row, err := good.Row(t.Context(), "new "+c.name); err != nil || row.Values[0] != 3 {
				t.Errorf("the row beside it: %v, %v: want it stored", row, err)
			}
		})
	}
}

// The server compares times exactly, those before 1970 too.
func TestPut_order(t *testing.T) {
	client := newSingle(t)
	times := []time.Time{
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(-1<<32-1, 5), time.Unix(-1<<32, 0), time.Unix(-2, 999999999),
		time.Unix(-1, 0), time.Unix(-1, 1), time.Unix(0, 0), time.Unix(0, 1), noon, noon.Add(1), noon.Add(2),
		time.Unix(1<<31, 0), time.Unix(1<<32-1, 999999999), time.Unix(1<<32, 0), time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	}
	own := newStore(t, client)
	feast, err := basketredis.NewFeastStore(client, basketredis.Feast{Project: "p", View: "v", JoinKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]interface {
		basket.Store
		Put(context.Context, []basket.Row) error
	}{"Store": own, "FeastStore": feast} {
		for i := range times {
			for j := range times {
				if i == j {
					continue
				}
				user := fmt.Sprintf("%d %d", i, j)
				for _, k := range []int{i, j} {
					if err := s.Put(t.Context(), []basket.Row{rowOf(user, times[k], float64(k))}); err != nil {
						t.Fatal(err)
					}
				}
				got, err := s.Row(t.Context(), user)
				if want := max(i, j); err != nil || got.Values[0] != float64(want) || !got.OrderedAt.Equal(times[want]) {
					t.Errorf("%s: after %v and then %v there is %v, %v: want the newer", name, times[i], times[j], got.OrderedAt, err)
				}
			}
		}
	}
}

// A server that has lost its scripts, as after a restart, is given them again.
func TestPut_lostScript(t *testing.T) {
	client := newSingle(t)
	s := newStore(t, client)
	var rows []basket.Row
	for i := range 300 {
		rows = append(rows, rowOf(fmt.Sprint(i), noon, float64(i)))
	}
	for range 2 {
		if err := client.Do(t.Context(), client.B().ScriptFlush().Build()).Error(); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := client.Do(t.Context(), client.B().Dbsize().Build()).AsInt64(); n != 301 || err != nil { // and that of Newest
		t.Errorf("%d keys, %v: want 301", n, err)
	}
}

func TestPutAll(t *testing.T) {
	s := newStore(t, newSingle(t))
	failed := errors.New("no more rows")
	rows := func(yield func(basket.Row, error) bool) {
		for i := range 10_000 {
			if !yield(rowOf(fmt.Sprint(i%9000), noon.Add(time.Duration(i)), float64(i)), nil) {
				return
			}
		}
		yield(basket.Row{}, failed)
	}
	n, err := s.PutAll(t.Context(), rows)
	if err != failed {
		t.Errorf("%v: want the error of the sequence as it is", err)
	}
	if n != 8192 {
		t.Errorf("%d rows were taken: want 8,192, two times 4,096", n)
	}
	if n, err = s.PutAll(t.Context(), basket.Values([]basket.Row{rowOf("0", noon.Add(-1), -1), rowOf("a", noon, 1)})); n != 2 || err != nil {
		t.Errorf("%d, %v: want 2 rows taken, the older one included", n, err)
	}
	got, err := s.Rows(t.Context(), []string{"0", "a", "8999"})
	if err != nil || got[0].Values[0] != 0 || got[1].Values[0] != 1 || got[2].Values != nil {
		t.Errorf("%v, %v: want rows 0 and 1, and none of user 8999", got, err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	calls := 0
	n, err = s.PutAll(canceled, func(yield func(basket.Row, error) bool) {
		for ; yield(rowOf(fmt.Sprint(calls), noon, 1), nil) && calls < 100_000; calls++ {
			if calls == 5000 {
				cancel()
			}
		}
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, basket.ErrUnavailable) || n > 8192 {
		t.Errorf("%d, %v: want context.Canceled and no ErrUnavailable", n, err)
	}
}

func TestNewStore_faults(t *testing.T) {
	_, err := basketredis.NewStore(nil, basketredis.WithPrefix(""), basketredis.WithFeatures("a", "a"))
	for _, want := range []string{"no client", "empty prefix", `named "a"`} {
		if !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want an ErrInvalidConfig that tells %q", err, want)
		}
	}
	if _, err := basketredis.NewStore(nil, basketredis.WithPrefix("newest:x")); err == nil || !strings.Contains(err.Error(), `prefix "newest:x"`) {
		t.Errorf("%v: want a fault of the prefix", err)
	}
}

// TestStore_Newest: the latest event time stays, whatever comes later.
func TestStore_Newest(t *testing.T) {
	client := newSingle(t)
	s, err := basketredis.NewStore(client)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 25, 10, 0, 0, 123456789, time.UTC)
	row := func(userID string, t time.Time) basket.Row {
		return basket.Row{UserID: userID, OrderedAt: t, Values: make([]float64, 4)}
	}
	want := func(want time.Time) {
		t.Helper()
		if got, err := s.Newest(t.Context()); err != nil || !got.Equal(want) {
			t.Errorf("newest %v, %v, want %v", got, err, want)
		}
	}
	want(time.Time{})
	put := func(rows ...basket.Row) {
		t.Helper()
		if err := s.Put(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	put(row("a", at), row("b", at.Add(-time.Hour)))
	want(at)
	put(row("c", at.Add(-time.Second)), row("d", time.Time{}))
	want(at)
	if _, err := s.PutAll(t.Context(), basket.Values([]basket.Row{row("e", at.Add(time.Nanosecond)), row("f", at)})); err != nil {
		t.Fatal(err)
	}
	want(at.Add(time.Nanosecond))
	if err := s.Delete(t.Context(), []string{"a", "e"}); err != nil {
		t.Fatal(err)
	}
	want(at.Add(time.Nanosecond))
	if err := client.Do(t.Context(), client.B().Set().Key("newest:basket:").Value("soon").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Newest(t.Context()); !errors.Is(err, basket.ErrData) {
		t.Errorf("a damaged time: %v, want ErrData", err)
	}
}
