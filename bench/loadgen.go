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

// postRequest returns the bytes of a request of JSON, with an API key unless that is
// empty.
func postRequest(address, path, key, body string) []byte {
	header := ""
	if key != "" {
		header = "Authorization: Bearer " + key + "\r\n"
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, address, header, len(body), body)
}

// predictRequests returns a request for each user, with an API key unless that is
// empty.
func predictRequests(address string, users []string, key string) [][]byte {
	requests := make([][]byte, len(users))
	for i, u := range users {
		requests[i] = postRequest(address, "/predict", key, fmt.Sprintf(`{"user_id":%q}`, u))
	}
	return requests
}

// A client sends requests on one connection, one at a time.
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

// do sends a request and reads the response, which must be 200 OK. It copies the body
// to w, unless w is nil.
func (c *client) do(request []byte, w io.Writer) error {
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
		return fmt.Errorf("response %q, want 200", line)
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
		return errors.New("response has no Content-Length")
	}
	if w != nil {
		_, err = io.CopyN(w, c.in, int64(length))
		return err
	}
	_, err = c.in.Discard(length)
	return err
}

// closedLoop sends count requests, for at most the time given. Each connection sends
// its next request when the one before is answered. It returns how many were answered,
// in all and per second.
func closedLoop(ctx context.Context, address string, connections, count int, limit time.Duration, requests [][]byte) (answers int, rate float64, err error) {
	var next, done atomic.Int64
	start := time.Now()
	err = onConnections(ctx, address, connections, func(c *client) error {
		for time.Since(start) < limit && ctx.Err() == nil {
			i := int(next.Add(1) - 1)
			if i >= count {
				break
			}
			if err := c.do(requests[i%len(requests)], nil); err != nil {
				return err
			}
			done.Add(1)
		}
		return ctx.Err()
	})
	answers = int(done.Load())
	return answers, float64(answers) / time.Since(start).Seconds(), err
}

// onConnections runs f concurrently on new connections and joins the errors.
func onConnections(ctx context.Context, address string, connections int, f func(*client) error) error {
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

// openLoop sends requests at a fixed rate, independent of the answers, and returns the
// latency of each answer in nanoseconds since its request was due. So a server that
// stalls delays all requests that are due during the stall (no coordinated omission).
// The time that a request waits for a free connection is part of its latency.
func openLoop(ctx context.Context, address string, connections int, rate float64, length time.Duration, requests [][]byte) ([]int64, error) {
	count := int(rate * length.Seconds())
	if count < 1 {
		return nil, fmt.Errorf("no request at %g/s in %v", rate, length)
	}
	latencies := make([]int64, count)
	due := make(chan int, count) // never full, so that the pacer does not block
	ctx, cancel := context.WithTimeout(ctx, 3*length+10*time.Second)
	defer cancel()
	start := time.Now().Add(50 * time.Millisecond)
	at := func(i int) time.Duration { return time.Duration(float64(i) / rate * 1e9) }
	var paced sync.WaitGroup
	paced.Go(func() {
		defer close(due)
		runtime.LockOSThread() // sleep blocks the thread
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
	err := onConnections(ctx, address, connections, func(c *client) error {
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

// postPredict returns the body of the answer for a user; key may be empty.
func postPredict(ctx context.Context, address, userID, key string) (string, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer c.conn.Close()
	var body strings.Builder
	err = c.do(predictRequests(address, []string{userID}, key)[0], &body)
	return body.String(), err
}
