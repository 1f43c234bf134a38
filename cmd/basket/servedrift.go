package main

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
	"go.opentelemetry.io/otel/attribute"
)

// maxProfile is the most bytes of a profile that are read to find out whether it has
// changed.
const maxProfile = 64 << 20

// loadProfile loads the reference for drift, if one is given, and follows its changes. It
// must be of one of the models.
func (s *server) loadProfile(ctx context.Context) error {
	if s.Profile == "" {
		return nil
	}
	profile, err := drift.LoadProfile(s.Profile)
	if err != nil {
		return err
	}
	if err := profile.CheckModel(s.loadedModels()...); err != nil {
		return err
	}
	var opts []drift.MonitorOption
	if s.DriftWindow > 0 {
		opts = append(opts, drift.WithWindow(s.DriftWindow))
	}
	if s.monitor, err = drift.NewMonitor(profile, opts...); err != nil {
		return err
	}
	s.opts = append(s.opts, basket.WithModelLogger(s.monitor))
	s.follow(ctx, "profile", "profile", func(ctx context.Context, report func(error)) error {
		return watchContent(ctx, s.Profile, maxProfile, watchInterval, func() {
			report(s.monitor.Reload(s.Profile, s.loadedModels()...))
		})
	})
	s.observeDrift()
	return nil
}

// observeDrift adds the metrics of drift.
func (s *server) observeDrift() {
	each := func(value func(psi, nullRate float64, verdict string) float64) func(func(float64, ...attribute.KeyValue)) {
		return func(observe func(float64, ...attribute.KeyValue)) {
			s.monitor.EachColumn(time.Now(), func(route, column string, psi, nullRate float64, verdict string) {
				observe(value(psi, nullRate, verdict), attribute.String("basket.route", route), attribute.String("basket.column", column))
			})
		}
	}
	s.telemetry.Gauges("basket.drift.psi", "Population stability index of the last window, by feature or prediction.", "1",
		each(func(psi, _ float64, _ string) float64 { return psi }))
	s.telemetry.Gauges("basket.drift.null_rate", "Share of missing values in the last window.", "1",
		each(func(_, nullRate float64, _ string) float64 { return nullRate }))
	s.telemetry.Gauges("basket.drift.detected", "1 if the verdict is drift.", "1",
		each(func(_, _ float64, verdict string) float64 {
			if verdict == string(drift.Drifted) {
				return 1
			}
			return 0
		}))
}

// loadedModels returns all models that may be served.
func (s *server) loadedModels() (list []*basket.FileModel) {
	if s.models == nil {
		return []*basket.FileModel{s.model}
	}
	for _, state := range s.models.State() {
		for _, version := range state.Loaded {
			if m, err := s.models.Model(state.Name + "@" + version); err == nil {
				list = append(list, m)
			}
		}
	}
	return list
}

// watchContent calls changed when the content of a file, of at most most bytes, has
// changed, and two looks in a row have found it the same, until ctx is done. A file that
// is gone or too long is a content too.
func watchContent(ctx context.Context, path string, most int64, interval time.Duration, changed func()) error {
	content := func() [sha256.Size]byte {
		text, err := readBounded(path, most)
		if err != nil {
			text = []byte("\x00" + err.Error())
		}
		return sha256.Sum256(text)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	used := content()
	seen := used
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now := content()
		settled := now == seen
		seen = now
		if settled && now != used {
			used = now
			changed()
		}
	}
}
