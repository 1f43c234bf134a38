package serve_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

func get(h *serve.Health, ctx context.Context, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil).WithContext(ctx))
	return w.Code, strings.TrimSuffix(w.Body.String(), "\n")
}

func TestHealth(t *testing.T) {
	good := func(context.Context) error { return nil }
	secret := func(context.Context) error { return errors.New("open /etc/secret") }
	tests := []struct {
		name   string
		checks []serve.Check
		stop   bool
		status int
		want   string
	}{
		{"no checks", nil, false, 200, `{"status":"OK"}`},
		{"all well", []serve.Check{{"store", good}, {"model price", good}}, false, 200, `{"status":"OK","checks":{"model price":"ok","store":"ok"}}`},
		{"one fails", []serve.Check{{"store", secret}, {"model price", good}}, false, 503, `{"status":"not ready","checks":{"model price":"ok","store":"failed"}}`},
		{"one panics", []serve.Check{{"store", func(context.Context) error { panic("oh") }}}, false, 503, `{"status":"not ready","checks":{"store":"failed"}}`},
		{"one is degraded", []serve.Check{{"keys", func(context.Context) error { return fmt.Errorf("%w: line 1", serve.ErrDegraded) }}}, false, 200, `{"status":"OK","checks":{"keys":"degraded"}}`},
		{"one is slow", []serve.Check{{"store", func(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("store: %w", ctx.Err()) }}}, false, 503, `{"status":"not ready","checks":{"store":"slow"}}`},
		{"one ignores its context", []serve.Check{{"store", func(context.Context) error { time.Sleep(time.Minute); return nil }}, {"a", good}}, false, 503, `{"status":"not ready","checks":{"a":"ok","store":"slow"}}`},
		{"stopping", []serve.Check{{"store", good}}, true, 503, `{"status":"stopping","checks":{"store":"ok"}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				h := serve.NewHealth(ctx, test.checks)
				if test.stop {
					stop()
				}
				start := time.Now()
				if status, body := get(h, t.Context(), "/readyz"); status != test.status || body != test.want {
					t.Errorf("%d %s\nwant %d %s", status, body, test.status, test.want)
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("the answer took %v", took)
				}
				time.Sleep(time.Minute) // until every check has ended
				if status, body := get(h, t.Context(), "/livez"); status != 200 || body != `{"status":"OK"}` {
					t.Errorf("/livez: %d %s", status, body)
				}
			})
		})
	}
}

// TestHealth_report: the beginning and the end of a failure are reported, once each.
// TestHealth_otherRequests: what is no question is refused in JSON.
func TestHealth_otherRequests(t *testing.T) {
	h := serve.NewHealth(t.Context(), nil)
	for _, test := range []struct {
		method, path, allow string
		status              int
	}{
		{"POST", "/livez", "GET, HEAD", 405}, {"DELETE", "/readyz", "GET, HEAD", 405}, {"GET", "/", "", 404}, {"HEAD", "/readyz", "", 200},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.status || w.Header().Get("Allow") != test.allow || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %v", test.method, test.path, w.Code, w.Header())
		}
	}
}

func TestHealth_report(t *testing.T) {
	down := errors.New("down")
	var failing atomic.Bool
	check := serve.Check{Name: "store", Do: func(context.Context) error {
		if failing.Load() {
			return down
		}
		return nil
	}}
	var got []string
	h := serve.NewHealth(t.Context(), []serve.Check{check}, serve.WithReport(func(check string, err error) { got = append(got, fmt.Sprint(check, " ", err)) }))
	for _, f := range []bool{false, true, true, false, false, true} {
		failing.Store(f)
		get(h, t.Context(), "/readyz")
	}
	if diff := cmp.Diff([]string{"store down", "store <nil>", "store down"}, got); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

// TestHealth_details are for administrators only.
func TestHealth_details(t *testing.T) {
	h := serve.NewHealth(t.Context(), nil, serve.WithDetails(func(context.Context) any { return map[string]string{"model": "price@3"} }))
	for role, want := range map[serve.Role]string{"": `{"status":"OK"}`, serve.User: `{"status":"OK"}`, serve.Admin: `{"status":"OK","details":{"model":"price@3"}}`} {
		ctx := serve.WithIdentity(t.Context(), serve.Identity{Name: "x", Role: role})
		if _, body := get(h, ctx, "/readyz"); body != want {
			t.Errorf("role %q: %s, want %s", role, body, want)
		}
	}
}

type storeFunc func(ctx context.Context, userID string) (basket.Row, error)

func (f storeFunc) Features() []string { return []string{"a"} }

func (f storeFunc) Row(ctx context.Context, userID string) (basket.Row, error) { return f(ctx, userID) }

func TestStoreCheck(t *testing.T) {
	down := errors.New("down")
	for want, err := range map[error]error{nil: fmt.Errorf("none: %w", basket.ErrUserNotFound), down: down} {
		c := serve.StoreCheck(storeFunc(func(context.Context, string) (basket.Row, error) { return basket.Row{}, err }))
		if got := c.Do(t.Context()); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

func TestHealth_ConcurrentSafe(t *testing.T) {
	n := atomic.Int64{}
	check := serve.Check{Name: "store", Do: func(context.Context) error {
		if n.Add(1)%3 == 0 {
			return errors.New("down")
		}
		return nil
	}}
	h := serve.NewHealth(t.Context(), []serve.Check{check, check})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				get(h, t.Context(), "/readyz")
			}
		})
	}
	clients.Wait()
}
