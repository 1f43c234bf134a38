package drift

import (
	"math"
	"slices"
)

// The number of bins of a column. More need more rows for a verdict.
const (
	minBins     = 2
	maxBins     = 20
	defaultBins = 10
)

// newColumn describes values, which it sorts, and rows without a value. There is at
// least one value, and all are finite.
func newColumn(name string, values []float64, nulls int64, bins int) Column {
	for i := range values {
		values[i] += 0 // -0 becomes 0
	}
	slices.Sort(values)
	n := len(values)
	c := Column{Name: name, Nulls: nulls, Min: values[0], Max: values[n-1]}
	c.Edges = append(append([]float64{c.Min}, cuts(values, bins)...), c.Max)
	c.Counts = make([]int64, len(c.Edges)-1)
	for _, v := range values {
		c.Counts[bin(c.cuts(), v)]++
	}
	c.Mean, c.Std = moments(values)
	c.Quantiles = make([]float64, quantiles)
	for q := range c.Quantiles {
		c.Quantiles[q] = quantile(values, q)
	}
	return c
}

// cuts returns where the second and the further bins of sorted values begin. Each bin
// has about the same number of values, except that equal values are in one bin, and has
// at least a fifth of that number, so that the chi-square distribution is a fair
// approximation. If there are no more different values than bins, each value that is
// not rare has a bin. If there are two values, there are two bins.
func cuts(sorted []float64, bins int) []float64 {
	n := len(sorted)
	least := (n + 5*bins - 1) / (5 * bins)
	few := different(sorted, bins)
	var found []float64
	start := 0 // of the bin
	for i, next := 0, 0; i < n; i = next {
		for next = i; next < n && sorted[next] == sorted[i]; next++ {
		}
		if i-start < least || n-i < least || len(found) == bins-1 {
			continue
		}
		target := least
		if !few {
			remaining := bins - len(found)
			target = (n - start + remaining - 1) / remaining
		}
		if i-start >= target || next-start-target > target-(i-start) {
			found = append(found, sorted[i])
			start = i
		}
	}
	if len(found) == 0 && sorted[0] < sorted[n-1] { // nearly all are equal
		found = append(found, nearestMedian(sorted))
	}
	return found
}

// nearestMedian returns the value where a second bin begins that makes the two as equal
// as can be. Sorted values are not all equal.
func nearestMedian(sorted []float64) float64 {
	n := len(sorted)
	i := n / 2
	for i > 0 && sorted[i-1] == sorted[n/2] {
		i--
	}
	next := n / 2
	for next < n && sorted[next] == sorted[n/2] {
		next++
	}
	if i == 0 || next < n && next-n/2 < n/2-i {
		i = next
	}
	return sorted[i]
}

// different reports whether sorted has at most so many different values.
func different(sorted []float64, most int) bool {
	n := 1
	for i := 1; i < len(sorted) && n <= most; i++ {
		if sorted[i] != sorted[i-1] {
			n++
		}
	}
	return n <= most
}

// bin returns the bin of a value that is not NaN: the number of cuts that are at most
// the value. So a value on an edge belongs to the bin that begins there.
func bin(cuts []float64, v float64) int {
	b := 0
	for _, c := range cuts {
		if c <= v {
			b++
		}
	}
	return b
}

// moments returns the mean and the standard deviation of a population.
func moments(values []float64) (mean, std float64) {
	n := float64(len(values))
	for _, v := range values {
		mean += v / n // no overflow
	}
	mean = min(max(mean, values[0]), values[len(values)-1]) // rounding can leave the range
	scale := max(values[len(values)-1]-mean, mean-values[0])
	if scale == 0 {
		return mean, 0
	}
	// The mean has lost digits in a long sum: the rest of it comes from the deviations.
	rest, squares := 0.0, 0.0
	for _, v := range values {
		d := v/scale - mean/scale
		rest += d
		squares += d * d
	}
	rest /= n
	std = min(scale*math.Sqrt(max(squares/n-rest*rest, 0)), math.MaxFloat64)
	return min(max(mean+rest*scale, values[0]), values[len(values)-1]), std
}

// quantiles is the number of a column's quantiles: those of 0 % to 100 %.
const quantiles = 101

// quantile returns the percent-th percentile of sorted values, between two values by
// linear interpolation, as numpy does.
func quantile(sorted []float64, percent int) float64 {
	position := float64(len(sorted)-1) * float64(percent) / 100
	i := int(position)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	t := position - float64(i)
	a, b := sorted[i], sorted[i+1]
	return min(max(a*(1-t)+b*t, a), b)
}
