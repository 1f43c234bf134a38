package dash_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
)

// pages are the paths of all pages, with something to show.
var pages = []string{"/tree", "/tree?number=3&user=ann", "/drift", "/", "/explain", "/explain?user=ann", "/explain?user=ann&set.prior_item_count=20", "/models", "/models?weight.current=50"}

// TestHandler_headers: each page forbids what it does not need, has nothing inline and
// names no other server.
func TestHandler_headers(t *testing.T) {
	h := newShop(t).handler()
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(?: [^>]*)?>[^<]|javascript:|https?://`)
	for _, target := range pages {
		w := get(h, target)
		if w.Code != http.StatusOK {
			t.Errorf("GET %s: %d", target, w.Code)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("GET %s: %s: %q, want %q", target, name, got, want)
			}
		}
		if found := inline.FindString(w.Body.String()); found != "" {
			t.Errorf("GET %s has %q", target, found)
		}
	}
}

// TestHandler_prefix: under any prefix, each link of each page leads to something of the
// same handler, and the prefix without its slash leads to the page.
func TestHandler_prefix(t *testing.T) {
	h := newShop(t).handler()
	for _, prefix := range []string{"", "/ui", "/a/b/ui"} {
		server := httptest.NewServer(http.StripPrefix(prefix, h))
		for _, target := range append([]string{""}, pages...) {
			if prefix+target == "" {
				continue // no path at all
			}
			answer, err := http.Get(server.URL + prefix + target)
			check(t, err)
			var page strings.Builder
			check(t, answer.Write(&page))
			if answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Request.URL.Path, prefix+"/") {
				t.Errorf("GET %s%s leads to %s, %d", prefix, target, answer.Request.URL, answer.StatusCode)
			}
			for _, link := range regexp.MustCompile(`(?:href|src|action)="([^"#]+)"`).FindAllStringSubmatch(page.String(), -1) {
				if link[1] == "weights" {
					continue // by POST
				}
				to, err := answer.Request.URL.Parse(strings.ReplaceAll(link[1], "&amp;", "&"))
				check(t, err)
				if w := get(http.StripPrefix(prefix, h), to.RequestURI()); w.Code != http.StatusOK || !strings.HasPrefix(to.Path, prefix+"/") {
					t.Errorf("GET %s%s links to %q, which is %s: %d", prefix, target, link[1], to, w.Code)
				}
			}
		}
		server.Close()
	}
}

// TestHandler_hostile: names that anybody chooses are text on every page, and what turns
// the direction of writing or breaks lines is shown by its number.
func TestHandler_hostile(t *testing.T) {
	h := newShop(t).handler()
	user := url.QueryEscape(hostile)
	for target, status := range map[string]int{
		"/explain?user=" + user: 200, "/explain?user=" + user + "&set." + user + "=1&set.prior_item_count=" + user: 200,
		"/explain?user=nobody" + user: 404, "/explain?user=%00%0d%0a" + user: 400, "/explain?user=%ff": 400,
		"/models?weight." + user + "=1&weight.current=" + user: 200, "/models": 200,
	} {
		w := get(h, target)
		if w.Code != status {
			t.Errorf("GET %s: %d, want %d", target, w.Code, status)
		}
		text := w.Body.String()
		shown := regexp.MustCompile(`<input[^>]*>`).ReplaceAllString(text, "") // fields have the value itself
		if strings.Contains(text, "<script>") || strings.Contains(text, "<b>\u2028") || strings.ContainsAny(shown, "\u202e\u2028\x00\r") {
			t.Errorf("GET %s has a name that is not only text: %s", target, text)
		}
	}
	wantText(t, get(h, "/explain?user="+user).Body.String(),
		`<bdi>&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;<span class="control">U+202E</span>&lt;b&gt;<span class="control">U+2028</span></bdi>`)
}

// TestHandler_encoding: an asset is sent once, and compressed to who takes it.
func TestHandler_encoding(t *testing.T) {
	h := newShop(t).handler()
	ask := func(header, value string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/assets/page.css", nil)
		r.Header.Set(header, value)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	type outcome struct {
		Status   int
		Encoding string
	}
	for _, test := range []struct {
		header, value string
		want          outcome
	}{
		{"Accept-Encoding", "br, gzip", outcome{200, "gzip"}},
		{"Accept-Encoding", "gzip;q=0", outcome{200, ""}},
		{"Accept-Encoding", "identity", outcome{200, ""}},
		{"If-None-Match", `"other", ` + ask("Accept", "*/*").Header().Get("ETag"), outcome{304, ""}},
		{"If-None-Match", `"other"`, outcome{200, ""}},
	} {
		w := ask(test.header, test.value)
		if diff := cmp.Diff(test.want, outcome{w.Code, w.Header().Get("Content-Encoding")}); diff != "" {
			t.Errorf("%s: %s: %s", test.header, test.value, diff)
		}
	}
	for target, want := range map[string]int{"/assets/": 404, "/assets/none.js": 404, "/assets/../dash.go": 404, "/none": 404, "/api/none": 404} {
		if w := get(h, target); w.Code != want {
			t.Errorf("GET %s: %d, want %d", target, w.Code, want)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/explain", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestHandler_bare: without anything but a Predictor, each page says what is missing.
func TestHandler_bare(t *testing.T) {
	h := dash.NewHandler(newShop(t).p)
	wantText(t, get(h, "/models").Body.String(), "The routes of this service are not in a file")
	wantText(t, get(h, "/explain").Body.String(), "Give the ID of a user")
}

// A hostileModel has names that would change a page that does not escape and isolate them.
type hostileModel struct{}

func (hostileModel) Features() []string { return []string{hostile, "set."} }

func (hostileModel) String() string { return hostile }

func (hostileModel) Predict(_ context.Context, dst, rows []float64) error {
	dst[0] = rows[0] + rows[1]
	return nil
}

func (hostileModel) Explain(_ context.Context, dst, row []float64) (bias float64, err error) {
	copy(dst, row)
	return 0, nil
}

// TestHandler_hostileModel: names of features and models are text too, and can be changed
// by the form.
func TestHandler_hostileModel(t *testing.T) {
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: []float64{1, 2}}}), hostile, "set.")
	check(t, err)
	p, err := basket.New(basket.WithStore(store), basket.WithRoutes(hostile, basket.Route{Name: hostile, Model: hostileModel{}, Weight: 1}))
	check(t, err)
	h := dash.NewHandler(p)
	query := "user=ann&" + url.QueryEscape("set."+hostile) + "=5&set.set.=7"
	for _, target := range []string{"/explain?" + query, "/models", "/tree"} {
		text := get(h, target).Body.String()
		shown := regexp.MustCompile(`<(?:input|a|option)[^>]*>`).ReplaceAllString(text, "")
		if strings.Contains(text, "<script>") || strings.ContainsAny(shown, "\u202e\u2028") {
			t.Errorf("GET %s has a name that is not only text: %s", target, text)
		}
	}
	wantText(t, get(h, "/explain?"+query).Body.String(), `<data id="price" value="12">12.00</data>`, "9.00 more than", "set.</bdi> were 7 instead of 2")
}
