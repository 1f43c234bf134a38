//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package routing_test

import (
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
)

// TestFile_Handler_locked: a process that keeps the lock does not keep clients
// waiting.
func TestFile_Handler_locked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newFile(t, one("price@1"))
		f := open(t, path, newModels(t, "price@1", "price@2"))
		p := newPredictor(t, f)
		folder, err := os.Open(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		w := request(t, f, p, http.MethodPut, "*", "", one("price@2"))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("PUT: %d %s %s", w.Code, w.Header(), w.Body)
		}
		wantModel(t, p, "PUT", "price@1")
	})
}
