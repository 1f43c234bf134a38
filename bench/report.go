package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A unit is the unit of a measurement.
type unit string

const (
	nanoseconds unit = "ns"
	perSecond   unit = "1/s" // higher is better; for the other units, lower
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
	Ratio       *summary `json:"ratio,omitempty"` // above 1 if ours is better
	Bar         *bar     `json:"bar,omitempty"`
	Met         *bool    `json:"met,omitempty"`     // nil if there is no bar, or it does not apply to the data
	Share       float64  `json:"share,omitempty"`   // of the bar; it is met at 1
	Checked     string   `json:"checked,omitempty"` // how the answers were compared
	Note        string   `json:"note,omitempty"`
}

// A bar is the required ratio or value of a result.
type bar struct {
	AtLeast float64 `json:"ratio_at_least,omitempty"`
	AtMost  float64 `json:"value_at_most,omitempty"`
	Text    string  `json:"text"`
}

// minRatio returns a bar for the ratio of ours to a peer, or nil for 0.
func minRatio(n float64) *bar {
	if n == 0 {
		return nil
	}
	return &bar{AtLeast: n, Text: fmt.Sprintf("%gx", n)}
}

// maxValue returns a bar for the value of ours.
func maxValue(u unit, v float64) *bar { return &bar{AtMost: v, Text: "< " + u.format(v)} }

// newResult compares our measurements with those of a peer. Both theirs and the bar
// may be nil.
func newResult(name string, u unit, ours []float64, peer candidate, theirs []float64, b *bar) result {
	r := result{Name: name, Unit: u, Ours: summarize(ours), Peer: peer.name, PeerVersion: peer.version, Checked: peer.checked, Bar: b}
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

// judge sets Share and Met, if there is a bar that applies.
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
		return fmt.Sprintf("met (%.2f of the bar)", r.Share)
	}
	return fmt.Sprintf("NOT met (%.2f of the bar)", r.Share)
}

// A problem is the reason why a comparison was skipped or failed.
type problem struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// A report holds the results of a run.
type report struct {
	Time     time.Time `json:"time"`
	Machine  machine   `json:"machine"`
	Rounds   int       `json:"rounds"`
	Clock    string    `json:"clock"` // wall or cpu
	Data     string    `json:"data"`
	Results  []result  `json:"results"`
	Skipped  []problem `json:"skipped,omitempty"`
	Failures []problem `json:"failures,omitempty"` // wrong answers, and errors of ours
}

// write writes the report as text.
func (r *report) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "comparison\tbasket\tpeer\tpeer's\tratio\tbar\t")
	fmt.Fprintln(t, "----------\t------\t----\t------\t-----\t---\t")
	for i := range r.Results {
		s := &r.Results[i]
		peer, theirs, ratio, limit := "-", "-", "-", "-"
		if s.Peer != "" {
			peer = strings.TrimSpace(s.Peer + " " + s.PeerVersion)
		}
		if s.PeerFigure != nil {
			theirs = s.Unit.spread(*s.PeerFigure)
			ratio = fmt.Sprintf("%.3gx (%.3g..%.3g)", s.Ratio.Median, s.Ratio.Min, s.Ratio.Max)
		}
		if s.Bar != nil {
			limit = s.Bar.Text
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Unit.spread(s.Ours), peer, theirs, ratio, limit, s.verdict())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	r.writeNotes(w)
	return nil
}

func (r *report) writeNotes(w io.Writer) {
	fmt.Fprintf(w, "\nMedian (minimum..maximum) of %d interleaved rounds. A ratio above 1 means that basket is better.\n", r.Rounds)
	if r.Clock == "cpu" {
		fmt.Fprintln(w, "Engines, predictor, loading, features and the events of a feed are measured in CPU time, because other programs use this machine.")
	}
	fmt.Fprintf(w, "Data: %s\n", r.Data)
	printed := map[string]bool{}
	for _, s := range r.Results {
		for _, text := range []string{s.Checked, s.Note} {
			group, _, _ := strings.Cut(s.Name, ", ")
			line := fmt.Sprintf("  %s: %s\n", group, text)
			if text == "" || printed[line] {
				continue
			}
			if len(printed) == 0 {
				fmt.Fprintln(w, "Notes:")
			}
			printed[line] = true
			fmt.Fprint(w, line)
		}
	}
	for _, p := range r.Skipped {
		fmt.Fprintf(w, "skipped: %s: %s\n", p.Name, p.Reason)
	}
	for _, p := range r.Failures {
		fmt.Fprintf(w, "FAILED: %s: %s\n", p.Name, p.Reason)
	}
	fmt.Fprintf(w, "Machine: %s\n", r.Machine)
}

// spread formats a summary as "median (minimum..maximum)".
func (u unit) spread(s summary) string {
	if s.Min == s.Max {
		return u.format(s.Median)
	}
	return fmt.Sprintf("%s (%s..%s)", u.format(s.Median), u.format(s.Min), u.format(s.Max))
}

// format formats a value with three significant digits and a metric prefix.
func (u unit) format(v float64) string {
	switch {
	case u == perSecond:
		return fmt.Sprintf("%.0f/s", v)
	case u == bytes:
		return digits(v/(1<<20)) + " MB"
	case v >= 0.9995e9:
		return digits(v/1e9) + " s"
	case v >= 0.9995e6:
		return digits(v/1e6) + " ms"
	case v >= 0.9995e3:
		return digits(v/1e3) + " µs"
	}
	return digits(v) + " ns"
}

// digits formats a value with three significant digits, and all digits before the
// decimal point.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
