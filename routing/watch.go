package routing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/basket-go/basket"
)

// Watch applies changes to p, which was made with [File.Option], until ctx is done,
// and returns ctx.Err(). After each interval it reads the file, and takes a content
// that it has found twice in a row. If that cannot be used, the routes stay, and the
// fault is logged once; if only a model is missing, the content is applied when the
// model is there. Watch also does what [File.Refresh] does. An interval that is not
// positive is an ErrInvalidConfig.
func (f *File) Watch(ctx context.Context, p *basket.Predictor, interval time.Duration) error {
	if interval <= 0 {
		return fmt.Errorf("routing: %w: watching every %v: want a positive time", basket.ErrInvalidConfig, interval)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := f.lock(ctx); err != nil {
			return err
		}
		f.look(ctx, p)
		_ = f.refresh(ctx, p) // logged, and in Err
		f.unlock()
	}
}

// Refresh gives p, which was made with [File.Option], the models that the routes name
// now, and applies a content of the file that waited for a model. A repository's
// Watch may call it after each change; [File.Watch] does it anyway. On error the
// routes stay; it is logged once, and wraps what SetRoutes returns or
// basket.ErrInvalidConfig.
func (f *File) Refresh(p *basket.Predictor) error {
	ctx := context.Background()
	_ = f.lock(ctx) // ctx has no end
	defer f.unlock()
	return f.refresh(ctx, p)
}

func (f *File) lock(ctx context.Context) error {
	select {
	case f.changing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *File) unlock() {
	f.setErr()
	<-f.changing
}

// look reads the file, and applies a new content that has settled. The caller has
// locked f.
func (f *File) look(ctx context.Context, p *basket.Predictor) {
	text, err := readFile(f.path)
	if err != nil {
		if f.unread == nil {
			f.log(ctx, "Failed to read routes", err)
		}
		f.unread, f.seen = fmt.Errorf("routing: %w", err), [sha256.Size]byte{}
		return
	}
	f.unread = nil
	sum := sha256.Sum256(text)
	settled := sum == f.seen
	f.seen = sum
	if !settled || sum == f.judged {
		return
	}
	t, err := f.parse(text)
	waits := false
	if err == nil {
		waits, err = f.take(ctx, p, t)
	}
	if ctx.Err() != nil {
		return // not judged: the end of ctx is no fault of the content
	}
	f.judged, f.refused, f.wanted = sum, nil, nil
	if waits {
		f.wanted = &t
	}
	if err != nil {
		f.refused = fmt.Errorf("routing: %s: %w", f.path, err)
		f.log(ctx, "Failed to apply routes", f.refused)
	}
	f.hold()
}

// take finds the models of a table and applies it. It reports whether the error, if
// there is one, may go away when there are other models.
func (f *File) take(ctx context.Context, p *basket.Predictor, t Table) (waits bool, err error) {
	f.hold(t)
	list, err := f.find(ctx, t)
	if err == nil {
		err = f.apply(ctx, p, t, list)
	}
	return err != nil, err
}

// apply gives p the routes of a table. On error the old ones stay.
func (f *File) apply(ctx context.Context, p *basket.Predictor, t Table, list []basket.Route) error {
	if err := p.SetRoutes(t.Experiment, list...); err != nil {
		return err
	}
	f.applied(ctx, t, list, "")
	return nil
}

// applied records that p has the routes of a table. client is who asked for it, or
// empty.
func (f *File) applied(ctx context.Context, t Table, list []basket.Route, client string) {
	f.now.Store(newApplied(t, list))
	f.shadows.follow(list)
	f.stale = nil
	message := "Routes are now "
	if client != "" {
		message = fmt.Sprintf("Routes, changed by %.64q, are now ", client)
	}
	f.log(ctx, message+describe(t.Experiment, list), nil)
}

// describe returns an experiment and its routes in one line.
func describe(experiment string, list []basket.Route) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q:", experiment)
	for i, r := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %q is %s, ", r.Name, modelID(r))
		if r.Shadow {
			b.WriteString("shadow")
		} else {
			fmt.Fprintf(&b, "weight %d", r.Weight)
		}
	}
	return b.String()
}

// refresh is Refresh. The caller has locked f.
func (f *File) refresh(ctx context.Context, p *basket.Predictor) error {
	if f.wanted != nil {
		if list, err := f.loaded(*f.wanted); err == nil && f.apply(ctx, p, *f.wanted, list) == nil {
			f.wanted, f.refused = nil, nil
			f.hold()
			return nil
		}
	}
	now := f.now.Load()
	list, err := f.loaded(now.table)
	if err == nil {
		if slices.EqualFunc(list, now.routes, func(a, b basket.Route) bool { return a.Model == b.Model }) {
			f.stale = nil
			return nil
		}
		err = f.apply(ctx, p, now.table, list)
	}
	if err != nil {
		err = fmt.Errorf("routing: newer models: %w", err)
		if f.stale == nil || f.stale.Error() != err.Error() {
			f.log(ctx, "Failed to apply newer models", err)
		}
		f.stale = err
	}
	return err
}

// log tells the service loggers what happened outside a request.
func (f *File) log(ctx context.Context, message string, err error) {
	f.event(ctx, basket.ServiceEvent{Time: time.Now(), Message: message, Err: err})
}

func (f *File) event(ctx context.Context, e basket.ServiceEvent) {
	for _, l := range f.loggers {
		func() {
			defer func() { _ = recover() }() // a logger must not end Watch
			l.LogService(ctx, e)
		}()
	}
}
