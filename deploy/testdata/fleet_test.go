package deploy

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// program returns the path of a program. Without it the test is skipped, or fails if
// BASKET_SERVERS=1 says that servers are installed.
func program(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("BASKET_SERVERS") == "1" {
		t.Fatalf("BASKET_SERVERS=1, but %s is not installed", name)
	}
	t.Skipf("%s is not installed: apt-get install %s", name, debian)
	return ""
}

// freeAddr returns an address whose port was free. It is none of those that the system
// gives to outgoing connections, which could take it while a server is not running.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// until waits for something to happen.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("this did not happen: %s", what)
		}
	}
}

// startRedis starts a Redis that keeps nothing on disk; it ends with the test.
func startRedis(t *testing.T) (addr string, process *os.Process) {
	t.Helper()
	path := program(t, "redis-server", "redis-server")
	addr = freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	server := exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	until(t, "Redis answers", func() bool { return strings.HasPrefix(askRedis(addr, "PING"), "+PONG") })
	return addr, server.Process
}

// askRedis sends one command, and returns all that comes back.
func askRedis(addr, command string) string {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return ""
	}
	defer c.Close()
	fmt.Fprintf(c, "%s\r\nQUIT\r\n", command)
	text, _ := io.ReadAll(c)
	return string(text)
}

// A replica is a process of "basket serve" that is stopped and started anew.
type replica struct {
	addr    string
	args    []string
	process *exec.Cmd // nil while it is stopped
}

// newReplica returns one that is not started.
func newReplica(t *testing.T, args ...string) *replica {
	t.Helper()
	r := &replica{addr: freeAddr(t)}
	r.args = append([]string{"serve", "--addr", r.addr, "--model", demo + "/model.txt"}, args...)
	t.Cleanup(func() {
		if r.process != nil {
			_ = r.process.Process.Kill()
			_ = r.process.Wait()
		}
	})
	return r
}

// start returns when the server listens.
func (r *replica) start(t *testing.T) {
	t.Helper()
	process := exec.Command(builtCommand(t), r.args...)
	process.Stderr = t.Output()
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	r.process = process
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "serving on ") {
			return
		}
	}
	t.Fatalf("the server at %s does not serve", r.addr)
}

// stop interrupts the server and waits for its end.
func (r *replica) stop(t *testing.T) {
	t.Helper()
	if err := r.process.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := r.process.Wait()
	r.process = nil
	if err != nil {
		t.Errorf("the server at %s ends with %v", r.addr, err)
	}
}

// predictions returns how many requests for a prediction the server has answered since
// its start.
func (r *replica) predictions(t *testing.T) (n float64) {
	t.Helper()
	for _, s := range scrape(t, "http://"+r.addr) {
		if s.Metric["__name__"] == "http_server_request_duration_seconds_count" && s.Metric["http_route"] == "/predict" {
			n += float64(s.Value)
		}
	}
	return n
}

// A fleet is three servers that read the demo shop's rows from one Redis.
type fleet struct {
	redis    *os.Process
	users    []string
	replicas [3]*replica
}

// newFleet starts a fleet.
func newFleet(t *testing.T, args ...string) *fleet {
	t.Helper()
	addr, redis := startRedis(t)
	f := &fleet{redis: redis}
	if out, err := exec.Command(builtCommand(t), "materialize", "--data", demo, "--to", "redis://"+addr).CombinedOutput(); err != nil {
		t.Fatalf("basket materialize: %v\n%s", err, out)
	}
	for line := range strings.Lines(askRedis(addr, "KEYS basket:*")) {
		if user, ok := strings.CutPrefix(strings.TrimSpace(line), "basket:"); ok {
			f.users = append(f.users, user)
		}
	}
	if len(f.users) < 10 {
		t.Fatalf("%d users in Redis", len(f.users))
	}
	for i := range f.replicas {
		f.replicas[i] = newReplica(t, append([]string{"--store", "redis://" + addr, "--drain", "2s", "--trusted-proxies", "127.0.0.1/32"}, args...)...)
		f.replicas[i].start(t)
	}
	return f
}

func (f *fleet) addrs() (addrs [3]string) {
	for i, r := range f.replicas {
		addrs[i] = r.addr
	}
	return addrs
}
