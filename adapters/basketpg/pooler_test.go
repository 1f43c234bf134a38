package basketpg_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/baskettest"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TestStore_pooler runs the suite through PgBouncer, each transaction on another
// connection, in the modes that the package's comment names.
func TestStore_pooler(t *testing.T) {
	s := newServer(t)
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // not on everybody's PATH
	}
	if _, err := os.Stat(program); err != nil {
		const missing = "PgBouncer is not installed: want pgbouncer on PATH or in /usr/sbin (Debian: pgbouncer)"
		if os.Getenv("BASKET_SERVERS") == "1" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	url := startPooler(t, s, program)
	for _, mode := range []string{"exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			pool, err := pgxpool.New(context.Background(), url+"?sslmode=disable&default_query_exec_mode="+mode)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			baskettest.TestStore(t, func(t *testing.T) baskettest.Store { return newStore(t, pool) })
			bulk := newStore(t, pool)
			rows := collect(30_000)
			for range 2 {
				if err := bulk.PutAll(t.Context(), basket.Values(rows)); err != nil {
					t.Fatal(err)
				}
				hasRows(t, mode, bulk, rows)
			}
		})
	}
}

// startPooler starts PgBouncer in front of s, and returns its URL.
func startPooler(t *testing.T, s *server, program string) string {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	_ = free.Close()
	settings := filepath.Join(s.dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\npostgres = host=127.0.0.1 port=%d user=basket\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"+
		"unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n", s.port, port)
	if err := os.WriteFile(settings, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	line := append(s.as[:len(s.as):len(s.as)], program, "-q", settings)
	c := exec.Command(line[0], line[1:]...)
	c.Dir = s.dir
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	url := fmt.Sprintf("postgres://basket@127.0.0.1:%d/postgres", port)
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			return url
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("PgBouncer did not start: %v", err)
		}
	}
}
