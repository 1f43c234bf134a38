// Package routing has the routes of a service in a file, which is applied while the
// service runs: A/B tests, canaries and shadows begin and end without a restart.
//
// [Open] reads a [Table] from the file and finds its models, [File.Option] gives its
// routes to a Predictor, and [File.Watch] applies what changes: the content of the
// file, in every process that watches it, and the newest versions of the models that
// routes name without a version. [File.Handler] answers GET and PUT of the table over
// HTTP, where PUT writes the file. [ShadowStats] tells how far the predictions of
// shadows are from the answers.
//
// A table is applied as a whole or not at all. A content that cannot be used leaves
// the routes as they are, and [File.Err] tells why.
package routing

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
)

// settle is the time between two looks at something that another program may be
// writing, where no interval is given.
const settle = 50 * time.Millisecond

// Models finds models by NAME or NAME@VERSION. It is safe for concurrent use; a
// *repository.Repository is one. A [File] is the only caller of its Hold.
type Models interface {
	// Model returns a model without I/O: of NAME the newest version.
	Model(ref string) (*basket.FileModel, error)

	// Hold names the versions, as NAME@VERSION, that stay loaded, or become loaded
	// by two scans if they exist. It replaces the versions held before.
	Hold(refs ...string)

	// Scan looks for new models, and reports whether it found some.
	Scan(ctx context.Context) (changed bool, err error)
}

// A File is a file that has the routes of one Predictor. It is safe for concurrent
// use, starts no goroutine and needs no Close.
type File struct {
	path    string
	models  Models
	decode  func(text []byte) ([]byte, error)
	client  func(context.Context) string
	loggers []basket.ServiceLogger
	faults  []error // of the options
	shadows *ShadowStats

	now atomic.Pointer[applied]
	err atomic.Pointer[error] // what Err returns; nil before Open has returned

	changing chan struct{}     // has an element while a goroutine uses what follows
	seen     [sha256.Size]byte // of the text that was read last; zero if it could not be read
	judged   [sha256.Size]byte // of the text that was applied or refused last
	wanted   *Table            // of a text that was refused for its models, which may come later
	unread   error             // why the file could not be read
	refused  error             // why the text was refused that was judged last
	stale    error             // why newer models could not be applied
}

// applied is a table and the models that its routes have; immutable.
type applied struct {
	table  Table
	text   []byte
	tag    string
	routes []basket.Route
}

func newApplied(t Table, routes []basket.Route) *applied {
	return &applied{table: t, text: t.text(), tag: t.tag(), routes: routes}
}

// An Option configures [Open].
type Option func(*File)

// WithDecoder sets how the text of the file becomes the JSON of a [Table]: from YAML,
// for instance. The text is at most 1 MiB long. decode must bound the time and memory
// that it takes; a panic in it is an error. What PUT writes is JSON, which every
// reader of YAML reads too.
func WithDecoder(decode func(text []byte) (json []byte, err error)) Option {
	return func(f *File) {
		if decode == nil {
			f.fault("WithDecoder(nil): give a function, or leave the option out")
		}
		f.decode = decode
	}
}

// WithServiceLogger adds a logger of the requests, of each change of the routes, and
// of each fault, once. It must not call methods of the File that change routes; a
// panic in it is recovered.
func WithServiceLogger(l basket.ServiceLogger) Option {
	return func(f *File) {
		if l == nil {
			f.fault("WithServiceLogger(nil): give a logger, or leave the option out")
		}
		f.loggers = append(f.loggers, l)
	}
}

// WithClient sets how the log names the client of a request that changes routes: by
// the request's context. An empty name is not logged.
func WithClient(name func(context.Context) string) Option {
	return func(f *File) {
		if name == nil {
			f.fault("WithClient(nil): give a function, or leave the option out")
		}
		f.client = name
	}
}

// WithThreshold sets from which difference on, relative to the answer, a shadow's
// prediction counts in [Shadow.ShareOver]; 0.1, a tenth of the answer, by default.
func WithThreshold(relative float64) Option {
	return func(f *File) {
		if !(relative >= 0) || math.IsInf(relative, 1) {
			f.fault("WithThreshold(%v): want a finite number of 0 or more", relative)
		}
		f.shadows.threshold = relative
	}
}

func (f *File) fault(format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf("routing: %w: "+format, append([]any{basket.ErrInvalidConfig}, args...)...))
}

// Open reads the table of the file at path, once two reads in a row have found the
// same, and finds its models; versions that are not loaded are held and scanned for.
// The error joins all faults; those of options, table and models wrap
// basket.ErrInvalidConfig.
func Open(ctx context.Context, path string, models Models, opts ...Option) (*File, error) {
	f := &File{path: path, models: models, changing: make(chan struct{}, 1), shadows: newShadowStats()}
	for _, o := range opts {
		o(f)
	}
	if models == nil {
		f.fault("no models: give a repository")
	}
	if err := errors.Join(f.faults...); err != nil {
		return nil, err
	}
	text, err := readSettled(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("routing: %w", err)
	}
	t, err := f.parse(text)
	if err != nil {
		return nil, fmt.Errorf("routing: %s: %w", path, err)
	}
	f.hold(t)
	list, err := f.find(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("routing: %s: %w", path, err)
	}
	f.now.Store(newApplied(t, list))
	f.shadows.follow(list)
	f.judged = sha256.Sum256(text)
	f.seen = f.judged
	f.setErr()
	return f, nil
}

// Option gives the routes of the file, as they are when Option is called, to
// [basket.New].
func (f *File) Option() basket.Option {
	now := f.now.Load()
	return basket.WithRoutes(now.table.Experiment, now.routes...)
}

// Table returns the table that is applied. The caller owns it.
func (f *File) Table() Table {
	t := f.now.Load().table
	t.Routes = slices.Clone(t.Routes)
	return t
}

// Shadows returns the distances of the shadows. It counts if it is given to
// [basket.New] by [basket.WithModelLogger].
func (f *File) Shadows() *ShadowStats { return f.shadows }

// Err returns why the file, its present content or the newest versions of its models
// are not applied, or nil.
func (f *File) Err() error { return *f.err.Load() }

func (f *File) setErr() {
	err := errors.Join(f.unread, f.refused, f.stale)
	f.err.Store(&err)
}

// readSettled reads a file until two reads in a row have found the same.
func readSettled(ctx context.Context, path string) ([]byte, error) {
	before, err := readFile(path)
	for tries := 0; err == nil && tries < 100; tries++ {
		if err := sleep(ctx, settle); err != nil {
			return nil, err
		}
		var text []byte
		if text, err = readFile(path); err == nil && slices.Equal(text, before) {
			return text, nil
		}
		before = text
	}
	if err == nil {
		err = fmt.Errorf("%s: changes all the time: want a file that stays as it is for %v", path, settle)
	}
	return nil, err
}

// readFile reads the text of a table. One that is too long is cut after the first
// byte too many, so that it is no table.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file: want a file of routes", path)
	}
	return io.ReadAll(io.LimitReader(f, maxText+1))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// parse reads the table of a text of the file.
func (f *File) parse(text []byte) (t Table, err error) {
	if f.decode != nil && len(text) <= maxText {
		if text, err = f.decoded(text); err != nil {
			return Table{}, fmt.Errorf("%w: %w", basket.ErrInvalidConfig, err)
		}
	}
	return ParseTable(text)
}

func (f *File) decoded(text []byte) (json []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder: panic: %v", r)
		}
	}()
	return f.decode(slices.Clone(text))
}

// hold holds the versions of the table that is applied, of the one that is wanted,
// and of others.
func (f *File) hold(others ...Table) {
	tables := others
	if now := f.now.Load(); now != nil {
		tables = append(tables, now.table)
	}
	if f.wanted != nil {
		tables = append(tables, *f.wanted)
	}
	var refs []string
	for _, t := range tables {
		for _, r := range t.Routes {
			if strings.Contains(r.Model, versionMarker) && !slices.Contains(refs, r.Model) {
				refs = append(refs, r.Model)
			}
		}
	}
	f.models.Hold(refs...)
}

// find returns the routes of a table whose versions are held. If a model is not
// loaded, it scans twice, which loads what is held. The error is [faults], that of a
// scan or that of ctx.
func (f *File) find(ctx context.Context, t Table) ([]basket.Route, error) {
	list, err := f.loaded(t)
	for scan := 0; err != nil && scan < 2; scan++ {
		if scan > 0 {
			if err := sleep(ctx, settle); err != nil {
				return nil, err
			}
		}
		if _, err := f.models.Scan(ctx); err != nil {
			return nil, err
		}
		list, err = f.loaded(t)
	}
	return list, err
}

// loaded returns the routes of a table, if all its models are loaded. The error is
// [faults].
func (f *File) loaded(t Table) ([]basket.Route, error) {
	list := make([]basket.Route, len(t.Routes))
	var missing faults
	for i, r := range t.Routes {
		m, err := f.models.Model(r.Model)
		if err != nil {
			missing = append(missing, fault{fmt.Sprintf("routes[%d].model", i), fmt.Sprintf("no model %.64q is loaded", r.Model), err})
			continue
		}
		list[i] = basket.Route{Name: r.Name, Model: m, Weight: r.Weight, Shadow: r.Shadow}
	}
	if missing != nil {
		return nil, missing
	}
	return list, nil
}
