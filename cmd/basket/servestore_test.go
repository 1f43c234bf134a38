package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startRedis starts a Redis server, which ends with the test. Without its program the test
// is skipped, or fails if BASKET_SERVERS=1 says that servers are installed.
func startRedis(t *testing.T) (url string, process *os.Process) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("BASKET_SERVERS") == "1" {
			t.Fatal("BASKET_SERVERS=1, but redis-server is not installed")
		}
		t.Skip("redis-server is not installed")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	server := exec.Command(path, "--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--dir", t.TempDir(), "--save", "", "--requirepass", "secret-of-redis")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
			return fmt.Sprintf("redis://:secret-of-redis@127.0.0.1:%d", port), server.Process
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not start")
		}
	}
}

// answersOf returns the answers for all users of the demo shop, by user.
func answersOf(t *testing.T, url string, users []string) map[string]string {
	t.Helper()
	answers := map[string]string{}
	for _, user := range users {
		status, text, _ := send(t, "POST", url+"/predict", fmt.Sprintf(`{"user_id":%q}`, user))
		price, _, _ := strings.Cut(text, `,"timestamp"`)
		answers[user] = fmt.Sprint(status, " ", price)
	}
	return answers
}

// TestServe_store: answers from a snapshot, a parquet file and Redis are those from orders.
func TestServe_store(t *testing.T) {
	users := append(newChangingShop(t, demo).users[:50:50], "nobody")
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt")
	want := answersOf(t, url, users)
	stop()
	dir := t.TempDir()
	for _, form := range []string{dir + "/rows.basket", dir + "/rows.parquet", "redis"} {
		t.Run(filepath.Ext(form), func(t *testing.T) {
			place := form
			if form == "redis" {
				place, _ = startRedis(t)
			}
			for range 2 { // a second run changes nothing
				mustRun(t, "materialize", "--data", demo, "--to", place)
			}
			url, stop := startServe(t, "--store", place, "--model", demo+"/model.txt")
			got := answersOf(t, url, users)
			for user := range want {
				if got[user] != want[user] {
					t.Errorf("user %s: %s, want %s", user, got[user], want[user])
				}
			}
			if code, errs := stop(); code != 0 || errs != "" {
				t.Errorf("status %d, %s", code, errs)
			}
		})
	}
}

// TestServe_snapshotReplaced: a snapshot that is replaced is served, and a damaged one is
// not.
func TestServe_snapshotReplaced(t *testing.T) {
	dir := t.TempDir()
	data, place := dir+"/data", dir+"/rows.basket"
	copyShop(t, data)
	mustRun(t, "materialize", "--data", data, "--to", place)
	user := newChangingShop(t, demo).users[0]
	url, stop := startServe(t, "--store", place, "--model", demo+"/model.txt")
	price := func() string { return answersOf(t, url, []string{user})[user] }
	first := price()
	writeWholeFile(t, place, []byte("no snapshot"))
	until(t, "the damaged snapshot is told", func() bool {
		_, text, _ := send(t, "GET", url+"/readyz", "")
		return strings.Contains(text, `"data":"degraded"`)
	})
	if got := price(); got != first {
		t.Errorf("after a damaged snapshot: %s, want %s", got, first)
	}
	writeWholeFile(t, data+"/inventory.parquet", dearer(t))
	mustRun(t, "materialize", "--data", data, "--to", place)
	until(t, "the new snapshot is served", func() bool { return price() != first })
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// until waits for something to happen.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not happen: %s", what)
		}
	}
}

// TestServe_outage: while Redis does not answer, requests are answered by 503 within the
// time limit, or from the cache; when it answers again, everything is as before.
func TestServe_outage(t *testing.T) {
	place, redis := startRedis(t)
	mustRun(t, "materialize", "--data", demo, "--to", place)
	users := newChangingShop(t, demo).users
	url, stop := startServe(t, "--store", place, "--model", demo+"/model.txt", "--store-timeout", "200ms", "--store-cache", "10")
	predict := func(user string) (status int, age string, took time.Duration) {
		start := time.Now()
		status, _, header := send(t, "POST", url+"/predict", fmt.Sprintf(`{"user_id":%q}`, user))
		return status, header.Get("Basket-Row-Age"), time.Since(start)
	}
	if status, age, _ := predict(users[0]); status != 200 || age != "" {
		t.Fatalf("before the outage: %d, age %q", status, age)
	}
	if err := redis.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	length := 2 * time.Second
	if long() {
		length = 10 * time.Second
	}
	var group sync.WaitGroup
	for c := range 8 {
		group.Go(func() {
			for start := time.Now(); time.Since(start) < length; {
				status, age, took := predict(users[1+c])
				if status != 503 || took > 2*time.Second {
					t.Errorf("during the outage: %d, age %q, after %v, want 503 soon", status, age, took)
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	group.Wait()
	if status, age, _ := predict(users[0]); status != 200 || age == "" {
		t.Errorf("from the cache: %d, age %q, want 200 and an age", status, age)
	}
	if status, text, _ := send(t, "GET", url+"/readyz", ""); status != 503 {
		t.Errorf("/readyz: %d %s, want 503", status, text)
	}
	if err := redis.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	until(t, "answers return", func() bool { status, age, _ := predict(users[1]); return status == 200 && age == "" })
	t.Logf("the first answer came %v after Redis was back", time.Since(back))
	families := scrape(t, url)
	for _, name := range []string{"basket_store_circuit_ratio", "basket_store_cached_total", "basket_data_age_seconds"} {
		if families[name] == nil {
			t.Errorf("no metric %s", name)
		}
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestStore_places: wrong places are told with the forms that there are, and no password.
func TestStore_places(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--model", demo + "/model.txt", "--store", "mysql://basket:hunter2@host/db"}, `--store: the scheme "mysql": want FILE.basket, FILE.parquet, redis://HOST:PORT or postgres://HOST/DATABASE`},
		{[]string{"serve", "--model", demo + "/model.txt", "--store", "hunter2.csv"}, `--store: no form that is known: want FILE.basket`},
		{[]string{"serve", "--model", demo + "/model.txt", "--store", "redis://:hunter2@127.0.0.1:port"}, "--store: the address of Redis cannot be read"},
		{[]string{"serve", "--model", demo + "/model.txt", "--store", "redis://:hunter2@127.0.0.1:1"}, "--store: redis: "},
		{[]string{"serve", "--model", demo + "/model.txt", "--store", "postgres://a:hunter2@127.0.0.1:port/db"}, "--store: the address of Postgres cannot be read"},
		{[]string{"serve", "--model", demo + "/model.txt", "--store", "postgres://a:hunter2@127.0.0.1:1/db?sslmode=disable"}, "--store: postgres: "},
		{[]string{"serve", "--model", demo + "/model.txt", "--store", "missing.basket"}, "missing.basket: no such file"},
		{[]string{"serve", "--model", demo + "/model.txt", "--store", "a.basket", "--store-cache", "5"}, "--store-cache and --store-cache-age are of a --store that is a server"},
		{[]string{"serve", "--model", demo + "/model.txt", "--store", "a.basket", "--data", "b"}, "both --data and --store"},
		{[]string{"serve", "--model", demo + "/model.txt", "--data", demo, "--stale-rows", "serve"}, "--stale-rows is of --max-row-age"},
		{[]string{"materialize", "--data", demo, "--to", "ftp://basket:hunter2@host"}, `--to: the scheme "ftp": want FILE.basket`},
		{[]string{"materialize", "--data", demo, "--to", "redis://:hunter2@127.0.0.1:1"}, "--to: redis: "},
		{[]string{"materialize", "--data", demo, "--to", "x.basket", "--rate", "5"}, "--rate is of a server"},
		{[]string{"materialize", "--data", demo, "--to", "x.basket", "--create-table"}, "--create-table is of Postgres"},
	} {
		code, out, errs := runBasket(t, test.args...)
		if code != 1 || out != "" || !strings.Contains(errs, test.want) || strings.Contains(errs, "hunter2") && !strings.Contains(test.want, "no form") {
			t.Errorf("%q: status %d, %s%s, want %q", test.args, code, out, errs, test.want)
		}
	}
}

// TestServe_maxRowAge: rows that are too old are refused, or served with their age.
func TestServe_maxRowAge(t *testing.T) {
	user := newChangingShop(t, demo).users[0]
	for policy, want := range map[string]int{"refuse": 409, "serve": 200} {
		url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--max-row-age", "1h", "--stale-rows", policy)
		status, text, header := send(t, "POST", url+"/predict", fmt.Sprintf(`{"user_id":%q}`, user))
		if status != want || header.Get("Basket-Row-Age") == "" {
			t.Errorf("%s: %d %s, %v", policy, status, text, header)
		}
		stop()
	}
}
