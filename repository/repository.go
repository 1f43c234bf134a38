// Package repository serves models from a folder, which is laid out as Triton and
// MLflow users know it:
//
//	NAME/VERSION/model.*   a version of a model
//	NAME/model.*           version 1
//
// [Repository.Model] returns the newest version of a name that loads. While a
// service runs, [Repository.Watch] picks up new versions; one that cannot be used
// is refused with a reason, and the others go on.
//
// Names and versions are names of folders, and exactly one regular file of a
// version's folder begins with "model.". Links to folders and files are followed,
// as in a mounted ConfigMap. Names that begin with "." or "_", and whatever else
// is in the folders, are ignored. Names with "@" or control characters are refused.
//
// Versions of digits alone are numbers, which are compared by value, and are newer
// than all others, which are compared as text: 10 is newer than 9, and 1 than
// "backup", but "v9" is newer than "v10". Of equal numbers the one of the greater
// text is newer: 2 than 02.
//
// # What is loaded
//
// The newest three versions of a name that load, and those that WithPin, WithHold
// or Hold name, are loaded and stay so; older ones are let go. What was loaded
// stays when its folder, or that of its name, goes away: to go back to an older
// version, pin it, or add its file as a newer version.
//
// Open loads what it finds. Later a content is loaded only when two scans in a row
// have found the same SHA-256, so that a file that is being written is left alone.
// A content that changed before it was loaded, after two or more scans had found
// it, may be a part that a slow copy left: the next one must be found more often
// than it was, up to four times. A part that stays longer is refused by its reader,
// unless it predicts the same, as LightGBM's text without its parameters does; it
// too is replaced when the rest arrives.
//
// A scan hashes a file again if its size, time or identity differ, or if it changed
// less than two seconds before it was hashed. It looks at the versions from the
// newest to the third that is loaded, and at those that are pinned and held.
package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
)

const (
	// keep is how many versions of a name stay loaded.
	keep = 3

	// maxEntries bounds the names of a repository, the versions of a name and the
	// files of a version.
	maxEntries = 1000
)

// A Repository holds the models of a folder. It is safe for concurrent use, starts
// no goroutine and needs no Close. Its models are immutable and remain valid after
// they were let go.
type Repository struct {
	dir     string
	options []basket.ModelOption
	pins    map[string]string // version by name
	checks  []func(*basket.FileModel) error
	loggers []basket.ServiceLogger
	faults  []error // of the options

	held atomic.Pointer[map[string]bool] // NAME@VERSION
	now  atomic.Pointer[snapshot]

	scanning chan struct{} // has an element during a scan, which alone uses what follows
	names    map[string]*name
	scans    int
	told     string // the last error of a scan, which was logged
	events   []basket.ServiceEvent
}

// A snapshot is what Model and State return; immutable.
type snapshot struct {
	models map[string]*basket.FileModel // by NAME and NAME@VERSION
	states []ModelState
}

// An Option configures [Open].
type Option func(*Repository)

// WithModelOptions sets how models are read. Their IDs are NAME@VERSION.
func WithModelOptions(opts ...basket.ModelOption) Option {
	return func(r *Repository) { r.options = append(r.options, opts...) }
}

// WithPin makes one version, instead of the newest, the model of a name. The other
// versions are loaded as without it, and NAME@VERSION finds them.
func WithPin(name, version string) Option {
	return func(r *Repository) {
		if err := errors.Join(checkName("name", name), checkName("version", version)); err != nil {
			r.faults = append(r.faults, fmt.Errorf("repository: pin: %w", err))
		}
		if first, ok := r.pins[name]; ok {
			r.faults = append(r.faults, fmt.Errorf("repository: %w: model %q is pinned to %q and to %q: want one version", basket.ErrInvalidConfig, name, first, version))
		}
		r.pins[name] = version
	}
}

// WithHold is [Repository.Hold] before the first scan, so that Open loads the
// versions.
func WithHold(refs ...string) Option {
	return func(r *Repository) { r.Hold(refs...) }
}

// WithCheck refuses models of which check returns an error: those of other
// features than the store's, for instance. It is called once for each content,
// by the goroutine that scans; a panic in it is an error.
func WithCheck(check func(*basket.FileModel) error) Option {
	return func(r *Repository) {
		if check == nil {
			r.faults = append(r.faults, fmt.Errorf("repository: %w: WithCheck(nil): give a function, or leave the option out", basket.ErrInvalidConfig))
		}
		r.checks = append(r.checks, check)
	}
}

// WithServiceLogger adds a logger of what is served, and of each fault, once. It
// must not call Scan; a panic in it is recovered.
func WithServiceLogger(l basket.ServiceLogger) Option {
	return func(r *Repository) {
		if l == nil {
			r.faults = append(r.faults, fmt.Errorf("repository: %w: WithServiceLogger(nil): give a logger, or leave the option out", basket.ErrInvalidConfig))
		}
		r.loggers = append(r.loggers, l)
	}
}

// Open loads the models of a folder. A name without a version that loads is no
// error: State tells it, and a later scan may find one. A folder that cannot be
// read is an error, and one of more than 1,000 names or faulty options are an
// ErrInvalidConfig.
func Open(dir string, opts ...Option) (*Repository, error) {
	r := &Repository{dir: dir, pins: map[string]string{}, names: map[string]*name{}, scanning: make(chan struct{}, 1)}
	r.held.Store(&map[string]bool{})
	r.now.Store(&snapshot{})
	for _, o := range opts {
		o(r)
	}
	if err := errors.Join(r.faults...); err != nil {
		return nil, err
	}
	if _, err := r.scan(context.Background()); err != nil {
		return nil, err
	}
	return r, nil
}

// Model returns a loaded model: of NAME the pinned or else the newest version, or
// NAME@VERSION. Its ID, see [basket.ModelInfo], is always NAME@VERSION. An unknown
// one is an ErrInvalidConfig, which lists what there is. Model does no I/O.
func (r *Repository) Model(ref string) (*basket.FileModel, error) {
	now := r.now.Load()
	if m := now.models[ref]; m != nil {
		return m, nil
	}
	name, version, versioned := strings.Cut(ref, "@")
	var names []string
	for _, s := range now.states {
		switch {
		case s.Name != name:
			names = append(names, s.Name)
		case versioned && len(s.Loaded) > 0:
			return nil, fmt.Errorf("repository: %w: version %q of model %q is not loaded: want one of %s (Hold, and two scans, load another one)", basket.ErrInvalidConfig, version, name, quoted(s.Loaded))
		case len(s.Faults) > 0:
			i := max(0, slices.IndexFunc(s.Faults, func(f Fault) bool { return f.Version == s.Pinned }))
			return nil, fmt.Errorf("repository: %w: model %q cannot be served: %w", basket.ErrInvalidConfig, name, s.Faults[i].Err)
		default:
			return nil, fmt.Errorf("repository: %w: no version of model %q is loaded yet: scan again", basket.ErrInvalidConfig, name)
		}
	}
	return nil, fmt.Errorf("repository: %w: no model is named %q: want one of %s", basket.ErrInvalidConfig, name, quoted(names))
}

// quoted returns a list of names that fits in an error message.
func quoted(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%.64q and %d more", names[:most], len(names)-most)
	}
	return fmt.Sprintf("%.64q", names)
}

// Hold names the versions, as NAME@VERSION, that stay loaded besides the newest
// three: those of routes. It replaces the versions that were held before, and
// ignores those that do not exist. Scans let go and load; one that is not loaded
// yet needs two of them. Hold does no I/O and never waits for a scan.
func (r *Repository) Hold(refs ...string) {
	held := make(map[string]bool, len(refs))
	for _, ref := range refs {
		held[ref] = true
	}
	r.held.Store(&held)
}

// Watch scans after each interval, until ctx is done, and returns ctx.Err(). After
// a scan that changed what Model returns it calls changed, unless that is nil. An
// interval that is not positive is an ErrInvalidConfig. Errors of scans are logged.
func (r *Repository) Watch(ctx context.Context, interval time.Duration, changed func()) error {
	if interval <= 0 {
		return fmt.Errorf("repository: %w: watching every %v: want a positive time", basket.ErrInvalidConfig, interval)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		// A scan that fails, or is cut short, may have loaded models.
		if different, _ := r.Scan(ctx); different && changed != nil {
			changed()
		}
	}
}

// A ModelState describes one name, for readiness and metrics.
type ModelState struct {
	Name   string
	Served string   // version that Model(Name) returns; empty if none
	Pinned string   // version that WithPin names, or empty
	Loaded []string // versions that Model(Name + "@" + version) returns, newest first
	Faults []Fault  // at present: of the name first, then of its versions, newest first
}

// A Fault says why a version, or its present content, is not served, or that the
// folder of the one that is served is gone.
type Fault struct {
	Version string // empty if the fault is of the name
	Err     error
}

// State returns a state for each name in the folder, loaded or pinned, in order.
// It does no I/O. The caller owns the slices.
func (r *Repository) State() []ModelState {
	states := slices.Clone(r.now.Load().states)
	for i := range states {
		states[i].Loaded = slices.Clone(states[i].Loaded)
		states[i].Faults = slices.Clone(states[i].Faults)
	}
	return states
}
