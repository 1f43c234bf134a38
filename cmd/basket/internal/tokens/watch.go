package tokens

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// retryInterval is the least time between two fetches.
const retryInterval = 30 * time.Second

// use reads a text and, if it is good, replaces the keys by it.
func (v *Verifier) use(text []byte) error {
	set, err := parseKeySet(text, v.settings.Algorithms)
	if err != nil {
		return fmt.Errorf("tokens: %v: %w", v.source, err)
	}
	v.now.Store(set)
	return nil
}

// Watch follows changes of the keys until ctx is done, and returns ctx.Err(). It is
// called once.
//
// A file is looked at every second, and a content that has been found twice in a row
// is used. A URL is fetched at each Refresh of the settings, and, 30 seconds or more
// after the last time, when a token has named an unknown key or the last fetch has
// failed.
//
// If the keys cannot be read or used, the old ones stay, however long that lasts, and
// report is called with the error: once while they cannot be read, and once for each
// content that cannot be used. After a change of the keys, and when the failure is
// over, it is called with nil. The calls do not overlap.
func (v *Verifier) Watch(ctx context.Context, report func(error)) error {
	w := &watcher{v: v, report: report}
	if v.source.url != nil {
		return w.fetch(ctx)
	}
	return w.look(ctx)
}

// A watcher remembers what Watch has reported.
type watcher struct {
	v       *Verifier
	report  func(error)
	failure string // what the last error was about, or "" after success
}

// look reads a file again and again.
func (w *watcher) look(ctx context.Context) error {
	ticker := time.NewTicker(w.v.look)
	defer ticker.Stop()
	var seen [sha256.Size]byte
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.v.unknown: // nothing to do: a change is found anyway
			continue
		case <-ticker.C:
		}
		text, err := w.v.source.read(ctx)
		if err != nil {
			seen = [sha256.Size]byte{}
			w.failed("reading", err)
			continue
		}
		sum := sha256.Sum256(text)
		if sum == seen { // it has settled
			w.take(text)
		}
		seen = sum
	}
}

// fetch asks a server again and again.
func (w *watcher) fetch(ctx context.Context) error {
	last := time.Now()
	timer := time.NewTimer(w.v.settings.Refresh)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.v.unknown:
			timer.Reset(max(0, retryInterval-time.Since(last)))
			continue
		case <-timer.C:
		}
		text, err := w.v.source.read(ctx)
		last = time.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			w.failed("reading", err)
		default:
			w.take(text)
		}
		if w.failure != "" {
			timer.Reset(retryInterval)
			continue
		}
		timer.Reset(w.v.settings.Refresh)
	}
}

// take uses a text unless it is the one in use.
func (w *watcher) take(text []byte) {
	if sum := sha256.Sum256(text); sum != w.v.now.Load().sum {
		if err := w.v.use(text); err != nil {
			w.failed(string(sum[:]), err)
			return
		}
	} else if w.failure == "" {
		return
	}
	w.failure = ""
	w.report(nil)
}

// failed reports an error unless the last one was about the same.
func (w *watcher) failed(about string, err error) {
	if about != w.failure {
		w.failure = about
		w.report(err)
	}
}
