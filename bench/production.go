package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/basket-go/basket/serve"
)

// buildCommand builds the command basket, and returns its path.
func (b *bench) buildCommand(ctx context.Context) (string, error) {
	path := filepath.Join(b.temp, "basket-command")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	_, err := runCommand(ctx, 10*time.Minute, filepath.Join(b.root, "cmd", "basket"), "go", "build", "-o", path, ".")
	return path, err
}

// startCommand starts "basket serve" for a shop. Its field ready is the address.
func (b *bench) startCommand(ctx context.Context, s shop, args ...string) (*process, error) {
	command, err := b.buildCommand(ctx)
	if err != nil {
		return nil, err
	}
	return startProcess(ctx, time.Minute, "serving on http://", command, append([]string{"serve", "--data", s.data, "--addr", "127.0.0.1:0"}, args...)...)
}

// production compares the command "basket serve" with a minimal net/http handler:
// throughput, and latency at half the throughput. First with API keys, a model repository
// and JSON logs, and then with limits, drift and hashed user IDs too. Metrics are always on.
func (b *bench) production(ctx context.Context) error {
	err := b.productionOf(ctx, "production: POST /predict with keys, repository and JSON logs", 0.8, nil)
	limits := []string{
		"--rate-limit", "1e6", "--rate-burst", "1000000", "--max-concurrent", "1000", "--timeout", "10s", "--store-timeout", "1s",
		"--log-user-id", "hash", "--log-user-id-key", "0123456789abcdef",
	}
	return errors.Join(err, b.productionOf(ctx, "production: the same with limits, drift and hashed user IDs", 0.75, limits))
}

// productionOf measures with settings besides keys, repository and JSON logs; if there are
// some, with a profile for drift too.
func (b *bench) productionOf(ctx context.Context, name string, ratio float64, settings []string) (err error) {
	throughput, latency := name+", throughput", name+", P99 latency at half the throughput"
	if !b.selected(throughput) && !b.selected(latency) {
		return nil
	}
	s := b.shop()
	rows, err := s.rows()
	if err != nil {
		return err
	}
	users := someUsers(rows, httpUsers)
	dir, err := os.MkdirTemp(b.temp, "production")
	if err != nil {
		return err
	}
	key, line, err := serve.NewKey("bench", serve.User)
	if err != nil {
		return err
	}
	model, err := os.ReadFile(s.model)
	if err != nil {
		return err
	}
	models, profile := filepath.Join(dir, "models"), filepath.Join(dir, "profile.json")
	err = errors.Join(os.WriteFile(filepath.Join(dir, "keys"), []byte(line+"\n"), 0o600),
		os.MkdirAll(filepath.Join(models, "price", "1"), 0o700),
		os.WriteFile(filepath.Join(models, "price", "1", "model"+filepath.Ext(s.model)), model, 0o600))
	if err != nil {
		return err
	}
	args := append([]string{
		"--models", models, "--key-file", filepath.Join(dir, "keys"),
		"--logs", filepath.Join(dir, "logs"), "--log-format", "json",
	}, settings...)
	if len(settings) > 0 {
		command, err := b.buildCommand(ctx)
		if err != nil {
			return err
		}
		if _, err := runCommand(ctx, time.Minute, "", command, "profile", "--data", s.data, "--model", s.model, "--out", profile); err != nil {
			return err
		}
		args = append(args, "--profile", profile)
	}
	ours, err := b.startCommand(ctx, s, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop(ours)) }()
	bare, err := startBare(ctx, ours.ready, users[0], key)
	if err != nil {
		return err
	}
	defer bare.kill()
	load, tool, err := b.loadGenerator(users, key)
	if err != nil {
		return err
	}
	rates, results := b.compare(ctx, throughput, perSecond,
		candidate{name: "basket serve", measure: func(ctx context.Context) (float64, error) { return load(ctx, ours.ready) }},
		candidate{name: "bare net/http", measure: func(ctx context.Context) (float64, error) { return load(ctx, bare.ready) }, bar: minRatio(ratio)})
	for _, r := range results {
		r.Note = fmt.Sprintf("%d connections over loopback by %s, which uses the same cores; both servers answer the same body", closedLoopConnections, tool)
		b.add(r)
	}
	rate := summarize(rates).Median / 2
	p99 := func(address string) measureFunc {
		requests := predictRequests(address, users, key)
		return func(ctx context.Context) (float64, error) {
			latencies, err := openLoop(ctx, address, openLoopConnections, rate, b.length, requests)
			if err != nil {
				return 0, err
			}
			return float64(quantile(latencies, 0.99)), nil
		}
	}
	_, results = b.compare(ctx, latency, nanoseconds,
		candidate{name: "basket serve", measure: p99(ours.ready)},
		candidate{name: "bare net/http", measure: p99(bare.ready), bar: minRatio(0.8)})
	for _, r := range results {
		r.Note = fmt.Sprintf("open loop of %.0f requests/s; latency counts from the time when a request is due; the generator uses the same cores", rate)
		b.add(r)
	}
	return nil
}

// stop ends a server, which must not have reported anything, such as lines of a log
// that it dropped.
func stop(server *process) error {
	err := server.interrupt()
	if text := server.stderr.String(); err == nil && text != "" {
		err = fmt.Errorf("basket serve: %s", text)
	}
	return err
}

// batchUsers is how many users a request of the batch comparison has.
const batchUsers = 1000

// batch compares the users a second of /predict/batch with those of /predict, without
// a model log and with one.
func (b *bench) batch(ctx context.Context) error {
	for _, c := range []struct {
		name string
		logs bool
		bar  float64
	}{{"batch: 1,000 users by /predict/batch, no logs", false, 20}, {"batch: 1,000 users by /predict/batch, both logs", true, 5}} {
		if b.selected(c.name) {
			if err := b.batchOf(ctx, c.name, c.logs, c.bar); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) batchOf(ctx context.Context, name string, logs bool, ratio float64) (err error) {
	s := b.shop()
	rows, err := s.rows()
	if err != nil {
		return err
	}
	users := someUsers(rows, batchUsers)
	for len(users) < batchUsers { // the demo shop is small
		users = append(users, users[:min(len(users), batchUsers-len(users))]...)
	}
	list, err := json.Marshal(users)
	if err != nil {
		return err
	}
	args := []string{"--model", s.model}
	dir, err := os.MkdirTemp(b.temp, "batch")
	if err != nil {
		return err
	}
	if logs {
		args = append(args, "--logs", dir)
	}
	server, err := b.startCommand(ctx, s, args...)
	if err != nil {
		return err
	}
	predicted := 0
	defer func() {
		err = errors.Join(err, stop(server))
		if logs && err == nil {
			err = wantLines(filepath.Join(dir, "model_metrics.txt"), " | PREDICTION | user_id=", predicted)
		}
	}()
	measure := func(users int, requests [][]byte) measureFunc {
		return func(ctx context.Context) (float64, error) {
			answers, rate, err := closedLoop(ctx, server.ready, closedLoopConnections, math.MaxInt, b.length, requests)
			predicted += answers * users
			return rate * float64(users), err
		}
	}
	_, results := b.compare(ctx, name, perSecond,
		candidate{name: "/predict/batch", measure: measure(batchUsers, [][]byte{postRequest(server.ready, "/predict/batch", "", `{"user_ids":`+string(list)+`}`)})},
		candidate{name: "/predict", measure: measure(1, predictRequests(server.ready, users, "")), bar: minRatio(ratio)})
	for _, r := range results {
		r.Note = fmt.Sprintf("users a second, %d connections over loopback by a load generator in Go, which uses the same cores", closedLoopConnections)
		b.add(r)
	}
	return nil
}

// wantLines returns an error unless a log has n lines with a text.
func wantLines(path, text string, n int) error {
	log, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if got := strings.Count(string(log), text); got != n {
		return fmt.Errorf("%s: %d lines with %q: want %d", path, got, text, n)
	}
	return nil
}
