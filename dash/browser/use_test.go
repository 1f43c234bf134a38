package browser

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func navigate(url string) chromedp.Action[chromedp.Void] { return chromedp.Navigate(url) }

// TestWhatIf changes a value, and sees the price move to what the JSON says.
func TestWhatIf(t *testing.T) {
	s := newShop(t)
	b := newTab(t, 1280, "light")
	b.do(navigate(s.url+"explain?user=ann"), chromedp.SetValue("#set0", ""), chromedp.SendKeys("#set0", "120"))
	b.until("document.querySelector('#difference') !== null && location.search.includes('=120')")
	want := getJSON[struct{ Changed struct{ Price float64 } }](t, s.url+"api/explain?user=ann&set.prior_basket_value=120")
	if got := eval[float64](b, "Number(document.querySelector('#price').value)"); got != want.Changed.Price {
		t.Errorf("price %v, want %v", got, want.Changed.Price)
	}
	if !eval[bool](b, "document.activeElement.id === 'set0'") {
		t.Error("the field lost the focus")
	}
	b.clean()

	s.server.CloseClientConnections()
	s.server.Listener.Close()
	b.do(chromedp.SendKeys("#set0", "1"))
	b.until("document.querySelector('#offline').textContent.includes('does not answer')")
	b.keep("server-gone")
}

// TestTree_versions chooses a version without a route in the form.
func TestTree_versions(t *testing.T) {
	s := newShop(t)
	b := newTab(t, 1280, "light")
	b.do(navigate(s.url+"models"), chromedp.Click(`#loaded a[href*="price%400"]`), chromedp.WaitVisible("#tree .node"))
	if chosen := eval[string](b, "document.querySelector('#model').selectedOptions[0].textContent"); chosen != "price@0" {
		t.Errorf("%q is chosen", chosen)
	}
	b.do(chromedp.SetValue("#model", "version:price@2"), chromedp.SetValue("#number", "7"), chromedp.Click("form button"), chromedp.WaitVisible(`a[href*="number=8"]`)) // of the next tree
	if number := b.text("#tree-number"); number != "7" {
		t.Errorf("tree %s", number)
	}
	if where := eval[string](b, "new URLSearchParams(location.search).get('model')"); where != "version:price@2" {
		t.Errorf("the form leads to %q", where)
	}
	b.clean()
}

// TestDrift_refresh: the page follows the JSON by itself. What is open stays open, what has
// the focus keeps it, and no live region says a word, until the server is gone.
func TestDrift_refresh(t *testing.T) {
	s := newShop(t)
	b := newTab(t, 360, "dark")
	b.do(navigate(s.url + "drift"))
	eval[bool](b, `(() => {
		document.querySelectorAll('details')[1].open = true;
		window.scroller = document.querySelectorAll('details .scroll')[1];
		scroller.focus();
		window.spoken = [];
		new MutationObserver((list) => spoken.push(...list.map((m) => m.target.textContent)))
			.observe(document.querySelector('[role=status]'), { childList: true, subtree: true, characterData: true });
		return true;
	})()`)
	for i := range 600 {
		s.serve(t, "current", []float64{20, 3, 1, 2}, time.Now())
		s.serve(t, "another", []float64{20, 3, 1, 2}, time.Now().Add(time.Duration(i)))
	}
	b.until("document.querySelectorAll('section').length === 4") // of the routes
	report := getJSON[struct {
		Routes []struct {
			Columns []struct{ Windows []struct{ Rows int } }
		}
	}](t, s.url+"api/drift")
	for i, route := range report.Routes {
		for j, column := range route.Columns {
			rows := eval[[]int](b, fmt.Sprintf("[...document.querySelectorAll('#column%d-%d ~ details table:last-child tbody td:nth-child(2)')].map((d) => Number(d.textContent))", i, j))
			for k, w := range column.Windows {
				if k >= len(rows) || rows[k] != w.Rows {
					t.Errorf("route %d, column %d, window %d: %d rows, want %d", i, j, k, rows, w.Rows)
				}
			}
		}
	}
	if !eval[bool](b, "document.activeElement === scroller && scroller.isConnected && scroller.closest('details').open && spoken.length === 0") {
		t.Error("a refresh took the focus, closed what was open or spoke")
	}
	if live := eval[int](b, "document.querySelectorAll('[aria-live], [role=status], [role=alert], [role=log], output').length"); live != 1 {
		t.Errorf("%d live regions, want that of the layout", live)
	}
	b.do(chromedp.Click("#refresh")) // no more
	before := eval[string](b, "document.querySelector('#drift').innerHTML")
	s.serve(t, "current", []float64{20, 3, 1, 2}, time.Now())
	time.Sleep(6 * time.Second) // longer than from one refresh to the next
	if eval[string](b, "document.querySelector('#drift').innerHTML") != before {
		t.Error("the page changes although it is not to be refreshed")
	}
	b.do(chromedp.Click("#refresh"))
	b.until("document.querySelector('#drift').innerHTML !== " + quote(before))
	b.clean()

	s.server.CloseClientConnections()
	s.server.Listener.Close()
	b.until("document.querySelector('#offline').textContent.includes('does not answer')")
	time.Sleep(6 * time.Second)
	if n := eval[int](b, "spoken.length"); n != 1 {
		t.Errorf("it is told %d times that the server is gone, want once", n)
	}
	b.keep("drift-gone")
}

// TestNoScript: without JavaScript the what-if is a form, and every table is there.
func TestNoScript(t *testing.T) {
	s := newShop(t)
	b := newTab(t, 360, "dark")
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	check(t, err)
	b.do(navigate(s.url+"explain?user=ann"), chromedp.SetAttributeValue("#set0", "value", "120"), chromedp.Click("#whatif button"), chromedp.WaitReady("#difference"))
	got, err := chromedp.Run(b.ctx, chromedp.AttributeValue("#price", "value"))
	check(t, err)
	want := getJSON[struct{ Changed struct{ Price float64 } }](t, s.url+"api/explain?user=ann&set.prior_basket_value=120")
	if got.Value != fmt.Sprint(want.Changed.Price) {
		t.Errorf("price %v, want %v", got.Value, want.Changed.Price)
	}
	for path, selector := range map[string]string{"": "#routes tbody th", "drift": ".histogram rect", "models": "#loaded tbody th", "tree": "#tree .node"} {
		b.do(navigate(s.url+path), chromedp.WaitReady(selector))
	}
}

// TestWeights moves weights: what will change is shown first.
func TestWeights(t *testing.T) {
	s := newShop(t)
	b := newTab(t, 1280, "light")
	b.do(navigate(s.url+"models"), chromedp.SetValue("#weight0", "50"), chromedp.SetValue("#weight1", "50"), chromedp.Click("#weights button"), chromedp.WaitVisible("#preview"))
	if text := b.text("#preview"); !strings.Contains(text, "90 becomes 50") {
		t.Errorf("preview %q", text)
	}
	if _, routes := s.p.Routes(); routes[0].Weight != 90 {
		t.Errorf("routes %+v before the change was confirmed", routes)
	}
	b.do(chromedp.Click("#confirm button"), chromedp.WaitVisible(".done"))
	if _, routes := s.p.Routes(); routes[0].Weight != 50 || routes[1].Weight != 50 {
		t.Errorf("routes %+v", routes)
	}
	b.keep("weights-moved")
	b.clean()
}

// TestKeyboard: the tab key reaches all that can be used, with a visible focus, and arrows
// move the picture of a tree.
func TestKeyboard(t *testing.T) {
	s := newShop(t)
	b := newTab(t, 1280, "light")
	b.do(navigate(s.url + "tree?user=ann"))
	want := eval[int](b, "document.querySelectorAll('a, button, input, select, [tabindex=\"0\"], summary').length - document.querySelectorAll('details:not([open]) [tabindex=\"0\"]').length")
	reached := 0
	for range want + 5 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if eval[bool](b, "document.activeElement === document.body || document.activeElement.seen === true") {
			break
		}
		reached++
		if !eval[bool](b, "document.activeElement.seen = true, getComputedStyle(document.activeElement).outlineStyle !== 'none'") {
			t.Errorf("no focus is seen at %s", eval[string](b, "document.activeElement.outerHTML.slice(0, 80)"))
		}
	}
	if reached != want {
		t.Errorf("%d elements are reached by the keyboard, want %d", reached, want)
	}
	box := func() string { return eval[string](b, "document.querySelector('#tree svg').getAttribute('viewBox')") }
	before := box()
	b.do(chromedp.Focus("#tree"), chromedp.KeyEvent(kb.ArrowRight))
	moved := box()
	b.do(chromedp.KeyEvent("+"))
	if zoomed := box(); moved == before || zoomed == moved {
		t.Errorf("view box %q, moved %q, zoomed %q", before, moved, zoomed)
	}
	b.do(chromedp.Click(`[data-zoom="whole"]`))
	if !eval[bool](b, `(() => {
		const frame = document.getElementById('tree').getBoundingClientRect();
		return [...document.querySelectorAll('#tree .node')].every((n) => {
			const box = n.getBoundingClientRect();
			return box.left >= frame.left - 1 && box.right <= frame.right + 1 && box.bottom <= frame.bottom + 1;
		});
	})()`) {
		t.Error("the whole tree is not in the frame")
	}
	b.keep("tree-whole")
	b.clean()
}

// TestOverview_live: the page follows the stream, says when the server is gone, and goes on
// when it is back.
func TestOverview_live(t *testing.T) {
	s := newShop(t)
	b := newTab(t, 1280, "dark")
	b.do(navigate(s.url))
	b.until("document.querySelector('#stream-state').textContent === 'Live.'")
	b.until("document.querySelector('.predictions') && Number(document.querySelector('.predictions').value) > 1000")
	b.until("document.querySelectorAll('#charts canvas').length === 6 && document.querySelectorAll('#charts .u-series').length >= 9")
	b.clean()
	s.server.CloseClientConnections()
	s.server.Listener.Close()
	b.until("document.querySelector('#stream-state').textContent.includes('does not answer')")
	b.keep("overview-gone")
	listener, err := net.Listen("tcp", s.server.Listener.Addr().String())
	check(t, err)
	again := &http.Server{Handler: s.server.Config.Handler}
	defer again.Close()
	go func() { _ = again.Serve(listener) }()
	b.until("document.querySelector('#stream-state').textContent === 'Live.'")
}

// TestWire: the first page is small over the wire. How long it takes is logged.
func TestWire(t *testing.T) {
	s := newShop(t)
	b := newTab(t, 1280, "light")
	_, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
	check(t, err)
	var mu sync.Mutex
	var sum float64
	check(t, chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*network.EventLoadingFinished); ok {
			mu.Lock()
			sum += e.EncodedDataLength
			mu.Unlock()
		}
	}))
	b.do(navigate(s.url))
	b.until(views[0].drawn)
	b.until("performance.getEntriesByName('drawn').length > 0")
	drawn := eval[float64](b, "performance.getEntriesByName('drawn')[0].startTime")
	first := eval[float64](b, "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1")
	time.Sleep(100 * time.Millisecond) // for the last event
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%.1f KB over the wire; first text after %.0f ms, charts drawn after %.0f ms", sum/1000, first, drawn)
	if sum < 10_000 || sum > 150_000 {
		t.Errorf("%v bytes over the wire, want 150,000 at most", sum)
	}
}

// TestNginx: the page works behind nginx under another path, its stream too.
func TestNginx(t *testing.T) {
	path, _ := exec.LookPath("nginx")
	if path == "" {
		if _, err := os.Stat("/usr/sbin/nginx"); err == nil {
			path = "/usr/sbin/nginx"
		}
	}
	need(t, "nginx", path)
	s := newShop(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	front := listener.Addr().String()
	check(t, listener.Close())
	dir := t.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // who owns the folder
	}
	var folders strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&folders, "%s_temp_path %s/%s;\n", name, dir, name)
	}
	check(t, os.WriteFile(dir+"/nginx.conf", fmt.Appendf(nil, `%s
pid %s/pid;
error_log stderr warn;
events {}
http {
  access_log off;
  %s
  server {
    listen %s;
    location /shop/ui/ { proxy_pass %s; proxy_http_version 1.1; }
  }
}
`, user, dir, folders.String(), front, s.url), 0o600))
	process := exec.CommandContext(t.Context(), path, "-p", dir, "-e", "stderr", "-c", dir+"/nginx.conf", "-g", "daemon off;")
	process.Stderr = t.Output()
	process.Cancel = func() error { return process.Process.Signal(syscall.SIGTERM) }
	check(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Signal(syscall.SIGTERM); _ = process.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		answer, err := http.Get("http://" + front + "/shop/ui/")
		if err == nil {
			_ = answer.Body.Close()
			break
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	b := newTab(t, 1280, "light")
	b.do(navigate("http://" + front + "/shop/ui/"))
	b.until("document.querySelector('#stream-state').textContent === 'Live.'")
	b.until("Number(document.querySelector('#requests').value) > 0") // by an event
	b.do(navigate("http://"+front+"/shop/ui/explain?user=ann"), chromedp.Click("nav a[href=models]"), chromedp.WaitVisible("#weights"))
	if where := eval[string](b, "location.pathname"); where != "/shop/ui/models" {
		t.Errorf("the link leads to %s", where)
	}
	b.clean()
}

// TestBasic: the page and all that its scripts ask for are sent with the password of Basic
// authentication.
func TestBasic(t *testing.T) {
	s := newShop(t)
	inner := s.server.Config.Handler
	guarded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "key" {
			w.Header().Set("WWW-Authenticate", `Basic realm="basket"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer guarded.Close()
	defer guarded.CloseClientConnections() // of the stream
	b := newTab(t, 1280, "light")
	b.do(navigate(strings.Replace(guarded.URL, "http://", "http://anyone:key@", 1) + prefix + "/"))
	b.until("document.querySelector('#stream-state').textContent === 'Live.'")
	b.until("document.querySelectorAll('#charts canvas').length === 6")
	b.do(chromedp.Click("nav a[href=explain]"), chromedp.WaitVisible("#user"), chromedp.SendKeys("#user", "ann"+kb.Enter), chromedp.WaitVisible("#whatif"),
		chromedp.SetValue("#set0", ""), chromedp.SendKeys("#set0", "120"))
	b.until("document.querySelector('#difference') !== null")
	b.clean()
}
