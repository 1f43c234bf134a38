package basket

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Watch calls LoadModel and SetModel whenever the file at file changes, until
// ctx is done, and returns why it is. It looks every so often, and takes a changed file
// only once it has stayed the same from one look to the next, so that a file
// that is still being written is left alone. If a file cannot be used the old
// model stays, the service loggers are told, and the next change is waited for.
func (p *Predictor) Watch(ctx context.Context, route, file string, every time.Duration, opts ...ModelOption) error {
	if every <= 0 {
		return fmt.Errorf("basket: watching every %v: want a positive time", every)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	loaded, _ := os.Stat(file)
	last := loaded
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now, err := os.Stat(file)
		if err != nil {
			if last != nil {
				p.logService(ctx, ServiceEvent{Time: time.Now(), Message: "Failed to reload model", Err: err})
			}
			last = nil
			continue
		}
		settled := sameFile(now, last)
		last = now
		if !settled || sameFile(now, loaded) {
			continue
		}
		loaded = now
		m, err := LoadModel(file, opts...)
		if err == nil {
			err = p.SetModel(route, m)
		}
		if err != nil {
			p.logService(ctx, ServiceEvent{Time: time.Now(), Message: "Failed to reload model", Err: err})
			continue
		}
		p.logService(ctx, ServiceEvent{Time: time.Now(), Message: fmt.Sprintf("Model of route %s is now %s", route, describe(m))})
	}
}

// sameFile reports whether a file has not changed between two looks.
func sameFile(a, b os.FileInfo) bool {
	return a != nil && b != nil && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}
