package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// onceArg, as the first argument, runs this program as a parent that measures one
// process.
const onceArg = "once"

// A usage is what a process took from its start to its exit.
type usage struct {
	wall time.Duration
	peak int64 // bytes of resident memory; 0 if this system does not tell
}

// measureOnce runs a program in a process of its own. On Linux the peak of a process
// begins with that of its parent, and this process may have read millions of rows:
// the parent is therefore a new process of this program.
func measureOnce(ctx context.Context, limit time.Duration, cores int, name string, args ...string) (u usage, err error) {
	self, err := os.Executable()
	if err != nil {
		return usage{}, err
	}
	out, err := runCommand(ctx, limit, "", self, append([]string{onceArg, "-cores", fmt.Sprint(cores), name}, args...)...)
	if err != nil {
		return usage{}, err
	}
	_, err = fmt.Sscan(out, &u.wall, &u.peak)
	return u, err
}

// once runs the program that the arguments name, and writes its usage.
func once(w io.Writer, args []string) error {
	f := flag.NewFlagSet(onceArg, flag.ContinueOnError)
	cores := f.Int("cores", 1, "GOMAXPROCS of the program")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() == 0 {
		return errors.New("no program")
	}
	cmd := exec.Command(f.Arg(0), f.Args()[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", *cores))
	cmd.Stderr = os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", f.Arg(0), err)
	}
	_, err := fmt.Fprintln(w, time.Since(start).Nanoseconds(), peakMemory(cmd.ProcessState))
	return err
}
