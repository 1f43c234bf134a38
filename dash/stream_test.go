package dash_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
)

// A sink is a client's end of a stream.
type sink struct {
	*httptest.ResponseRecorder
	deadlines int
}

func (s *sink) SetWriteDeadline(time.Time) error { s.deadlines++; return nil }

// TestStream: each step that is over is an event, with its figures, until the server
// stops; each event has a time in which the client must take it.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := dash.NewRecorder()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		h := newShop(t).handler(dash.WithRecorder(recorder), dash.WithContext(ctx))
		w := &sink{ResponseRecorder: httptest.NewRecorder()}
		ended := make(chan bool)
		go func() {
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/stream", nil).WithContext(t.Context()))
			close(ended)
		}()
		recorder.LogService(t.Context(), basket.ServiceEvent{Time: time.Now(), Method: "POST", Path: "/predict", Status: 200, Latency: time.Second})
		time.Sleep(11 * time.Second)
		stop()
		<-ended
		var requests []float64
		for lines := bufio.NewScanner(w.Body); lines.Scan(); {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			var event struct {
				Last struct{ Requests []float64 }
				HTML string
			}
			check(t, json.Unmarshal([]byte(data), &event))
			requests = append(requests, event.Last.Requests...)
			wantText(t, event.HTML, `<data id="p99" value=`)
		}
		if len(requests) != 2 || requests[0] != .2 || requests[1] != 0 || w.deadlines != 3 {
			t.Errorf("requests %v, %d deadlines", requests, w.deadlines)
		}
	})
}

// TestStream_limit: the 65th stream is refused, and one more is accepted when one has ended.
func TestStream_limit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShop(t).handler(dash.WithRecorder(dash.NewRecorder()))
		open := func() (w *httptest.ResponseRecorder, end func()) {
			ctx, cancel := context.WithCancel(t.Context())
			w, ended := httptest.NewRecorder(), make(chan bool)
			go func() {
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/stream", nil).WithContext(ctx))
				close(ended)
			}()
			synctest.Wait()
			return w, func() { cancel(); <-ended }
		}
		var ends []func()
		for range 64 {
			w, end := open()
			if w.Code != http.StatusOK {
				t.Fatalf("%d", w.Code)
			}
			ends = append(ends, end)
		}
		w, end := open()
		end()
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("the 65th: %d %s", w.Code, w.Body)
		}
		ends[0]()
		w, end = open()
		end()
		if w.Code != http.StatusOK {
			t.Errorf("when one has ended: %d", w.Code)
		}
		for _, end := range ends[1:] {
			end()
		}
		// Ten minutes are the longest.
		w, end = open()
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if n := strings.Count(w.Body.String(), "data: "); n < 118 || n > 120 {
			t.Errorf("%d events in ten minutes", n)
		}
		end()
	})
}

// TestStream_server: a stream outlives the time limits of a server.
func TestStream_server(t *testing.T) {
	h := newShop(t).handler(dash.WithRecorder(dash.NewRecorder()))
	server := httptest.NewUnstartedServer(h)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	server.Start()
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/stream", nil)
	check(t, err)
	answer, err := http.DefaultClient.Do(r)
	check(t, err)
	defer answer.Body.Close()
	events := 0
	for lines := bufio.NewScanner(answer.Body); events == 0 && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data: ") {
			events++
		}
	}
	if events != 1 {
		t.Error("the stream ended before its first event")
	}
}

// TestOverview: the page and the JSON have what was served, and none without a Recorder.
func TestOverview(t *testing.T) {
	recorder := dash.NewRecorder()
	newest := time.Now().Add(-3 * time.Hour)
	s := newShop(t, basket.WithModelLogger(recorder), basket.WithServiceLogger(recorder))
	h := s.handler(dash.WithRecorder(recorder), dash.WithNewest(func() time.Time { return newest }))
	for range 10 {
		recorder.LogModel(t.Context(), basket.ModelEvent{Time: time.Now().Add(-5 * time.Second), Result: basket.Result{Prediction: basket.Prediction{Route: hostile}}})
	}
	page := get(h, "/").Body.String()
	wantText(t, page, "3 h 0 min", "&lt;script&gt;", "No failures in the last hour", `src="assets/overview.js"`)
	wantText(t, page, `<table id="past">`)
	if got := getJSON[map[string]any](t, h, "/api/overview", 200); got["step_seconds"] != 5. || got["data_age_seconds"].(float64) < 3*3600 {
		t.Errorf("%v", got)
	}
	bare := dash.NewHandler(s.p)
	wantText(t, get(bare, "/").Body.String(), "Nothing is counted: give basket.New a dash.Recorder")
	for _, target := range []string{"/api/overview", "/api/stream"} {
		if w := get(bare, target); w.Code != http.StatusNotFound {
			t.Errorf("GET %s: %d", target, w.Code)
		}
	}
}
