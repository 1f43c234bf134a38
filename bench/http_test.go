package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestReadWrk(t *testing.T) {
	const good = "Running 1s test @ http://x\n  1 threads and 8 connections\n  100 requests in 1.00s, 1.00MB read\nRequests/sec:  54321.09\nTransfer/sec:      1.00MB\n"
	if rate, err := readWrk(good); rate != 54321.09 || err != nil {
		t.Errorf("%v, %v", rate, err)
	}
	for _, bad := range []string{
		"", good + "  Non-2xx or 3xx responses: 7\n", "  Socket errors: connect 0, read 3, write 0, timeout 0\n" + good,
	} {
		if rate, err := readWrk(bad); err == nil {
			t.Errorf("%q: rate %v, want an error", bad, rate)
		}
	}
}

func startServer(t *testing.T, h http.Handler) (address string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestClosedLoop(t *testing.T) {
	address := startServer(t, bareHandler(`","predicted_price":1.5}`))
	if got, err := postPredict(t.Context(), address, "abc", ""); got != `{"user_id":"abc","predicted_price":1.5}` || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	var served atomic.Int64
	counting := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		bareHandler("}").ServeHTTP(w, r)
	}))
	answers, rate, err := closedLoop(t.Context(), counting, 3, 100, time.Minute, predictRequests(counting, []string{"a", "b"}, ""))
	if err != nil || rate <= 0 || answers != 100 || served.Load() != 100 {
		t.Errorf("rate %v, %d served, %v", rate, served.Load(), err)
	}
	notFound := startServer(t, http.NotFoundHandler())
	if _, _, err := closedLoop(t.Context(), notFound, 2, 10, time.Minute, predictRequests(notFound, []string{"a"}, "")); err == nil {
		t.Error("404: no error")
	}
}

// A stall of the server delays all requests that are due during it. A generator that
// waits for each answer would report one slow request only.
func TestOpenLoop_stall(t *testing.T) {
	const stall = 300 * time.Millisecond
	var n atomic.Int64
	var end atomic.Int64 // of the stall, in Unix nanoseconds
	address := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 50 {
			end.Store(time.Now().Add(stall).UnixNano())
		}
		time.Sleep(time.Until(time.Unix(0, end.Load())))
		bareHandler("}").ServeHTTP(w, r)
	}))
	latencies, err := openLoop(t.Context(), address, 4, 200, time.Second, predictRequests(address, []string{"a"}, ""))
	if err != nil || len(latencies) != 200 {
		t.Fatalf("%d latencies, %v", len(latencies), err)
	}
	// 60 requests are due during the stall, half of them in its first half.
	slow := 0
	for _, l := range latencies {
		if time.Duration(l) > stall/2 {
			slow++
		}
	}
	if slow < 25 {
		t.Errorf("%d of 200 requests took longer than half of the stall, want about 30", slow)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openLoop(ctx, address, 1, 100, time.Second, predictRequests(address, []string{"a"}, "")); err == nil {
		t.Error("canceled: no error")
	}
}
