package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A process is a program that stays alive and answers one line for each line
// that it is told; see peers/driver.h. It is not safe for concurrent use.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string // what it says; closed when it says no more
	stderr *tail
	first  string // its first line without "ready "
}

// startProcess starts a program and waits for its first line, which must start
// with prefix.
func startProcess(ctx context.Context, limit time.Duration, prefix string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, name, args...), lines: make(chan string), stderr: &tail{}}
	p.cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1")
	p.cmd.Stderr = p.stderr
	p.cmd.WaitDelay = 5 * time.Second
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.stdin = stdin
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	line, err := p.line(limit, prefix)
	if err != nil {
		p.kill()
		return nil, err
	}
	p.first = line
	return p, nil
}

// startPeer starts a peer, which measures by the same clock as ours.
func (b *bench) startPeer(ctx context.Context, name string, args ...string) (*process, error) {
	return startProcess(ctx, 2*time.Minute, "ready ", name, append(args, b.clock)...)
}

// line waits for a line that starts with prefix and returns the rest of it.
func (p *process) line(limit time.Duration, prefix string) (string, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("it ended: %s", p.stderr)
			}
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return rest, nil
			}
		case <-timer.C:
			p.kill()
			return "", fmt.Errorf("no answer within %v: it was ended", limit)
		}
	}
}

// ask tells the process a line and returns its answer.
func (p *process) ask(limit time.Duration, format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(p.stdin, format+"\n", args...); err != nil {
		return "", fmt.Errorf("it ended: %s", p.stderr)
	}
	return p.line(limit, "")
}

// measure asks for a number.
func (p *process) measure(format string, args ...any) (float64, error) {
	answer, err := p.ask(2*time.Minute, format, args...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(answer, 64)
}

// close ends the process by the end of its input, or else by its ID, and
// returns what it said last.
func (p *process) close() string {
	_ = p.stdin.Close()
	timer := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	last := ""
	for line := range p.lines {
		last = line
	}
	_ = p.cmd.Wait()
	return last
}

// kill ends the process by its ID, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for range p.lines { // its reader must be done before Wait
	}
	_ = p.cmd.Wait()
}

// command runs a program to its end and returns what it printed.
func command(ctx context.Context, limit time.Duration, dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t := tail{}
		_, _ = t.Write(exit.Stderr)
		err = fmt.Errorf("%s: %w: %s", name, err, &t)
	}
	return string(out), err
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-4096):]
	return len(b), nil
}

// String returns the last line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.text))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
