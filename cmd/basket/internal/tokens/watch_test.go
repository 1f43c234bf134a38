package tokens_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket/cmd/basket/internal/tokens"
	"github.com/basket-go/basket/serve"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

// Two sets of one key each, and a token of each.
func twoSets(t *testing.T) (old, next []byte, oldToken, nextToken string) {
	old = keySetOf(public(&issuerEC().PublicKey, jwk{"kid": "old"}))
	next = keySetOf(public(&issuerRSA().PublicKey, jwk{"kid": "next"}))
	valid := claims(jwt.MapClaims{"exp": time.Now().Add(100 * 365 * 24 * time.Hour).Unix(), "iat": nil, "nbf": nil}) // also in synctest
	return old, next, sign(t, jwt.SigningMethodES256, "old", issuerEC(), valid), sign(t, jwt.SigningMethodRS256, "next", issuerRSA(), valid)
}

// checkAccepts checks which tokens are accepted.
func checkAccepts(t *testing.T, when string, v *tokens.Verifier, tokens map[string]bool) {
	t.Helper()
	for token, want := range tokens {
		if _, err := v.Authenticate(t.Context(), token); (err == nil) != want || err != nil && !errors.Is(err, serve.ErrCredential) {
			t.Errorf("%s: %v, want accepted: %t", when, err, want)
		}
	}
}

// TestVerifier_watchFile: a changed file is used once it has settled; one that is
// damaged or missing keeps the old keys and is reported once.
func TestVerifier_watchFile(t *testing.T) {
	old, next, oldToken, nextToken := twoSets(t)
	synctest.Test(t, func(t *testing.T) {
		v, path := newVerifier(t, old)
		var reports []string
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- v.Watch(ctx, func(err error) { reports = append(reports, strings.ReplaceAll(fmt.Sprint(err), path, "FILE")) })
		}()
		after := func(text []byte) {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		checkAccepts(t, "at first", v, map[string]bool{oldToken: true, nextToken: false})
		after(next)
		checkAccepts(t, "changed", v, map[string]bool{oldToken: false, nextToken: true})
		after(old[:30])
		checkAccepts(t, "damaged", v, map[string]bool{oldToken: false, nextToken: true})
		after([]byte(`{"keys":[{"kty":"oct","k":"AA","kid":"old"}]}`))
		checkAccepts(t, "symmetric", v, map[string]bool{oldToken: false, nextToken: true})
		after(bytes.Repeat([]byte(" "), 1<<20+1))
		checkAccepts(t, "huge", v, map[string]bool{oldToken: false, nextToken: true})
		after(next)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		checkAccepts(t, "missing", v, map[string]bool{oldToken: false, nextToken: true})
		after(old)
		checkAccepts(t, "back", v, map[string]bool{oldToken: true, nextToken: false})
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
		want := []string{
			"<nil>", "tokens: FILE: no JSON Web Key Set: unexpected end of JSON input", `tokens: FILE: keys[0] (kid "old"): a symmetric key: want public keys only`,
			"tokens: FILE: a key set of over 1048576 bytes: want at most that", "<nil>", "tokens: open FILE: no such file or directory", "<nil>",
		}
		if diff := cmp.Diff(want, reports); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
	})
}

// A transport answers requests without a network, which synctest cannot wait for.
type transport func(w http.ResponseWriter, r *http.Request)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f(w, r)
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// TestVerifier_watchURL: an unknown key makes for a fetch at most once in 30 seconds;
// a failure keeps the old keys, is reported once and tried again after 30 seconds.
func TestVerifier_watchURL(t *testing.T) {
	old, next, oldToken, nextToken := twoSets(t)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var fetches []time.Duration // since the start
		answer, start := old, time.Now()
		s := settings()
		s.JWKS = "https://issuer.example/keys"
		s.Transport = transport(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			fetches = append(fetches, time.Since(start))
			if answer == nil {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, _ = w.Write(answer)
		})
		set := func(text []byte) {
			mu.Lock()
			defer mu.Unlock()
			answer = text
		}
		v, err := tokens.NewVerifier(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		var reports []string
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- v.Watch(ctx, func(err error) { reports = append(reports, fmt.Sprint(err)) }) }()
		until := func(since time.Duration) { time.Sleep(since - time.Since(start)) }

		until(time.Minute)
		set(next)
		checkAccepts(t, "at the rotation", v, map[string]bool{oldToken: true, nextToken: false}) // and a fetch begins
		synctest.Wait()
		checkAccepts(t, "just after", v, map[string]bool{oldToken: false, nextToken: true}) // old is now unknown
		for range 1000 {
			checkAccepts(t, "many unknown keys", v, map[string]bool{oldToken: false})
			time.Sleep(60 * time.Millisecond)
		}
		until(4 * time.Minute)
		set(nil)
		until(15 * time.Minute) // fails at 12 minutes
		checkAccepts(t, "while the issuer is down", v, map[string]bool{nextToken: true})
		set([]byte(`{}`))
		until(16*time.Minute - time.Second)
		checkAccepts(t, "while the issuer has no keys", v, map[string]bool{nextToken: true})
		set(next)
		until(27 * time.Minute)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
		wantReports := []string{
			"<nil>", "tokens: https://issuer.example/keys: the status 503: want 200",
			`tokens: https://issuer.example/keys: 0 "keys": want 1 to 100`, "<nil>",
		}
		if diff := cmp.Diff(wantReports, reports); diff != "" {
			t.Errorf("reports (-want +got):\n%s", diff)
		}
		want := []time.Duration{0, 60 * time.Second, 90 * time.Second, 120 * time.Second} // at the start and for unknown keys
		for at := 12 * time.Minute; at <= 16*time.Minute; at += 30 * time.Second {
			want = append(want, at)
		}
		want = append(want, 26*time.Minute)
		if diff := cmp.Diff(want, fetches); diff != "" {
			t.Errorf("fetches (-want +got):\n%s", diff)
		}
	})
}

// TestNewVerifier_slow: a server that does not answer takes ten seconds.
func TestNewVerifier_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := settings()
		s.JWKS = "https://issuer.example/keys"
		s.Transport = transport(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		start := time.Now()
		_, err := tokens.NewVerifier(t.Context(), s)
		if took := time.Since(start); err == nil || took != 10*time.Second || !strings.Contains(err.Error(), "no answer within 10s") {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestNewVerifier_server: answers of a server that are used, and those refused.
func TestNewVerifier_server(t *testing.T) {
	mux := http.NewServeMux()
	answer := func(path string, text []byte) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
	}
	redirect := func(path, target string) { mux.Handle(path, http.RedirectHandler(target, http.StatusFound)) }
	answer("/good", issuerKeys())
	answer("/damaged", issuerKeys()[:100])
	answer("/huge", append(issuerKeys(), bytes.Repeat([]byte(" "), 1<<20)...))
	redirect("/moved", "/good")
	redirect("/moved-elsewhere", "http://issuer.example/keys")
	redirect("/moved-to-file", "file:///etc/passwd")
	redirect("/moved-to-https", "https://127.0.0.1:1/")
	redirect("/circle", "/circle")
	mux.HandleFunc("/cut-off", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5000")
		_, _ = w.Write(issuerKeys())
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, want := range map[string]string{
		"/good": "", "/moved": "",
		"/missing": "the status 404: want 200", "/damaged": "no JSON Web Key Set", "/huge": "a key set of over 1048576 bytes", "/cut-off": "unexpected EOF",
		"/moved-elsewhere": `the scheme "http": want https`, "/moved-to-file": `a redirect from http to "file"`, "/moved-to-https": `a redirect from http to "https"`,
		"/circle": "over 3 redirects",
	} {
		s := settings()
		s.JWKS = server.URL + path
		v, err := tokens.NewVerifier(t.Context(), s)
		switch {
		case want == "" && err == nil:
			checkAccepts(t, path, v, map[string]bool{goodToken(t): true})
		case want == "" || err == nil || !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// reloadUnderLoad changes a file of keys n times while requests use one of its keys,
// none of which fails.
func reloadUnderLoad(t *testing.T, n int) {
	t.Helper()
	same, foreign := public(&issuerEC().PublicKey, jwk{"kid": "ec"}), &foreignRSA().PublicKey
	v, path := newVerifier(t, keySetOf(same))
	v.SetLookInterval(time.Millisecond / 4)
	h := serve.Protect(serve.Protection{Authenticators: []serve.Authenticator{v}})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	token := goodToken(t)
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	reloads := make(chan error, 1)
	others.Go(func() { _ = v.Watch(ctx, func(err error) { reloads <- err }) })
	for range 4 {
		others.Go(func() {
			for ctx.Err() == nil {
				r := httptest.NewRequest("POST", "/predict", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != http.StatusOK {
					t.Errorf("%d %s", w.Code, w.Body)
					return
				}
				time.Sleep(time.Millisecond / 10) // leaves the processor to the reloads
			}
		})
	}
	for i := range n {
		writeFile(t, path, keySetOf(public(foreign, jwk{"kid": fmt.Sprint("other-", i)}), same))
		if err := <-reloads; err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	others.Wait()
}

func TestVerifier_reloadUnderLoad(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 50
	}
	reloadUnderLoad(t, n)
}

func TestVerifier_reloadConcurrentSafe(t *testing.T) { reloadUnderLoad(t, 2) }
