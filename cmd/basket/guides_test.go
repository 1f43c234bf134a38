package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// notRun are the commands of README.md and docs that TestGuides does not run, and why.
var notRun = map[string]string{
	"go test ./...":                          "CI runs it, as the README has it",
	"bench/peers.sh && go -C bench run .":    "installs other libraries and measures for an hour; CI runs a part of it",
	"go -C bench run .":                      "measures for an hour; CI runs a part of it",
	"go test -run '^$' -bench Handler ./oip": "measures for seconds; CI runs the benchmarks",
	"go test -run '^$' -bench Snapshot .":    "measures for a minute; CI runs the benchmarks",
	"BASKET_LONG=1 go -C deploy/testdata test -count=1 -run RollingRestart -v .": "restarts servers for minutes; .ci/long runs it",
	"go -C parity run .": "CI runs it, with a broker, in a step of its own",
	"GOFLAGS=-tags=purego go -C bench run . --only engine":                                      "measures for minutes; CI runs the tests with that tag",
	"BASKET_FLINK=1 BASKET_SHOP=DIR go -C examples/beam test -timeout 2h -run Flink -v .":       "starts a Flink cluster; .ci/long runs it",
	"go -C examples/beam run . --data DIR --out DIR --runner=prism --environment_type=LOOPBACK": "builds for minutes; the tests of examples/beam run the program by prism",
	"go -C cmd/basket install .": "installs the command; the test of releases does so",
	"basket serve --data examples/server/demo --model examples/server/demo/model.txt --grpc-addr 127.0.0.1:8001":                                         "TestReadme_clients runs it",
	`curl http://127.0.0.1:8000/v2/models/basket-features/infer -d '{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[20,5,1,2]}]}'`: "TestReadme_clients runs it",
	"basket serve --ui":    "names a flag; TestServe_ui serves with it",
	"basket serve --store": "names a flag; production.md and scale.md have commands with it",
	"for host in 10.0.0.11 10.0.0.12 10.0.0.13; do ssh $host systemctl restart basket until curl -sf http://$host:8000/readyz; do sleep 1; done sleep 2 # until the proxy sends requests to it again done": "needs three machines with systemd; the tests of deploy restart three servers behind the proxy so",
}

// TestGuides runs every command of README.md and docs: the lines of each block of the shell
// in order, and the commands in prose. What they name, such as /srv/shop/export or
// redis://10.0.0.5:6379, has a stand-in. A server runs to the end of its block, and is asked
// whether it is ready.
func TestGuides(t *testing.T) {
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(names) < 8 {
		t.Fatalf("guides %q, %v", names, err)
	}
	bin := filepath.Dir(buildBasket(t))
	listed := map[string]bool{}
	commands := 0
	for _, name := range append(names, "../../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var blocks [][]string
		for _, block := range shellBlocks(string(text)) {
			commands += len(block)
			block = slices.DeleteFunc(block, func(command string) bool {
				key := strings.Join(strings.Fields(command), " ")
				listed[key] = true
				return notRun[key] != ""
			})
			if len(block) > 0 {
				blocks = append(blocks, block)
			}
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			g := newGuide(t, bin, string(text))
			for i, block := range blocks {
				t.Run(fmt.Sprint("commands", i), func(t *testing.T) { g.run(t, block) })
			}
		})
	}
	for command, reason := range notRun {
		if !listed[command] {
			t.Errorf("no guide has the command %q, which is not run (%s)", command, reason)
		}
	}
	if commands < 35 {
		t.Errorf("%d commands: want 35 or more", commands)
	}
}

var (
	anyBlock   = regexp.MustCompile("(?ms)^ *```(\\w*)\n(.*?)^ *```$")
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	spanIsRun  = regexp.MustCompile(`^([A-Z_]+=\S+ )*[a-zA-Z][\w./-]*( \S+)* --?\w|^(go|grep|curl) |^basket [a-z]+ \S|^(bench|scripts)/\S+ `)
	shellLoop  = regexp.MustCompile(`(?ms)^for .*?^done$|[^\n]+`)
	yamlName   = regexp.MustCompile(`^# (\S+\.yaml)\n`)
	serverLine = regexp.MustCompile(`^basket (serve|feed) |^go run \./examples/|haproxy -W`)
)

// shellBlocks returns the commands of a guide by blocks, and then those in prose, each as a
// block of its own.
func shellBlocks(text string) (blocks [][]string) {
	for _, block := range anyBlock.FindAllStringSubmatch(text, -1) {
		if block[1] == "sh" {
			lines := regexp.MustCompile(`(?m)^   `).ReplaceAllString(strings.ReplaceAll(block[2], "\\\n", " "), "")
			blocks = append(blocks, shellLoop.FindAllString(lines, -1))
		}
	}
	for _, span := range codeSpan.FindAllStringSubmatch(anyBlock.ReplaceAllString(text, ""), -1) {
		if command := strings.Join(strings.Fields(span[1]), " "); spanIsRun.MatchString(command) {
			blocks = append(blocks, []string{command})
		}
	}
	return blocks
}

// A guide has what the commands of one guide need.
type guide struct {
	dir         string // where they run
	env         []string
	serve, feed string // addresses
	front       string
	standIns    []string // pairs of what a command says and what is meant
}

// newGuide makes a folder with the demo shop, three versions of its model, its rows, keys
// and a log of predictions, and the files of settings that the guide shows.
func newGuide(t *testing.T, bin, text string) *guide {
	t.Helper()
	g := &guide{dir: t.TempDir(), serve: freeAddress(t), feed: freeAddress(t), front: freeAddress(t)}
	in := func(name string) string { return filepath.Join(g.dir, name) }
	g.standIns = []string{
		"/srv/shop/export", in("export"), "/srv/shop/models", in("models"), "/srv/shop/routes.yaml", in("routes.yaml"),
		"/etc/basket/keys", in("keys"), "/etc/basket/log-key", in("log-key"), "/var/log/basket", in("logs"),
		"--data DIR", "--data " + in("export"), "inspect FILE", "inspect " + in("model.txt"),
		"127.0.0.1:8000", g.serve, "0.0.0.0:8000", g.serve, "10.0.0.11:8000", g.serve, "10.0.0.12:8000", g.serve, "10.0.0.13:8000", g.serve,
		"/proc/PID", "/proc/self", "127.0.0.1:8001", g.feed, "BASKET_FRONT=:8000", "BASKET_FRONT=" + g.front,
		`"user_id":"ann"`, `"user_id":"` + newChangingShop(t, demo).users[0] + `"`, // a user of the demo shop
	}
	g.env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "CURL_HOME="+g.dir, "BASKET_ADDR="+g.serve)
	_, user := newKey(t, "shop")
	_, admin := newKey(t, "ops", "--role", "admin")
	files := map[string]string{
		"keys": user + "\n" + admin + "\n", "log-key": "0123456789abcdef\n", ".curlrc": "fail\nsilent\nshow-error\n",
	}
	for _, block := range anyBlock.FindAllStringSubmatch(text, -1) {
		if name := yamlName.FindStringSubmatch(block[2]); block[1] == "yaml" && name != nil {
			files[name[1]] = strings.NewReplacer(g.standIns...).Replace(block[2])
		}
	}
	for _, name := range []string{"orders.parquet", "regulars.parquet", "inventory.parquet", "model.txt"} {
		content, err := os.ReadFile(filepath.Join(demo, name))
		if err != nil {
			t.Fatal(err)
		}
		if name != "model.txt" {
			files["export/"+name] = string(content)
			continue
		}
		files[name] = string(content)
		for version := range 3 {
			files[fmt.Sprintf("models/price/%d/model.txt", version+1)] = string(content) + strings.Repeat("\n", version)
		}
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(in(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustRun(t, "features", "--data", in("export"), "--out", in("rows.parquet"))
	if strings.Contains(text, "--log /var/log/basket") {
		g.writeLog(t)
	}
	return g
}

// writeLog makes a log of predictions, with the user IDs that comparing with orders needs.
func (g *guide) writeLog(t *testing.T) {
	t.Helper()
	url, stop := startServe(t, "--data", g.dir+"/export", "--models", g.dir+"/models", "--routes", g.dir+"/routes.yaml",
		"--logs", g.dir+"/logs", "--log-format", "json")
	body, err := json.Marshal(map[string]any{"user_ids": newChangingShop(t, demo).users})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if status, answer, _ := ask(t, "POST", url+"/predict/batch", "", string(body)); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	if code, errs := stop(); code != 0 {
		t.Fatal(code, errs)
	}
}

// meanings starts the servers that the commands of a block name, and returns the stand-ins
// with their addresses.
func (g *guide) meanings(t *testing.T, text string) []string {
	t.Helper()
	pairs := slices.Clone(g.standIns)
	for _, program := range []string{"curl", "haproxy"} {
		if strings.Contains(text, program+" ") {
			needPrograms(t, program)
		}
	}
	if strings.Contains(text, "scripts/kafka start /tmp/kafka") {
		needPrograms(t, "java", "mvn")
		dir, port := t.TempDir(), twoFreePorts(t)
		pairs = append(pairs, "start /tmp/kafka", fmt.Sprintf("start %s %d", dir, port), "127.0.0.1:9092", fmt.Sprint("127.0.0.1:", port))
		t.Cleanup(func() {
			if out, err := exec.Command("../../scripts/kafka", "stop", dir).CombinedOutput(); err != nil {
				t.Errorf("scripts/kafka stop: %v: %s", err, out)
			}
		})
	}
	if strings.Contains(text, "kafka:9092") {
		pairs = append(pairs, "kafka:9092", startKafka(t).address)
	}
	if place := regexp.MustCompile(`redis://\S+:6379`).FindString(text); place != "" {
		url, _ := startRedis(t)
		pairs = append(pairs, place, url)
	}
	if strings.Contains(text, "deploy/haproxy.cfg") && os.Geteuid() != 0 { // only root can become another user
		config, err := os.ReadFile("../../deploy/haproxy.cfg")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		writeWholeFile(t, file, regexp.MustCompile(`(?m)^    (user|group) .*\n`).ReplaceAll(config, nil))
		pairs = append(pairs, "deploy/haproxy.cfg", file)
	}
	return pairs
}

// run runs the commands of a block.
func (g *guide) run(t *testing.T, commands []string) {
	text := strings.Join(commands, "\n")
	pairs := g.meanings(t, text)
	fixed := strings.Contains(text, "./examples/embed") // it has no flag for its address
	if fixed {
		l, err := net.Listen("tcp", "127.0.0.1:8000")
		if err != nil {
			t.Skipf("another program listens where examples/embed does: %v", err)
		}
		_ = l.Close()
	}
	for _, command := range commands {
		meant := strings.NewReplacer(pairs...).Replace(command)
		if fixed {
			meant = command
		}
		process := exec.Command("sh", "-ec", meant)
		process.Dir, process.Env = g.dir, g.env
		if regexp.MustCompile(`^go |^scripts/|deploy/`).MatchString(command) {
			process.Dir = "../.." // the project's folder
		}
		if serverLine.MatchString(command) && !strings.Contains(command, "--print-config") && !strings.Contains(command, "--help") {
			process.Args[2] = "exec env " + meant // the process that gets the signal is the server
			g.start(t, command, process)
			continue
		}
		start := time.Now()
		out, err := process.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s\nwhich was run as %s", command, err, out, meant)
		}
		t.Logf("%.1f s: %s: %.200s", time.Since(start).Seconds(), command, bytes.TrimSpace(out))
	}
}

// start starts a server, which ends with the test, and waits until it is ready.
func (g *guide) start(t *testing.T, command string, process *exec.Cmd) {
	t.Helper()
	ready := "http://" + g.serve + "/status"
	switch {
	case strings.HasPrefix(command, "basket feed"):
		ready = "http://" + g.feed + "/readyz"
	case strings.Contains(command, "haproxy"):
		ready = "http://" + g.front + "/status"
	case strings.Contains(command, "./examples/embed"):
		ready = "http://127.0.0.1:8000/hello"
	}
	var out syncBuffer
	process.Stdout, process.Stderr = &out, &out
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run and its program
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- process.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-process.Process.Pid, syscall.SIGINT)
		select {
		case err := <-done:
			switch {
			case strings.Contains(command, "haproxy"): // its status is that of the signal
				err = nil
			case strings.HasPrefix(command, "go run") && !strings.Contains(out.String(), "exit status"):
				err = nil // that of go run; it prints the program's unless that is 0
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", command, err, out.String())
			}
		case <-time.After(30 * time.Second):
			_ = syscall.Kill(-process.Process.Pid, syscall.SIGKILL)
			<-done
			t.Errorf("%s: does not end within 30 s of SIGINT\n%s", command, out.String())
		}
	})
	until(t, "ready: "+command, func() bool {
		if len(done) > 0 {
			t.Fatalf("%s: has ended\n%s", command, out.String())
		}
		answer, err := http.Get(ready)
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// needPrograms skips the test where a program is not installed, or fails it if
// BASKET_SERVERS=1 says that it is.
func needPrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("BASKET_SERVERS") == "1" {
			t.Fatalf("BASKET_SERVERS=1, but %s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

// freeAddress returns an address of this machine at which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
