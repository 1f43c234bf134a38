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

// start measures examples/server from the start of the process to its first
// answer: its own work, and the time that goes by.
func (b *bench) start(ctx context.Context) {
	work, wall := "start: examples/server, user + system time", "start: examples/server, to its first answer"
	if !b.wanted(work) && !b.wanted(wall) {
		return
	}
	server := filepath.Join(b.temp, "server"+executable())
	if _, err := command(ctx, 5*time.Minute, b.root, "go", "build", "-o", server, "./examples/server"); err != nil {
		b.leave(work, err)
		return
	}
	rows, err := shop{data: filepath.Join(b.root, "examples", "server", "demo")}.rows()
	if err != nil {
		b.fail(work, err)
		return
	}
	b.say("%s", work)
	var walls []float64
	b.alone(ctx, work, nanoseconds, under(nanoseconds, 50e6), func(ctx context.Context) (float64, error) {
		start := time.Now()
		p, err := startProcess(ctx, time.Minute, "Serving on ", server, "-addr", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		address, _, _ := strings.Cut(p.first, ". ")
		_, err = answerOf(ctx, address, rows[0].UserID)
		took := time.Since(start)
		p.kill() // by its process ID; at once, so that nothing is added
		if err != nil {
			return 0, err
		}
		walls = append(walls, float64(took))
		return float64(p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()), nil
	})
	if len(walls) > 0 && b.wanted(wall) {
		b.add(newResult(wall, nanoseconds, walls, side{}, nil, nil))
	}
}

// memory measures the resident memory of the command that serves a shop, after
// requests for its users.
func (b *bench) memory(ctx context.Context) {
	after, peak := "memory: basket serve, after 10,000 requests", "memory: basket serve, at its peak"
	if !b.wanted(after) && !b.wanted(peak) {
		return
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.leave(after, errors.New("this system has no /proc"))
		return
	}
	program := filepath.Join(b.temp, "basket"+executable())
	if _, err := command(ctx, 5*time.Minute, filepath.Join(b.root, "cmd", "basket"), "go", "build", "-o", program, "."); err != nil {
		b.leave(after, err)
		return
	}
	s := b.shop()
	rows, err := s.rows()
	if err != nil {
		b.fail(after, err)
		return
	}
	b.say("%s", after)
	var peaks []float64
	b.alone(ctx, after, bytes, under(bytes, 40<<20), func(ctx context.Context) (float64, error) {
		p, err := startProcess(ctx, time.Minute, "serving on http://", program, "serve", "--data", s.data, "--model", s.model, "--addr", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		defer p.kill()
		var requests [][]byte
		for _, r := range rows {
			requests = append(requests, request(p.first, r.UserID))
		}
		const count = 10_000
		if _, err := closedLoop(ctx, p.first, connections, count, time.Minute, requests); err != nil {
			return 0, err
		}
		status := fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)
		high, err := kilobytes(valueOf(status, "VmHWM", ":"))
		if err != nil {
			return 0, err
		}
		peaks = append(peaks, high)
		return kilobytes(valueOf(status, "VmRSS", ":"))
	})
	if len(peaks) > 0 && b.wanted(peak) {
		b.add(newResult(peak, bytes, peaks, side{}, nil, nil))
	}
}

// kilobytes reads "123 kB" as bytes.
func kilobytes(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
	return n * 1024, err
}

func executable() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// setup runs the script that sets the peers up.
func (b *bench) setup(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "sh", filepath.Join(b.root, "bench", "peers.sh"), b.peers)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = os.Stdout, os.Stderr, 5*time.Second
	return cmd.Run()
}
