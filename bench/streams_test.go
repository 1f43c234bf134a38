package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestEventStreams: events are read while the streams are open, and a stream that is
// refused, ends or has no event is an error.
func TestEventStreams(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request)
		want   string // in the error
	}{
		{"events", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "retry: 5000\n\nid: 1\ndata: {}\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, ""},
		{"no event", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "retry: 5000\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "had no event"},
		{"ended", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "retry: 5000\n\ndata: {}\n\n") }, "the stream ended"},
		{"refused", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, "404"},
	} {
		var open atomic.Int64
		address := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			open.Add(1)
			defer open.Add(-1)
			test.answer(w, r)
		}))
		s := openStreams(t.Context(), "http://"+address, 3)
		if test.want == "" {
			for i := range s.events {
				for deadline := time.Now().Add(10 * time.Second); s.events[i].Load() == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
				}
			}
			if n := open.Load(); n != 3 {
				t.Errorf("%s: %d open, want 3", test.name, n)
			}
		}
		if test.want == "the stream ended" {
			s.wait.Wait()
		}
		err := s.close(t.Context())
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
