package repository

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/basket-go/basket"
)

// A name is what the scans know of a model.
type name struct {
	settling
	fault    Fault // of the name; Err is nil if there is none
	versions map[string]*version
	scan     int // the last one that found its folder
}

// A version is what the scans know of a version of a model.
type version struct {
	settling
	file  hashed
	model *basket.FileModel // perhaps of an earlier content; nil if none is loaded
	err   error             // why the last content that was judged was refused
	scan  int               // the last one that looked at it
}

// A settling says how often in a row scans found the same: the digest of a file,
// or the text of a fault.
type settling struct {
	found   string
	scan    int    // the last one that found it
	times   int    // how often in a row
	longest int    // the most times of a content that changed before it was loaded
	judged  string // what was loaded or told last
	good    string // what was loaded last
}

// see records what a scan found, and reports whether it has settled.
func (s *settling) see(scan int, found string) bool {
	if found != s.found || s.scan != scan-1 {
		// A part of a file that a slow copy leaves for several scans: the next part
		// may stay as long.
		if s.found != s.good && strings.HasPrefix(s.found, "sha256:") {
			s.longest = max(s.longest, s.times)
		}
		s.times = 0
	}
	s.found, s.scan = found, scan
	s.times++
	return scan == 1 || s.times >= min(max(2, s.longest+1), 4)
}

// Scan looks for changes in the folder once, loads what has settled, and reports
// whether that changed what Model returns. It needs to be called again and again,
// as Watch does. Calls at once wait for each other, not Model, State and Hold for
// them. The error is of the folder, in which case the models stay, or ctx.Err();
// faults of models are in State.
func (r *Repository) Scan(ctx context.Context) (changed bool, err error) {
	select {
	case r.scanning <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-r.scanning }()
	return r.scan(ctx)
}

func (r *Repository) scan(ctx context.Context) (changed bool, err error) {
	r.scans++
	err = r.scanNames(ctx)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil:
		r.told = ""
	default:
		err = fmt.Errorf("repository: %w", err)
		if r.told != err.Error() {
			r.told = err.Error()
			r.event("Failed to scan models", err)
		}
	}
	changed = r.publish()
	for _, e := range r.events {
		r.log(ctx, e)
	}
	r.events = nil
	return changed, err
}

// event adds an event, which is logged after the scan.
func (r *Repository) event(message string, err error) {
	r.events = append(r.events, basket.ServiceEvent{Time: time.Now(), Message: message, Err: err})
}

func (r *Repository) log(ctx context.Context, e basket.ServiceEvent) {
	for _, l := range r.loggers {
		func() {
			defer func() { _ = recover() }() // a logger must not end the scans
			l.LogService(ctx, e)
		}()
	}
}

func (r *Repository) scanNames(ctx context.Context) error {
	entries, err := list(r.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(r.dir, e.Name())
		folder, err := isFolder(r.dir, e)
		if err == nil && !folder {
			continue
		}
		if bad := checkName("name", e.Name()); bad != nil {
			err = bad
		}
		var found map[string]place
		if err == nil {
			found, err = findVersions(dir)
		}
		n := r.name(e.Name())
		n.scan = r.scans
		if err := r.scanName(ctx, e.Name(), n, found, err); err != nil {
			return err
		}
	}
	for pinned := range r.pins {
		r.name(pinned)
	}
	for _, key := range slices.Sorted(maps.Keys(r.names)) {
		n := r.names[key]
		if n.scan == r.scans {
			continue
		}
		if err := r.scanName(ctx, key, n, nil, nil); err != nil {
			return err
		}
		if _, pinned := r.pins[key]; len(n.versions) == 0 && !pinned {
			delete(r.names, key)
		}
	}
	return nil
}

func (r *Repository) name(key string) *name {
	n := r.names[key]
	if n == nil {
		n = &name{versions: map[string]*version{}}
		r.names[key] = n
	}
	return n
}

// scanName examines the versions of a name that matter. fault is why its folder
// cannot be read; what was loaded from it stays. The error is that of ctx.
func (r *Repository) scanName(ctx context.Context, key string, n *name, found map[string]place, fault error) error {
	if fault == nil {
		if err := r.scanVersions(ctx, key, n, found); err != nil {
			return err
		}
	}
	f := Fault{Err: fault}
	if fault == nil {
		f = r.nameFault(key, n, found)
	}
	text := ""
	if f.Err != nil {
		text = f.Version + ": " + f.Err.Error()
	}
	if n.see(r.scans, text) && text != n.judged {
		n.judged = text
		n.fault = f
		if f.Err != nil {
			r.event(fmt.Sprintf("Failed to load model %q", key), f.Err)
		}
	}
	return nil
}

// nameFault returns what is wrong with a name whose folder could be read, or is
// gone.
func (r *Repository) nameFault(key string, n *name, found map[string]place) Fault {
	dir := filepath.Join(r.dir, key)
	loaded := n.loaded()
	served, pinned := r.pins[key]
	if !pinned && len(loaded) > 0 {
		served = loaded[0]
	}
	_, here := found[served]
	switch {
	case pinned && !here && !slices.Contains(loaded, served):
		return Fault{served, fmt.Errorf("%s: %w: there is no version %q, to which the model is pinned", dir, fs.ErrNotExist, served)}
	case len(found) == 0 && len(loaded) == 0:
		return Fault{"", fmt.Errorf("%s: %w: no version: want VERSION/model.* or model.*", dir, basket.ErrInvalidConfig)}
	case served != "" && !here:
		return Fault{served, fmt.Errorf("%s: %w: version %q is gone: what was loaded from it is served on", dir, fs.ErrNotExist, served)}
	}
	return Fault{}
}

// loaded returns the versions that are loaded, newest first.
func (n *name) loaded() []string {
	var list []string
	for key, v := range n.versions {
		if v.model != nil {
			list = append(list, key)
		}
	}
	return newestFirst(list)
}

func newestFirst(versions []string) []string {
	slices.SortFunc(versions, func(a, b string) int { return compareVersions(b, a) })
	return versions
}

// scanVersions examines versions from the newest on, until three are loaded, and
// those that are pinned, held or cannot be used at all; then it lets go.
func (r *Repository) scanVersions(ctx context.Context, key string, n *name, found map[string]place) error {
	all := slices.Collect(maps.Keys(found))
	for version := range n.versions {
		if _, here := found[version]; !here {
			all = append(all, version)
		}
	}
	loaded := 0
	for _, number := range newestFirst(all) {
		p, here := found[number]
		v := n.versions[number]
		if here && (loaded < keep || p.err != nil || r.stays(key, number)) {
			if v == nil {
				v = &version{}
				n.versions[number] = v
			}
			v.scan = r.scans
			if err := r.examine(ctx, key+"@"+number, v, p); err != nil {
				return err
			}
		}
		if v != nil && v.model != nil {
			loaded++
			if !here { // no content, no fault of it
				v.err, v.judged = nil, v.good
			}
		}
	}
	for i, number := range n.loaded() {
		if i >= keep && !r.stays(key, number) {
			delete(n.versions, number)
		}
	}
	maps.DeleteFunc(n.versions, func(_ string, v *version) bool { return v.model == nil && v.scan != r.scans })
	return nil
}

// stays reports whether a version is pinned or held.
func (r *Repository) stays(name, version string) bool {
	pinned, ok := r.pins[name]
	return ok && pinned == version || (*r.held.Load())[name+"@"+version]
}

// examine loads the content of a version if it is new and has settled. The error
// is that of ctx.
func (r *Repository) examine(ctx context.Context, id string, v *version, p place) error {
	found, path, fault := v.find(ctx, p)
	if err := ctx.Err(); err != nil {
		return err
	}
	if !v.see(r.scans, found) || found == v.judged {
		return nil
	}
	switch {
	case fault != nil:
		v.err = fault
	case found == v.good: // the content that is loaded is back
		v.err = nil
	default:
		m, digest, err := r.load(ctx, path, id)
		if err := ctx.Err(); err != nil {
			return err
		}
		if digest != found { // changed while it was read
			v.times = 0
			return nil
		}
		if v.err = err; err == nil {
			v.model, v.good, v.longest = m, found, 0
		}
	}
	v.judged = found
	if v.err != nil {
		r.event(fmt.Sprintf("Failed to load model %q", id), v.err)
	}
	return nil
}

// find returns the digest of a version's model, or a text that tells faults apart.
func (v *version) find(ctx context.Context, p place) (found, path string, err error) {
	var info fs.FileInfo
	if err = p.err; err == nil {
		path, info, err = findModel(p.dir)
	}
	// What has not been judged yet is read again, so that two reads precede a load.
	if err == nil && (v.file.digest != v.judged || !v.file.holds(path, info)) {
		next := hashed{path: path, info: info, at: time.Now()}
		if next.digest, err = digestOf(ctx, path); err == nil {
			v.file = next
		}
	}
	if err != nil {
		v.file = hashed{}
		return "fault: " + err.Error(), "", err
	}
	return v.file.digest, path, nil
}

// publish makes what the scan found visible, and reports whether the models differ
// from those before.
func (r *Repository) publish() bool {
	old := r.now.Load()
	next := &snapshot{models: map[string]*basket.FileModel{}}
	for _, key := range slices.Sorted(maps.Keys(r.names)) {
		n := r.names[key]
		s := ModelState{Name: key, Pinned: r.pins[key], Loaded: n.loaded()}
		for _, version := range s.Loaded {
			next.models[key+"@"+version] = n.versions[version].model
		}
		if n.fault.Err != nil {
			s.Faults = append(s.Faults, n.fault)
		}
		for _, version := range newestFirst(slices.Collect(maps.Keys(n.versions))) {
			if err := n.versions[version].err; err != nil {
				s.Faults = append(s.Faults, Fault{version, err})
			}
		}
		if s.Served = s.Pinned; s.Pinned == "" && len(s.Loaded) > 0 {
			s.Served = s.Loaded[0]
		}
		if m := next.models[key+"@"+s.Served]; m == nil {
			s.Served = ""
		} else {
			next.models[key] = m
			if old.models[key] != m {
				r.event(fmt.Sprintf("Model %s is now %s", key, m), nil)
			}
		}
		next.states = append(next.states, s)
	}
	r.now.Store(next)
	return !maps.Equal(old.models, next.models)
}
