// Package serve has what a server needs around [basket.NewHandler]: a shutdown
// that answers every request, and log files that neither block nor fail a
// prediction.
package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// grace is how long Run waits for requests under way.
const grace = 15 * time.Second

// NewServer returns a server of h that disconnects clients that take longer than 5
// seconds to send the header of a request, 10 to send all of it, or 30 to receive
// the response.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}

// Drain returns a good drain for [Run] with a listener at addr: 0.3 seconds on a
// loopback address, whose clients are on this machine, else 5 seconds, in which a
// load balancer that asks [Health] every second or two takes the server out.
func Drain(addr net.Addr) time.Duration {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() || addr.Network() == "unix" {
		return 300 * time.Millisecond
	}
	return 5 * time.Second
}

// Run serves with server on l until ctx is done, and then shuts down without
// breaking off a request: for the time drain it answers as before, but closes each
// connection after the response, so that clients do not send another request on it;
// then it accepts no more and waits up to 15 seconds for requests under way. A
// connection made just then may be refused or closed before its first request is
// read. A [Health] of the same ctx is not ready from the start of that time.
//
// Run returns nil after such a shutdown, and closes l in any case. It serves TLS if
// server.TLSConfig is set. It replaces server.Handler, and server cannot be used
// again.
func Run(ctx context.Context, server *http.Server, l net.Listener, drain time.Duration) error {
	var draining atomic.Bool
	h := server.Handler
	if h == nil {
		h = http.DefaultServeMux
	}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
	failed := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			failed <- server.ServeTLS(l, "", "")
			return
		}
		failed <- server.Serve(l)
	}()
	select {
	case err := <-failed:
		_ = l.Close() // a fault of the certificates leaves it open
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	draining.Store(true)
	timer := time.NewTimer(drain)
	defer timer.Stop()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-timer.C:
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(wait); err != nil {
		_ = server.Close()
		return fmt.Errorf("serve: requests still under way %v after the stop were broken off: %w", grace, err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
