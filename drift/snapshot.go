package drift

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// A Snapshot has the counts of a [Monitor] at some time. Those of replicas can be added,
// so that the verdict is on the service as a whole. It is not safe for concurrent use.
type Snapshot struct {
	config
	profile *Profile
	counted counted
}

// counted is what a snapshot has in JSON.
type counted struct {
	Profile string        `json:"profile"` // digest
	Seconds int64         `json:"window_seconds"`
	Late    uint64        `json:"late"`
	Routes  []routeCounts `json:"routes"` // by name
}

type routeCounts struct {
	Route   string         `json:"route"`
	Windows []windowCounts `json:"windows"` // by number
}

type windowCounts struct {
	Number     int64    `json:"number"`      // of the window since 1970
	OtherModel uint64   `json:"other_model"` // predictions of a model that is not the profile's
	Columns    []counts `json:"columns"`     // the profile's features and then the prediction
}

// Snapshot returns what was counted so far. An event that is logged meanwhile may be
// counted in part.
func (m *Monitor) Snapshot() *Snapshot {
	s := m.state.Load()
	snapshot := &Snapshot{config: m.config, profile: s.profile}
	c := &snapshot.counted
	c.Profile, c.Seconds, c.Late = s.digest, int64(m.width/time.Second), s.late.Load()
	c.Routes = []routeCounts{}
	for _, r := range *s.routes.Load() {
		counts := routeCounts{Route: r.route, Windows: []windowCounts{}}
		for i := range r.slots {
			if w := r.slots[i].Load(); w != nil {
				counts.Windows = append(counts.Windows, s.read(w))
			}
		}
		c.Routes = append(c.Routes, counts)
	}
	c.sort()
	return snapshot
}

// read adds the stripes of a window.
func (s *state) read(w *window) windowCounts {
	c := windowCounts{Number: w.number, Columns: make([]counts, len(s.columns))}
	for j := range s.columns {
		c.Columns[j].Bins = make([]uint64, len(s.columns[j].cuts)+1)
	}
	for stripe := range slices.Chunk(w.counted, w.stripe) {
		c.OtherModel += stripe[0].Load()
		for j := range s.columns {
			s.columns[j].read(stripe, &c.Columns[j])
		}
	}
	return c
}

func (c *counted) sort() {
	slices.SortFunc(c.Routes, func(a, b routeCounts) int { return cmp.Compare(a.Route, b.Route) })
	for _, r := range c.Routes {
		slices.SortFunc(r.Windows, func(a, b windowCounts) int { return cmp.Compare(a.Number, b.Number) })
	}
}

// Write writes the snapshot as JSON, for [Monitor.ReadSnapshot].
func (s *Snapshot) Write(w io.Writer) error { return json.NewEncoder(w).Encode(s.counted) }

// The limits of a snapshot's JSON.
const (
	maxSnapshotBytes = 8 << 20
	maxCount         = 1 << 52
	lastSecond       = 253402300799 // of the last year that JSON can have
)

// ReadSnapshot reads the snapshot of another Monitor, which has the same profile and the
// same width of windows; at most 8 MiB. The error joins up to 20 faults of the content,
// each of which wraps ErrData; others are those of r.
func (m *Monitor) ReadSnapshot(r io.Reader) (*Snapshot, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSnapshotBytes+1))
	if err != nil {
		return nil, fmt.Errorf("drift: reading a snapshot: %w", err)
	}
	state := m.state.Load()
	s := &Snapshot{config: m.config, profile: state.profile}
	f := badData()
	if len(data) > maxSnapshotBytes {
		f.add("snapshot: over %d bytes: want at most that", maxSnapshotBytes)
	} else if err := decode(data, &s.counted); err != nil {
		f.add("snapshot: %w", err)
	} else {
		s.check(f, state)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	s.counted.sort()
	return s, nil
}

func (s *Snapshot) check(f *faults, own *state) {
	c := &s.counted
	if c.Profile != own.digest {
		f.add("snapshot: of the profile %.80q: want %q", c.Profile, own.digest)
		return
	}
	if want := int64(s.width / time.Second); c.Seconds != want {
		f.add("snapshot: window_seconds: %d: want %d", c.Seconds, want)
	}
	if c.Late > maxCount {
		f.add("snapshot: late: %d: want at most %d", c.Late, uint64(maxCount))
	}
	if len(c.Routes) > maxRoutes+1 {
		f.add("snapshot: %d routes: want at most %d", len(c.Routes), maxRoutes+1)
	}
	routes := map[string]bool{}
	for i, r := range c.Routes {
		if fault := nameFault(r.Route, math.MaxInt); fault != "" {
			f.add("snapshot: routes[%d].route: %.64q %s", i, r.Route, fault)
		}
		if routes[r.Route] {
			f.add("snapshot: routes[%d].route: two routes are named %.64q", i, r.Route)
		}
		routes[r.Route] = true
		if len(r.Windows) > maxWindows {
			f.add("snapshot: routes[%d].windows: %d of them: want at most %d", i, len(r.Windows), maxWindows)
		}
		numbers := map[int64]bool{}
		for k, w := range r.Windows {
			place := fmt.Sprintf("snapshot: routes[%d].windows[%d]", i, k)
			if numbers[w.Number] || w.Number < 0 || w.Number > lastSecond/max(c.Seconds, 1) {
				f.add("%s.number: %d: want one that is not repeated, before the year 10000", place, w.Number)
			}
			numbers[w.Number] = true
			w.check(f, place, own)
		}
	}
}

func (w *windowCounts) check(f *faults, place string, own *state) {
	if len(w.Columns) != len(own.columns) {
		f.add("%s.columns: %d of them: want %d", place, len(w.Columns), len(own.columns))
		return
	}
	if w.OtherModel > maxCount {
		f.add("%s.other_model: %d: want at most %d", place, w.OtherModel, uint64(maxCount))
	}
	for j, c := range w.Columns {
		bins := len(own.columns[j].cuts) + 1
		if len(c.Bins) != bins {
			f.add("%s.columns[%d].bins: %d of them: want %d", place, j, len(c.Bins), bins)
			continue
		}
		for _, n := range append(slices.Clone(c.Bins), c.Nulls) {
			if n > maxCount {
				f.add("%s.columns[%d]: %d rows in a bin: want at most %d", place, j, n, uint64(maxCount))
			}
		}
		if c.Below > c.Bins[0] || c.Above > c.Bins[bins-1] {
			f.add("%s.columns[%d]: more rows below or above than in the outer bins", place, j)
		}
		if c.BelowSum < 0 || c.AboveSum < 0 {
			f.add("%s.columns[%d]: a sum below 0: want 0 or more", place, j)
		}
	}
}

// Merge adds the counts of another snapshot, which must have been counted with the same
// profile and width of windows; else the error is an ErrInvalidConfig. o stays as it is.
// Do not add the same counts twice.
func (s *Snapshot) Merge(o *Snapshot) error {
	a, b := &s.counted, &o.counted
	f := invalidConfig()
	if a.Profile != b.Profile {
		f.add("snapshots of two profiles, %s and %s: want one", a.Profile, b.Profile)
	}
	if a.Seconds != b.Seconds {
		f.add("snapshots with windows of %d s and %d s: want one width", a.Seconds, b.Seconds)
	}
	if err := f.err(); err != nil {
		return err
	}
	a.Late += b.Late
	for _, r := range b.Routes {
		i := slices.IndexFunc(a.Routes, func(have routeCounts) bool { return have.Route == r.Route })
		if i < 0 {
			i = len(a.Routes)
			a.Routes = append(a.Routes, routeCounts{Route: r.Route})
		}
		for _, w := range r.Windows {
			a.Routes[i].add(w)
		}
	}
	a.sort()
	return nil
}

func (r *routeCounts) add(w windowCounts) {
	for i := range r.Windows {
		if have := &r.Windows[i]; have.Number == w.Number {
			have.OtherModel += w.OtherModel
			for j := range have.Columns {
				have.Columns[j].add(&w.Columns[j])
			}
			return
		}
	}
	w.Columns = slices.Clone(w.Columns)
	for j := range w.Columns {
		w.Columns[j].Bins = slices.Clone(w.Columns[j].Bins)
	}
	r.Windows = append(r.Windows, w)
}
