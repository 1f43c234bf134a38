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

// A process is a running program that answers each line of its input by one line of
// output; see peers/driver.h. It is not safe for concurrent use.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string // its output; closed at the end of it
	stderr *tail
	ready  string // the rest of the line that startProcess waited for
}

// startProcess starts a program and waits for a line that starts with prefix.
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
	if p.ready, err = p.readLine(limit, prefix); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// startPeer starts a peer, which measures by the clock of this run.
func (b *bench) startPeer(ctx context.Context, name string, args ...string) (*process, error) {
	return startProcess(ctx, 2*time.Minute, "ready ", name, append(args, b.clock)...)
}

// readLine waits for a line that starts with prefix and returns the rest of it.
func (p *process) readLine(limit time.Duration, prefix string) (string, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("process exited: %s", p.stderr)
			}
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return rest, nil
			}
		case <-timer.C:
			p.kill()
			return "", fmt.Errorf("no answer within %v: process killed", limit)
		}
	}
}

// ask sends a line to the process and returns its answer.
func (p *process) ask(limit time.Duration, format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(p.stdin, format+"\n", args...); err != nil {
		return "", fmt.Errorf("process exited: %s", p.stderr)
	}
	return p.readLine(limit, "")
}

// answerLimit is far above the time of any answer: ten million orders take DuckDB less
// than a minute.
const answerLimit = 10 * time.Minute

// askNumber sends a line that is answered by a number.
func (p *process) askNumber(format string, args ...any) (float64, error) {
	answer, err := p.ask(answerLimit, format, args...)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(answer, 64)
}

// close closes the input of the process and waits for its exit; after 10 seconds it
// kills the process. It returns an error if the process fails.
func (p *process) close() error {
	_ = p.stdin.Close()
	timer := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	for range p.lines { // Wait must not be called before all output is read
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, p.stderr)
	}
	return nil
}

// interrupt stops a process that ends by itself at the signal, as a server does; after
// 30 seconds it kills the process. It returns an error if the process fails.
func (p *process) interrupt() error {
	_ = p.cmd.Process.Signal(os.Interrupt)
	timer := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	return p.close()
}

// kill kills the process and waits for its exit.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for range p.lines {
	}
	_ = p.cmd.Wait()
}

// runCommand runs a program to its end and returns its output.
func runCommand(ctx context.Context, limit time.Duration, dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w: %s", name, err, lastLine(exit.Stderr))
	}
	return string(out), err
}

// A tail keeps the last bytes that are written to it.
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
	return lastLine(t.text)
}

func lastLine(text []byte) string {
	s := strings.TrimSpace(string(text))
	return s[strings.LastIndexByte(s, '\n')+1:]
}
