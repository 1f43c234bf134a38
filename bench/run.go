package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// A side is one of the programs that are compared. A turn measures it once.
type side struct {
	name    string
	version string
	turn    func(ctx context.Context) (float64, error)
}

// turns lets the sides take turns, A B C then C B A, so that whatever else the
// machine does falls on all alike. It returns each side's measurements. A side
// that fails takes no more turns, and its error stands in its place.
func turns(ctx context.Context, rounds int, sides []side) ([][]float64, []error) {
	values, errs := make([][]float64, len(sides)), make([]error, len(sides))
	for round := range rounds {
		for k := range sides {
			i := k
			if round%2 == 1 {
				i = len(sides) - 1 - k
			}
			if errs[i] == nil {
				errs[i] = ctx.Err()
			}
			if errs[i] != nil {
				continue
			}
			v, err := sides[i].turn(ctx)
			if err == nil && !(v > 0 && v < math.Inf(1)) {
				err = fmt.Errorf("measured %v: want a positive number", v)
			}
			if err != nil {
				values[i], errs[i] = nil, err
				continue
			}
			values[i] = append(values[i], v)
		}
	}
	return values, errs
}

// A clock tells the time since some moment.
type clock func() time.Duration

var began = time.Now()

func wallTime() time.Duration { return time.Since(began) }

// calibrated makes a turn of about the length slice from run, which does
// something n times and returns the nanoseconds that one of its units took, of
// which each time has some. The first turn finds n, and warms up meanwhile.
func calibrated(slice time.Duration, units int, run func(n int) (float64, error)) func(context.Context) (float64, error) {
	n := 0
	return func(ctx context.Context) (float64, error) {
		for try := 1; n == 0; {
			ns, err := run(try)
			if err != nil {
				return 0, err
			}
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			once := max(ns, 1e-3) * float64(units)
			wanted := int(min(float64(slice)/once, 1e9))
			if wanted < 2*try {
				n = max(wanted, 1)
			}
			try = min(max(wanted, 1), 100*try)
		}
		return run(n)
	}
}

// A summary is what is told of several measurements.
type summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	return summary{median(values), slices.Min(values), slices.Max(values)}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// quantile returns the value that the share q of the values is at most; it sorts
// them.
func quantile[T cmp.Ordered](values []T, q float64) T {
	slices.Sort(values)
	i := int(math.Ceil(q*float64(len(values)))) - 1
	return values[min(max(i, 0), len(values)-1)]
}

// ratios tells how many times over is under: the ratio of the medians, and the
// smallest and largest ratio of one round.
func ratios(over, under []float64) summary {
	r := summary{median(over) / median(under), math.Inf(1), math.Inf(-1)}
	for i := range min(len(over), len(under)) {
		r.Min, r.Max = min(r.Min, over[i]/under[i]), max(r.Max, over[i]/under[i])
	}
	return r
}
