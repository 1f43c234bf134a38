package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/basket-go/basket/serve"
)

// TestRun_answersAll stops a server while clients send one request after the other
// on kept connections, until a response closes theirs: each request is answered.
func TestRun_answersAll(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(5 * time.Millisecond)
		fmt.Fprint(w, "ok")
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve.Run(ctx, serve.NewServer(slow), l, 300*time.Millisecond) }()

	var answered atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			for {
				answer, err := client.Get("http://" + l.Addr().String())
				if err != nil {
					t.Errorf("a request was cut off: %v", err)
					return
				}
				body, err := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if err != nil || string(body) != "ok" {
					t.Errorf("an answer was cut off: %q, %v", body, err)
				}
				answered.Add(1)
				if answer.Close {
					return
				}
			}
		})
	}
	for answered.Load() < 50 {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	clients.Wait()
}

func TestRun_listenerFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := serve.Run(t.Context(), serve.NewServer(nil), l, 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
}
