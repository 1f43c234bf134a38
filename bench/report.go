package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A unit is what a figure counts, and decides which way is better.
type unit string

const (
	nanoseconds unit = "ns"
	perSecond   unit = "1/s" // more is better
	bytes       unit = "bytes"
)

// A result is one line of the table.
type result struct {
	Name        string   `json:"name"`
	Unit        unit     `json:"unit"`
	Ours        summary  `json:"ours"`
	Peer        string   `json:"peer,omitempty"`
	PeerVersion string   `json:"peer_version,omitempty"`
	PeerFigure  *summary `json:"peer_figure,omitempty"`
	Ratio       *summary `json:"ratio,omitempty"` // how many times better ours is
	Bar         *bar     `json:"bar,omitempty"`
	Met         *bool    `json:"met,omitempty"`     // nil without a bar, or where it is not for this data
	Share       float64  `json:"share,omitempty"`   // of the bar: 1 or more is met
	Checked     string   `json:"checked,omitempty"` // how the answers were compared
	Note        string   `json:"note,omitempty"`
}

// A bar is what a figure has to reach: a ratio, or a value.
type bar struct {
	AtLeast float64 `json:"ratio_at_least,omitempty"`
	AtMost  float64 `json:"value_at_most,omitempty"`
	Text    string  `json:"text"`
}

func times(n float64) *bar { return &bar{AtLeast: n, Text: fmt.Sprintf("%gx", n)} }

func under(u unit, v float64) *bar { return &bar{AtMost: v, Text: "< " + u.format(v)} }

// newResult compares ours with a peer's measurements, or with none.
func newResult(name string, u unit, ours []float64, peer side, theirs []float64, b *bar) result {
	r := result{Name: name, Unit: u, Ours: summarize(ours), Peer: peer.name, PeerVersion: peer.version, Bar: b}
	if len(theirs) > 0 {
		s := summarize(theirs)
		ratio := ratios(theirs, ours)
		if u == perSecond {
			ratio = ratios(ours, theirs)
		}
		r.PeerFigure, r.Ratio = &s, &ratio
	}
	return r
}

// judge holds the result against its bar.
func (r *result) judge() {
	switch {
	case r.Bar == nil:
		return
	case r.Bar.AtMost > 0:
		r.Share = r.Bar.AtMost / r.Ours.Median
	case r.Ratio != nil:
		r.Share = r.Ratio.Median / r.Bar.AtLeast
	default:
		return
	}
	met := r.Share >= 1
	r.Met = &met
}

func (r *result) verdict() string {
	switch {
	case r.Met == nil:
		return "-"
	case *r.Met:
		return fmt.Sprintf("met, %.2f of it", r.Share)
	}
	return fmt.Sprintf("NOT met, %.2f of it", r.Share)
}

// A leftOut is a comparison that could not be made.
type leftOut struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// A report is all that a run has found.
type report struct {
	Time     time.Time `json:"time"`
	Machine  machine   `json:"machine"`
	Rounds   int       `json:"rounds"`
	Clock    string    `json:"clock"` // wall or cpu
	Data     string    `json:"data"`
	Results  []result  `json:"results"`
	LeftOut  []leftOut `json:"left_out,omitempty"`
	Failures []leftOut `json:"failures,omitempty"` // wrong answers, and ours failing
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// write writes the report for people.
func (r *report) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tours\tpeer\tits\tratio\tbar\t")
	fmt.Fprintln(t, "----\t----\t----\t---\t-----\t---\t")
	for i := range r.Results {
		s := &r.Results[i]
		peer, its, ratio, limit := "-", "-", "-", "-"
		if s.Peer != "" {
			peer = strings.TrimSpace(s.Peer + " " + s.PeerVersion)
		}
		if s.PeerFigure != nil {
			its = s.Unit.spread(*s.PeerFigure)
			ratio = fmt.Sprintf("%.3gx (%.3g..%.3g)", s.Ratio.Median, s.Ratio.Min, s.Ratio.Max)
		}
		if s.Bar != nil {
			limit = s.Bar.Text
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Unit.spread(s.Ours), peer, its, ratio, limit, s.verdict())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	r.writeNotes(w)
	return nil
}

func (r *report) writeNotes(w io.Writer) {
	fmt.Fprintf(w, "\nMedians (smallest..largest) of %d rounds in turns. A ratio is how many times better ours is.\n", r.Rounds)
	if r.Clock == "cpu" {
		fmt.Fprintln(w, "Engines, predictor, loading and features by processor time: others used this machine.")
	}
	fmt.Fprintf(w, "Data: %s\n", r.Data)
	said := map[string]bool{}
	for _, s := range r.Results {
		for _, text := range []string{s.Checked, s.Note} {
			what, _, _ := strings.Cut(s.Name, ",")
			line := fmt.Sprintf("  %s: %s\n", what, text)
			if text == "" || said[line] {
				continue
			}
			if len(said) == 0 {
				fmt.Fprintln(w, "Notes:")
			}
			said[line] = true
			fmt.Fprint(w, line)
		}
	}
	for _, l := range r.LeftOut {
		fmt.Fprintf(w, "left out: %s: %s\n", l.Name, l.Why)
	}
	for _, l := range r.Failures {
		fmt.Fprintf(w, "FAILED: %s: %s\n", l.Name, l.Why)
	}
	fmt.Fprintf(w, "Machine: %s\n", r.Machine)
}

// spread formats a summary.
func (u unit) spread(s summary) string {
	if s.Min == s.Max {
		return u.format(s.Median)
	}
	return fmt.Sprintf("%s (%s..%s)", u.format(s.Median), u.format(s.Min), u.format(s.Max))
}

// format writes a figure with three digits and a prefix for people.
func (u unit) format(v float64) string {
	switch u {
	case nanoseconds:
		switch {
		case v >= 0.9995e9:
			return digits(v/1e9) + " s"
		case v >= 0.9995e6:
			return digits(v/1e6) + " ms"
		case v >= 0.9995e3:
			return digits(v/1e3) + " µs"
		}
		return digits(v) + " ns"
	case perSecond:
		return fmt.Sprintf("%.0f/s", v)
	case bytes:
		return digits(v/(1<<20)) + " MB"
	}
	return fmt.Sprint(v)
}

// digits writes three digits, or all before the point.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
