package browser

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// startCommand builds the command, and serves the demo shop with a key until the test ends.
func startCommand(t *testing.T) (address, key string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "basket")
	if out, err := exec.Command("go", "build", "-C", "../../cmd/basket", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made, err := exec.Command(program, "key", "new", "shop").Output()
	check(t, err)
	words := strings.Fields(string(made)) // key KEY line LINE
	const demo = "../../examples/server/demo"
	server := exec.CommandContext(t.Context(), program, "serve", "--data", demo, "--model", demo+"/model.txt", "--addr", "127.0.0.1:0", "--keys", words[3])
	out, err := server.StdoutPipe()
	check(t, err)
	check(t, server.Start())
	t.Cleanup(func() { _ = server.Wait() }) // the test's context has ended it
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, err)
	return strings.TrimSpace(strings.TrimPrefix(line, "serving on ")), words[1]
}

// TestDocs enters a key on the page of the command's document, and has a price predicted:
// at two widths, directly and by a proxy that has the server under a prefix. The page asks
// its own server only, and its policy has nothing to refuse.
func TestDocs(t *testing.T) {
	need(t, "chromium", chromium())
	address, key := startCommand(t)
	target, err := url.Parse(address)
	check(t, err)
	const prefix = "/shop/prices"
	proxy := httptest.NewServer(http.StripPrefix(prefix, httputil.NewSingleHostReverseProxy(target)))
	defer proxy.Close()
	for _, test := range []struct {
		name, url, scheme, field string
		width                    int64
	}{
		{"wide", address, "light", "#auth-bearer-value", 1280},
		{"narrow, under a prefix", proxy.URL + prefix, "light", "#api_key_value", 360},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newTab(t, test.width, test.scheme)
			_, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
			check(t, err)
			var mu sync.Mutex
			var asked []string
			check(t, chromedp.Listen(b.ctx, func(event any) {
				if e, ok := event.(*network.EventRequestWillBeSent); ok {
					mu.Lock()
					defer mu.Unlock()
					asked = append(asked, e.Request.URL)
				}
			}))
			const operation = "#operations-Prices-predict"
			b.do(navigate(test.url+"/docs"), chromedp.WaitVisible(operation), chromedp.Click(".auth-wrapper .authorize"), chromedp.WaitVisible(test.field),
				chromedp.SendKeys(test.field, key))
			b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector(` + quote(test.field) + `).closest('.auth-container').querySelector('.authorize').click()`))
			b.until(`document.querySelector('.auth-container .btn-done') !== null && document.querySelector(` + quote(test.field) + `) === null`)
			b.do(chromedp.Click(".modal-ux .btn-done"), chromedp.Click(operation+" .opblock-summary-control"),
				chromedp.WaitVisible(operation+" .execute"), chromedp.Click(operation+" .execute"), chromedp.WaitVisible(operation+" .live-responses-table"))
			b.until(`document.querySelector('` + operation + ` .live-responses-table').textContent.includes('"predicted_price": 22.16203973983936')`)
			if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > test.width {
				t.Errorf("the page is %d pixels wide: want %d: %s", wide, test.width, eval[string](b, `[...document.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.tagName + '.' + e.className).join('; ').slice(0, 3000)`))
			}
			b.keep("document-" + strconv.Itoa(int(test.width)))
			b.clean()
			mu.Lock()
			defer mu.Unlock()
			predicted := false
			for _, u := range asked {
				predicted = predicted || u == test.url+"/predict"
				if !strings.HasPrefix(u, test.url+"/") && !strings.HasPrefix(u, "data:") {
					t.Errorf("the page asks %s", u)
				}
			}
			if !predicted || len(asked) < 6 {
				t.Errorf("requests %q: want /predict too", asked)
			}
			// What the policy refuses is seen.
			eval[int64](b, `document.head.append(Object.assign(document.createElement('script'), {textContent: '0'})), 0`)
			b.until("window.faults.some((f) => f.startsWith('policy: script-src'))")
		})
	}
}
