package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// request is POST /predict for a user, as bytes.
func request(address, userID string) []byte {
	body := fmt.Sprintf(`{"user_id":%q}`, userID)
	return fmt.Appendf(nil, "POST /predict HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", address, len(body), body)
}

// A client sends requests on one connection, one after the other.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(ctx context.Context, address string) (*client, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn)}, nil
}

// do sends a request and reads the answer, of which it returns the body if keep
// is not nil.
func (c *client) do(request []byte, keep io.Writer) error {
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(line), "HTTP/1.1 200 ") {
		return fmt.Errorf("answer %q", line)
	}
	length := -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length:"
		if len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			if length, err = strconv.Atoi(strings.TrimSpace(string(line[len(name):]))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without Content-Length")
	}
	if keep != nil {
		_, err = io.CopyN(keep, c.in, int64(length))
		return err
	}
	_, err = c.in.Discard(length)
	return err
}

// closedLoop sends count requests on some connections, each as soon as the last
// one of its connection was answered, for at most the time given; it returns the
// answers a second.
func closedLoop(ctx context.Context, address string, connections, count int, limit time.Duration, requests [][]byte) (float64, error) {
	var next, done atomic.Int64
	start := time.Now()
	err := together(ctx, address, connections, func(c *client) error {
		for i := next.Add(1) - 1; i < int64(count) && time.Since(start) < limit && ctx.Err() == nil; i = next.Add(1) - 1 {
			if err := c.do(requests[i%int64(len(requests))], nil); err != nil {
				return err
			}
			done.Add(1)
		}
		return ctx.Err()
	})
	return float64(done.Load()) / time.Since(start).Seconds(), err
}

// together runs f on connections of their own and joins their errors.
func together(ctx context.Context, address string, connections int, f func(*client) error) error {
	var wait sync.WaitGroup
	errs := make([]error, connections)
	for i := range connections {
		c, err := dial(ctx, address)
		if err != nil {
			errs[i] = err
			break
		}
		wait.Go(func() {
			defer c.conn.Close()
			errs[i] = f(c)
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// openLoop sends requests at a fixed rate, whether answers come or not, and
// returns each answer's latency in nanoseconds from the moment when its request
// was due: a server that stands still is charged for all who would have come
// meanwhile. Requests for which no connection is free wait for one, and the
// wait counts.
func openLoop(ctx context.Context, address string, connections int, rate float64, length time.Duration, requests [][]byte) ([]int64, error) {
	count := int(rate * length.Seconds())
	if count < 1 {
		return nil, fmt.Errorf("a rate of %g/s for %v", rate, length)
	}
	latencies := make([]int64, count)
	due := make(chan int, count) // never full: the pacer never waits for a server
	ctx, cancel := context.WithTimeout(ctx, 3*length+10*time.Second)
	defer cancel()
	start := time.Now().Add(50 * time.Millisecond)
	at := func(i int) time.Duration { return time.Duration(float64(i) / rate * 1e9) }
	var paced sync.WaitGroup
	paced.Go(func() {
		defer close(due)
		runtime.LockOSThread() // its sleep is the system's, finer than the scheduler's
		defer runtime.UnlockOSThread()
		for i := 0; i < count; {
			if wait := at(i) - time.Since(start); wait > 0 {
				sleep(min(wait, 50*time.Millisecond))
			}
			for now := time.Since(start); i < count && at(i) <= now; i++ {
				due <- i
			}
			if ctx.Err() != nil {
				return
			}
		}
	})
	err := together(ctx, address, connections, func(c *client) error {
		for i := range due {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.do(requests[i%len(requests)], nil); err != nil {
				return err
			}
			latencies[i] = int64(time.Since(start) - at(i))
		}
		return nil
	})
	cancel()
	paced.Wait()
	return latencies, err
}

// answerOf returns the body of one answer.
func answerOf(ctx context.Context, address, userID string) (string, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer c.conn.Close()
	var body strings.Builder
	err = c.do(request(address, userID), &body)
	return body.String(), err
}
