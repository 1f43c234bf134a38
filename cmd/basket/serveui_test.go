package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestServe_ui: administrators see the page by Basic authentication, and move weights; its
// stream does not hold up the end.
func TestServe_ui(t *testing.T) {
	dir := t.TempDir()
	for i := 1; i <= 2; i++ {
		writeWholeFile(t, fmt.Sprintf("%s/models/price/%d/model.txt", dir, i), versionOf(t, i))
	}
	writeWholeFile(t, dir+"/routes.yaml", []byte("experiment: trees\nroutes:\n- {name: old, model: price@1, weight: 1}\n- {name: new, model: price@2, weight: 0}\n"))
	key, line := newKey(t, "shop")
	admin, adminLine := newKey(t, "ops", "--role", "admin")
	writeWholeFile(t, dir+"/keys", []byte(line+"\n"+adminLine+"\n"))
	base, stop := startServe(t, "--data", demo, "--models", dir+"/models", "--routes", dir+"/routes.yaml", "--key-file", dir+"/keys", "--ui", "--timeout", "1s", "--max-concurrent", "1")
	do := func(method, path, password, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			r.SetBasicAuth("anyone", password)
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", base)
		}
		w, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Body.Close() })
		return w
	}
	for _, test := range []struct {
		path, password string
		status         int
	}{
		{"/ui/", "", 401}, {"/ui/api/models", "", 401}, {"/ui", key, 403}, {"/ui/explain", key, 403},
		{"/ui/", admin, 200}, {"/ui/models", admin, 200}, {"/ui/drift", admin, 200}, {"/ui/assets/uplot.js", admin, 200}, {"/ui", admin, 308}, {"/uix", admin, 404},
	} {
		w := do("GET", test.path, test.password, "")
		if w.StatusCode != test.status {
			t.Errorf("GET %s: %d, want %d", test.path, w.StatusCode, test.status)
		}
		if test.status == 401 && !strings.Contains(strings.Join(w.Header.Values("Www-Authenticate"), ","), "Basic") {
			t.Errorf("GET %s: %v", test.path, w.Header)
		}
		if where := w.Header.Get("Location"); test.status == 308 && where != "./ui/" {
			t.Errorf("GET %s leads to %q", test.path, where)
		}
	}

	page := do("GET", "/ui/models?weight.new=1", admin, "")
	var text strings.Builder
	for lines := bufio.NewScanner(page.Body); lines.Scan(); {
		text.WriteString(lines.Text())
	}
	tag := regexp.MustCompile(`name="tag" value="([^"]*)"`).FindStringSubmatch(text.String())
	if tag == nil || !strings.Contains(text.String(), "0 becomes 1") {
		t.Fatalf("no form: %s", text.String())
	}
	form := url.Values{"tag": {strings.ReplaceAll(tag[1], "&#34;", `"`)}, "weight.new": {"1"}}.Encode()
	if w := do("POST", "/ui/weights", key, form); w.StatusCode != 403 {
		t.Errorf("weights by a user: %d", w.StatusCode)
	}
	if w := do("POST", "/ui/weights", admin, form); w.StatusCode != 303 {
		t.Errorf("weights: %d", w.StatusCode)
	}
	if _, body, _ := send(t, "GET", base+"/admin/routes", "", "X-API-Key: "+admin); strings.Contains(body, `"weight": 0`) {
		t.Errorf("routes %s", body)
	}

	stream := do("GET", "/ui/api/stream", admin, "")
	if line, err := bufio.NewReader(stream.Body).ReadString('\n'); err != nil || stream.StatusCode != 200 || !strings.HasPrefix(line, "retry:") {
		t.Fatalf("stream: %d %q %v", stream.StatusCode, line, err)
	}
	if w := do("GET", "/status", "", ""); w.StatusCode != 200 {
		t.Errorf("/status while a stream is open: %d", w.StatusCode)
	}
	if code, errs := stop(); code != 0 { // it is not, if a request was broken off
		t.Errorf("stop with a stream: %d %s", code, errs)
	}
}

// TestServe_noUI: without the setting there is no page, and without keys weights are moved
// with --admin only.
func TestServe_noUI(t *testing.T) {
	base, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt")
	if status, _, _ := send(t, "GET", base+"/ui/", ""); status != 404 {
		t.Errorf("without --ui: %d", status)
	}
	stop()
	base, stop = startServe(t, "--data", demo, "--model", demo+"/model.txt", "--ui")
	if status, text, _ := send(t, "GET", base+"/ui/", ""); status != 200 || !strings.Contains(text, "Age of the data") {
		t.Errorf("with --ui: %d %s", status, text)
	}
	if status, _, _ := send(t, "POST", base+"/ui/weights", ""); status != 403 {
		t.Errorf("POST without keys: %d", status)
	}
	stop()
}
