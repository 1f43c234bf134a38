package basketredis_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// program returns the path of a server's program. Without it the test is skipped, or
// fails if BASKET_SERVERS=1 says that servers are installed.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("BASKET_SERVERS") == "1" {
		t.Fatalf("BASKET_SERVERS=1, but %s is not installed", name)
	}
	t.Skipf("%s is not installed: apt-get install redis-server redis-sentinel", name)
	return ""
}

// A server is a Redis server on 127.0.0.1 that a test started.
type server struct {
	*exec.Cmd
	port int
	addr string
	logs string
	stop func() // ends it at once, and waits for that
}

// startServer starts a program of Redis, and ends it after the test: on one of the given
// ports, or else on a free one. As another process may take a port first, it tries several.
func startServer(t testing.TB, name string, args func(dir string) []string, ports ...int) *server {
	t.Helper()
	path := program(t, name)
	for range 10 {
		ports = append(ports, freePort(t))
	}
	for _, port := range ports {
		dir := t.TempDir()
		s := &server{port: port, addr: fmt.Sprintf("127.0.0.1:%d", port), logs: filepath.Join(dir, "log")}
		s.Cmd = exec.Command(path, append(args(dir), "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--logfile", s.logs)...)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { s.Wait(); close(ended) }()
		s.stop = func() { s.Process.Kill(); <-ended }
		t.Cleanup(s.stop)
		if s.answers(ended) {
			return s
		}
	}
	t.Fatalf("%s does not start", name)
	return nil
}

// answers waits until the server answers, or has ended.
func (s *server) answers(ended <-chan struct{}) bool {
	for range 500 {
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err != nil {
			continue
		}
		c.SetDeadline(time.Now().Add(time.Second))
		fmt.Fprint(c, "PING\r\n")
		reply := make([]byte, 7)
		c.Read(reply)
		c.Close()
		if string(reply) == "+PONG\r\n" && strings.Contains(readFile(s.logs), strconv.Itoa(s.Process.Pid)) {
			return true // it is this process that answers
		}
	}
	return false
}

func readFile(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// freePort returns a port that was free, and so was the one of the cluster's bus, 10,000
// above.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		one, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		two, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+10_000))
		one.Close()
		if err != nil {
			continue
		}
		two.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// startRedis starts a Redis that keeps nothing on disk.
func startRedis(t testing.TB, args ...string) *server {
	t.Helper()
	return startServer(t, "redis-server", func(string) []string {
		return append([]string{"--save", "", "--appendonly", "no"}, args...)
	})
}

// startCluster starts a cluster of three servers without replicas.
func startCluster(t testing.TB) []string {
	t.Helper()
	cli := program(t, "redis-cli")
	var addrs []string
	for range 3 {
		addrs = append(addrs, startRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000").addr)
	}
	args := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.Command(cli, append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, out)
	}
	for _, addr := range addrs { // each learns of the others in its own time
		_, port, _ := strings.Cut(addr, ":")
		for i := 0; ; i++ {
			out, err := exec.Command(cli, "-p", port, "cluster", "info").CombinedOutput()
			if strings.Contains(string(out), "cluster_state:ok") {
				break
			}
			if i == 300 {
				t.Fatalf("the cluster is not ready: %v\n%s", err, out)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return addrs
}

// startSentinel starts a Redis and a sentinel of it, whose name for it is "basket".
func startSentinel(t testing.TB) (addr string) {
	t.Helper()
	redis := startRedis(t)
	return startServer(t, "redis-sentinel", func(dir string) []string {
		path := filepath.Join(dir, "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor basket 127.0.0.1 %d 1\n", redis.port)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{path}
	}).addr
}

// newClient returns a client that is closed after the test.
func newClient(t testing.TB, o rueidis.ClientOption) rueidis.Client {
	t.Helper()
	o.DisableCache = true
	var client rueidis.Client
	var err error
	for range 50 { // a new cluster or sentinel takes a moment
		if client, err = rueidis.NewClient(o); err == nil {
			t.Cleanup(client.Close)
			return client
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal(err)
	return nil
}

func newSingle(t testing.TB) rueidis.Client {
	t.Helper()
	return newClient(t, rueidis.ClientOption{InitAddress: []string{startRedis(t).addr}})
}

var stores atomic.Int64

// unique returns a name that no other store of the tests has.
func unique() string { return fmt.Sprintf("store-%d:", stores.Add(1)) }
