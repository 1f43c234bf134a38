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
)

const (
	connections = 8  // of the throughput
	waiting     = 64 // of the open loop: enough that a slow answer keeps none waiting
	someUsers   = 64
)

// http compares POST /predict, with both logs on files, with a handler of
// nothing but net/http: throughput, and latency at half of it.
func (b *bench) http(ctx context.Context) {
	throughput, latency := "http: POST /predict, throughput", "http: POST /predict, P99 at half of it"
	if !b.wanted(throughput) && !b.wanted(latency) {
		return
	}
	s := b.shop()
	rows, err := s.rows()
	if err != nil {
		b.fail(throughput, err)
		return
	}
	var users []string
	for i := range min(someUsers, len(rows)) {
		users = append(users, rows[i*len(rows)/min(someUsers, len(rows))].UserID)
	}
	logs, err := os.MkdirTemp(b.temp, "logs")
	if err != nil {
		b.fail(throughput, err)
		return
	}
	self, err := os.Executable()
	if err != nil {
		b.fail(throughput, err)
		return
	}
	ours, err := startProcess(ctx, time.Minute, "ready ", self, childArg, "-kind", "basket", "-data", s.data, "-model", s.model, "-logs", logs)
	if err != nil {
		b.fail(throughput, err)
		return
	}
	defer func() {
		if last := ours.close(); last != "dropped 0" {
			b.fail("http", fmt.Errorf("log lines were lost, or the server did not stop well: %q", last))
		}
	}()
	answer, err := answerOf(ctx, ours.first, users[0])
	rest, ok := strings.CutPrefix(answer, `{"user_id":"`+users[0])
	if err != nil || !ok {
		b.fail(throughput, fmt.Errorf("answer %q: %w", answer, err))
		return
	}
	bare, err := startProcess(ctx, time.Minute, "ready ", self, childArg, "-kind", "bare", "-rest", rest)
	if err != nil {
		b.fail(throughput, err)
		return
	}
	defer bare.close()
	if got, err := answerOf(ctx, bare.first, users[0]); err != nil || got != answer {
		b.fail(throughput, fmt.Errorf("the bare handler answers %q, want %q: %w", got, answer, err))
		return
	}

	measure, tool, err := b.closedLoop(users)
	if err != nil {
		b.fail(throughput, err)
		return
	}
	highest := 0.0
	if b.wanted(throughput) {
		b.say("%s", throughput)
		// What a request costs the server itself, whoever else uses the machine.
		costs := map[*process][]float64{}
		load := func(p *process) func(context.Context) (float64, error) {
			return func(ctx context.Context) (float64, error) {
				before, err := p.measure("cpu")
				if err != nil {
					return 0, err
				}
				rate, err := measure(ctx, p.first)
				if err != nil {
					return 0, err
				}
				after, err := p.measure("cpu")
				costs[p] = append(costs[p], (after-before)/rate/b.length.Seconds())
				return rate, err
			}
		}
		figures := b.compare(ctx, throughput, perSecond, []side{
			{"basket", "", load(ours)},
			{"bare net/http", "", load(bare)},
		}, func(_ int, r *result) {
			r.Bar = &bar{AtLeast: 0.85, Text: "0.85x"}
			r.Note = fmt.Sprintf("%d connections over loopback by %s, which has the same cores; answers of the same bytes; ours logs to two files", connections, tool)
		})
		highest = summarize(figures).Median
		if highest > 0 && cpuTime() > 0 {
			b.add(newResult("http: POST /predict, processor time a request", nanoseconds, costs[ours], side{name: "bare net/http"}, costs[bare], nil))
		}
	}
	if !b.wanted(latency) {
		return
	}
	if highest == 0 {
		if highest, err = measure(ctx, ours.first); err != nil {
			b.fail(latency, err)
			return
		}
	}
	rate := highest / 2
	b.say("%s", latency)
	p99 := func(address string) func(context.Context) (float64, error) {
		requests := requestsTo(address, users)
		return func(ctx context.Context) (float64, error) {
			latencies, err := openLoop(ctx, address, waiting, rate, b.length, requests)
			if err != nil {
				return 0, err
			}
			return float64(quantile(latencies, 0.99)), nil
		}
	}
	b.compare(ctx, latency, nanoseconds, []side{
		{"basket", "", p99(ours.first)}, {"bare net/http", "", p99(bare.first)},
	}, func(_ int, r *result) {
		r.Bar = under(nanoseconds, 2e6)
		r.Note = fmt.Sprintf("open loop of %.0f requests/s, from the time when each was due; the generator has the same cores", rate)
	})
}

func requestsTo(address string, users []string) [][]byte {
	var requests [][]byte
	for _, u := range users {
		requests = append(requests, request(address, u))
	}
	return requests
}

// closedLoop returns a measurement of the answers a second: by wrk, or else by
// this program.
func (b *bench) closedLoop(users []string) (measure func(ctx context.Context, address string) (float64, error), tool string, err error) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		b.leave("wrk", errors.New("not here: a load generator in Go stands in, and takes more of the cores"))
		return func(ctx context.Context, address string) (float64, error) {
			return closedLoop(ctx, address, connections, math.MaxInt, b.length, requestsTo(address, users))
		}, "a load generator in Go", nil
	}
	var script strings.Builder
	script.WriteString("local headers = {[\"Content-Type\"] = \"application/json\"}\nlocal requests, i = {}, 0\ninit = function()\n")
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
		out, err := command(ctx, time.Duration(seconds)*time.Second+30*time.Second, "", wrk,
			"-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", seconds), "-s", file, "http://"+address+"/predict")
		if err != nil {
			return 0, err
		}
		return readWrk(out)
	}, "wrk", nil
}

var (
	wrkRate   = regexp.MustCompile(`(?m)^Requests/sec:\s+([0-9.]+)`)
	wrkFaults = regexp.MustCompile(`(?m)^\s*(Non-2xx or 3xx responses|Socket errors):.*`)
)

// readWrk returns the requests a second that wrk tells of, if all went well.
func readWrk(out string) (float64, error) {
	if fault := wrkFaults.FindString(out); fault != "" {
		return 0, fmt.Errorf("wrk: %s", strings.TrimSpace(fault))
	}
	rate := wrkRate.FindStringSubmatch(out)
	if rate == nil {
		return 0, fmt.Errorf("wrk: no requests a second in %q", out)
	}
	return strconv.ParseFloat(rate[1], 64)
}
