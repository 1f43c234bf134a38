package drift

import (
	"context"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
)

// The limits of a Monitor.
const (
	maxRoutes   = 16 // further ones are counted together
	maxWindows  = 1000
	maxLayouts  = 16
	maxStripes  = 8
	otherRoutes = "other"
)

// A Monitor counts what is served into the bins of a [Profile], by route. It is a
// basket.ModelLogger that takes no lock and, in a window of time that has begun, does not
// allocate; and an http.Handler, see [Monitor.ServeHTTP]. It is safe for concurrent use,
// starts no goroutine and needs no Close. Its memory is bounded by the numbers of windows
// and columns: 16 routes have counts of their own, all further ones are counted as the
// route "other".
//
// The features of a row are counted once, for the route that answers, even if the
// prediction failed; a shadow's event counts its prediction only. Failed predictions are
// not counted. Events without a row are not counted, nor are features that the profile
// does not have. Windows begin at multiples of their width since 1970 and are by the
// event's Time; an event of a window that is no longer kept is dropped and counted.
type Monitor struct {
	config
	stripes int
	next    atomic.Uint32 // stripe
	tokens  sync.Pool     // of *int: the stripe that this processor writes to
	state   atomic.Pointer[state]
}

// A MonitorOption configures [NewMonitor].
type MonitorOption func(*config)

type config struct {
	width     time.Duration
	windows   int
	threshold float64
	minRows   int
}

// WithWindow sets the width of a window, from a second to a week in whole seconds; 5
// minutes is the default. Take one in which a route gets some thousands of predictions.
func WithWindow(width time.Duration) MonitorOption { return func(c *config) { c.width = width } }

// WithWindows sets how many windows are kept, from 3 to 1,000, with the one that is not
// over; 12 is the default.
func WithWindows(n int) MonitorOption { return func(c *config) { c.windows = n } }

// WithThreshold sets the PSI above which a window has drifted, if the window has rows
// enough to tell: above 0, at most 10; 0.1 is the default.
func WithThreshold(psi float64) MonitorOption { return func(c *config) { c.threshold = psi } }

// WithMinRows sets how many rows a window needs to be judged, from 100 to 1e9; 500 is the
// default. With fewer, features that nearly always have the same value give false alarms.
func WithMinRows(n int) MonitorOption { return func(c *config) { c.minRows = n } }

// NewMonitor returns a Monitor that compares with a profile. The error joins the faults of
// the options; each wraps ErrInvalidConfig.
func NewMonitor(p *Profile, opts ...MonitorOption) (*Monitor, error) {
	m := &Monitor{config: config{width: 5 * time.Minute, windows: 12, threshold: 0.1, minRows: 500}}
	for _, o := range opts {
		o(&m.config)
	}
	f := invalidConfig()
	if m.width < time.Second || m.width > 7*24*time.Hour || m.width%time.Second != 0 {
		f.add("WithWindow(%v): want 1s to 168h, in whole seconds", m.width)
	}
	if m.windows < 3 || m.windows > maxWindows {
		f.add("WithWindows(%d): want 3 to %d", m.windows, maxWindows)
	}
	if !(m.threshold > 0 && m.threshold <= 10) {
		f.add("WithThreshold(%v): want above 0, at most 10", m.threshold)
	}
	if m.minRows < 100 || m.minRows > 1e9 {
		f.add("WithMinRows(%d): want 100 to 1e9", m.minRows)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	m.stripes = min(runtime.GOMAXPROCS(0), maxStripes)
	// A pool keeps what each processor has returned last, so that processors write to
	// different memory as long as there are no more than stripes. Counters are atomic
	// because this is no promise.
	m.tokens.New = func() any {
		stripe := int(m.next.Add(1) % uint32(m.stripes))
		return &stripe
	}
	m.state.Store(newState(p))
	return m, nil
}

// Profile returns the profile in use.
func (m *Monitor) Profile() *Profile { return m.state.Load().profile }

// SetProfile replaces the profile. All counts begin at zero, except that a profile equal
// to the one in use changes nothing. It does not wait for calls under way.
func (m *Monitor) SetProfile(p *Profile) {
	s := newState(p)
	if s.digest != m.state.Load().digest {
		m.state.Store(s)
	}
}

// Reload reads the profile at path, checks that it belongs to one of the models, and
// replaces the profile by it. On error the old one stays; see [LoadProfile] and
// [Profile.CheckModel].
func (m *Monitor) Reload(path string, models ...*basket.FileModel) error {
	p, err := LoadProfile(path)
	if err != nil {
		return err
	}
	if err := p.CheckModel(models...); err != nil {
		return err
	}
	m.SetProfile(p)
	return nil
}

// A state is a profile and what was counted since it is in use.
type state struct {
	profile *Profile
	digest  string
	columns []counter // the features and then the prediction
	cells   int       // of a stripe, in use
	routes  atomic.Pointer[[]*ring]
	layouts atomic.Pointer[[]layout]
	late    atomic.Uint64
	ofModel string // what the String of the profile's model ends with
}

func newState(p *Profile) *state {
	s := &state{profile: p, digest: p.Digest(), cells: 1, ofModel: Model{Digest: p.Model.Digest, Margin: p.Model.Margin}.String()}
	for _, c := range p.columns() {
		s.columns = append(s.columns, counter{cuts: c.cuts(), mean: c.Mean, min: c.Min, max: c.Max, at: s.cells})
		s.cells += len(c.Counts) + counterCells
	}
	s.routes.Store(new([]*ring))
	s.layouts.Store(new([]layout))
	return s
}

// A layout says where the profile's features are in the events' rows.
type layout struct {
	features []string
	at       []int // by the profile's features; -1 if missing
}

// layout returns that of an event. Events of one Predictor share the slice of names.
func (s *state) layout(features []string) []int {
	known := s.layouts.Load()
	for _, l := range *known {
		if &l.features[0] == &features[0] && len(l.features) == len(features) {
			return l.at
		}
	}
	l := layout{features: features}
	for _, c := range s.profile.Features {
		l.at = append(l.at, slices.Index(features, c.Name))
	}
	if len(*known) < maxLayouts { // if another goroutine adds one now, this one is added next time
		s.layouts.CompareAndSwap(known, new(append(slices.Clone(*known), l)))
	}
	return l.at
}

// A ring has the windows of a route.
type ring struct {
	route string
	slots []atomic.Pointer[window]
}

// ring returns that of a route.
func (s *state) ring(route string, windows int) *ring {
	for {
		known := s.routes.Load()
		for _, r := range *known {
			if r.route == route {
				return r
			}
		}
		if len(*known) >= maxRoutes && route != otherRoutes {
			route = otherRoutes
			continue
		}
		r := &ring{route: strings.Clone(route), slots: make([]atomic.Pointer[window], windows)}
		if s.routes.CompareAndSwap(known, new(append(slices.Clone(*known), r))) {
			return r
		}
	}
}

// A window has the counts of some time.
type window struct {
	number  int64 // since 1970
	stripe  int   // cells of a stripe, with a distance to the next one
	counted []cell
}

// distance in cells keeps two processors from writing to one cache line, or to a pair
// that is fetched together.
const distance = 16

// window returns the window of a number, or nil if it is no longer kept.
func (m *Monitor) window(s *state, r *ring, number int64) *window {
	n := int64(len(r.slots))
	slot := &r.slots[(number%n+n)%n]
	for {
		w := slot.Load()
		switch {
		case w != nil && w.number == number:
			return w
		case w != nil && w.number > number:
			return nil
		}
		stripe := (s.cells + 2*distance - 1) / distance * distance
		next := &window{number: number, stripe: stripe, counted: make([]cell, m.stripes*stripe)}
		if slot.CompareAndSwap(w, next) {
			return next
		}
	}
}

// LogModel counts an event.
func (m *Monitor) LogModel(_ context.Context, e basket.ModelEvent) {
	if len(e.Row.Values) == 0 || len(e.Features) == 0 || e.Shadow && e.Err != nil {
		return
	}
	s := m.state.Load()
	w := m.window(s, s.ring(e.Route, m.windows), m.number(e.Time))
	if w == nil {
		s.late.Add(1)
		return
	}
	token := m.tokens.Get().(*int)
	cells := w.counted[*token*w.stripe:][:s.cells]
	last := len(s.columns) - 1
	if !e.Shadow {
		for j, k := range s.layout(e.Features) {
			if uint(k) < uint(len(e.Row.Values)) {
				s.columns[j].count(cells, e.Row.Values[k])
			}
		}
	}
	if e.Err == nil {
		s.columns[last].count(cells, e.Value)
		if !strings.HasSuffix(e.Model, s.ofModel) {
			cells[0].Add(1)
		}
	}
	m.tokens.Put(token)
}

// number returns that of the window of a time.
func (c *config) number(t time.Time) int64 {
	seconds, width := t.Unix(), int64(c.width/time.Second)
	n := seconds / width
	if seconds%width < 0 {
		n--
	}
	return n
}

// A cell counts rows, or has the bits of a float64 sum.
type cell struct{ atomic.Uint64 }

func (c *cell) addFloat(v float64) {
	for {
		old := c.Load()
		if c.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// A counter counts the values of a column into cells: one for each bin, and those below.
type counter struct {
	cuts           []float64
	mean, min, max float64
	at             int
}

// The cells after those of the bins.
const (
	nullCell = iota
	belowCell
	aboveCell
	shiftCell
	belowSumCell
	aboveSumCell
	counterCells
)

func (c *counter) count(cells []cell, v float64) {
	cells = cells[c.at:][:len(c.cuts)+1+counterCells]
	after := cells[len(c.cuts)+1:][:counterCells]
	if v != v {
		after[nullCell].Add(1)
		return
	}
	cells[bin(c.cuts, v)].Add(1)
	if v-v == 0 { // finite
		after[shiftCell].addFloat(v - c.mean)
	}
	if v < c.min || v > c.max {
		c.countOutside(after, v)
	}
}

func (c *counter) countOutside(after []cell, v float64) {
	n, sum, excess := belowCell, belowSumCell, c.min-v
	if v > c.max {
		n, sum, excess = aboveCell, aboveSumCell, v-c.max
	}
	after[n].Add(1)
	if !math.IsInf(v, 0) {
		after[sum].addFloat(excess)
	}
}

// read adds the counts of a stripe.
func (c *counter) read(cells []cell, dst *counts) {
	bins := len(c.cuts) + 1
	cells = cells[c.at:]
	o := counts{Bins: make([]uint64, bins)}
	for b := range o.Bins {
		o.Bins[b] = cells[b].Load()
	}
	after := cells[bins:]
	o.Nulls, o.Below, o.Above = after[nullCell].Load(), after[belowCell].Load(), after[aboveCell].Load()
	sum := func(i int) float64 { return math.Float64frombits(after[i].Load()) }
	o.Shift, o.BelowSum, o.AboveSum = sum(shiftCell), sum(belowSumCell), sum(aboveSumCell)
	dst.add(&o)
}

var _ basket.ModelLogger = (*Monitor)(nil)
