package serve_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket/serve"
)

func TestExcept(t *testing.T) {
	c := mustConcurrency(t, 1, 0, 0)
	var h http.Handler
	h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/predict" { // while it holds the only slot
			for path, want := range map[string]int{"/livez": 200, "/predict/batch": 503} {
				inner := httptest.NewRecorder()
				if h.ServeHTTP(inner, httptest.NewRequest("GET", path, nil)); inner.Code != want {
					t.Errorf("%s: %d, want %d", path, inner.Code, want)
				}
			}
		}
	})
	h = serve.Except(func(r *http.Request) bool { return r.URL.Path == "/livez" }, c.Wrap)(h)
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequest("GET", "/predict", nil)); w.Code != 200 {
		t.Errorf("%d, want 200", w.Code)
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrap, err := serve.Timeout(time.Second)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if time.Since(start) != time.Second {
			t.Errorf("the context ended after %v, want 1s", time.Since(start))
		}
	})
	if _, err := serve.Timeout(-1); err == nil || err.Error() != "serve: time limit of requests -1ns: want a positive time" {
		t.Errorf("Timeout(-1): %v", err)
	}
}

func TestReadBody(t *testing.T) {
	wrap, err := serve.ReadBody(8)
	if err != nil {
		t.Fatal(err)
	}
	h := wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", text, err)
	}))
	for _, test := range []struct {
		name   string
		body   io.Reader
		status int
		want   string
	}{
		{"none", nil, 200, " <nil>"},
		{"short", strings.NewReader("12345678"), 200, "12345678 <nil>"},
		{"of unknown length", io.MultiReader(strings.NewReader("1234"), strings.NewReader("5678")), 200, "12345678 <nil>"},
		{"long", strings.NewReader("123456789"), 413, `{"detail":"Request body over 8 bytes"}`},
		{"long, of unknown length", io.MultiReader(strings.NewReader("123456789")), 413, `{"detail":"Request body over 8 bytes"}`},
		{"broken", iotest.ErrReader(errors.New("connection reset")), 400, `{"detail":"Request body could not be read"}`},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/predict", test.body))
		if w.Code != test.status || strings.TrimSuffix(w.Body.String(), "\n") != test.want {
			t.Errorf("%s: %d %s, want %d %s", test.name, w.Code, w.Body, test.status, test.want)
		}
	}
	if _, err := serve.ReadBody(0); err == nil || err.Error() != "serve: request bodies of at most 0 bytes: want a positive number" {
		t.Errorf("ReadBody(0): %v", err)
	}
}

// TestReadBody_slowClient: a client that sends its body slowly takes no slot, and one
// that closes its connection leaves the queue.
func TestReadBody_slowClient(t *testing.T) {
	wrap, err := serve.ReadBody(1000)
	if err != nil {
		t.Fatal(err)
	}
	c := mustConcurrency(t, 1, 1, time.Hour)
	busy, free := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(wrap(c.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			close(busy)
			<-free
		}
	}))))
	defer server.Close()
	send := func(text string) net.Conn {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	const head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
	defer send(head + "12345").Close() // and never the rest
	answer, err := http.Post(server.URL, "text/plain", strings.NewReader("0123456789"))
	if err != nil || answer.StatusCode != 200 {
		t.Errorf("beside a slow client: %v, %v, want 200", answer, err)
	}
	defer send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").Close()
	<-busy
	waiting := send(head + "0123456789")
	for c.Queued() != 1 {
		time.Sleep(time.Millisecond)
	}
	_ = waiting.Close()
	for c.Queued() != 0 { // or the test's own time limit ends it
		time.Sleep(time.Millisecond)
	}
	close(free)
}
