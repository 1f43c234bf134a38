package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the test binary as the server if BASKET_TEST_SERVER is set, so that
// tests can send signals to the server as a process.
func TestMain(m *testing.M) {
	if os.Getenv("BASKET_TEST_SERVER") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func serverCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BASKET_TEST_SERVER=1")
	return cmd
}

// start starts the server process. It returns the output up to the second curl line,
// and the URL of the server.
func start(t *testing.T, args ...string) (cmd *exec.Cmd, printed, url string) {
	t.Helper()
	cmd = serverCommand(args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for strings.Count(printed, "curl") < 2 && lines.Scan() {
		printed += lines.Text() + "\n"
	}
	url = regexp.MustCompile(`http://[\d.:]+`).FindString(printed)
	if url == "" {
		t.Fatalf("output %q has no URL", printed)
	}
	return cmd, printed, url
}

// TestServer_demo sends the requests of the two printed curl commands.
func TestServer_demo(t *testing.T) {
	cmd, printed, url := start(t, "-addr", "127.0.0.1:0")
	if !strings.Contains(printed, "curl "+url+"/status\n") {
		t.Errorf("output %q, want a curl command for /status", printed)
	}
	answer, err := http.Get(url + "/status")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != 200 || !strings.HasPrefix(string(body), `{"status":"OK"`) {
		t.Errorf("status: %d %s", answer.StatusCode, body)
	}
	if !strings.Contains(printed, "Look at it in a browser: "+url+"/ui/\n") {
		t.Errorf("output %q, want the address of the page", printed)
	}
	page, err := http.Get(url + "/ui/")
	if err != nil {
		t.Fatal(err)
	}
	_ = page.Body.Close()
	if page.StatusCode != 200 || page.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("page: %d %v", page.StatusCode, page.Header)
	}
	request := regexp.MustCompile(`curl (\S+) -H 'Content-Type: (\S+)' -d '(.*)'`).FindStringSubmatch(printed)
	if request == nil {
		t.Fatalf("output %q, want a curl command for /predict", printed)
	}
	answer, err = http.Post(request[1], request[2], strings.NewReader(request[3]))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var price struct {
		UserID string  `json:"user_id"`
		Price  float64 `json:"predicted_price"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&price); err != nil || price.UserID != demoUser || price.Price < 5 || price.Price > 100 {
		t.Errorf("predict: %d %+v, %v", answer.StatusCode, price, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// TestServer_shutdown sends SIGHUP and then SIGTERM under load. Each request must be
// answered, and each answer must have its line in both logs.
func TestServer_shutdown(t *testing.T) {
	logs := t.TempDir()
	cmd, _, url := start(t, "-addr", "127.0.0.1:0", "-logs", logs)
	var answered atomic.Int64
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			for {
				answer, err := client.Post(url+"/predict", "application/json", strings.NewReader(`{"user_id":"`+demoUser+`"}`))
				if err != nil {
					t.Errorf("request failed: %v", err)
					return
				}
				_, err = io.Copy(io.Discard, answer.Body)
				if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != 200 {
					t.Errorf("status %d, %v", answer.StatusCode, err)
				}
				answered.Add(1)
				if answer.Close {
					return
				}
			}
		})
	}
	waitForAnswers := func(n int64) {
		for answered.Load() < n && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
	}
	waitForAnswers(100)
	// Rotate the logs.
	for _, name := range []string{"service_metrics.txt", "model_metrics.txt"} {
		if err := os.Rename(filepath.Join(logs, name), filepath.Join(logs, "old-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitForAnswers(answered.Load() + 100)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	clients.Wait()
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	for name, event := range map[string]string{"service_metrics.txt": " | REQUEST | POST /predict | ", "model_metrics.txt": " | PREDICTION | user_id=" + demoUser} {
		lines := int64(0)
		for _, name := range []string{name, "old-" + name} {
			text, err := os.ReadFile(filepath.Join(logs, name))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(string(text), "\n") || !strings.Contains(string(text), " LOG\n====") {
				t.Errorf("%s: the header is missing or the last line is incomplete", name)
			}
			lines += int64(strings.Count(string(text), event))
		}
		if lines != answered.Load() {
			t.Errorf("%s: %d lines for %d answers", name, lines, answered.Load())
		}
	}
}

// TestServer_startError checks that an error at the start is the last line of the output.
func TestServer_startError(t *testing.T) {
	empty := t.TempDir()
	for _, args := range [][]string{
		{"-data", empty},
		{"-model", filepath.Join(empty, "no.txt")},
		{"-addr", "127.0.0.1:99999"},
		{"-logs", os.Args[0]}, // a file, not a folder
	} {
		out, err := serverCommand(args...).CombinedOutput()
		last := out[strings.LastIndexByte(strings.TrimSpace(string(out)), '\n')+1:]
		if err == nil || len(last) < 20 {
			t.Errorf("%v: error %v, output %q", args, err, out)
		}
	}
}
