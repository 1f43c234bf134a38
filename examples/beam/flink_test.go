package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A cluster is a Flink cluster of two task managers, and the program.
type cluster struct {
	script, program, boot string
	log                   string // of the job manager
	slots                 int    // of each task manager
	nextTaskManager       int
}

// newCluster starts a cluster, which ends with the test. Without BASKET_FLINK=1 the
// test is skipped: it needs root and takes minutes. See scripts/flink.
func newCluster(t *testing.T, slots int) *cluster {
	t.Helper()
	if os.Getenv("BASKET_FLINK") != "1" {
		t.Skip("a Flink cluster is started if BASKET_FLINK=1; scripts/flink tells what it needs")
	}
	home := os.Getenv("BASKET_CACHE")
	if home == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		home = filepath.Join(cache, "basket")
	}
	t.Setenv("FLINK_SLOTS", strconv.Itoa(slots))
	dir := t.TempDir()
	c := &cluster{
		script: absolute(t, "../../scripts/flink"), program: filepath.Join(dir, "beam"), boot: filepath.Join(dir, "boot"),
		log: filepath.Join(home, "flink-run", "jobmanager.log"), slots: slots, nextTaskManager: 3,
	}
	build(t, c.program, ".")
	build(t, c.boot, "github.com/apache/beam/sdks/v2/go/container")
	_ = os.Remove(c.log)
	t.Cleanup(func() { command(t, c.script, "stop") })
	t.Log(command(t, c.script, "start", "2"))
	return c
}

// build builds a program without C libraries, as a task manager may run elsewhere.
func build(t *testing.T, to, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", to, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
}

// command runs a command and returns what it prints.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String())
}

// run runs the program on the cluster, and returns what it prints.
func (c *cluster) run(t *testing.T, conf config) (string, error) {
	t.Helper()
	args := []string{
		"run", c.program,
		"--data", absolute(t, conf.data), "--out", conf.out, "--meaning", conf.meaning, "--rows", conf.rows, "--shards", strconv.Itoa(conf.shards),
		"--runner=flink", "--endpoint=127.0.0.1:8099", "--parallelism=" + strconv.Itoa(2*c.slots),
		"--environment_type=PROCESS", "--environment_config=" + command(t, c.script, "worker", c.boot), "--worker_binary=" + c.program,
	}
	if conf.model != "" {
		args = append(args, "--model", absolute(t, conf.model))
	}
	cmd := exec.Command(c.script, args...)
	cmd.Dir = t.TempDir() // Beam writes a file pipeline_options.json to the current folder
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// replace ends a task manager by SIGKILL and starts another one.
func (c *cluster) replace(t *testing.T) {
	t.Helper()
	command(t, c.script, "kill-tm", strconv.Itoa(c.nextTaskManager-1))
	command(t, c.script, "add-tm", strconv.Itoa(c.nextTaskManager))
	c.nextTaskManager++
}

// restarts returns how often jobs have been restarted.
func (c *cluster) restarts(t *testing.T) int {
	t.Helper()
	log, err := os.ReadFile(c.log)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(log, []byte("to RESTARTING"))
}

// TestFlink: what the program writes on a cluster of two task managers equals the
// result of one machine, also if one of them is lost; bad input fails the job.
func TestFlink(t *testing.T) {
	c := newCluster(t, 2)
	data := "../../../shared/data/full"
	if _, err := os.Stat(data); err != nil {
		data = writeShop(t, 2500, 150_000)
	}
	base := config{data: data, model: model, meaning: "last-order", rows: "all", shards: 8}

	t.Run("whole", func(t *testing.T) {
		conf := base
		conf.out = t.TempDir()
		c.complete(t, conf)
		conf.meaning, conf.rows, conf.shards = "next-order", "latest", 2
		conf.out = t.TempDir()
		c.complete(t, conf)
	})
	t.Run("a task manager is lost while it reads", func(t *testing.T) {
		conf := base
		conf.out = t.TempDir()
		c.lose(t, conf, func() bool { return len(workers()) > 1 })
	})
	t.Run("a task manager is lost while it writes", func(t *testing.T) {
		conf := base
		conf.out, conf.shards = t.TempDir(), 400
		c.lose(t, conf, func() bool {
			files, _ := filepath.Glob(conf.out + "/rows/rows-*.parquet")
			return len(files) > 10
		})
	})
	t.Run("no price", func(t *testing.T) {
		conf := base
		conf.out, conf.data = t.TempDir(), t.TempDir()
		type item struct {
			Variant int64    `parquet:"variant_id"`
			Price   *float64 `parquet:"price"`
		}
		writeTable(t, filepath.Join(conf.data, "inventory.parquet"), []item{{Variant: 1}})
		for _, table := range []string{"orders.parquet", "regulars.parquet"} {
			text, err := os.ReadFile(filepath.Join(demo, table))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(conf.data, table), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := c.run(t, conf)
		if want := "none of its 1 lines has a price"; err == nil || !strings.Contains(out, want) {
			t.Errorf("error %v: want one, and output with %q:\n%s", err, want, out)
		}
		if _, err := os.Stat(conf.out + "/rows/_SUCCESS"); err == nil {
			t.Error("there is a file _SUCCESS")
		}
	})
}

// complete runs the program and checks its output.
func (c *cluster) complete(t *testing.T, conf config) {
	t.Helper()
	start := time.Now()
	if out, err := c.run(t, conf); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%.0f s", time.Since(start).Seconds())
	conf.check(t)
}

// lose runs the program, replaces a task manager at some moment, and checks the output.
func (c *cluster) lose(t *testing.T, conf config, moment func() bool) {
	t.Helper()
	before := c.restarts(t)
	stop, replaced := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(replaced)
		for !moment() {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
		c.replace(t)
	}()
	out, err := c.run(t, conf)
	close(stop)
	<-replaced
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if c.restarts(t) == before {
		t.Error("the job was not restarted: want a task manager to be lost while it runs")
	}
	conf.check(t)
}

// TestFlink_large runs the program on the orders in the folder BASKET_SHOP, and on
// one machine the command basket, whose rows must be equal; and tells time and memory.
// bench/peers/orders.py makes shops of any size.
func TestFlink_large(t *testing.T) {
	shop := os.Getenv("BASKET_SHOP")
	if shop == "" {
		t.Skip("BASKET_SHOP is not set: want a folder of many orders")
	}
	c := newCluster(t, 4)
	conf := config{data: shop, out: t.TempDir(), meaning: "last-order", rows: "latest", shards: 16}
	stop, done := make(chan struct{}), make(chan map[string]int)
	go func() { done <- peaks(stop) }()
	start := time.Now()
	out, err := c.run(t, conf)
	elapsed := time.Since(start)
	close(stop)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("Flink: %.0f s; peak memory of the workers, in MiB by process: %v\n%s", elapsed.Seconds(), <-done, command(t, c.script, "status"))

	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+"/basket", ".")
	build.Dir = "../../cmd/basket"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	single := exec.Command(dir+"/basket", "features", "--data", shop, "--out", dir+"/rows-single.parquet")
	start = time.Now()
	if out, err := single.CombinedOutput(); err != nil {
		t.Fatalf("basket features: %v\n%s", err, out)
	}
	elapsed = time.Since(start)
	if usage, ok := single.ProcessState.SysUsage().(*syscall.Rusage); ok {
		t.Logf("one machine: %.1f s, peak memory %d MiB", elapsed.Seconds(), usage.Maxrss/1024)
	}
	if err := os.WriteFile(dir+"/_SUCCESS", []byte("rows-single.parquet\t0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir + "/basket"); err != nil {
		t.Fatal(err)
	}
	want := readOutput(t, dir)
	sameBits(t, want, readOutput(t, filepath.Join(conf.out, "rows")))
	t.Logf("%d rows are equal", len(want))
}

// workers returns the numbers of the processes that run a worker: boot copies the
// program to /tmp/bin*.
func workers() []string {
	var found []string
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "/tmp/bin") {
			found = append(found, filepath.Base(filepath.Dir(link)))
		}
	}
	return found
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peaks returns the peak memory of each worker, in MiB, until stop.
func peaks(stop <-chan struct{}) map[string]int {
	most := map[string]int{}
	for {
		for _, process := range workers() {
			status, err := fs.ReadFile(os.DirFS("/proc"), process+"/status")
			if m := peakLine.FindSubmatch(status); err == nil && m != nil {
				kib, _ := strconv.Atoi(string(m[1]))
				most[process] = kib / 1024
			}
		}
		select {
		case <-stop:
			return most
		case <-time.After(time.Second):
		}
	}
}
