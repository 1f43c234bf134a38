package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/jackc/pgx/v5"
)

// startPostgres starts a PostgreSQL server, which ends with the test. Without its programs
// the test is skipped, or fails if BASKET_SERVERS=1 says that servers are installed.
func startPostgres(t *testing.T) (url string) {
	t.Helper()
	bin := postgresPrograms()
	if bin == "" {
		if os.Getenv("BASKET_SERVERS") == "1" {
			t.Fatal("BASKET_SERVERS=1, but PostgreSQL is not installed")
		}
		t.Skip("PostgreSQL is not installed")
	}
	dir, err := os.MkdirTemp("", "basket-postgres") // not TempDir, whose parent only its owner may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	command := func(name string, args ...string) *exec.Cmd {
		line := append([]string{filepath.Join(bin, name)}, args...)
		if os.Geteuid() == 0 { // which the server refuses
			nobody, err := user.Lookup("nobody")
			if err != nil {
				t.Fatal(err)
			}
			uid, _ := strconv.Atoi(nobody.Uid)
			gid, _ := strconv.Atoi(nobody.Gid)
			if err := os.Chown(dir, uid, gid); err != nil {
				t.Fatal(err)
			}
			line = append([]string{"setpriv", "--reuid=" + nobody.Uid, "--regid=" + nobody.Gid, "--clear-groups", "--"}, line...)
		}
		c := exec.Command(line[0], line[1:]...)
		c.Dir = dir
		return c
	}
	if out, err := command("initdb", "-N", "-D", dir+"/data", "-U", "basket", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(free.Addr().(*net.TCPAddr).Port)
	_ = free.Close()
	server := command("postgres", "-D", dir+"/data", "-h", "127.0.0.1", "-p", port, "-k", "", "-F")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
	})
	url = "postgres://basket@127.0.0.1:" + port + "/postgres?sslmode=disable"
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgx.Connect(t.Context(), url)
		if err == nil {
			_ = c.Close(t.Context())
			return url
		}
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL does not start: %v", err)
		}
	}
}

// postgresPrograms returns the folder of the server's programs, or "".
func postgresPrograms() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// TestFeed_postgres: a feed makes its table, and its rows are those of materialize.
func TestFeed_postgres(t *testing.T) {
	place, brokers := startPostgres(t), startBroker(t)
	n := 0
	if _, err := fmt.Sscanf(mustRun(t, "publish", "--brokers", brokers, "--topic", "orders", "--data", demo, "--create-topic", "2"), "published %d orders", &n); err != nil {
		t.Fatal(err)
	}
	url, errs, stop := startFeed(t, "--brokers", brokers, "--data", demo, "--to", place, "--create-table", "--batch", "200")
	until(t, "all events are handled", func() bool {
		return feedMetric(t, url, "basket_feed_orders_total") == n && feedMetric(t, url, "basket_feed_lag") == 0
	})
	if code := stop(); code != 0 {
		t.Errorf("status %d, %s", code, errs)
	}
	compareRows(t, batchRows(t, demo, basket.LastOrder), storedRows(t, place, demo))
}
