package browser

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// startBrowser starts the browser of all tests. It ends with the process.
var startBrowser = sync.OnceValue(func() context.Context {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has none
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancelContext := chromedp.NewContext(ctx)
	stopBrowser = func() { cancelContext(); cancel() }
	return ctx
})

var stopBrowser = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stopBrowser()
	os.Exit(code)
}

func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// need skips a test whose program is missing, or fails it in CI, which installs them.
func need(t *testing.T, program, path string) {
	t.Helper()
	switch {
	case path != "":
	case os.Getenv("BASKET_SERVERS") != "":
		t.Fatalf("%s is not installed", program)
	default:
		t.Skipf("%s is not installed: apt-get install %[1]s", program)
	}
}

// A tab is a page of the browser.
type tab struct {
	t   testing.TB
	ctx context.Context
}

// watch records what a page does that it should not.
const watch = `window.faults = [];
addEventListener('securitypolicyviolation', (e) => faults.push('policy: ' + e.violatedDirective + ' ' + e.blockedURI));
addEventListener('error', (e) => faults.push('error: ' + (e.message || e.target?.src || e.target?.href)), true);
addEventListener('unhandledrejection', (e) => faults.push('rejection: ' + e.reason));`

// newTab opens a tab of a width, in a colour scheme: light or dark.
func newTab(t *testing.T, width int64, scheme string) *tab {
	t.Helper()
	need(t, "chromium", chromium())
	browser := startBrowser()
	check(t, chromedp.Do(browser)) // the first call starts it
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	check(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 900)))
	ctx, cancelTime := context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(cancelTime)
	b := &tab{t, ctx}
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	check(t, err)
	_, err = chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
	check(t, err)
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	check(b.t, chromedp.Do(b.ctx, steps...))
}

// eval returns the value of an expression, which may be a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression)); err != nil {
		b.t.Fatalf("%s: %v: %s", expression, err, eval[string](b, "document.body.innerText"))
	}
}

// text returns the text of the first element of a selector.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, "document.querySelector("+quote(selector)+")?.textContent ?? ''")
}

// clean reports what the page did that it should not.
func (b *tab) clean() {
	b.t.Helper()
	if faults := eval[[]string](b, "window.faults"); len(faults) > 0 {
		b.t.Errorf("faults of the page: %q", faults)
	}
	if eval[bool](b, "'hit' in window") {
		b.t.Error("a name was run as a script")
	}
}

func quote(s string) string {
	text, _ := json.Marshal(s) // a string
	return string(text)
}

// keep keeps a picture of the whole page, if a folder is given.
func (b *tab) keep(name string) {
	b.t.Helper()
	dir := os.Getenv("BASKET_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	check(b.t, err)
	check(b.t, os.MkdirAll(dir, 0o755))
	check(b.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}

// getJSON returns the JSON at a URL.
func getJSON[T any](t testing.TB, url string) (v T) {
	t.Helper()
	answer, err := http.Get(url)
	check(t, err)
	text, err := io.ReadAll(answer.Body)
	check(t, err)
	_ = answer.Body.Close()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v: %.300s", url, err, text)
	}
	return v
}

// axeVersion is the version of axe-core.
const axeVersion = "4.14.1"

// axe returns the source of axe-core, which npm downloads.
var axe = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "axe")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	script := `npm pack --silent axe-core@` + axeVersion + ` >&2 && tar -xzf axe-core-` + axeVersion + `.tgz && cat package/axe.min.js`
	command := exec.Command("sh", "-c", script)
	command.Dir = dir
	text, err := command.Output()
	return string(text), err
})
