package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/basket-go/basket"
)

const (
	closedLoopConnections = 8
	openLoopConnections   = 64 // enough that a request seldom waits for a connection
	httpUsers             = 64 // users that the requests name
)

// http compares POST /predict, with both logs on files, with a minimal net/http handler:
// throughput, and latency at half the throughput.
func (b *bench) http(ctx context.Context) (err error) {
	throughput, latency := "http: POST /predict, throughput", "http: POST /predict, P99 latency at half the throughput"
	if !b.selected(throughput) && !b.selected(latency) {
		return nil
	}
	s := b.shop()
	rows, err := s.rows()
	if err != nil {
		return err
	}
	users := someUsers(rows, httpUsers)
	logs, err := os.MkdirTemp(b.temp, "logs")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ours, err := startProcess(ctx, time.Minute, "ready ", self, childArg, "-kind", "basket", "-data", s.data, "-model", s.model, "-logs", logs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	bare, err := startBare(ctx, ours.ready, users[0], "")
	if err != nil {
		return err
	}
	defer bare.kill()
	load, tool, err := b.loadGenerator(users, "")
	if err != nil {
		return err
	}
	var rate float64
	if b.selected(throughput) {
		rate = b.throughput(ctx, throughput, ours, bare, load, tool)
	}
	if !b.selected(latency) {
		return nil
	}
	if rate == 0 {
		if rate, err = load(ctx, ours.ready); err != nil {
			return err
		}
	}
	b.latency(ctx, latency, ours, bare, users, rate/2)
	return nil
}

// someUsers returns the IDs of n users, or of all if there are fewer.
func someUsers(rows []basket.Row, n int) (users []string) {
	n = min(n, len(rows))
	for i := range n {
		users = append(users, rows[i*len(rows)/n].UserID)
	}
	return users
}

// startBare starts the minimal server, which gives the answer of the server at address.
func startBare(ctx context.Context, address, userID, key string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	answer, err := postPredict(ctx, address, userID, key)
	if err != nil {
		return nil, err
	}
	suffix, ok := strings.CutPrefix(answer, `{"user_id":"`+userID)
	if !ok {
		return nil, fmt.Errorf("answer %q does not start with the user ID %s", answer, userID)
	}
	p, err := startProcess(ctx, time.Minute, "ready ", self, childArg, "-kind", "bare", "-suffix", suffix)
	if err != nil {
		return nil, err
	}
	got, err := postPredict(ctx, p.ready, userID, "")
	if err == nil && got != answer {
		err = fmt.Errorf("the minimal handler answers %q, want %q", got, answer)
	}
	if err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// throughput compares the answers per second, and the CPU time per request. It returns
// our answers per second, or 0.
func (b *bench) throughput(ctx context.Context, name string, ours, bare *process, load loadFunc, tool string) float64 {
	cpuTimes := map[*process][]float64{} // per request, of the server alone
	measure := func(p *process) measureFunc {
		return func(ctx context.Context) (float64, error) {
			before, err := p.askNumber("cpu")
			if err != nil {
				return 0, err
			}
			rate, err := load(ctx, p.ready)
			if err != nil {
				return 0, err
			}
			after, err := p.askNumber("cpu")
			cpuTimes[p] = append(cpuTimes[p], (after-before)/rate/b.length.Seconds())
			return rate, err
		}
	}
	peer := candidate{name: "bare net/http", measure: measure(bare), bar: minRatio(0.85)}
	rates, results := b.compare(ctx, name, perSecond, candidate{name: "basket", measure: measure(ours)}, peer)
	for _, r := range results {
		r.Note = fmt.Sprintf("%d connections over loopback by %s, which uses the same cores; both servers answer the same bytes; ours logs to two files", closedLoopConnections, tool)
		b.add(r)
	}
	if len(results) > 0 && cpuTime() > 0 {
		b.add(newResult("http: POST /predict, CPU time per request", nanoseconds, cpuTimes[ours], candidate{name: peer.name}, cpuTimes[bare], nil))
	}
	return summarize(rates).Median
}

// latency compares the P99 latency at a fixed rate.
func (b *bench) latency(ctx context.Context, name string, ours, bare *process, users []string, rate float64) {
	p99 := func(address string) measureFunc {
		requests := predictRequests(address, users, "")
		return func(ctx context.Context) (float64, error) {
			latencies, err := openLoop(ctx, address, openLoopConnections, rate, b.length, requests)
			if err != nil {
				return 0, err
			}
			return float64(quantile(latencies, 0.99)), nil
		}
	}
	_, results := b.compare(ctx, name, nanoseconds,
		candidate{name: "basket", measure: p99(ours.ready)},
		candidate{name: "bare net/http", measure: p99(bare.ready), bar: maxValue(nanoseconds, 2e6)})
	for _, r := range results {
		r.Note = fmt.Sprintf("open loop of %.0f requests/s; latency counts from the time when a request is due; the generator uses the same cores", rate)
		b.add(r)
	}
}

// A loadFunc loads a server for the length of a measurement and returns the answers
// per second.
type loadFunc func(ctx context.Context, address string) (float64, error)

// loadGenerator returns wrk if it is installed, and a generator in Go otherwise, with
// its name. The requests have the API key, unless that is empty.
func (b *bench) loadGenerator(users []string, key string) (load loadFunc, tool string, err error) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		b.record("wrk", skipError{errors.New("not installed; the load generator in Go replaces it and uses more CPU time")})
		return func(ctx context.Context, address string) (float64, error) {
			_, rate, err := closedLoop(ctx, address, closedLoopConnections, math.MaxInt, b.length, predictRequests(address, users, key))
			return rate, err
		}, "a load generator in Go", nil
	}
	authorization := ""
	if key != "" {
		authorization = fmt.Sprintf(", Authorization = \"Bearer %s\"", key)
	}
	var script strings.Builder
	fmt.Fprintf(&script, "local headers = {[\"Content-Type\"] = \"application/json\"%s}\n", authorization)
	script.WriteString("local requests, i = {}, 0\ninit = function()\n")
	for _, u := range users {
		fmt.Fprintf(&script, "  requests[#requests + 1] = wrk.format(\"POST\", \"/predict\", headers, [[{\"user_id\":%q}]])\n", u)
	}
	script.WriteString("end\nrequest = function()\n  i = i % #requests + 1\n  return requests[i]\nend\n")
	file := filepath.Join(b.temp, "predict.lua")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		return nil, "", err
	}
	seconds := int(b.length.Seconds())
	return func(ctx context.Context, address string) (float64, error) {
		out, err := runCommand(ctx, time.Duration(seconds)*time.Second+30*time.Second, "", wrk,
			"-t1", fmt.Sprintf("-c%d", closedLoopConnections), fmt.Sprintf("-d%ds", seconds), "-s", file, "http://"+address+"/predict")
		if err != nil {
			return 0, err
		}
		return readWrk(out)
	}, "wrk", nil
}

var (
	wrkRate  = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)`)
	wrkError = regexp.MustCompile(`(?m)^\s*(Non-2xx or 3xx responses|Socket errors):.*`)
)

// readWrk returns the requests per second from the output of wrk. It is an error if
// requests failed.
func readWrk(out string) (float64, error) {
	if line := wrkError.FindString(out); line != "" {
		return 0, fmt.Errorf("wrk: %s", strings.TrimSpace(line))
	}
	rate := wrkRate.FindStringSubmatch(out)
	if rate == nil {
		return 0, fmt.Errorf("wrk: no Requests/sec in %q", out)
	}
	return strconv.ParseFloat(rate[1], 64)
}
