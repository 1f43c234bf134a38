package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
)

type driftCmd struct {
	Profile   string        `required:"" placeholder:"FILE.json" help:"Profile to compare with, as basket profile writes it."`
	Log       string        `required:"" placeholder:"FILE.json" help:"Model log of basket serve in the JSON form."`
	Route     string        `placeholder:"NAME" help:"Report on this route only."`
	Window    time.Duration `default:"5m" help:"Width of a window of time, in whole seconds (${default}). The last 1000 windows are compared."`
	Threshold float64       `default:"0.1" help:"PSI above which a window has drifted, if it has rows enough to tell (${default})."`
	MinRows   int           `default:"500" help:"Rows that a window needs to be judged (${default})."`
	JSON      bool          `help:"Write the report as JSON, as GET /drift does."`
}

// driftWindows is how many windows of a log are compared.
const driftWindows = 1000

func (c *driftCmd) Run(ctx context.Context, t terminal) error {
	profile, err := drift.LoadProfile(c.Profile)
	if err != nil {
		return err
	}
	monitor, err := drift.NewMonitor(profile, drift.WithWindow(c.Window), drift.WithWindows(driftWindows),
		drift.WithThreshold(c.Threshold), drift.WithMinRows(c.MinRows))
	if err != nil {
		return err
	}
	log, err := c.read(ctx, monitor, t)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Log, err)
	}
	if log.unreadable > 0 {
		fmt.Fprintf(t.err, "%s: lines left out: %d, the first is line %d: %s\n", printable(c.Log), log.unreadable, log.firstLine, printable(log.first.Error()))
	}
	report := monitor.Report(log.last.Add(c.Window)) // the log has ended, so all windows are over
	if c.Route != "" {
		if report.Routes = slices.DeleteFunc(report.Routes, func(r drift.RouteReport) bool { return r.Route != c.Route }); len(report.Routes) == 0 {
			return fmt.Errorf("%s: --route %s: has no prediction", c.Log, c.Route)
		}
		report.Verdict = report.Routes[0].Verdict
	}
	if c.JSON {
		e := json.NewEncoder(t.out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	return writeDriftReport(t.out, report, profile)
}

// A predictionLog is what was read of a model log.
type predictionLog struct {
	last        time.Time // of the predictions
	predictions int
	unreadable  int   // lines
	first       error // why the first of them is
	firstLine   int
}

// maxLogLine is the size of the longest line of a log that is read.
const maxLogLine = 1 << 20

// read gives the predictions of the log to the monitor. Lines that cannot be read, such
// as the last one of a service that was killed, are left out.
func (c *driftCmd) read(ctx context.Context, monitor *drift.Monitor, t terminal) (predictionLog, error) {
	var log predictionLog
	f, err := os.Open(c.Log)
	if err != nil {
		return log, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a folder: want a file")
	}
	if err != nil {
		return log, err
	}
	bar := progress(info.Size(), "reading", "bytes", t)
	defer func() { _ = bar.Finish() }()
	var features []string
	for _, column := range monitor.Profile().Features {
		features = append(features, column.Name)
	}
	lines := bufio.NewReaderSize(f, maxLogLine)
	size := int64(0)
	for number := 1; ; number++ {
		line, long, err := readLine(lines)
		if err == io.EOF {
			break
		}
		if err == nil && number%1024 == 0 {
			_ = bar.Set64(size)
			err = ctx.Err()
		}
		if err != nil {
			return log, err
		}
		size += int64(len(line))
		e, ok, err := readPrediction(line, features)
		if long {
			err = fmt.Errorf("over %d bytes: want a shorter line", maxLogLine)
		}
		switch {
		case err != nil:
			if log.unreadable++; log.first == nil {
				log.first, log.firstLine = err, number
			}
		case ok:
			log.predictions++
			if e.Time.After(log.last) {
				log.last = e.Time
			}
			monitor.LogModel(ctx, e)
		}
	}
	if log.predictions == 0 {
		if log.first != nil {
			return log, fmt.Errorf("line %d: %w", log.firstLine, log.first)
		}
		return log, errors.New(`has no line of a prediction: want the JSON form of the model log, "msg":"prediction"`)
	}
	return log, nil
}

// readLine returns the next line, valid until the next call, or the start of one that is
// too long.
func readLine(r *bufio.Reader) (line []byte, long bool, err error) {
	line, err = r.ReadSlice('\n')
	for err == bufio.ErrBufferFull {
		long = true
		_, err = r.ReadSlice('\n')
	}
	if err == io.EOF && (len(line) > 0 || long) {
		err = nil
	}
	return line, long, err
}

// A loggedNumber is a number, or NaN for null and for what package slog writes for NaN.
type loggedNumber float64

func (n *loggedNumber) UnmarshalJSON(text []byte) error {
	if text[0] == 'n' || text[0] == '"' && bytes.Contains(text, []byte("NaN")) {
		*n = loggedNumber(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(n))
}

// readPrediction reads a line; ok is false for those that are not of a prediction.
func readPrediction(line []byte, features []string) (e basket.ModelEvent, ok bool, err error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return e, false, nil
	}
	var record struct {
		Msg      string                  `json:"msg"`
		Time     time.Time               `json:"time"`
		Route    string                  `json:"route"`
		Model    string                  `json:"model"`
		Shadow   bool                    `json:"shadow"`
		Value    *loggedNumber           `json:"value"`
		Features map[string]loggedNumber `json:"features"`
	}
	if err := json.Unmarshal(line, &record); err != nil {
		return e, false, fmt.Errorf("%.100s: want a JSON object", err)
	}
	switch {
	case record.Msg != "prediction":
		return e, false, nil
	case record.Time.Year() < 1970 || record.Time.Year() > 9000:
		return e, false, fmt.Errorf("time: %v: want one from 1970 on", record.Time)
	case record.Route == "":
		return e, false, errors.New("route: missing: want a name")
	case record.Value == nil:
		return e, false, errors.New("value: missing: want a number")
	case record.Features == nil:
		return e, false, errors.New("features: missing: want an object of numbers")
	}
	e.Time, e.Shadow, e.Route, e.Model, e.Value = record.Time, record.Shadow, record.Route, record.Model, float64(*record.Value)
	e.Features = features
	for _, name := range features {
		v, ok := record.Features[name]
		if !ok {
			return e, false, fmt.Errorf("features: %.64q is missing: want the features of the profile", name)
		}
		e.Row.Values = append(e.Row.Values, float64(v))
	}
	return e, true, nil
}

// writeDriftReport writes a report for people, in lines of at most 100 characters or so.
func writeDriftReport(out io.Writer, report *drift.Report, profile *drift.Profile) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s: model %.60s, %d rows of reference\n", report.Verdict, printable(report.Model), profile.Rows)
	if report.Late > 0 {
		fmt.Fprintf(w, "%d predictions are left out, %d windows or more before others: want a larger --window\n", report.Late, driftWindows)
	}
	for _, r := range report.Routes {
		fmt.Fprintf(w, "\nroute %.60s: %s\n", printable(r.Route), r.Verdict)
		for i := range r.Columns {
			writeColumn(w, &r.Columns[i], referenceOf(profile, r.Columns[i].Name, i == len(r.Columns)-1), report.MinRows)
		}
	}
	return w.Flush()
}

// referenceOf returns the profile's column. The last one of a route may be the
// predictions, and a feature may have that name too.
func referenceOf(p *drift.Profile, name string, last bool) *drift.Column {
	if last && name == p.Prediction.Name {
		return &p.Prediction
	}
	for j := range p.Features {
		if p.Features[j].Name == name {
			return &p.Features[j]
		}
	}
	return &p.Prediction
}

// writeColumn writes the figures and the histogram of the last window that has enough
// rows, or else of the last one.
func writeColumn(w io.Writer, c *drift.ColumnReport, ref *drift.Column, minRows int) {
	shown, above := &c.Windows[len(c.Windows)-1], 0
	for i := range c.Windows {
		if c.Windows[i].Rows >= uint64(minRows) {
			shown = &c.Windows[i]
		}
		if c.Windows[i].Above {
			above++
		}
	}
	fmt.Fprintf(w, "\n  %.60s: %s", printable(c.Name), c.Verdict)
	if c.Since != nil {
		fmt.Fprintf(w, " since %s", c.Since.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "; %d of %d windows are above their thresholds\n", above, len(c.Windows))
	fmt.Fprintf(w, "  window of %s: %d rows, PSI %.4g (threshold %.4g)\n", shown.Start.Format(time.RFC3339), shown.Rows, shown.PSI, shown.Threshold)
	fmt.Fprintf(w, "  Jensen-Shannon %.4g, KS %.4g, Wasserstein %.4g\n", shown.JSDistance, shown.KS, shown.Wasserstein)
	fmt.Fprintf(w, "  missing %.2f %%, out of range %.2f %%, mean %.6g (%+.3g std)\n", 100*shown.NullRate, 100*shown.OutOfRange, shown.Mean, shown.MeanShift)
	writeHistogram(w, shown, ref)
}

// writeHistogram writes the share of each bin in the reference and below it in the window.
func writeHistogram(w io.Writer, shown *drift.WindowReport, ref *drift.Column) {
	const width = 50
	was, is := make([]float64, len(ref.Counts)), make([]float64, len(ref.Counts))
	wasSum, isSum := 0.0, 0.0
	for b := range ref.Counts {
		was[b], is[b] = float64(ref.Counts[b]), float64(shown.Counts[b])
		wasSum += was[b]
		isSum += is[b]
	}
	most := 0.0
	for b := range was {
		was[b], is[b] = was[b]/wasSum, is[b]/max(isSum, 1)
		most = max(most, was[b], is[b])
	}
	bar := func(share float64, block string) string {
		return strings.Repeat(block, int(math.Round(width*share/most)))
	}
	for b := range was {
		from := fmt.Sprintf("from %.6g", ref.Edges[b])
		if b == 0 && len(was) > 1 {
			from = fmt.Sprintf("below %.6g", ref.Edges[1])
		}
		fmt.Fprintf(w, "    %-19s %5.1f %% %s\n", from, 100*was[b], bar(was[b], "░"))
		fmt.Fprintf(w, "    %-19s %5.1f %% %s\n", "", 100*is[b], bar(is[b], "█"))
	}
}
