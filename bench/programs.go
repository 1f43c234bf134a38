package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// start measures examples/server from the start of the process to its first answer,
// in CPU time and in wall time.
func (b *bench) start(ctx context.Context) error {
	cpu, wall := "start: examples/server, CPU time to the first answer", "start: examples/server, wall time to the first answer"
	if !b.selected(cpu) && !b.selected(wall) {
		return nil
	}
	server := filepath.Join(b.temp, "server"+executableSuffix())
	if _, err := runCommand(ctx, 5*time.Minute, b.root, "go", "build", "-o", server, "./examples/server"); err != nil {
		return skipError{err}
	}
	rows, err := shop{data: filepath.Join(b.root, "examples", "server", "demo")}.rows()
	if err != nil {
		return err
	}
	var walls []float64
	b.measureOurs(ctx, cpu, nanoseconds, maxValue(nanoseconds, 50e6), func(ctx context.Context) (float64, error) {
		start := time.Now()
		p, err := startProcess(ctx, time.Minute, "Serving on ", server, "-addr", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		address, _, _ := strings.Cut(p.ready, ". ")
		_, err = postPredict(ctx, address, rows[0].UserID, "")
		elapsed := time.Since(start)
		p.kill() // at once, so that the shutdown costs no CPU time
		if err != nil {
			return 0, err
		}
		walls = append(walls, float64(elapsed))
		return float64(p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()), nil
	})
	if len(walls) > 0 && b.selected(wall) {
		b.add(newResult(wall, nanoseconds, walls, candidate{}, nil, nil))
	}
	return nil
}

// memory measures the resident memory of "basket serve" after requests for its users.
func (b *bench) memory(ctx context.Context) error {
	const requestCount = 10_000
	after, peak := "memory: basket serve, after 10,000 requests", "memory: basket serve, peak"
	if !b.selected(after) && !b.selected(peak) {
		return nil
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		return skipError{errors.New("this system has no /proc")}
	}
	program, err := b.buildBasket(ctx)
	if err != nil {
		return err
	}
	s := b.shop()
	rows, err := s.rows()
	if err != nil {
		return err
	}
	users := make([]string, len(rows))
	for i, r := range rows {
		users[i] = r.UserID
	}
	var peaks []float64
	b.measureOurs(ctx, after, bytes, maxValue(bytes, 40<<20), func(ctx context.Context) (float64, error) {
		p, err := startProcess(ctx, time.Minute, "serving on http://", program, "serve", "--data", s.data, "--model", s.model, "--addr", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		defer p.kill()
		if _, _, err := closedLoop(ctx, p.ready, closedLoopConnections, requestCount, time.Minute, predictRequests(p.ready, users, "")); err != nil {
			return 0, err
		}
		status := fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)
		high, err := parseKilobytes(valueOf(status, "VmHWM", ":"))
		if err != nil {
			return 0, err
		}
		peaks = append(peaks, high)
		return parseKilobytes(valueOf(status, "VmRSS", ":"))
	})
	if len(peaks) > 0 && b.selected(peak) {
		b.add(newResult(peak, bytes, peaks, candidate{}, nil, nil))
	}
	return nil
}

// buildBasket builds the command "basket".
func (b *bench) buildBasket(ctx context.Context) (program string, err error) {
	program = filepath.Join(b.temp, "basket"+executableSuffix())
	if _, err := runCommand(ctx, 5*time.Minute, filepath.Join(b.root, "cmd", "basket"), "go", "build", "-o", program, "."); err != nil {
		return "", skipError{err}
	}
	return program, nil
}

// parseKilobytes returns the bytes of a text like "123 kB".
func parseKilobytes(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
	return n * 1024, err
}

// executableSuffix is the end of a program's file name.
func executableSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// setup runs the script that installs the peers.
func (b *bench) setup(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "sh", filepath.Join(b.root, "bench", "peers.sh"), b.peers)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = os.Stdout, os.Stderr, 5*time.Second
	return cmd.Run()
}
