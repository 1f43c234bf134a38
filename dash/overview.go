package dash

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// An overview is the last hour by steps, and the last minute in figures. The series have a
// number for each of Times, which are the beginnings of the steps that are over.
type overview struct {
	Step     int      `json:"step_seconds"`
	Times    []int64  `json:"times"`    // seconds since 1970
	Requests []number `json:"requests"` // a second
	P50      []number `json:"p50"`      // latency of requests in seconds; null without requests
	P95      []number `json:"p95"`
	P99      []number `json:"p99"`
	Memory   []number `json:"memory"`   // bytes; null in a step without requests, unless the page was open
	Ages     []number `json:"data_age"` // seconds from the newest order to the end of the step; null if it is not known
	Routes   []series `json:"routes"`   // predictions a second
	Errors   []series `json:"errors"`   // failures a second
	Minute   figures  `json:"last_minute"`
	Hour     figures  `json:"last_hour"`
	Now      int64    `json:"memory_now"`
	DataAge  number   `json:"data_age_seconds"` // null if it is not known
}

type series struct {
	Name   string   `json:"name"`
	Values []number `json:"values"`
}

// figures are those of a span of time.
type figures struct {
	Seconds  int     `json:"seconds"`
	Requests number  `json:"requests"` // a second
	P50      number  `json:"p50"`      // seconds; null without requests
	P95      number  `json:"p95"`
	P99      number  `json:"p99"`
	Routes   []count `json:"routes"` // predictions
	Errors   []count `json:"errors"` // failures
}

type count struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// A tally is counts that no one changes, of one step or the sum of several.
type tally struct {
	steps    int
	requests [latencyBuckets]uint64
	routes   [maxRoutes + 1]uint64
	errors   [len(kinds) + 1]uint64
}

// add adds the counts of a step; c may be nil, for a step in which nothing happened.
func (t *tally) add(c *counts) {
	t.steps++
	if c == nil {
		return
	}
	for i := range c.requests {
		t.requests[i] += uint64(c.requests[i].Load())
	}
	for i := range c.routes {
		t.routes[i] += uint64(c.routes[i].Load())
	}
	for i := range c.errors {
		t.errors[i] += uint64(c.errors[i].Load())
	}
}

// rate returns n a second.
func (t *tally) rate(n uint64) number {
	if t.steps == 0 {
		return 0
	}
	return number(float64(n) / (float64(t.steps) * stepLength.Seconds()))
}

func (t *tally) count() (n uint64) {
	for _, k := range t.requests {
		n += k
	}
	return n
}

// latency returns a quantile (nearest rank) of the latencies in seconds, or NaN.
func (t *tally) latency(q float64) number {
	rank := uint64(math.Ceil(q * float64(t.count())))
	var below uint64
	for i, k := range t.requests {
		if below += k; below >= rank && below > 0 {
			return number(latencyOf(i))
		}
	}
	return number(math.NaN())
}

func (t *tally) figures(names []string) figures {
	f := figures{
		Seconds: t.steps * int(stepLength/time.Second), Requests: t.rate(t.count()),
		P50: t.latency(.5), P95: t.latency(.95), P99: t.latency(.99), Routes: []count{}, Errors: []count{},
	}
	for i, n := range t.routes {
		if i < len(names) || n > 0 {
			f.Routes = append(f.Routes, count{routeName(names, i), n})
		}
	}
	for i, n := range t.errors {
		if n > 0 {
			f.Errors = append(f.Errors, count{kindName(i), n})
		}
	}
	return f
}

func routeName(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "other"
}

// overview sums up what was counted before the step of now, in at most so many steps. It
// notes memory and age of the step of now, which a service without requests does not.
func (r *Recorder) overview(now time.Time, most int) *overview {
	r.at(now)
	open := stepOf(now)
	first := max(r.start, open-int64(most))
	names := *r.names.Load()
	o := &overview{
		Step: int(stepLength / time.Second), DataAge: number(math.NaN()), Now: int64(usedMemory()),
		Times: []int64{}, Requests: []number{}, P50: []number{}, P95: []number{}, P99: []number{}, Memory: []number{}, Ages: []number{}, Routes: []series{}, Errors: []series{},
	}
	var minute, hour tally
	each := make([]tally, 0, open-first)
	newest := r.newestBefore(first)
	for step := first; step < open; step++ {
		c := r.stepCounts(step)
		memory := number(math.NaN())
		if c != nil {
			memory, newest = number(c.memory), c.newest
		}
		var t tally
		t.add(c)
		hour.add(c)
		if step >= open-int64(time.Minute/stepLength) {
			minute.add(c)
		}
		each = append(each, t)
		o.Times = append(o.Times, step*int64(stepLength/time.Second))
		o.Requests = append(o.Requests, t.rate(t.count()))
		o.P50, o.P95, o.P99 = append(o.P50, t.latency(.5)), append(o.P95, t.latency(.95)), append(o.P99, t.latency(.99))
		o.Memory, o.Ages = append(o.Memory, memory), append(o.Ages, ageAt(step+1, newest))
	}
	for i := range maxRoutes + 1 {
		if i < len(names) || hour.routes[i] > 0 {
			o.Routes = append(o.Routes, series{routeName(names, i), rates(each, func(t *tally) uint64 { return t.routes[i] })})
		}
	}
	for i := range len(kinds) + 1 {
		if hour.errors[i] > 0 {
			o.Errors = append(o.Errors, series{kindName(i), rates(each, func(t *tally) uint64 { return t.errors[i] })})
		}
	}
	o.Minute, o.Hour = minute.figures(names), hour.figures(names)
	return o
}

// ageAt returns the age of an order at the beginning of a step, in seconds.
func ageAt(step, newest int64) number {
	if newest == 0 {
		return number(math.NaN())
	}
	return number(time.Unix(0, step*int64(stepLength)).Sub(time.Unix(0, newest)).Seconds())
}

func rates(each []tally, n func(*tally) uint64) []number {
	values := make([]number, len(each))
	for i := range each {
		values[i] = each[i].rate(n(&each[i]))
	}
	return values
}

// overview returns the last hour, or nil without a Recorder.
func (h *handler) overview(now time.Time) *overview {
	if h.recorder == nil {
		return nil
	}
	o := h.recorder.overview(now, stepsKept)
	if h.newest != nil {
		if newest := h.newest(); !newest.IsZero() {
			o.DataAge = number(now.Sub(newest).Seconds())
		}
	}
	return o
}

const noRecorder = "Nothing is counted: give basket.New a dash.Recorder as service logger and model logger, and dash.WithRecorder to the handler."

func (h *handler) overviewData(*http.Request) (int, any) {
	if o := h.overview(time.Now()); o != nil {
		return http.StatusOK, o
	}
	return http.StatusNotFound, map[string]string{"detail": noRecorder}
}

func (h *handler) overviewPage(*http.Request) *page {
	p := &page{Status: http.StatusOK, Path: "/", Title: "Overview"}
	if o := h.overview(time.Now()); o != nil {
		p.Body = &overviewBody{o}
	} else {
		p.Notes = []note{{Before: noRecorder}}
	}
	return p
}

// An overviewBody is what the page shows.
type overviewBody struct{ *overview }

// Age is how old the data is, in words.
func (b *overviewBody) Age() string {
	return ageText(b.DataAge)
}

func ageText(seconds number) string {
	if seconds.missing() {
		return "not known"
	}
	return ago(time.Duration(float64(seconds) * float64(time.Second)))
}

// A past is memory and age of the data at the end of a step.
type past struct {
	Time        time.Time
	Age, Memory string
}

// Past is memory and age of the data every five minutes, the last step first.
func (b *overviewBody) Past() (list []past) {
	for i := len(b.Times) - 1; i >= 0; i -= int(5 * time.Minute / stepLength) {
		p := past{time.Unix(b.Times[i], 0).Add(stepLength), ageText(b.Ages[i]), "not known"}
		if !b.Memory[i].missing() {
			p.Memory = sizeText(int64(b.Memory[i]))
		}
		list = append(list, p)
	}
	return list
}

// Of returns the count of a name in a list.
func (figures) Of(list []count, name string) uint64 {
	if i := slices.IndexFunc(list, func(c count) bool { return c.Name == name }); i >= 0 {
		return list[i].Count
	}
	return 0
}

// latencyText formats seconds with three digits and a unit.
func latencyText(seconds number) string {
	switch v := float64(seconds); {
	case math.IsNaN(v):
		return "none"
	case v < 1e-3:
		return strconv.FormatFloat(v*1e6, 'g', 3, 64) + " µs"
	case v < 1:
		return strconv.FormatFloat(v*1e3, 'g', 3, 64) + " ms"
	default:
		return strconv.FormatFloat(v, 'g', 3, 64) + " s"
	}
}

// sizeText formats bytes.
func sizeText(bytes int64) string {
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
