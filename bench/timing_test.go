package main

import (
	"io"
	"math"
	"testing"
	"time"
)

func TestWelch(t *testing.T) {
	// By hand: (2.5 - 6) / sqrt((5/3)/4 + 10/5).
	a, b := []time.Duration{1, 2, 3, 4}, []time.Duration{2, 4, 6, 8, 10}
	if got := welch(a, b); math.Abs(got+2.2514) > 1e-4 {
		t.Errorf("t = %v", got)
	}
	if got := welch(a, a); got != 0 {
		t.Errorf("of itself: t = %v", got)
	}
}

func TestTiming_refuses(t *testing.T) {
	for _, args := range [][]string{{"-tries", "10"}, {"-keys", "1"}, {"-x"}} {
		if err := timing(io.Discard, args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
