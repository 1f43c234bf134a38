package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// startBroker starts a broker within this process.
func startBroker(t *testing.T, opts ...kfake.Opt) string {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return strings.Join(cluster.ListenAddrs(), ",")
}

// startFeed runs "basket feed" and returns the URL of its health and metrics, its errors so
// far, and what stops it.
func startFeed(t *testing.T, args ...string) (url string, errs *syncBuffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out syncBuffer
	errs = &syncBuffer{}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"feed", "--topic", "orders", "--addr", "127.0.0.1:0"}, args...), terminal{&out, errs})
	}()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if url = strings.TrimSpace(regexp.MustCompile(`http://[\d.:]+\d\n`).FindString(out.String())); url != "" {
			break
		}
		if time.Now().After(deadline) || len(done) > 0 {
			t.Fatalf("basket feed %q does not start: %s", args, errs.String())
		}
	}
	return url, errs, func() int {
		cancel()
		return <-done
	}
}

// feedMetric returns a number at /metrics, or -1 if it is not there yet.
func feedMetric(t *testing.T, url, name string) int {
	t.Helper()
	_, text, _ := send(t, "GET", url+"/metrics", "")
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return -1
	}
	v, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(v)
}

// batchRows returns the newest rows that one machine computes from a folder, by user ID.
func batchRows(t testing.TB, dir string, m basket.Meaning) map[string]basket.Row {
	t.Helper()
	history, err := basketparquet.Materialize(t.Context(), os.DirFS(dir), m)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]basket.Row{}
	for row, err := range history.Latest(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows[row.UserID] = row
	}
	return rows
}

// storedRows returns the rows of a server for the users of a folder, by user ID.
func storedRows(t testing.TB, place, dir string) map[string]basket.Row {
	t.Helper()
	kind, err := storeKind(place)
	if err != nil {
		t.Fatal(err)
	}
	store, err := openRemote(t.Context(), kind, place)
	if err != nil {
		t.Fatal(err)
	}
	defer store.close()
	users := map[string]bool{}
	for o, err := range basketparquet.Orders(t.Context(), os.DirFS(dir)) {
		if err != nil {
			t.Fatal(err)
		}
		users[o.UserID] = true
	}
	rows := map[string]basket.Row{}
	for userID := range users {
		row, err := store.Row(t.Context(), userID)
		switch {
		case errors.Is(err, basket.ErrUserNotFound):
		case err != nil:
			t.Fatal(err)
		default:
			row.UserID = userID
			rows[userID] = row
		}
	}
	return rows
}

// compareRows compares rows bit by bit, and reports a few that differ.
func compareRows(t testing.TB, want, got map[string]basket.Row) {
	t.Helper()
	differ, shown := 0, ""
	for _, userID := range slices.Sorted(maps.Keys(want)) {
		if diff := cmp.Diff(want[userID], got[userID]); diff != "" {
			if differ++; differ <= 3 {
				shown += diff
			}
		}
	}
	for userID := range got {
		if _, ok := want[userID]; !ok {
			differ++
			shown += "a row of " + userID + ", who has none\n"
		}
	}
	if differ > 0 || len(want) == 0 {
		t.Errorf("%d of %d rows differ (-batch +feed):\n%.4000s", differ, len(want), shown)
	}
}

// TestFeed_equalsMaterialize: orders that are published, twice, give the rows of
// materialize.
func TestFeed_equalsMaterialize(t *testing.T) {
	for _, m := range []basket.Meaning{basket.LastOrder, basket.NextOrder} {
		t.Run(m.String(), func(t *testing.T) {
			place, _ := startRedis(t)
			brokers := startBroker(t)
			publish := func(args ...string) string {
				return mustRun(t, append([]string{"publish", "--brokers", brokers, "--topic", "orders", "--data", demo}, args...)...)
			}
			n := 0
			if _, err := fmt.Sscanf(publish("--create-topic", "3"), "published %d orders to orders in ", &n); err != nil || n == 0 {
				t.Fatalf("publish: %d orders, %v", n, err)
			}
			publish("--rate", "1000000")
			url, errs, stop := startFeed(t, "--brokers", brokers, "--data", demo, "--to", place, "--meaning", m.String(), "--batch", "100")
			until(t, "all events are handled", func() bool {
				return feedMetric(t, url, "basket_feed_events_total") == 2*n && feedMetric(t, url, "basket_feed_lag") == 0
			})
			compareRows(t, batchRows(t, demo, m), storedRows(t, place, demo))
			for name, want := range map[string]int{
				"basket_feed_orders_total": n, "basket_feed_repeats_total": n, "basket_feed_dead_letters_total": 0,
				"basket_feed_partitions": 3, "basket_feed_kept": n,
			} {
				if got := feedMetric(t, url, name); got != want {
					t.Errorf("%s: %d, want %d", name, got, want)
				}
			}
			if status, text, _ := send(t, "GET", url+"/readyz", ""); status != 200 || text != `{"status":"OK","checks":{"feed":"ok","store":"ok"}}` {
				t.Errorf("/readyz: %d %s", status, text)
			}
			if code := stop(); code != 0 || !strings.HasSuffix(errs.String(), "basket: The feed has stopped\n") {
				t.Errorf("status %d, %s", code, errs)
			}
		})
	}
}

// TestFeed_waits: a broker that is away at the start is waited for; meanwhile the feed is
// alive and not ready, and tells why, once.
func TestFeed_waits(t *testing.T) {
	place, redis := startRedis(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	url, errs, stop := startFeed(t, "--brokers", fmt.Sprint("127.0.0.1:", port), "--data", demo, "--to", place)
	until(t, "the wait is told", func() bool { return strings.Contains(errs.String(), "The feed waits: waiting for the brokers: ") })
	for path, want := range map[string]string{"/livez": `200 {"status":"OK"}`, "/readyz": `503 {"status":"not ready","checks":{"feed":"failed","store":"ok"}}`} {
		if status, text, _ := send(t, "GET", url+path, ""); fmt.Sprint(status, " ", text) != want {
			t.Errorf("%s: %d %s, want %s", path, status, text, want)
		}
	}
	startBroker(t, kfake.Ports(port), kfake.SeedTopics(2, "orders"))
	ready := func() bool { status, _, _ := send(t, "GET", url+"/readyz", ""); return status == 200 }
	until(t, "the feed is ready", ready)
	if n := strings.Count(errs.String(), "The feed waits"); n != 1 {
		t.Errorf("told %d times: %s", n, errs)
	}
	_ = redis.Kill()
	until(t, "an absent store is told", func() bool {
		_, text, _ := send(t, "GET", url+"/readyz", "")
		return strings.Contains(text, `"store":"failed"`)
	})
	if code := stop(); code != 0 {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestFeed_deadLetters: events that cannot be used are counted, and the others flow on.
func TestFeed_deadLetters(t *testing.T) {
	place, _ := startRedis(t)
	brokers := startBroker(t, kfake.SeedTopics(1, "orders"))
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, bad := range []string{"no JSON", `{"user_id":"u"}`} {
		if err := client.ProduceSync(t.Context(), kgo.KeySliceRecord([]byte("u"), []byte(bad))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, "publish", "--brokers", brokers, "--topic", "orders", "--data", demo)
	url, errs, stop := startFeed(t, "--brokers", brokers, "--data", demo, "--to", place, "--dead-letters", "bad", "--group", "mine", "--logs", t.TempDir(), "--log-format", "json")
	until(t, "all events are handled", func() bool {
		return feedMetric(t, url, "basket_feed_partitions") == 1 && feedMetric(t, url, "basket_feed_lag") == 0 && feedMetric(t, url, "basket_feed_orders_total") > 0
	})
	if got := feedMetric(t, url, "basket_feed_dead_letters_total"); got != 2 {
		t.Errorf("%d dead letters, want 2", got)
	}
	compareRows(t, batchRows(t, demo, basket.LastOrder), storedRows(t, place, demo))
	if code := stop(); code != 0 || errs.String() != "" { // the events are in the log
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestFeed_metrics: a scrape of a feed has the metrics of the documented table that are a
// feed's, without labels of users, and none besides.
func TestFeed_metrics(t *testing.T) {
	place, _ := startRedis(t)
	brokers := startBroker(t, kfake.SeedTopics(1, "orders"))
	url, _, stop := startFeed(t, "--brokers", brokers, "--data", demo, "--to", place)
	var want []string
	for name := range documentedMetrics(t) {
		if strings.HasPrefix(name, "basket_feed_") {
			want = append(want, name)
		}
	}
	want = append(want, "basket_check_status", "basket_log_dropped_total", "go_goroutine_count", "go_memory_used_bytes", "target_info")
	if diff := cmp.Diff(sorted(want), slices.Sorted(maps.Keys(scrape(t, url)))); diff != "" {
		t.Errorf("metrics, documented and served:\n%s", diff)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "rebound.example" // of a page in a browser of this machine
	if w, err := http.DefaultClient.Do(r); err != nil || w.StatusCode != http.StatusMisdirectedRequest || w.Body.Close() != nil {
		t.Errorf("/metrics of another host: %v, %v", w, err)
	}
	if status, _, _ := send(t, "GET", url+"/predict", ""); status != 404 {
		t.Errorf("/predict: %d", status)
	}
	if code := stop(); code != 0 {
		t.Errorf("status %d", code)
	}
}

// TestFeed_security: TLS and each mechanism of SASL; a wrong password and an unknown
// signer are told.
func TestFeed_security(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	pair, err := tls.LoadX509KeyPair(dir+"/tls.crt", dir+"/tls.key")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BASKET_KAFKA_PASSWORD", "hunter2")
	for flag, mechanism := range map[string]string{"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"} {
		t.Run(flag, func(t *testing.T) {
			brokers := startBroker(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}), kfake.EnableSASL(), kfake.Superuser(mechanism, "basket", "hunter2"))
			args := []string{"publish", "--brokers", brokers, "--topic", "orders", "--data", demo, "--create-topic", "1", "--kafka-tls", "--kafka-sasl", flag, "--kafka-user", "basket"}
			trusted := append(slices.Clone(args), "--kafka-ca", dir+"/tls.crt")
			mustRun(t, trusted...)
			for want, args := range map[string][]string{
				"check the address, --kafka-tls":   append(slices.Clone(trusted), "--kafka-password", "wrong"),
				"x509: certificate signed by unkn": args,
			} {
				if code, _, errs := runBasket(t, args...); code != 1 || !strings.Contains(errs, want) || strings.Contains(errs, "hunter2") {
					t.Errorf("status %d, %s, want %s", code, errs, want)
				}
			}
		})
	}
}

// TestFeed_faults: all faults of the settings are told at once, without secrets.
func TestFeed_faults(t *testing.T) {
	dir := t.TempDir()
	writeWholeFile(t, dir+"/no.pem", []byte("no certificate"))
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"nothing", []string{"feed"}, []string{"no brokers: give --brokers HOST:PORT,...", "no topic: give --topic NAME", "no data: give --data DIR", "no store: give --to redis://HOST:PORT or postgres://HOST/DATABASE"}},
		{
			"all wrong",
			[]string{"feed", "--brokers", "a:1,b", "--topic", "or ders", "--data", demo, "--to", "rows.basket", "--create-table", "--batch", "100001", "--addr", "x", "--dead-letters", "..", "--kafka-ca", "x", "--kafka-user", "hunter2", "--pprof", "0.0.0.0:1"},
			[]string{
				`--brokers "b": want HOST:PORT,...`, `--topic "or ders": want 1 to 200 letters`, "--to: no form of a server: want redis://HOST:PORT or postgres://HOST/DATABASE; a feed writes row by row, which a file does not allow",
				"--create-table is of Postgres", "--batch 100001: want 1 to 100000", `--addr "x": want HOST:PORT`, `--dead-letters "..": want another topic`, "--kafka-ca is of --kafka-tls",
				"--kafka-user and BASKET_KAFKA_PASSWORD are of --kafka-sasl", "--pprof 0.0.0.0:1 is not a loopback address",
			},
		},
		{
			"wrong security",
			[]string{"feed", "--brokers", "a:1", "--topic", "o", "--dead-letters", "o", "--data", demo, "--to", "mysql://u:hunter2@h/d", "--kafka-tls", "--kafka-ca", dir + "/no.pem", "--kafka-sasl", "plain"},
			[]string{"--to: no form of a server", "no.pem: no certificate in PEM: want one or more", "--kafka-sasl plain: no user or no password", `--dead-letters "o": want another topic than --topic`},
		},
		{"unknown mechanism", []string{"feed", "--kafka-sasl", "gssapi"}, []string{`--kafka-sasl: "gssapi": want plain or scram-sha-256 or scram-sha-512`}},
		{"unknown key", []string{"feed", "--config", writeConfig(t, "brokers: [a:1]\nmodel: m\n")}, []string{`unknown setting "model"; see basket feed --help`, "no topic"}},
		{"an absent store", []string{"feed", "--brokers", "a:1", "--topic", "o", "--data", demo, "--to", "redis://:hunter2@127.0.0.1:1"}, []string{"--to: redis: "}},
		{"absent data", []string{"feed", "--brokers", "a:1", "--topic", "o", "--data", dir, "--to", "redis://127.0.0.1:1"}, []string{"inventory"}},
		{"publish nothing", []string{"publish", "--rate", "0", "--create-topic", "10001"}, []string{"no brokers", "no topic", "no data", "--rate: 0: want more", "--create-topic 10001: want 1 to 10000 partitions"}},
	} {
		code, out, errs := runBasket(t, test.args...)
		if code != 1 || out != "" || strings.Contains(errs, "hunter2") {
			t.Errorf("%s: status %d, %s%s", test.name, code, out, errs)
		}
		for _, want := range test.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%s: %s, want %s", test.name, errs, want)
			}
		}
	}
}

// TestFeed_printed: settings are printed with the password and the place masked.
func TestFeed_printed(t *testing.T) {
	t.Setenv("BASKET_KAFKA_PASSWORD", "hunter2")
	out := mustRun(t, "feed", "--config", writeConfig(t, "brokers: [a:1, b:2]\nkafka-tls: true\n"), "--print-config", "--topic", "orders", "--data", demo,
		"--to", "redis://:hunter2@h:1", "--kafka-sasl", "plain", "--kafka-user", "u")
	for _, want := range []string{"\nbrokers: [\"a:1\", \"b:2\"] # ", "\nkafka-tls: true # ", "\nkafka-password: \"********\" # BASKET_KAFKA_PASSWORD\n", "\nto: \"********\" # --to\n", "\ngroup: \"basket-feed\" # default\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("printed %s, want %s", out, want)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Errorf("printed %s", out)
	}
}

// TestPublish_topics: a topic that is missing is created only on request, and one that is
// there is left as it is.
func TestPublish_topics(t *testing.T) {
	brokers := startBroker(t, kfake.SeedTopics(2, "there"))
	for _, test := range []struct{ topic, partitions, want string }{
		{"missing", "", "the topic missing does not exist: give --create-topic PARTITIONS"},
		{"there", "3", "the topic there has 2 partitions: want --create-topic 2, or leave it out"},
		{"there", "2", ""},
		{"there", "", ""},
	} {
		args := []string{"publish", "--brokers", brokers, "--topic", test.topic, "--data", demo}
		if test.partitions != "" {
			args = append(args, "--create-topic", test.partitions)
		}
		if code, _, errs := runBasket(t, args...); (code == 0) != (test.want == "") || !strings.Contains(errs, test.want) {
			t.Errorf("%s, %s partitions: status %d, %s, want %s", test.topic, test.partitions, code, errs, test.want)
		}
	}
	if code, _, errs := runBasket(t, "publish", "--brokers", brokers, "--topic", "there", "--data", t.TempDir()); code != 1 || !strings.Contains(errs, "orders") {
		t.Errorf("no orders: status %d, %s", code, errs)
	}
}
