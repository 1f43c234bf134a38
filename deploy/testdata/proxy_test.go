package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// A proxy starts HAProxy or nginx, by its file of this folder, in front of three servers,
// and returns its URL. It ends with the test.
type proxy func(t *testing.T, servers [3]string) (url string)

// eachProxy runs a test with HAProxy and with nginx.
func eachProxy(t *testing.T, test func(t *testing.T, start proxy)) {
	t.Run("haproxy", func(t *testing.T) { test(t, startHAProxy) })
	t.Run("nginx", func(t *testing.T) { test(t, startNginx) })
}

func startHAProxy(t *testing.T, servers [3]string) (url string) {
	t.Helper()
	path := program(t, "haproxy", "haproxy")
	text := readFile(t, "../haproxy.cfg")
	if os.Geteuid() != 0 { // only root can become another user
		text = regexp.MustCompile(`(?m)^    (user|group) .*\n`).ReplaceAllString(text, "")
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	writeFile(t, file, text)
	front := freeAddr(t)
	env := append(os.Environ(), "BASKET_FRONT="+front, "BASKET_1="+servers[0], "BASKET_2="+servers[1], "BASKET_3="+servers[2])
	check := exec.Command(path, "-c", "-f", file)
	check.Env = env
	out, err := check.CombinedOutput()
	if err != nil || strings.Contains(string(out), "WARNING") {
		t.Fatalf("haproxy -c: %v\n%s", err, out)
	}
	process := exec.Command(path, "-db", "-f", file)
	process.Env = env
	startProcess(t, process)
	return awaitFront(t, front)
}

func startNginx(t *testing.T, servers [3]string) (url string) {
	t.Helper()
	path := program(t, "nginx", "nginx-light")
	dir, front := t.TempDir(), freeAddr(t)
	text := readFile(t, "../nginx.conf")
	for i, now := range append([]string{front}, servers[:]...) {
		documented := fmt.Sprintf(" 127.0.0.1:%d", 8000+i)
		if strings.Count(text, documented) != 1 {
			t.Fatalf("nginx.conf has%s %d times, want 1", documented, strings.Count(text, documented))
		}
		text = strings.Replace(text, documented, " "+now, 1)
	}
	writeFile(t, dir+"/basket.conf", text)
	var around strings.Builder // what a distribution's nginx.conf has
	if os.Geteuid() == 0 {
		around.WriteString("user root; # who owns this folder\n")
	}
	fmt.Fprintf(&around, "worker_processes 2;\npid %[1]s/pid;\nerror_log stderr warn;\nevents { worker_connections 4096; }\nhttp {\n  access_log off;\n", dir)
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&around, "  %s_temp_path %s/%s;\n", name, dir, name)
	}
	around.WriteString("  include " + dir + "/basket.conf;\n}\n")
	writeFile(t, dir+"/nginx.conf", around.String())
	args := []string{"-p", dir, "-e", "stderr", "-c", dir + "/nginx.conf"}
	out, err := exec.Command(path, append(args, "-t")...).CombinedOutput()
	if err != nil || strings.Contains(string(out), "[warn]") {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	startProcess(t, exec.Command(path, append(args, "-g", "daemon off;")...))
	return awaitFront(t, front)
}

// startProcess starts a process whose output is the test's, and ends it after the test by
// SIGTERM.
func startProcess(t *testing.T, process *exec.Cmd) {
	t.Helper()
	process.Stdout, process.Stderr = t.Output(), t.Output()
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		_ = process.Wait()
	})
}

// awaitFront waits until a proxy passes on requests, and returns its URL.
func awaitFront(t *testing.T, front string) (url string) {
	t.Helper()
	url = "http://" + front
	until(t, "the proxy passes on requests", func() bool {
		w, err := http.Get(url + "/status")
		if err != nil {
			return false
		}
		_ = w.Body.Close()
		return w.StatusCode == http.StatusOK
	})
	return url
}

// TestProxy_paths: only the paths for clients are passed on, however others are written.
func TestProxy_paths(t *testing.T) {
	eachProxy(t, func(t *testing.T, start proxy) {
		server := strings.TrimPrefix(startServer(t), "http://")
		url := start(t, [3]string{server, server, server})
		for path, want := range map[string]int{
			"/status": 200, "/predict": 405, "/predict/batch": 405, "/v2": 200, "/v2/models/nothing": 404, "/v2/models/basket/infer": 405,
			"/metrics": 404, "/%6detrics": 404, "//metrics": 404, "/predict/../metrics": 404, "/v2/../metrics": 404, "/v2/%2e%2e/metrics": 404, "/v2x": 404, "/admin/routes": 404, "/": 404,
		} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path)
			answer, err := io.ReadAll(conn)
			_ = conn.Close()
			if err != nil || !strings.HasPrefix(string(answer), fmt.Sprintf("HTTP/1.1 %d ", want)) {
				t.Errorf("GET %s: %.100q, %v, want %d", path, answer, err, want)
			}
		}
	})
}

// TestProxy_clientAddress: a server that trusts the proxy limits the rate of each client,
// whatever address a client makes up.
func TestProxy_clientAddress(t *testing.T) {
	eachProxy(t, func(t *testing.T, start proxy) {
		server := newReplica(t, "--data", demo, "--rate-limit", "0.001", "--rate-burst", "1", "--trusted-proxies", "127.0.0.1/32")
		server.start(t)
		url := start(t, [3]string{server.addr, server.addr, server.addr})
		for _, request := range []struct {
			from, forged string
			want         int
		}{
			{"127.0.0.2", "", 200},
			{"127.0.0.2", "", 429},
			{"127.0.0.2", "192.0.2.1", 429},
			{"127.0.0.3", "127.0.0.2", 200},
		} {
			r, err := http.NewRequestWithContext(t.Context(), "POST", url+"/predict", strings.NewReader(`{"user_id":"`+demoUser+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			if request.forged != "" {
				r.Header.Set("X-Forwarded-For", request.forged)
			}
			from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(request.from)}}
			client := &http.Client{Transport: &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true}}
			w, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = w.Body.Close()
			if w.StatusCode != request.want {
				t.Errorf("from %s, which names %q: %d, want %d", request.from, request.forged, w.StatusCode, request.want)
			}
		}
	})
}

// TestProxy_batch: a large batch passes whole, in both directions.
func TestProxy_batch(t *testing.T) {
	eachProxy(t, func(t *testing.T, start proxy) {
		server := strings.TrimPrefix(startServer(t), "http://")
		url := start(t, [3]string{server, server, server})
		const users = 10_000
		body := `{"user_ids":["` + demoUser + strings.Repeat(`","`+demoUser, users-1) + `"]}`
		answer := ask(t, "POST", url+"/predict/batch", body)
		if n := strings.Count(answer, `"predicted_price"`); n != users {
			t.Errorf("%d prices, want %d: %.300s", n, users, answer)
		}
	})
}

// TestHAProxy_unready: while Redis is gone no server is ready, and users whose rows are
// cached are answered still.
func TestHAProxy_unready(t *testing.T) {
	f := newFleet(t, "--store-cache", "1000")
	url := startHAProxy(t, f.addrs())
	for _, r := range f.replicas { // each caches the row
		if status, body := predict(http.DefaultClient, "http://"+r.addr, demoUser); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	ready := func() int {
		w, err := http.Get(url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Body.Close()
		return w.StatusCode
	}
	until(t, "the proxy is ready", func() bool { return ready() == 200 })
	if err := f.redis.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "the proxy is not ready", func() bool { return ready() == 503 })
	for range 9 {
		if status, body := predict(http.DefaultClient, url, demoUser); status != 200 {
			t.Errorf("without Redis: %d %s", status, body)
		}
	}
	if err := f.redis.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "the proxy is ready again", func() bool { return ready() == 200 })
}

// predict asks for a prediction, and returns the answer without its time. The status is 0
// if there is no whole answer.
func predict(client *http.Client, url, user string) (status int, price string) {
	w, err := client.Post(url+"/predict", "application/json", strings.NewReader(`{"user_id":"`+user+`"}`))
	if err != nil {
		return 0, err.Error()
	}
	text, err := io.ReadAll(w.Body)
	if err := errors.Join(err, w.Body.Close()); err != nil {
		return 0, err.Error()
	}
	before, _, _ := bytes.Cut(text, []byte(`,"timestamp"`))
	return w.StatusCode, string(before)
}
