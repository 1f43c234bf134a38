package main

import (
	"os"
	"syscall"
)

// peakMemory returns the bytes of an ended process's resident memory at its peak.
func peakMemory(state *os.ProcessState) int64 {
	return int64(state.SysUsage().(*syscall.Rusage).Maxrss) << 10
}
