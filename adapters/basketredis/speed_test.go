package basketredis_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketredis"
	"github.com/redis/rueidis"
)

// TestSpeed compares the stores with the client's own calls for the same keys, in turn in
// one run, and logs the medians and their ratios. It judges nothing: run it with -v.
func TestSpeed(t *testing.T) {
	if os.Getenv("BASKET_LONG") == "" {
		t.Skip("measures for a minute: set BASKET_LONG=1")
	}
	redis := startRedis(t)
	newOf := func() rueidis.Client { return newClient(t, rueidis.ClientOption{InitAddress: []string{redis.addr}}) }
	client := newOf() // of the bare calls; a client remembers how it was used
	store := newStore(t, newOf())
	ctx := t.Context()
	const users = 1_000_000
	all := slices.Collect(rowsOf(users))
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = all[i*1000].UserID
	}

	// Writing: the bare calls send the bytes that PutAll stores.
	keys, values := make([]string, users), make([]string, users)
	if n, err := store.PutAll(ctx, basket.Values(all)); n != users || err != nil {
		t.Fatal(n, err)
	}
	for i, row := range all {
		keys[i] = "basket:" + row.UserID
	}
	for i := 0; i < users; i += 1000 {
		replies, err := rueidis.MGet(client, ctx, keys[i:i+1000])
		if err != nil {
			t.Fatal(err)
		}
		for j, key := range keys[i : i+1000] {
			m := replies[key]
			values[i+j], _ = m.ToString()
		}
	}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	flush := func() { check(client.Do(ctx, client.B().Flushall().Build()).Error()) }
	bareSets := func(chunk int) {
		for i := 0; i < users; i += chunk {
			var cmds rueidis.Commands
			for j := i; j < min(i+chunk, users); j++ {
				cmds = append(cmds, client.B().Set().Key(keys[j]).Value(values[j]).Build())
			}
			for _, r := range client.DoMulti(ctx, cmds...) {
				check(r.Error())
			}
		}
	}
	putAll := func() {
		_, err := store.PutAll(ctx, basket.Values(all))
		check(err)
	}
	compare(t, "PutAll of 1M new users", 3, flush,
		side{"PutAll", putAll},
		side{"SETs by 1,000", func() { bareSets(1000) }},
		side{"SETs by 4,096", func() { bareSets(4096) }})
	compare(t, "PutAll of 1M present users", 3, func() {},
		side{"PutAll", putAll},
		side{"SETs by 1,000", func() { bareSets(1000) }},
		side{"SETs by 4,096", func() { bareSets(4096) }})

	for name, ctx := range map[string]context.Context{"no deadline": context.Background(), "deadline": soon{t.Context()}, "can be canceled": t.Context()} {
		client, store := newOf(), newStore(t, newOf())
		row := func() {
			for _, id := range ids {
				_, err := store.Row(ctx, id)
				check(err)
			}
		}
		get := func() {
			for _, id := range ids {
				check(client.Do(ctx, client.B().Get().Key("basket:"+id).Build()).Error())
			}
		}
		compare(t, "1,000 x one user, "+name, 101, func() {}, side{"Row", row}, side{"GET", get})
		rows := func() {
			_, err := store.Rows(ctx, ids)
			check(err)
		}
		gets := func() {
			var cmds rueidis.Commands
			for _, id := range ids {
				cmds = append(cmds, client.B().Get().Key("basket:"+id).Build())
			}
			for _, r := range client.DoMulti(ctx, cmds...) {
				check(r.Error())
			}
		}
		mget := func() {
			var keys []string
			for _, id := range ids {
				keys = append(keys, "basket:"+id)
			}
			check(client.Do(ctx, client.B().Mget().Key(keys...).Build()).Error())
		}
		compare(t, "1,000 users, "+name, 501, func() {}, side{"Rows", rows}, side{"GETs", gets}, side{"MGET", mget})
	}
}

// TestFeastSpeed does the same for a FeastStore.
func TestFeastSpeed(t *testing.T) {
	if os.Getenv("BASKET_LONG") == "" {
		t.Skip("measures for a minute: set BASKET_LONG=1")
	}
	redis := startRedis(t)
	newOf := func() rueidis.Client { return newClient(t, rueidis.ClientOption{InitAddress: []string{redis.addr}}) }
	client := newOf()
	store := newFeastStore(t, newOf(), basketredis.Feast{Project: "p", View: "v", JoinKey: "user_id"})
	var ids []string
	var all []basket.Row
	for row := range rowsOf(100_000) {
		row.Values[0], row.Values[1] = 94.61, 15
		if all = append(all, row); len(all)%100 == 0 {
			ids = append(ids, row.UserID)
		}
	}
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	_, err := store.PutAll(ctx, basket.Values(all))
	check(err)
	t.Logf("PutAll of 100,000 users: %v", time.Since(start))
	keys, err := client.Do(ctx, client.B().Keys().Pattern("*").Build()).AsStrSlice()
	check(err)
	keys = keys[:len(ids)]
	fields, err := client.Do(ctx, client.B().Hkeys().Key(keys[0]).Build()).AsStrSlice()
	check(err)
	hmget := func(key string) rueidis.Completed {
		return client.B().Hmget().Key(key).Field(fields...).Build()
	}
	compare(t, "1,000 x one user", 51, func() {}, side{"Row", func() {
		for _, id := range ids {
			_, err := store.Row(ctx, id)
			check(err)
		}
	}}, side{"HMGET", func() {
		for _, key := range keys {
			check(client.Do(ctx, hmget(key)).Error())
		}
	}})
	compare(t, "1,000 users", 201, func() {}, side{"Rows", func() {
		_, err := store.Rows(ctx, ids)
		check(err)
	}}, side{"HMGETs", func() {
		var cmds rueidis.Commands
		for _, key := range keys {
			cmds = append(cmds, hmget(key))
		}
		for _, r := range client.DoMulti(ctx, cmds...) {
			check(r.Error())
		}
	}})
}

// soon is a context whose deadline is always 100 ms away.
type soon struct{ context.Context }

func (soon) Deadline() (time.Time, bool) { return time.Now().Add(100 * time.Millisecond), true }

type side struct {
	name string
	run  func()
}

// compare runs the sides in turn, before by before, and logs medians.
func compare(t *testing.T, what string, rounds int, before func(), sides ...side) {
	times := make([][]time.Duration, len(sides))
	for r := range rounds {
		for i := range sides {
			k := (i + r) % len(sides)
			before()
			start := time.Now()
			sides[k].run()
			times[k] = append(times[k], time.Since(start))
		}
	}
	text := what + ":"
	first := median(times[0])
	for i, s := range sides {
		m := median(times[i])
		text += fmt.Sprintf("  %s %v", s.name, m.Round(time.Microsecond))
		if i > 0 {
			text += fmt.Sprintf(" (ratio %.2f)", float64(first)/float64(m))
		}
	}
	t.Log(text)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// rowsOf yields a row for each of n users, whose IDs have 128 digits.
func rowsOf(n int) iter.Seq[basket.Row] {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	return func(yield func(basket.Row) bool) {
		for i := range n {
			v := float64(i)
			row := basket.Row{UserID: fmt.Sprintf("%0128x", i), OrderedAt: at.Add(time.Duration(i) * time.Second), Number: i%50 + 1, Values: []float64{v * 1.01, v, 3, 4}}
			if !yield(row) {
				return
			}
		}
	}
}
