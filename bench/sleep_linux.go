package main

import (
	"syscall"
	"time"
)

// sleep is a sleep of the thread: time.Sleep wakes up to a millisecond late when
// the program has nothing else to do.
func sleep(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // woken early, the caller looks at the clock again
}
