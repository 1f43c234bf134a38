package dash

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/basket-go/basket/drift"
)

const noMonitor = "Nothing is compared: make a profile of the model by drift.NewProfile or \"basket profile\", and give its drift.Monitor to basket.New as model logger and to the handler by dash.WithMonitor; \"basket serve\" takes it by --profile."

func (h *handler) driftData(*http.Request) (int, any) {
	if h.monitor == nil {
		return http.StatusNotFound, map[string]string{"detail": noMonitor}
	}
	return http.StatusOK, h.monitor.Report(time.Now())
}

// A driftBody is what the page shows.
type driftBody struct {
	*drift.Report
	Rows   int64 // of the reference
	Shown  []driftRoute
	Cut    int // columns that are not shown
	Window time.Duration
}

type driftRoute struct {
	drift.RouteReport
	Columns []driftColumn
}

// A driftColumn is a feature or the predictions, with its pictures.
type driftColumn struct {
	drift.ColumnReport
	ID        string             // in the page
	Last      drift.WindowReport // the one that is drawn
	NullsWere float64            // share of the reference's rows
	From, To  string             // of the values of the bins
	Bins      []driftBin         // empty if the profile is another one meanwhile
	Line      string             // PSI by window, as points of a polyline
	Limits    string             // the threshold, likewise
	Highest   float64            // PSI at the top of the picture
}

// A driftBin is a bin of reference and window. Shares are of the rows that have a value.
type driftBin struct {
	Range         string
	Was, Is       number
	X, Width      number
	WasHigh, High number // of the bars, in units of the picture
	WasY, Y       number
}

// Pictures of drift are so many units wide and high.
const (
	pictureWidth  = 1000
	pictureHeight = 100
)

// maxColumns is how many columns are drawn.
const maxColumns = 400

func (h *handler) driftPage(*http.Request) *page {
	p := &page{Status: http.StatusOK, Path: "/drift", Title: "Drift"}
	if h.monitor == nil {
		p.Notes = []note{{Before: noMonitor}}
		return p
	}
	profile, report := h.monitor.Profile(), h.monitor.Report(time.Now())
	if profile.Digest() != report.Profile { // it was replaced between the two
		profile = &drift.Profile{}
	}
	references := map[string]*drift.Column{"prediction": &profile.Prediction}
	for j := range profile.Features {
		references[profile.Features[j].Name] = &profile.Features[j]
	}
	body := &driftBody{Report: report, Rows: profile.Rows, Window: time.Duration(report.Window) * time.Second}
	p.Body = body
	shown := 0
	for i, route := range report.Routes {
		one := driftRoute{RouteReport: route}
		for j, column := range route.Columns {
			if shown++; shown > maxColumns {
				body.Cut++
				continue
			}
			reference := references[column.Name]
			if j == len(route.Columns)-1 && column.Name == "prediction" {
				reference = &profile.Prediction
			}
			one.Columns = append(one.Columns, newDriftColumn(fmt.Sprintf("column%d-%d", i, j), column, reference, report.MinRows))
		}
		body.Shown = append(body.Shown, one)
	}
	return p
}

// newDriftColumn draws a column; the reference is nil if it is not known.
func newDriftColumn(id string, c drift.ColumnReport, reference *drift.Column, minRows int) driftColumn {
	d := driftColumn{ColumnReport: c, ID: id, Last: lastJudged(c.Windows, minRows)}
	d.Line, d.Limits, d.Highest = psiLines(c.Windows)
	if reference == nil || len(reference.Counts) != len(d.Last.Counts) {
		return d
	}
	var was, is float64
	for i, n := range reference.Counts {
		was += float64(n)
		is += float64(d.Last.Counts[i])
	}
	d.NullsWere = share(float64(reference.Nulls), was+float64(reference.Nulls))
	top := 0.0
	n := len(reference.Counts)
	d.From, d.To = short(number(reference.Edges[0])), short(number(reference.Edges[n]))
	for i := range n {
		b := driftBin{
			Range: fmt.Sprintf("%s to %s", short(number(reference.Edges[i])), short(number(reference.Edges[i+1]))),
			Was:   number(share(float64(reference.Counts[i]), was)), Is: number(share(float64(d.Last.Counts[i]), is)),
			X: number(i) * pictureWidth / number(n), Width: pictureWidth / number(n),
		}
		top = max(top, float64(b.Was), float64(b.Is))
		d.Bins = append(d.Bins, b)
	}
	for i := range d.Bins {
		b := &d.Bins[i]
		b.WasHigh, b.High = number(share(float64(b.Was), top))*pictureHeight, number(share(float64(b.Is), top))*pictureHeight
		b.WasY, b.Y = pictureHeight-b.WasHigh, pictureHeight-b.High
	}
	return d
}

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

// lastJudged returns the last window that counts for the verdict, or else the last one.
func lastJudged(windows []drift.WindowReport, minRows int) drift.WindowReport {
	for i := len(windows) - 1; i >= 0; i-- {
		if w := windows[i]; w.Over && w.Rows >= uint64(minRows) {
			return w
		}
	}
	if len(windows) == 0 {
		return drift.WindowReport{}
	}
	return windows[len(windows)-1]
}

// psiLines draws the PSI and the threshold of each window, by time.
func psiLines(windows []drift.WindowReport) (line, limits string, highest float64) {
	if len(windows) == 0 {
		return "", "", 0
	}
	for _, w := range windows {
		highest = max(highest, w.PSI)
		if w.Over {
			highest = max(highest, min(w.Threshold, 1)) // that of a few rows is far above
		}
	}
	highest = max(highest, 0.01) * 1.05
	first, last := windows[0].Start, windows[len(windows)-1].Start
	span := max(last.Sub(first).Seconds(), 1)
	var a, b strings.Builder
	for _, w := range windows {
		x := w.Start.Sub(first).Seconds() / span * pictureWidth
		fmt.Fprintf(&a, "%.4g,%.4g ", x, pictureHeight*(1-math.Min(w.PSI/highest, 1)))
		fmt.Fprintf(&b, "%.4g,%.4g ", x, pictureHeight*(1-math.Min(w.Threshold/highest, 1)))
	}
	return a.String(), b.String(), highest
}

// Class is how a verdict is shown.
func (d driftColumn) Class() string { return verdictClass(d.Verdict) }

// Class is how a verdict is shown.
func (d driftRoute) Class() string { return verdictClass(d.Verdict) }

// Class is how a verdict is shown.
func (b *driftBody) Class() string { return verdictClass(b.Verdict) }

func verdictClass(v drift.Verdict) string {
	switch v {
	case drift.Drifted, drift.OtherModel:
		return "verdict bad"
	case drift.Stable:
		return "verdict good"
	}
	return "verdict"
}
