package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/basket-go/basket/adapters/basketkafka"
	"github.com/basket-go/basket/basketparquet"
	"github.com/parquet-go/parquet-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A kafkaProcess is a broker in a process of its own, by scripts/kafka.
type kafkaProcess struct {
	dir, address string
	port         int
}

// startKafka starts a broker, which ends with the test. Without Java and Maven the test is
// skipped, or fails if BASKET_SERVERS=1 says that servers are installed.
func startKafka(t *testing.T) *kafkaProcess {
	t.Helper()
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("BASKET_SERVERS") == "1" {
				t.Fatalf("BASKET_SERVERS=1, but %s is not installed", program)
			}
			t.Skipf("%s, with which scripts/kafka starts a broker, is not installed", program)
		}
	}
	k := &kafkaProcess{dir: t.TempDir(), port: twoFreePorts(t)}
	k.address = fmt.Sprint("127.0.0.1:", k.port)
	if err := k.script("fetch"); err != nil {
		if os.Getenv("BASKET_SERVERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := k.kill(); err != nil {
			t.Error(err)
		}
	})
	if err := k.start(); err != nil {
		t.Fatal(err)
	}
	return k
}

// twoFreePorts returns a port such that it and the next are free.
func twoFreePorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port+1))
		_ = first.Close()
		if err == nil {
			_ = second.Close()
			return port
		}
	}
	t.Fatal("no two free ports in a row")
	return 0
}

func (k *kafkaProcess) script(args ...string) error {
	out, err := exec.Command("../../scripts/kafka", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("scripts/kafka %q: %w: %s", args, err, out)
	}
	return nil
}

func (k *kafkaProcess) start() error { return k.script("start", k.dir, fmt.Sprint(k.port)) }
func (k *kafkaProcess) kill() error  { return k.script("kill", k.dir) }

// buildBasket builds the command.
func buildBasket(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "basket")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return program
}

// A feedProcess is "basket feed" in a process of its own.
type feedProcess struct {
	cmd  *exec.Cmd
	url  string
	errs *syncBuffer
	out  *syncBuffer
	done chan error
}

// startFeedProcess starts a feed, which ends with the test at the latest.
func startFeedProcess(t *testing.T, program string, args ...string) *feedProcess {
	t.Helper()
	f := &feedProcess{errs: &syncBuffer{}, out: &syncBuffer{}, done: make(chan error, 1)}
	f.cmd = exec.Command(program, append([]string{"feed", "--topic", "orders", "--addr", "127.0.0.1:0"}, args...)...)
	f.cmd.Stdout, f.cmd.Stderr = f.out, f.errs
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { f.done <- f.cmd.Wait(); close(f.done) }()
	t.Cleanup(f.kill)
	until(t, "a feed starts", func() bool {
		if len(f.done) > 0 {
			t.Fatalf("basket feed %q ended: %s", args, f.errs)
		}
		_, after, ok := strings.Cut(f.out.String(), "health and metrics on ")
		f.url = strings.TrimSpace(after)
		return ok && strings.HasSuffix(after, "\n")
	})
	return f
}

// kill ends the process as a crash would.
func (f *feedProcess) kill() {
	_ = f.cmd.Process.Kill()
	<-f.done
}

// waitEvents waits until the feed has read more events than before.
func (f *feedProcess) waitEvents(t *testing.T, before int) {
	t.Helper()
	start := time.Now()
	for ; feedMetric(t, f.url, "basket_feed_events_total") <= before; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 2*time.Minute {
			t.Fatalf("a feed reads no events for %v: %s", time.Since(start), f.state(t))
		}
	}
	t.Logf("%s events after %v", time.Now().Format("05.000"), time.Since(start).Round(time.Millisecond))
}

// state describes the feed for a failure.
func (f *feedProcess) state(t *testing.T) string {
	_, ready, _ := send(t, "GET", f.url+"/readyz", "")
	_, metrics, _ := send(t, "GET", f.url+"/metrics", "")
	return fmt.Sprintf("%s\n%s\n%s", ready, regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(metrics, ""), f.errs)
}

// stop ends the process in order.
func (f *feedProcess) stop(t *testing.T) {
	t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	select {
	case err := <-f.done:
		if err != nil {
			t.Errorf("basket feed after SIGTERM: %v: %s", err, f.errs)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("basket feed does not end within 30 s of SIGTERM: %s", f.errs)
		f.kill()
	}
}

// feedShop returns a folder of orders: the large one beside the project, or one that is
// made, of 50,000 orders of 1,000 users.
func feedShop(t *testing.T) string {
	t.Helper()
	const large = "../../../shared/data/full"
	_, err := os.Stat(large)
	if err == nil {
		return large
	}
	if os.Getenv("BASKET_SHARED") != "" {
		t.Fatalf("BASKET_SHARED demands the larger data: %v", err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	type order struct {
		UserID    string    `parquet:"user_id"`
		CreatedAt time.Time `parquet:"created_at,timestamp(microsecond)"`
		Items     []int64   `parquet:"ordered_items,list"`
	}
	type regular struct {
		UserID  string `parquet:"user_id"`
		Variant int64  `parquet:"variant_id"`
	}
	type item struct {
		Variant int64   `parquet:"variant_id"`
		Price   float64 `parquet:"price"`
	}
	user := func() string { return fmt.Sprintf("user-%04d", random.IntN(1000)) }
	orders, regulars, items := make([]order, 50_000), make([]regular, 3000), make([]item, 200)
	for i := range orders {
		orders[i] = order{UserID: user(), CreatedAt: time.Date(2025, 1, 1, 0, 0, random.IntN(1e6), 0, time.UTC), Items: make([]int64, random.IntN(12))}
		for j := range orders[i].Items {
			orders[i].Items[j] = random.Int64N(220)
		}
	}
	for i := range regulars {
		regulars[i] = regular{user(), random.Int64N(220)}
	}
	for i := range items {
		items[i] = item{int64(i), random.Float64() * 20}
	}
	dir := t.TempDir()
	writeParquet(t, dir+"/orders.parquet", orders)
	writeParquet(t, dir+"/regulars.parquet", regulars)
	writeParquet(t, dir+"/inventory.parquet", items)
	return dir
}

func writeParquet[T any](t *testing.T, path string, rows []T) {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	writeWholeFile(t, path, b.Bytes())
}

// An orderStream sends the orders of a folder to a topic, each up to a minute of event
// time late, and one in twenty once more. An event that is not acknowledged is sent
// again.
type orderStream struct {
	client *kgo.Client
	admin  *kadm.Client
	events []*kgo.Record
	orders int
	next   int          // of events
	resent atomic.Int64 // events
}

func newOrderStream(t *testing.T, brokers, dir string, partitions int32) *orderStream {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.DefaultProduceTopic("orders"), kgo.UnknownTopicRetries(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s := &orderStream{client: client, admin: kadm.NewClient(client)}
	if _, err := s.admin.CreateTopic(t.Context(), partitions, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	type arrival struct {
		at     time.Time
		record *kgo.Record
	}
	random := rand.New(rand.NewPCG(3, 4))
	var arrivals []arrival
	for o, err := range basketparquet.Orders(t.Context(), os.DirFS(dir)) {
		if err != nil {
			t.Fatal(err)
		}
		value := basketkafka.AppendEvent(nil, basketkafka.Event{Order: o, Sequence: int64(s.orders)})
		for range 1 + random.IntN(20)/19 {
			at := o.OrderedAt.Add(time.Duration(random.Int64N(int64(time.Minute))))
			arrivals = append(arrivals, arrival{at, kgo.KeySliceRecord([]byte(o.UserID), value)})
		}
		s.orders++
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	for _, a := range arrivals {
		s.events = append(s.events, a.record)
	}
	return s
}

// send sends the next events, up to a share of all, within about a time.
func (s *orderStream) send(ctx context.Context, upTo float64, within time.Duration) error {
	end := int(upTo * float64(len(s.events)))
	start, first := time.Now(), s.next
	var pending sync.WaitGroup
	var mu sync.Mutex
	var failed []*kgo.Record
	for s.next < end {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(time.Until(start.Add(within * time.Duration(s.next-first) / time.Duration(end-first))))
		for range min(50, end-s.next) {
			r := s.events[s.next]
			s.next++
			pending.Add(1)
			s.client.Produce(ctx, r, func(r *kgo.Record, err error) {
				if err != nil {
					mu.Lock()
					failed = append(failed, kgo.KeySliceRecord(r.Key, r.Value))
					mu.Unlock()
				}
				pending.Done()
			})
		}
	}
	for pending.Wait(); len(failed) > 0 && ctx.Err() == nil; {
		s.resent.Add(int64(len(failed)))
		again := failed
		failed = nil
		for _, result := range s.client.ProduceSync(ctx, again...) {
			if result.Err != nil {
				failed = append(failed, kgo.KeySliceRecord(result.Record.Key, result.Record.Value))
			}
		}
	}
	return ctx.Err()
}

// handled reports whether all consumer groups of feeds have committed the end of the
// topic.
func (s *orderStream) handled(t *testing.T, groups int) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ends, err := s.admin.ListEndOffsets(ctx, "orders")
	if err != nil || ends.Error() != nil {
		return false
	}
	listed, err := s.admin.ListGroups(ctx)
	if err != nil || len(listed) != groups {
		return false
	}
	all := true
	for group := range listed {
		offsets, err := s.admin.FetchOffsets(ctx, group)
		ends.Each(func(end kadm.ListedOffset) {
			at, ok := offsets.Lookup("orders", end.Partition)
			all = all && err == nil && (end.Offset == 0 || ok && at.At == end.Offset)
		})
	}
	return all
}

// waitHandled waits until the groups have committed the end of the topic.
func (s *orderStream) waitHandled(t *testing.T, groups int, limit time.Duration, feeds ...*feedProcess) {
	t.Helper()
	for deadline := time.Now().Add(limit); !s.handled(t, groups); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, f := range feeds {
				t.Log(f.state(t))
			}
			t.Fatalf("events are left after %v", limit)
		}
	}
}
