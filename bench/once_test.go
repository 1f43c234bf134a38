package main

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain lets the tests start this program in its roles.
func TestMain(m *testing.M) {
	if !runRole(os.Args) {
		os.Exit(m.Run())
	}
}

// needShell skips a test that uses scripts as programs.
func needShell(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("this system has no sh")
	}
}

func TestMeasureOnce(t *testing.T) {
	needShell(t)
	large := make([]byte, 256<<20) // the parent's memory must not count
	for i := 0; i < len(large); i += 1 << 10 {
		large[i] = 1
	}
	u, err := measureOnce(t.Context(), time.Minute, 3, "sh", "-c", `sleep 0.1 && test "$GOMAXPROCS" = 3`)
	runtime.KeepAlive(large)
	if err != nil || u.wall < 100*time.Millisecond {
		t.Errorf("%+v, %v", u, err)
	}
	if linux := runtime.GOOS == "linux"; linux != (u.peak > 0) || u.peak > 128<<20 {
		t.Errorf("%d bytes at the peak", u.peak)
	}
	if _, err := measureOnce(t.Context(), time.Minute, 1, "sh", "-c", "exit 3"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a program that fails: %v", err)
	}
	if _, err := measureOnce(t.Context(), time.Minute, 1, "sh", "-c", "echo no file >&2; exit 1"); err == nil {
		t.Error("no error")
	}
}
