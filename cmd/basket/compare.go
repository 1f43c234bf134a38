package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/cmd/basket/internal/verdict"
)

type compareCmd struct {
	Log       []string  `required:"" sep:"none" placeholder:"FILE" help:"Model log of JSON lines, plain or compressed by gzip; - is the standard input. Several, of replicas or rotated, in any order: give it again for each."`
	Data      string    `placeholder:"DIR" help:"Folder of orders.parquet and inventory.parquet: hold the predictions against the orders."`
	Baseline  string    `placeholder:"ROUTE" help:"Route with which the others are compared; by default the one with the most predictions that is no shadow."`
	Since     time.Time `placeholder:"TIME" help:"Use only predictions from this time on, in the form 2006-01-02T15:04:05Z."`
	Until     time.Time `placeholder:"TIME" help:"Use only predictions before this time."`
	Detect    float64   `default:"5" placeholder:"PERCENT" help:"What must be found with a probability of 80 %, in percent of the baseline's value, before 'no difference found' is said (${default})."`
	Resamples int       `default:"2000" placeholder:"N" help:"Resamples of the bootstrap, for each route compared (${default})."`
	Seed      uint64    `default:"1" placeholder:"N" help:"Seed of the bootstrap; the same seed gives the same output (${default})."`
	JSON      bool      `name:"json" help:"Write a JSON object for programs instead of tables."`
}

// Help is what --help says besides the flags.
func (c *compareCmd) Help() string {
	return `The log is what serve writes as JSON: records "prediction" and "prediction failed". Damaged lines are counted, not fatal.

Without --data the means of the predictions are compared: that tells whether models differ, not which is better. With --data each user's last prediction before an order, by a route and after the user's previous order, is held against the value of that order (item count times mean item price, rule 3 of the features), and the verdict is about the mean absolute error (MAE). Times of orders without a time zone are UTC. Of several orders at one time the first counts.

The unit is the user, since predictions of one user are not independent. A mean is that of the users' means, with Student's interval; a difference of means is Welch's, extended to users in both routes (Derrick and others, 2017). Error rates have Wilson's interval for the effective number of requests, users as clusters; unknown users and canceled requests are no errors. MAE, RMSE, bias (prediction minus value) and the share of orders within 20 % of the value are over orders, with percentile intervals of a Poisson bootstrap over users. A shadow is compared over what it and the baseline both predicted: users, or orders with --data.

Intervals are of 95 %. With several routes besides the baseline, those of the differences hold together with 95 % (Bonferroni). The verdicts: "better", "worse" or, without --data, "predictions differ" if the interval of 97 % of the difference leaves out zero; "too little data" if fewer than 50 users are in one of the routes, or if a difference of --detect would be found with a probability below 80 %, with the number of users that would be enough; else "no difference found". The status is 0 whatever the verdict, and 1 if the input cannot be used.

Memory: some 700 bytes per user of the log in one route, user ID included, and 200 for each further route; with --data also some 50 per order and 100 per prediction held. It does not grow with the lines.

Fields of --json: baseline; measure (what verdicts are about); confidence (of intervals); decisive (confidence of a verdict); power; detect; users; lines (read, predictions, failures, outside, other, damaged); orders (with --data: users_without_orders, predictions_before_no_order, predictions_superseded, predictions_held); routes (route, shadow, models, first, last, users, predictions, mean, mean_interval, errors, unknown_users, canceled, error_rate; accuracy, with --data: users, orders, mae, rmse, bias, within_20_percent, each with its _interval); comparisons (route, verdict, paired, users of the baseline and of the route, difference, relative to the baseline's value, detectable, users_needed, resamples); notes. An interval is an object of value, low and high, or null if there are too few users. Shares are from 0 to 1; detectable and users_needed are 0 if unknown.`
}

func (c *compareCmd) Run(ctx context.Context, t terminal) error {
	if err := c.check(); err != nil {
		return err
	}
	var orders *verdict.Orders
	if c.Data != "" {
		var err error
		if orders, err = readOrders(ctx, c.Data); err != nil {
			return err
		}
	}
	log := verdict.NewLog(orders)
	log.Since, log.Until = c.Since, c.Until
	for _, path := range c.Log {
		if err := readLog(ctx, log, path); err != nil {
			return err
		}
	}
	report, err := log.Report(ctx, verdict.Options{Baseline: c.Baseline, Detect: c.Detect / 100, Resamples: c.Resamples, Seed: c.Seed})
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(c.Log, ", "), err)
	}
	out := bufio.NewWriter(t.out)
	if c.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		writeReport(out, report)
	}
	return errors.Join(err, out.Flush())
}

func (c *compareCmd) check() error {
	var errs []error
	if !(c.Detect > 0 && c.Detect <= 100) {
		errs = append(errs, fmt.Errorf("--detect %v: want a percentage above 0, at most 100", c.Detect))
	}
	if c.Resamples < 200 || c.Resamples > 100_000 {
		errs = append(errs, fmt.Errorf("--resamples %d: want 200 to 100000", c.Resamples))
	}
	if !c.Since.IsZero() && !c.Until.IsZero() && !c.Since.Before(c.Until) {
		errs = append(errs, fmt.Errorf("--since %s --until %s: want a time and a later one", c.Since.Format(time.RFC3339), c.Until.Format(time.RFC3339)))
	}
	seen := map[string]bool{}
	for _, path := range c.Log {
		if seen[path] {
			errs = append(errs, fmt.Errorf("--log %s: given twice: want each log once", path))
		}
		seen[path] = true
	}
	return errors.Join(errs...)
}

// readOrders reads the orders of a folder, and of its inventory the mean item price.
func readOrders(ctx context.Context, dir string) (*verdict.Orders, error) {
	fsys := os.DirFS(dir)
	price, err := basket.MeanItemPrice(basketparquet.Inventory(ctx, fsys))
	if err != nil {
		return nil, fmt.Errorf("--data %s: %w", dir, err)
	}
	orders, err := verdict.NewOrders(price)
	if err != nil {
		return nil, fmt.Errorf("--data %s: inventory: %w", dir, err)
	}
	for order, err := range basketparquet.Orders(ctx, fsys) {
		if err == nil {
			err = orders.Add(order)
		}
		if err != nil {
			return nil, fmt.Errorf("--data %s: %w", dir, err)
		}
	}
	return orders, nil
}

func readLog(ctx context.Context, log *verdict.Log, path string) error {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	if err := log.Read(ctx, in); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeReport writes a report for people. The writer keeps its error.
func writeReport(w *bufio.Writer, r *verdict.Report) {
	fmt.Fprintf(w, "%d predictions of %d users; of %d lines, %d are damaged", r.Lines.Predictions, r.Users, r.Lines.Read, r.Lines.Damaged)
	if r.Lines.Outside > 0 {
		fmt.Fprintf(w, ", %d of other times", r.Lines.Outside)
	}
	fmt.Fprint(w, "\n\n")
	writeRoutes(w, r)
	if h := r.Held; h != nil {
		fmt.Fprintf(w, "\n%d predictions held against orders; %d came before a later one, %d before no order; %d users have no orders\n\n",
			h.Held, h.Superseded, h.Waiting, h.NoOrders)
		writeAccuracy(w, r)
	}
	fmt.Fprintf(w, "\nintervals of 95 %%, users as units\n\n")
	for i := range r.Comparisons {
		fmt.Fprintln(w, comparisonText(r, &r.Comparisons[i]))
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
}

func writeRoutes(w io.Writer, r *verdict.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "route\tmodel\tusers\tpredictions\tmean\terror rate\tunknown users")
	for i := range r.Routes {
		route := &r.Routes[i]
		model := "-"
		if n := len(route.Models); n > 0 {
			model = printable(route.Models[n-1])
		}
		mean, rate := "-", "-"
		if route.Users > 0 {
			mean = withInterval(route.Mean, route.MeanInterval, number4)
		}
		if e := route.ErrorRate; e != nil {
			rate = withInterval(e.Value, e, percent)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\t%d\n", routeName(r, route), model, route.Users, route.Predictions, mean, rate, route.UnknownUsers)
	}
	_ = t.Flush()
}

func writeAccuracy(w io.Writer, r *verdict.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "route\tusers\torders\tMAE\tRMSE\tbias\twithin 20 %")
	for i := range r.Routes {
		a := r.Routes[i].Accuracy
		if a.Orders == 0 {
			fmt.Fprintf(t, "%s\t0\t0\t-\t-\t-\t-\n", routeName(r, &r.Routes[i]))
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", routeName(r, &r.Routes[i]), a.Users, a.Orders,
			withInterval(a.MAE, a.MAEInterval, number4), withInterval(a.RMSE, a.RMSEInterval, number4),
			withInterval(a.Bias, a.BiasInterval, number4), withInterval(a.Within, a.WithinInterval, percent))
	}
	_ = t.Flush()
}

func routeName(r *verdict.Report, route *verdict.Route) string {
	name := printable(route.Name)
	if route.Name == r.Baseline {
		name += " (baseline)"
	}
	if route.Shadow {
		name += " (shadow)"
	}
	return name
}

// comparisonText is the verdict on a route in words.
func comparisonText(r *verdict.Report, c *verdict.Comparison) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s against %s: %s", printable(c.Route), printable(r.Baseline), c.Verdict)
	if c.Difference != nil {
		fmt.Fprintf(&b, "\n  %s: %s", r.Measure, withInterval(c.Difference.Value, c.Difference, signed))
		if c.Relative != nil {
			fmt.Fprintf(&b, ", %s", withInterval(c.Relative.Value, c.Relative, signedPercent))
		}
	}
	users := fmt.Sprintf("%d and %d users", c.Users[1], c.Users[0])
	if c.Paired {
		users = fmt.Sprintf("%d users of both routes", c.Users[0])
	}
	fmt.Fprintf(&b, "\n  over %s", users)
	switch c.Verdict {
	case verdict.Differ:
		b.WriteString("; which is better needs --data")
	case verdict.NoDifference:
		if c.Detectable > 0 {
			fmt.Fprintf(&b, "; one of %s would be found with a probability of 80 %%", percent(c.Detectable))
		}
	case verdict.TooLittle:
		if c.Difference == nil {
			fmt.Fprintf(&b, ": want at least %d in each route", verdict.MinUsers)
		} else if c.UsersNeeded > 0 {
			of := " of the two routes, divided as now"
			if c.Paired {
				of = ""
			}
			fmt.Fprintf(&b, "; to find a difference of %s with a probability of 80 %% takes about %d users%s", percent(r.Detect), c.UsersNeeded, of)
		}
	}
	return b.String()
}

func withInterval(value float64, e *verdict.Estimate, format func(float64) string) string {
	if e == nil {
		return format(value)
	}
	return fmt.Sprintf("%s [%s, %s]", format(value), format(e.Low), format(e.High))
}

// number4 writes a number with four significant digits, whole ones with all.
func number4(v float64) string {
	if math.Abs(v) >= 1000 && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func signed(v float64) string {
	if v > 0 {
		return "+" + number4(v)
	}
	return number4(v)
}

func percent(share float64) string {
	return strconv.FormatFloat(100*share, 'g', 3, 64) + " %"
}

func signedPercent(share float64) string {
	if share > 0 {
		return "+" + percent(share)
	}
	return percent(share)
}
