package basketpg_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/basket-go/basket/adapters/basketpg"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A server is a PostgreSQL server of a test, with a folder and a port of its own.
type server struct {
	dir, bin string
	port     int
	as       []string // what runs a program as a user that is not root, which the server refuses
	process  *exec.Cmd
}

// newServer starts a server, which ends with the test. If its program is not installed,
// the test is skipped, or fails where BASKET_SERVERS=1 demands servers.
func newServer(tb testing.TB) *server {
	tb.Helper()
	bin := findServer()
	if bin == "" {
		const missing = "PostgreSQL is not installed: want initdb and postgres on PATH or in /usr/lib/postgresql/*/bin (Debian: postgresql-15)"
		if os.Getenv("BASKET_SERVERS") == "1" {
			tb.Fatal(missing)
		}
		tb.Skip(missing)
	}
	dir, err := os.MkdirTemp("", "basketpg") // not TempDir, whose parent only its owner may enter
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{dir: dir, bin: bin}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() == 0 {
		s.leaveRoot(tb)
	}
	out, err := s.command("initdb", "-N", "-D", filepath.Join(dir, "data"), "-U", "basket", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8").CombinedOutput()
	if err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.port = free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	tb.Cleanup(func() { s.stop(tb) })
	s.start(tb)
	return s
}

// findServer returns the folder of the server's programs, or "".
func findServer() string {
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

// leaveRoot gives the folder to the user postgres, or nobody.
func (s *server) leaveRoot(tb testing.TB) {
	owner, err := user.Lookup("postgres")
	if err != nil {
		if owner, err = user.Lookup("nobody"); err != nil {
			tb.Fatal(err)
		}
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	if err := os.Chown(s.dir, uid, gid); err != nil {
		tb.Fatal(err)
	}
	s.as = []string{"setpriv", "--reuid=" + owner.Uid, "--regid=" + owner.Gid, "--clear-groups", "--"}
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	line := append(append(s.as[:len(s.as):len(s.as)], filepath.Join(s.bin, name)), args...)
	c := exec.Command(line[0], line[1:]...)
	c.Dir = s.dir
	return c
}

func (s *server) url() string {
	return fmt.Sprintf("postgres://basket@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// start starts the server and waits until it answers.
func (s *server) start(tb testing.TB) {
	tb.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	s.process = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-k", "", "-F")
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		pool, err := pgxpool.New(ctx, s.url())
		if err == nil {
			err = pool.Ping(ctx)
			pool.Close()
		}
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			text, _ := os.ReadFile(log.Name())
			tb.Fatalf("the server did not start: %v\n%s", err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stop stops the server, which ends its clients' connections.
func (s *server) stop(tb testing.TB) {
	if s.process == nil {
		return
	}
	// An interrupt is the server's "fast shutdown".
	if err := s.process.Process.Signal(os.Interrupt); err != nil {
		tb.Error(err)
	}
	_ = s.process.Wait()
	s.process = nil
}

// pool returns a pool of connections, closed with the test. The settings are added to the
// URL, as in "&default_query_exec_mode=exec".
func (s *server) pool(tb testing.TB, settings string) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.New(context.Background(), s.url()+settings)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

var tables atomic.Int64

// newStore returns a store over a table of its own.
func newStore(tb testing.TB, pool basketpg.Pool, opts ...basketpg.Option) *basketpg.Store {
	tb.Helper()
	name := fmt.Sprintf("basket_rows_%d", tables.Add(1))
	s, err := basketpg.NewStore(pool, append([]basketpg.Option{basketpg.WithTable(name)}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.CreateTable(context.Background()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = pool.Exec(context.Background(), "DROP TABLE IF EXISTS "+name) })
	return s
}
