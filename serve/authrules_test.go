package serve_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

// Paths for anyone, for clients and for administrators.
func ExampleProtect() {
	key, line, err := serve.NewKey("shop", serve.User)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := serve.ParseKeyList(line)
	if err != nil {
		fmt.Println(err)
		return
	}
	protect := serve.Protect(serve.Protection{
		Authenticators: []serve.Authenticator{keys},
		Free:           []string{"/status", "/livez", "/readyz"},
		Admin:          []string{"/admin", "/metrics", "/drift", "/ui"},
	})
	h := protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", serve.IdentityOf(r.Context()).Name)
	}))
	get := func(path, key string) {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("X-API-Key", key)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(path, w.Code, strings.TrimSpace(w.Body.String()))
	}
	get("/status", "")
	get("/predict", "")
	get("/predict", key)
	get("/admin/routes", key)
	// Output:
	// /status 200 hello
	// /predict 401 {"detail":"Unauthorized"}
	// /predict 200 hello shop
	// /admin/routes 403 {"detail":"Forbidden"}
}

// TestProtect is the table of what is refused with keys, and what without.
func TestProtect(t *testing.T) {
	shop, shopLine := mustKey(t, "shop", serve.User)
	ops, opsLine := mustKey(t, "ops", serve.Admin)
	rules := serve.Protection{Free: []string{"/status"}, Admin: []string{"/admin", "/ui/"}}
	keys, writes, hosts := rules, rules, rules
	keys.Authenticators = []serve.Authenticator{mustKeys(t, shopLine), mustKeys(t, opsLine)}
	writes.AdminWrites = true
	hosts.Hosts = []string{"basket"}

	const basket, other = "https://127.0.0.1:8000", "https://other.example"
	tests := []struct {
		reason            string
		p                 serve.Protection
		method, url       string
		key, site, origin string
		want              int
	}{
		{"a client predicts", keys, "POST", "/predict", shop, "", "", 200},
		{"no key", keys, "POST", "/predict", "", "", "", 401},
		{"wrong key", keys, "POST", "/predict", shop + "x", "", "", 401},
		{"free", keys, "GET", "/status", "", "", "", 200},
		{"free with a wrong key", keys, "GET", "/status", "x", "", "", 200},
		{"free is the whole path", keys, "GET", "/status/x", "", "", "", 401},
		{"free has no escaped slash", keys, "GET", "/%2fstatus", "", "", "", 401},
		{"an administrator", keys, "POST", "/admin/routes", ops, "", "", 200},
		{"the second authenticator", keys, "GET", "/predict", ops, "", "", 200},
		{"no role", keys, "GET", "/admin/routes", shop, "", "", 403},
		{"no role, the path itself", keys, "GET", "/admin", shop, "", "", 403},
		{"no role, a path with a slash at the end", keys, "GET", "/ui", shop, "", "", 403},
		{"no key at an admin path", keys, "GET", "/admin/routes", "", "", "", 401},
		{"a path that only begins so", keys, "GET", "/administrators", shop, "", "", 200},
		{"written by the page of another site", keys, "POST", "/admin/routes", ops, "cross-site", other, 403},
		{"written by the page of another site, old browser", keys, "POST", "/predict", shop, "", other, 403},
		{"read by the page of another site", keys, "GET", "/predict", shop, "cross-site", other, 200},
		{"written by an own page", keys, "POST", "/admin/routes", ops, "same-origin", basket, 200},
		{"any host with a key", keys, "GET", "//basket.example/admin", ops, "", "", 200},

		{"keys off", rules, "POST", "/predict", "", "", "", 200},
		{"keys off, from another site", rules, "POST", "/predict", "", "cross-site", other, 403},
		{"keys off, read", rules, "GET", "/admin/routes", "", "", "", 200},
		{"keys off, HEAD", rules, "HEAD", "/admin/routes", "", "", "", 200},
		{"keys off, write", rules, "POST", "/admin/routes", "", "", "", 403},
		{"keys off, an unknown method", rules, "FETCH", "/admin/routes", "", "", "", 403},
		{"keys off, writes allowed", writes, "POST", "/admin/routes", "", "", "", 200},
		{"keys off, writes allowed, from another site", writes, "DELETE", "/admin/routes", "", "same-site", other, 403},
		{"keys off, localhost", rules, "GET", "//LOCALHOST:8000/admin", "", "", "", 200},
		{"keys off, IPv6", rules, "GET", "//[::1]:8000/admin", "", "", "", 200},
		{"keys off, IPv6 without a port", rules, "GET", "//[::1]/admin", "", "", "", 200},
		{"keys off, a name that resolves here", rules, "GET", "//other.example:8000/admin", "", "same-origin", "", 403},
		{"keys off, such a name, writes allowed", writes, "POST", "//other.example/admin", "", "same-origin", "", 403},
		{"keys off, such a name elsewhere", rules, "POST", "//other.example/predict", "", "same-origin", "", 200},
		{"keys off, a known name", hosts, "GET", "//Basket:8000/admin", "", "", "", 200},
		{"keys off, not that name", hosts, "GET", "//basket.example/admin", "", "", "", 403},
	}
	bodies := map[int]string{200: "", 401: `{"detail":"Unauthorized"}` + "\n", 403: `{"detail":"Forbidden"}` + "\n"}
	for _, test := range tests {
		t.Run(test.reason, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "/", nil)
			u, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "127.0.0.1:8000"
			if u.Host != "" {
				r.Host = u.Host
			}
			r.URL = u
			for name, value := range map[string]string{"X-Api-Key": test.key, "Sec-Fetch-Site": test.site, "Origin": test.origin} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			var cause error
			test.p.Refused = func(_ *http.Request, err error) { cause = err }
			w := httptest.NewRecorder()
			serve.Protect(test.p)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			if w.Code != test.want || w.Body.String() != bodies[test.want] {
				t.Errorf("%d %q, want %d", w.Code, w.Body, test.want)
			}
			if (cause == nil) != (test.want == 200) || cause != nil && strings.Contains(cause.Error(), "bk_") {
				t.Errorf("cause %v", cause)
			}
		})
	}
}

// routers are ways to find the handler of a path. Each tells whether it has called
// that of an admin path.
func routers(reached *bool) map[string]http.Handler {
	admin := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { *reached = true })
	mux, methods := http.NewServeMux(), http.NewServeMux()
	mux.Handle("/admin/", admin)
	mux.Handle("/", http.NotFoundHandler())
	methods.Handle("GET /admin/{name}", admin)
	methods.Handle("GET /admin/models/{name...}", admin)
	methods.Handle("/{other...}", http.NotFoundHandler())
	byPrefix := func(pathOf func(*http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if p := pathOf(r); p == "/admin" || strings.HasPrefix(p, "/admin/") {
				admin(w, r)
			}
		}
	}
	return map[string]http.Handler{
		"ServeMux":              mux,
		"ServeMux with methods": methods,
		"as it is":              byPrefix(func(r *http.Request) string { return r.URL.Path }),
		"cleaned":               byPrefix(func(r *http.Request) string { return path.Clean(r.URL.Path) }),
		"cleaned, then decoded": byPrefix(func(r *http.Request) string {
			p, err := url.PathUnescape(path.Clean(r.URL.EscapedPath()))
			if err != nil {
				return ""
			}
			return p
		}),
		"any case":    byPrefix(func(r *http.Request) string { return strings.ToLower(r.URL.Path) }),
		"backslashes": byPrefix(func(r *http.Request) string { return path.Clean(strings.ReplaceAll(r.URL.Path, `\`, "/")) }),
	}
}

// TestProtect_paths: no way to write a path reaches the handler of an admin path
// without the role, whatever finds the handler.
func TestProtect_paths(t *testing.T) {
	shop, shopLine := mustKey(t, "shop", serve.User)
	ops, opsLine := mustKey(t, "ops", serve.Admin)
	var reached bool
	all := routers(&reached)
	protect := serve.Protect(serve.Protection{Authenticators: []serve.Authenticator{mustKeys(t, shopLine, opsLine)}, Free: []string{"/status"}, Admin: []string{"/admin/"}})
	reaches := func(router, method, target, key string) bool {
		t.Helper()
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: " + key + "\r\n\r\n")))
		if err != nil {
			return false // nor does a server accept it
		}
		reached = false
		protect(all[router]).ServeHTTP(httptest.NewRecorder(), r)
		return reached
	}
	targets := []string{
		"/admin/routes", "//admin/routes", "/admin/../admin/routes", "/Admin/routes", "/admin%2froutes", "/%61dmin/routes", "/./admin/routes",
		"/x/../admin/routes", "/x/..%2fadmin/routes", "/admin/..%2fstatus", "/admin/%2e%2e/status", "/x/../admin/..%2fstatus", `/\admin\routes`, "/status/../admin/routes",
		"http://127.0.0.1/admin/routes", "http://127.0.0.1//admin/routes", "/admin/models/a%2fb", "/admin%252froutes", "/%2fadmin/routes", "*", "/admin?x", "/admin/;x",
	}
	parts := []string{"admin", "Admin", "%61dmin", "..", "%2e%2e", ".%2E", ".", "/", "/", "//", "%2f", "%5c", `\`, "x", "status", "?", ";"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		target := "/"
		for range 1 + random.IntN(7) {
			target += parts[random.IntN(len(parts))]
		}
		targets = append(targets, target)
	}
	admins := map[string]int{}
	for _, target := range targets {
		for router := range all {
			for _, method := range []string{"GET", "CONNECT", "OPTIONS"} {
				if reaches(router, method, target, shop) {
					t.Errorf("%s: %s %s reaches the handler without the role", router, method, target)
				}
			}
			if reaches(router, "GET", target, ops) {
				admins[router]++
			}
		}
	}
	for router := range all {
		if admins[router] < 10 {
			t.Errorf("%s: only %d paths reach the handler with the role", router, admins[router])
		}
	}
}

// TestProtect_causes: a log gets one cause a second, and how many were left out.
func TestProtect_causes(t *testing.T) {
	_, line := mustKey(t, "shop", serve.User)
	synctest.Test(t, func(t *testing.T) {
		var causes []string
		h := serve.Protect(serve.Protection{
			Authenticators: []serve.Authenticator{mustKeys(t, line), mustKeys(t, line)},
			Refused: func(r *http.Request, cause error) {
				if r.Header.Get("X-Api-Key") != "" && !errors.Is(cause, serve.ErrCredential) {
					t.Errorf("%v does not wrap ErrCredential", cause)
				}
				causes = append(causes, r.URL.Path+": "+cause.Error())
			},
		})(http.NotFoundHandler())
		ask := func(path, key string) {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("X-Api-Key", key)
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		ask("/1", "")
		ask("/2", "wrong")
		ask("/3", "wrong")
		time.Sleep(time.Second)
		ask("/4", "wrong")
		time.Sleep(time.Minute)
		ask("/5", "")
		want := []string{
			"/1: serve: the request has no credential",
			"/4: serve: the credential is not accepted; serve: the credential is not accepted (and 2 requests refused before)",
			"/5: serve: the request has no credential",
		}
		if diff := cmp.Diff(want, causes); diff != "" {
			t.Errorf("causes (-want +got):\n%s", diff)
		}
	})
}
