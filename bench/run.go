package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// A measureFunc measures once.
type measureFunc func(ctx context.Context) (float64, error)

// A candidate is one of the programs that a comparison measures.
type candidate struct {
	name    string
	version string
	measure measureFunc
	bar     *bar   // what ours has to reach against this peer, or nil
	checked string // how its answers were compared with ours
}

// interleave measures the candidates in the order A B C, then C B A, and so on, so
// that other load on the machine affects all of them alike. It returns the
// measurements of each candidate. A candidate that fails is not measured again: it
// has an error and no measurements.
func interleave(ctx context.Context, rounds int, candidates []candidate) ([][]float64, []error) {
	values, errs := make([][]float64, len(candidates)), make([]error, len(candidates))
	for round := range rounds {
		for k := range candidates {
			i := k
			if round%2 == 1 {
				i = len(candidates) - 1 - k
			}
			if errs[i] == nil {
				errs[i] = ctx.Err()
			}
			if errs[i] != nil {
				continue
			}
			v, err := candidates[i].measure(ctx)
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

// A clock returns the time since a fixed moment.
type clock func() time.Duration

var clocks = map[string]clock{"wall": wallTime, "cpu": cpuTime}

var startTime = time.Now()

func wallTime() time.Duration { return time.Since(startTime) }

// calibrated returns a measurement that takes about the given time. run repeats an
// operation n times and returns the nanoseconds per unit; each operation has the
// given number of units. The first call finds n, which is also the warm-up.
func calibrated(target time.Duration, units int, run func(n int) (float64, error)) measureFunc {
	n := 0
	return func(ctx context.Context) (float64, error) {
		for attempt := 1; n == 0; {
			ns, err := run(attempt)
			if err != nil {
				return 0, err
			}
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			perOperation := max(ns, 1e-3) * float64(units)
			estimate := int(min(float64(target)/perOperation, 1e9))
			if estimate < 2*attempt {
				n = max(estimate, 1)
			}
			attempt = min(max(estimate, 1), 100*attempt)
		}
		return run(n)
	}
}

// A summary describes the measurements of several rounds.
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

// quantile returns the smallest value that is not exceeded by a share q of the
// values. It sorts them.
func quantile(values []int64, q float64) int64 {
	slices.Sort(values)
	i := int(math.Ceil(q*float64(len(values)))) - 1
	return values[min(max(i, 0), len(values)-1)]
}

// ratios returns the ratio of the medians, and the smallest and the largest ratio
// within a round.
func ratios(numerators, denominators []float64) summary {
	r := summary{median(numerators) / median(denominators), math.Inf(1), math.Inf(-1)}
	for i := range min(len(numerators), len(denominators)) {
		ratio := numerators[i] / denominators[i]
		r.Min, r.Max = min(r.Min, ratio), max(r.Max, ratio)
	}
	return r
}
