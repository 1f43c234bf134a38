package serve_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

var okHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })

func mustRateLimit(t testing.TB, perSecond float64, burst int, opts ...serve.RateLimitOption) *serve.RateLimit {
	t.Helper()
	l, err := serve.NewRateLimit(perSecond, burst, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// requestFrom returns a request of a client at an address.
func requestFrom(address string) *http.Request {
	r := httptest.NewRequest("POST", "/predict", nil)
	r.RemoteAddr = address
	return r
}

// TestRateLimit_answers shows the answers of a limit of two a second, three at once.
func TestRateLimit_answers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustRateLimit(t, 2, 3)
		h := l.Wrap(okHandler)
		start := time.Now()
		steps := []struct {
			after         time.Duration
			status        int
			limit, retry  string
			path, wantErr string
		}{
			{0, 200, `"default";r=2;t=1`, "", "/predict", ""},
			{0, 200, `"default";r=1;t=1`, "", "/predict", ""},
			{0, 200, `"default";r=0;t=2`, "", "/predict", ""},
			{0, 429, `"default";r=0;t=1`, "1", "/predict", `{"detail":"Too many requests"}`},
			{499 * time.Millisecond, 429, `"default";r=0;t=1`, "1", "/v2/models/m/infer", `{"error":"Too many requests"}`},
			{500 * time.Millisecond, 200, `"default";r=0;t=2`, "", "/predict", ""},
			{500 * time.Millisecond, 429, `"default";r=0;t=1`, "1", "/predict", `{"detail":"Too many requests"}`},
			{time.Hour, 200, `"default";r=2;t=1`, "", "/predict", ""},
		}
		for _, step := range steps {
			time.Sleep(step.after - time.Since(start))
			r := requestFrom("192.0.2.1:1000")
			r.URL.Path = step.path
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != step.status || w.Header().Get("RateLimit") != step.limit || w.Header().Get("Retry-After") != step.retry {
				t.Errorf("after %v: %d %v, want %+v", step.after, w.Code, w.Header(), step)
			}
			if got := w.Header().Get("RateLimit-Policy"); got != `"default";q=3;w=2` {
				t.Errorf("RateLimit-Policy %s", got)
			}
			if body := strings.TrimSpace(w.Body.String()); step.wantErr != "" && body != step.wantErr {
				t.Errorf("after %v: body %s, want %s", step.after, body, step.wantErr)
			}
		}
		if l.Refused() != 3 {
			t.Errorf("%d refused, want 3", l.Refused())
		}
	})
}

// TestRateLimit_callers: who shares a limit of one request with whom.
func TestRateLimit_callers(t *testing.T) {
	named := func(name, address string) *http.Request {
		r := requestFrom(address)
		return r.WithContext(serve.WithIdentity(r.Context(), serve.Identity{Name: name}))
	}
	tests := []struct {
		name          string
		first, second *http.Request
		shared        bool
	}{
		{"another port", requestFrom("192.0.2.1:1"), requestFrom("192.0.2.1:2"), true},
		{"another address", requestFrom("192.0.2.1:1"), requestFrom("192.0.2.2:1"), false},
		{"mapped to IPv6", requestFrom("192.0.2.1:1"), requestFrom("[::ffff:192.0.2.1]:1"), true},
		{"mapped, another", requestFrom("[::ffff:192.0.2.2]:1"), requestFrom("[::ffff:192.0.2.1]:1"), false},
		{"one IPv6 network", requestFrom("[2001:db8::1]:1"), requestFrom("[2001:db8::ffff:0:0:1]:1"), true},
		{"another IPv6 network", requestFrom("[2001:db8::1]:1"), requestFrom("[2001:db8:0:1::1]:1"), false},
		{"Unix socket", requestFrom("@"), requestFrom(""), true},
		{"one name", named("shop", "192.0.2.1:1"), named("shop", "192.0.2.2:1"), true},
		{"another name", named("shop", "192.0.2.1:1"), named("ops", "192.0.2.1:1"), false},
		{"name and address", named("shop", "192.0.2.1:1"), requestFrom("192.0.2.1:1"), false},
	}
	for _, test := range tests {
		h := mustRateLimit(t, 0.001, 1).Wrap(okHandler)
		var got []int
		for _, r := range []*http.Request{test.first, test.first, test.second} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			got = append(got, w.Code)
		}
		want := []int{200, 429, 200}
		if test.shared {
			want[2] = 429
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestNewRateLimit_refuses(t *testing.T) {
	for _, test := range []struct {
		perSecond float64
		burst     int
		opts      []serve.RateLimitOption
		want      string
	}{
		{0, 1, nil, "serve: rate limit of 0 requests/s: want over 0 and at most 1000000"},
		{math.NaN(), 1, nil, "serve: rate limit of NaN requests/s: want over 0 and at most 1000000"},
		{math.Inf(1), 1, nil, "serve: rate limit of +Inf requests/s: want over 0 and at most 1000000"},
		{1, 0, nil, "serve: burst of 0 requests: want 1 to 1000000"},
		{20, 10, nil, "serve: rate limit of 20 requests/s with a burst of 10: want a burst of at least the rate"},
		{0.1, 1e6, nil, "serve: burst of 1000000 requests at 0.1/s: want one that comes back within 24h0m0s"},
		{-1, -1, []serve.RateLimitOption{serve.WithCallers(0)}, "serve: rate limit of -1 requests/s: want over 0 and at most 1000000\n" +
			"serve: burst of -1 requests: want 1 to 1000000\nserve: rate limit of 0 callers: want 1 to 268435456"},
	} {
		if _, err := serve.NewRateLimit(test.perSecond, test.burst, test.opts...); err == nil || err.Error() != test.want {
			t.Errorf("NewRateLimit(%v, %d): %v, want %s", test.perSecond, test.burst, err, test.want)
		}
	}
}

// A sender sends requests from many addresses and keeps nothing of the answers.
type sender struct {
	handler http.Handler
	request *http.Request
	header  http.Header
	status  int
}

func newSender(l *serve.RateLimit) *sender {
	return &sender{handler: l.Wrap(okHandler), request: httptest.NewRequest("POST", "/predict", nil), header: http.Header{}}
}

func (s *sender) Header() http.Header         { return s.header }
func (s *sender) WriteHeader(status int)      { s.status = status }
func (s *sender) Write(b []byte) (int, error) { return len(b), nil }

// send returns the status of the answer to client number n.
func (s *sender) send(n uint32) int {
	addr := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
	s.request.RemoteAddr = netip.AddrPortFrom(addr, 1).String()
	clear(s.header)
	s.status = http.StatusOK
	s.handler.ServeHTTP(s, s.request)
	return s.status
}

// TestRateLimit_millionAddresses: a flood of addresses takes a bounded memory, and
// does not reset the limit of a caller who is active.
func TestRateLimit_millionAddresses(t *testing.T) {
	n := uint32(1_000_000)
	if testing.Short() {
		n = 100_000
	}
	for callers, n := range map[int]uint32{1000: n / 10, 1 << 20: n} {
		synctest.Test(t, func(t *testing.T) { // in which no time passes
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			l := mustRateLimit(t, 0.01, 3, serve.WithCallers(callers))
			s := newSender(l)
			for i, want := range []int{200, 200, 200, 429} {
				if got := s.send(0); got != want {
					t.Fatalf("request %d of the first caller: %d, want %d", i, got, want)
				}
			}
			refused := 0
			for i := range n {
				if s.send(1+i) != 200 {
					refused++
				}
			}
			if got := s.send(0); got != 429 {
				t.Errorf("%d callers: the first caller's limit was reset by the flood", callers)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
			if grown > 64<<20 {
				t.Errorf("%d callers: the flood took %d bytes", callers, grown)
			}
			t.Logf("places for %d callers: %d of %d addresses refused, %.1f MB", callers, refused, n, float64(grown)/(1<<20))
			runtime.KeepAlive(l)
		})
	}
}

// TestRateLimit_newCallersDuringFlood: a flood from ever new addresses does not lock
// out others.
func TestRateLimit_newCallersDuringFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSender(mustRateLimit(t, 1, 5, serve.WithCallers(1<<12)))
		next, refused, asked := uint32(1<<24), 0, 0
		for range 5000 { // 5 seconds of 20,000/s, so that 20,000 are active: five times the places
			for range 20 {
				next++
				s.send(next)
			}
			asked++
			if s.send(uint32(asked)) != 200 {
				refused++
			}
			time.Sleep(time.Millisecond)
		}
		t.Logf("%d of %d new callers were refused", refused, asked)
		if refused == asked {
			t.Error("all new callers were refused")
		}
	})
}

// TestRateLimit_exact compares a caller's requests at random times with the plain rule
// of a bucket that fills at the rate.
func TestRateLimit_exact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, burst = 10, 20
		s := newSender(mustRateLimit(t, rate, burst))
		tokens, last := float64(burst), time.Now()
		for i := range 5000 {
			time.Sleep(time.Duration(i*7919%180) * time.Millisecond)
			now := time.Now()
			tokens, last = min(burst, tokens+now.Sub(last).Seconds()*rate), now
			want := 429
			if tokens > 1-1e-6 {
				tokens--
				want = 200
			}
			if got := s.send(1); got != want {
				t.Fatalf("request %d: %d, want %d with %v tokens", i, got, want, tokens)
			}
		}
	})
}

func BenchmarkRateLimit(b *testing.B) {
	plain := &sender{handler: okHandler, request: requestFrom("192.0.2.1:1"), header: http.Header{}}
	limited := newSender(mustRateLimit(b, 1e6, 1e6))
	var addresses [64]string // of callers who together stay within the limit
	for i := range addresses {
		addresses[i] = fmt.Sprintf("192.0.2.%d:1", i)
	}
	for name, s := range map[string]*sender{"plain": plain, "limited": limited} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				s.request.RemoteAddr = addresses[i%len(addresses)]
				s.handler.ServeHTTP(s, s.request)
			}
		})
	}
}
