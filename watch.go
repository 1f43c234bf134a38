package basket

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"
)

// Watch keeps the model of a route equal to the file at path until ctx is done,
// and returns ctx.Err(); an unknown route is an ErrInvalidConfig at once. It
// reads the whole file after each interval and compares content, by SHA-256,
// never times. A content that the route's model was not read from is loaded with
// LoadModel and SetModel once two reads in a row have found it, so that a file
// that is being written is left alone. If it cannot be used the old model stays,
// the failure is reported once to the service loggers, and Watch goes on.
func (p *Predictor) Watch(ctx context.Context, route, path string, interval time.Duration, opts ...ModelOption) error {
	if interval <= 0 {
		return fmt.Errorf("basket: %w: watching every %v: want a positive time", ErrInvalidConfig, interval)
	}
	rs := p.routes.Load()
	i := rs.index(route)
	if i < 0 {
		return unknownRoute(route)
	}
	loaded := "" // digest of the last content that was loaded or refused
	if m, ok := rs.all[i].model.(*FileModel); ok {
		loaded = m.info.Digest
	}
	report := func(message string, err error) {
		p.logService(ctx, ServiceEvent{Time: time.Now(), Message: message, Err: err})
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	seen, failing := "", false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		digest, err := fileDigest(path)
		if err != nil {
			if !failing {
				report("Failed to reload model", err)
			}
			seen, failing = "", true
			continue
		}
		failing = false
		settled := digest == seen
		seen = digest
		if !settled || digest == loaded {
			continue
		}
		m, err := LoadModel(path, opts...)
		switch {
		case err == nil && m.info.Digest != digest:
			continue // changed again; wait until it settles
		case err == nil:
			err = p.SetModel(route, m)
		}
		loaded = digest
		if err != nil {
			report("Failed to reload model", err)
			continue
		}
		report(fmt.Sprintf("Model of route %s is now %s", route, m), nil)
	}
}

// fileDigest returns the digest of a file as ModelInfo has it.
func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxModelBytes+1)); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}
