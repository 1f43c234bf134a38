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

const (
	// drain is how long Run still accepts requests after ctx is done, and closes
	// each connection after its response.
	drain = 300 * time.Millisecond

	// grace is how long Run then waits for requests under way.
	grace = 15 * time.Second
)

// Run serves h on l until ctx is done, and then shuts down without breaking off a
// request: for 0.3 seconds it answers as before, but closes each connection after
// the response, so that clients do not send another request on it; then it accepts
// no more and waits up to 15 seconds for requests under way. A connection made
// just then may be refused or closed before its first request is read. Run returns
// nil after such a shutdown, and closes l in any case. Clients that take longer
// than 10 seconds to send a request, or 30 to receive the response, are
// disconnected.
func Run(ctx context.Context, l net.Listener, h http.Handler) error {
	var draining atomic.Bool
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if draining.Load() {
				w.Header().Set("Connection", "close")
			}
			h.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	draining.Store(true)
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-time.After(drain):
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
