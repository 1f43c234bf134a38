package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

// overloadArg, as the first argument, runs this program as the server that the overload
// comparison measures.
const overloadArg = "overload"

// The overload: a store that takes 5 ms, so that 8 slots serve 1,600 requests a second
// at most, and ten times as many.
const (
	overloadStore       = 5 * time.Millisecond
	overloadSlots       = 8
	overloadQueue       = 4
	overloadRate        = 16_000
	overloadUnloaded    = 4 // connections without overload: fewer than slots, so that none waits
	overloadConnections = 64
	overloadAnswers     = 1400 // a second, at least
)

// slowStore takes its time for each row.
type slowStore struct{ basket.Store }

func (s slowStore) Row(ctx context.Context, userID string) (basket.Row, error) {
	time.Sleep(overloadStore)
	return s.Store.Row(ctx, userID)
}

// overloadServer runs the server. It prints "ready ADDRESS", answers each line of its
// input by the bytes of its resident memory at the peak, and ends with its input.
func overloadServer(args []string) error {
	f := flag.NewFlagSet(overloadArg, flag.ContinueOnError)
	demo := f.String("demo", "", "folder of the demo shop")
	queue := f.Int("queue", 0, "requests that may wait")
	if err := f.Parse(args); err != nil {
		return err
	}
	memory, _, model, err := shop{*demo, filepath.Join(*demo, "model.txt")}.open()
	if err != nil {
		return err
	}
	store, storeErr := basket.LimitStore(slowStore{memory}, time.Second)
	timeout, timeoutErr := serve.Timeout(2 * time.Second)
	readBody, bodyErr := serve.ReadBody(64 << 10)
	limit, limitErr := serve.NewConcurrency(overloadSlots, *queue, 100*time.Millisecond)
	listener, listenErr := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(storeErr, timeoutErr, bodyErr, limitErr, listenErr); err != nil {
		return err
	}
	p, err := basket.New(basket.WithStore(store), basket.WithModel(model))
	if err != nil {
		return err
	}
	h := serve.SecurityHeaders(timeout(readBody(limit.Wrap(basket.NewHandler(p)))))
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(valueOf("/proc/self/status", "VmHWM", ":"), " kB"), 10, 64)
			fmt.Println(kilobytes << 10)
		}
		stop()
	}()
	fmt.Printf("ready %s\n", listener.Addr())
	return serve.Run(ctx, serve.NewServer(h), listener, serve.Drain(listener.Addr()))
}

// overload compares a server under ten times the load that it can serve with the same
// server under half of what it can serve.
func (b *bench) overload(ctx context.Context) (err error) {
	name := "overload: 16,000 requests/s for 1,600/s"
	if !b.selected(name) {
		return nil
	}
	b.logf("%s", name)
	length, rounds := 5*time.Second, b.rounds
	if b.long {
		length, rounds = 30*time.Second, min(longRounds, b.rounds)
	}
	demo := filepath.Join(b.root, "examples", "server", "demo")
	rows, err := shop{data: demo}.rows()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server, err := startProcess(ctx, time.Minute, "ready ", self, overloadArg, "-demo", demo, "-queue", fmt.Sprint(overloadQueue))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	requests := predictRequests(server.ready, someUsers(rows, httpUsers), "")
	var all overloadFigures
	for range rounds {
		if err := all.add(ctx, server, length, requests); err != nil {
			return err
		}
	}
	unloaded := candidate{name: "without overload"}
	results := []result{
		newResult(name+", answered", perSecond, all.answered, candidate{name: "required"}, []float64{overloadAnswers}, minRatio(1)),
		newResult(name+", P99 of the answered", nanoseconds, all.p99, unloaded, all.unloadedP99, minRatio(1.0/3)),
		newResult(name+", P99 of the answered since they were sent", nanoseconds, all.p99Sent, unloaded, all.unloadedP99, nil),
		newResult(name+", median of the refused", nanoseconds, all.refusedMedian, candidate{}, nil, maxValue(nanoseconds, 10e6)),
		newResult(name+", until full speed afterwards", nanoseconds, all.recovery, candidate{}, nil, maxValue(nanoseconds, 1e9)),
	}
	if all.peak > 0 {
		results = append(results, newResult(name+", peak of the memory", bytes, []float64{all.peak}, candidate{}, nil, nil))
	}
	results[1].Bar.Text = "3x as long"
	for _, r := range results {
		r.Note = fmt.Sprintf("open loop for %v, of which %.0f requests/s were sent, over %d connections by a generator that uses the same cores; latency counts from the time when a request is due, so it includes that of the generator; a store that takes %v, %d slots and a queue of %d",
			length, summarize(all.offered).Median, overloadConnections, overloadStore, overloadSlots, overloadQueue)
		r.judge() // the data does not matter
		b.add(r)
	}
	return nil
}

// overloadFigures are the measurements of all rounds.
type overloadFigures struct {
	offered, answered         []float64 // a second
	unloadedP99, p99, p99Sent []float64 // nanoseconds
	refusedMedian, recovery   []float64 // nanoseconds
	peak                      float64   // bytes
}

// add measures one round.
func (f *overloadFigures) add(ctx context.Context, server *process, length time.Duration, requests [][]byte) error {
	unloaded, err := calmLatencies(ctx, server.ready, overloadUnloaded, max(length/5, time.Second), requests)
	if err != nil {
		return err
	}
	_, full, err := closedLoop(ctx, server.ready, overloadSlots, math.MaxInt, time.Second, requests)
	if err != nil {
		return err
	}
	outcomes, took, err := offer(ctx, server.ready, overloadConnections, overloadRate, length, requests)
	if err != nil {
		return err
	}
	recovery, err := recoveryTime(ctx, server.ready, full, requests)
	if err != nil {
		return err
	}
	if f.peak, err = server.askNumber("memory"); err != nil {
		return err
	}
	var due, sent, refused []int64
	for _, o := range outcomes {
		if o.status == 200 {
			due, sent = append(due, o.sinceDue), append(sent, o.sinceSent)
		} else {
			refused = append(refused, o.sinceDue)
		}
	}
	if len(due) == 0 || len(refused) == 0 {
		return fmt.Errorf("%d requests answered, %d refused: want some of both", len(due), len(refused))
	}
	f.offered = append(f.offered, float64(len(outcomes))/took.Seconds())
	f.answered = append(f.answered, float64(len(due))/took.Seconds())
	f.unloadedP99 = append(f.unloadedP99, float64(quantile(unloaded, 0.99)))
	f.p99 = append(f.p99, float64(quantile(due, 0.99)))
	f.p99Sent = append(f.p99Sent, float64(quantile(sent, 0.99)))
	f.refusedMedian = append(f.refusedMedian, float64(quantile(refused, 0.5)))
	f.recovery = append(f.recovery, float64(recovery))
	return nil
}

// An outcome is the status of an answer, and its nanoseconds since the request was due
// and since it was sent.
type outcome struct {
	status              int
	sinceDue, sinceSent int64
}

// offer sends requests at a fixed rate, as openLoop does, to a server that may refuse
// them by 429 or 503. It returns the outcomes and how long that took.
func offer(ctx context.Context, address string, connections int, rate float64, length time.Duration, requests [][]byte) ([]outcome, time.Duration, error) {
	outcomes := make([]outcome, int(rate*length.Seconds()))
	ctx, cancel := context.WithTimeout(ctx, 3*length+10*time.Second)
	defer cancel()
	start := time.Now().Add(50 * time.Millisecond)
	var next atomic.Int64
	err := onConnections(ctx, address, connections, func(c *client) error {
		for {
			i := int(next.Add(1) - 1)
			if i >= len(outcomes) {
				return nil
			}
			due := time.Duration(float64(i) / rate * 1e9)
			time.Sleep(due - time.Since(start)) // a late wake-up is part of the latency
			if err := ctx.Err(); err != nil {
				return err
			}
			sent := time.Since(start)
			status, err := c.status(requests[i%len(requests)])
			if err != nil {
				return err
			}
			now := time.Since(start)
			outcomes[i] = outcome{status, int64(now - due), int64(now - sent)}
		}
	})
	return outcomes, time.Since(start), err
}

// calmLatencies returns the nanoseconds of each answer, if each connection sends its
// next request when the one before is answered. Unlike in an open loop, a pause of this
// program makes no burst, which the server could refuse.
func calmLatencies(ctx context.Context, address string, connections int, length time.Duration, requests [][]byte) (latencies []int64, err error) {
	var mu sync.Mutex
	start := time.Now()
	err = onConnections(ctx, address, connections, func(c *client) error {
		for i := 0; time.Since(start) < length && ctx.Err() == nil; i++ {
			sent := time.Now()
			if err := c.do(requests[i%len(requests)], nil); err != nil {
				return err
			}
			took := int64(time.Since(sent))
			mu.Lock()
			latencies = append(latencies, took)
			mu.Unlock()
		}
		return ctx.Err()
	})
	return latencies, err
}

// status sends a request and returns the status of the answer: 200, or 429 or 503 with
// Retry-After.
func (c *client) status(request []byte) (int, error) {
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	status, err := strconv.Atoi(string(line[min(9, len(line)):min(12, len(line))]))
	if err != nil {
		return 0, fmt.Errorf("response %q, want a status", line)
	}
	length, retry := -1, false
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		switch name, value, _ := strings.Cut(string(line), ":"); name {
		case "Content-Length":
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return 0, err
			}
		case "Retry-After":
			retry = true
		}
	}
	if _, err := c.in.Discard(max(length, 0)); err != nil {
		return 0, err
	}
	if length < 0 || status != 200 && !(retry && (status == 429 || status == 503)) {
		return 0, fmt.Errorf("status %d, Retry-After: %t, %d bytes: want 200, or 429 or 503 with Retry-After, and a length", status, retry, length)
	}
	return status, nil
}

// recoveryTime returns the time until the server answers nine tenths of full requests a
// second in a tenth of a second, and refuses none.
func recoveryTime(ctx context.Context, address string, full float64, requests [][]byte) (time.Duration, error) {
	start := time.Now()
	for {
		_, rate, err := closedLoop(ctx, address, overloadSlots, math.MaxInt, 100*time.Millisecond, requests)
		took := time.Since(start)
		if err == nil && rate >= 0.9*full {
			return took, nil
		}
		if took > 10*time.Second || ctx.Err() != nil {
			return 0, fmt.Errorf("%.0f requests/s %v after the overload, want 0.9 of %.0f: %w", rate, took, full, errors.Join(err, ctx.Err()))
		}
	}
}
