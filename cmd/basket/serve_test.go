package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// startServe runs "basket serve" and returns its URL, and what stops it and returns
// its status and errors.
func startServe(t *testing.T, args ...string) (url string, stop func() (code int, stderr string)) {
	t.Helper()
	url, _, stop = startServePrinted(t, args...)
	return url, stop
}

// startServePrinted is startServe, and returns what the command has printed too.
func startServePrinted(t *testing.T, args ...string) (url, printed string, stop func() (code int, stderr string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs syncBuffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...), terminal{&out, &errs})
	}()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if url = strings.TrimSpace(regexp.MustCompile(`https?://[\d.:]+\d\n`).FindString(out.String())); url != "" {
			break
		}
		if time.Now().After(deadline) || len(done) > 0 {
			t.Fatalf("basket serve %q does not serve: %s", args, errs.String())
		}
	}
	return url, out.String(), func() (int, string) {
		cancel()
		return <-done, errs.String()
	}
}

// ask sends a request and returns status, body and the header Basket-Model.
func ask(t *testing.T, method, url, key, body string) (status int, answer, model string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, strings.TrimSpace(string(text)), w.Header.Get("Basket-Model")
}

// newKey makes a key by the command.
func newKey(t *testing.T, args ...string) (key, line string) {
	t.Helper()
	fields := strings.Fields(mustRun(t, append([]string{"key", "new"}, args...)...))
	if len(fields) != 4 || fields[0] != "key" || fields[2] != "line" {
		t.Fatalf("basket key new: %q", fields)
	}
	return fields[1], fields[3]
}

func TestServe_keys(t *testing.T) {
	key, line := newKey(t, "shop")
	_, admin := newKey(t, "ops", "--role", "admin")
	if !strings.HasSuffix(admin, ":admin") {
		t.Errorf("line of an administrator: %s", admin)
	}
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte(line+"\n"+admin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--key-file", file)
	const body = `{"user_id":"nobody"}`
	for _, test := range []struct {
		method, path, key string
		status            int
		want              string
	}{
		{"POST", "/predict", key, 404, `{"detail":"User not found"}`},
		{"POST", "/predict", "", 401, `{"detail":"Unauthorized"}`},
		{"POST", "/predict/batch", "wrong", 401, `{"detail":"Unauthorized"}`},
		{"GET", "/nothing", "", 401, `{"detail":"Unauthorized"}`},
		{"GET", "/livez", "", 200, `{"status":"OK"}`},
		{"GET", "/readyz", "", 200, `{"status":"OK","checks":{"data":"ok","keys":"ok","store":"ok"}}`},
	} {
		if status, got, _ := ask(t, test.method, url+test.path, test.key, body); status != test.status || got != test.want {
			t.Errorf("%s %s with key %q: %d %s, want %d %s", test.method, test.path, test.key, status, got, test.status, test.want)
		}
	}
	if status, _, _ := ask(t, "GET", url+"/status", "", ""); status != 200 {
		t.Errorf("/status: %d", status)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_models: the newest version is served, a newer one is picked up, and each
// answer tells which it was.
func TestServe_models(t *testing.T) {
	dir := t.TempDir()
	add := func(version string) {
		t.Helper()
		b, err := os.ReadFile(demo + "/model.txt")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "price", version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "price", version, "model.txt"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	add("2")
	add("10")
	url, stop := startServe(t, "--data", demo, "--models", dir)
	model := func() string {
		_, _, m := ask(t, "POST", url+"/predict", "", `{"user_id":"nobody"}`)
		return m
	}
	if m := model(); m != "price@10" {
		t.Errorf("the answer is of %q, want price@10", m)
	}
	add("11")
	for deadline := time.Now().Add(30 * time.Second); model() != "price@11"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still %s", model())
		}
	}
	if _, body, _ := ask(t, "GET", url+"/v2/models/price", "", ""); !strings.Contains(body, `"versions":["11","10","2"]`) && !strings.Contains(body, `"versions":["11","2","10"]`) {
		t.Errorf("/v2/models/price: %s, want version 11 first", body)
	}
	if status, body, _ := ask(t, "GET", url+"/readyz", "", ""); status != 200 || body != `{"status":"OK","checks":{"data":"ok","models":"ok","store":"ok"}}` {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
	url, stop = startServe(t, "--data", demo, "--models", dir, "--model-name", "price@2")
	if m := model(); m != "price@2" {
		t.Errorf("the answer is of %q, want price@2", m)
	}
	if _, body, _ := ask(t, "GET", url+"/v2/models/price", "", ""); !strings.Contains(body, `"versions":["2",`) {
		t.Errorf("/v2/models/price: %s, want the pinned version 2 first", body)
	}
	stop()
}

func TestServe_refuses(t *testing.T) {
	empty := t.TempDir()
	bad := filepath.Join(empty, "keys")
	if err := os.WriteFile(bad, []byte("shop:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	model := demo + "/model.txt"
	tests := map[string]struct {
		args []string
		want string
	}{
		"no keys, not loopback": {[]string{"--model", model, "--addr", "0.0.0.0:0"}, "there are no API keys: give --key-file or --jwks, or --insecure-no-auth"},
		"damaged keys":          {[]string{"--model", model, "--key-file", bad}, `line 1: the hash of "shop" is not 64 hexadecimal digits`},
		"no key file":           {[]string{"--model", model, "--key-file", "missing"}, "missing: no such file"},
		"no model":              {nil, "no model: give --model FILE or --models DIR"},
		"two models":            {[]string{"--model", model, "--models", empty}, "both --model and --models: give one of them"},
		"no models there":       {[]string{"--models", empty}, "choose one by --model-name"},
		"unknown model":         {[]string{"--models", empty, "--model-name", "price"}, "price"},
		"name without models":   {[]string{"--model", model, "--model-name", "price"}, "--model-name chooses one of --models"},
	}
	for name, test := range tests {
		code, out, errs := runBasket(t, append([]string{"serve", "--data", demo}, test.args...)...)
		if code != 1 || out != "" || !strings.Contains(errs, test.want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: status %d, %s%s, want one line with %q", name, code, out, errs, test.want)
		}
	}
}

// TestServe_freshData: an export that has changed is served; a bad one is not.
func TestServe_freshData(t *testing.T) {
	data, logs := t.TempDir(), t.TempDir()
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(demo, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(data, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"orders.parquet", "regulars.parquet", "inventory.parquet"} {
		write(name, read(name))
	}
	_, stop := startServe(t, "--data", data, "--model", demo+"/model.txt", "--logs", logs)
	logged := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			text, err := os.ReadFile(filepath.Join(logs, "service_metrics.txt"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the log has no %q:\n%s", want, text)
			}
		}
	}
	write("orders.parquet", read("orders.parquet")[:1000])
	logged("Failed to reload data; the old rows are served")
	write("orders.parquet", read("orders.parquet"))
	logged("The data was read again: rows of ")
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}
