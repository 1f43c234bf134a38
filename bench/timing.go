package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/basket-go/basket/serve"
)

// timingArg, as the first argument, runs this program as a measurement of whether the
// time of an API key's check tells what is right in it.
const timingArg = "timing"

// maxT is the |t| from which two means are taken to differ, as in dudect (Reparaz,
// Balasch, Verbauwhede 2017).
const maxT = 4.5

// timing measures pairs of keys of equal length, in random order, and compares the
// mean times of both by Welch's t-test.
func timing(w io.Writer, args []string) error {
	f := flag.NewFlagSet(timingArg, flag.ContinueOnError)
	tries := f.Int("tries", 100_000, "checks of each pair, half of them of each key")
	count := f.Int("keys", 100, "keys in the list")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *tries < 1000 || *count < 2 {
		return errors.New("want --tries of at least 1000 and --keys of at least 2")
	}
	var all, lines []string
	for range *count {
		key, line, err := serve.NewKey("client", serve.User)
		if err != nil {
			return err
		}
		all, lines = append(all, key), append(lines, line)
	}
	keys, err := serve.ParseKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		return err
	}
	right, last := all[0], all[len(all)-1]
	head := "xx" + right[2:]
	tail := right[:len(right)-2] + "11" // no key has a 1
	var faults []error
	fmt.Fprintf(w, "%d tries of each pair, %d keys of %d bytes\n", *tries, *count, len(right))
	for _, pair := range []struct{ name, a, b string }{
		{"right, wrong at the start", right, head},
		{"right, wrong at the end", right, tail},
		{"wrong at the start, at the end", head, tail},
		{"first key, last key", right, last},
		{"right, right (control)", right, strings.Clone(right)},
	} {
		a, b := measurePair(keys, pair.a, pair.b, *tries)
		t := welch(a, b)
		fmt.Fprintf(w, "%-32s medians %v and %v, |t| = %.2f\n", pair.name, a[len(a)/2], b[len(b)/2], math.Abs(t))
		if math.Abs(t) >= maxT {
			faults = append(faults, fmt.Errorf("%s: the times differ: |t| = %.2f, want under %.1f", pair.name, math.Abs(t), maxT))
		}
	}
	return errors.Join(faults...)
}

// measurePair returns the sorted times of both keys, without the slowest twentieth of
// all, in which something else ran.
func measurePair(keys *serve.Keys, a, b string, tries int) (timesA, timesB []time.Duration) {
	ctx := context.Background()
	texts := [2]string{a, b}
	var times [2][]time.Duration
	order := make([]int, tries)
	for i := range order {
		order[i] = i % 2
	}
	rand.Shuffle(tries, func(i, j int) { order[i], order[j] = order[j], order[i] })
	for i, k := range order {
		text := texts[k]
		start := time.Now()
		_, _ = keys.Authenticate(ctx, text)
		if took := time.Since(start); i >= tries/100 { // after the warm-up
			times[k] = append(times[k], took)
		}
	}
	together := slices.Sorted(slices.Values(slices.Concat(times[0], times[1])))
	limit := together[len(together)*19/20]
	for k := range times {
		slices.Sort(times[k])
		n, _ := slices.BinarySearch(times[k], limit+1)
		times[k] = times[k][:n]
	}
	return times[0], times[1]
}

// welch returns Welch's t statistic.
func welch(a, b []time.Duration) float64 {
	meanA, errA := meanAndError(a)
	meanB, errB := meanAndError(b)
	if errA+errB == 0 {
		return 0
	}
	return (meanA - meanB) / math.Sqrt(errA+errB)
}

// meanAndError returns the mean, and the square of its standard error.
func meanAndError(times []time.Duration) (mean, squared float64) {
	n := float64(len(times))
	for _, t := range times {
		mean += float64(t) / n
	}
	for _, t := range times {
		squared += (float64(t) - mean) * (float64(t) - mean) / (n - 1) / n
	}
	return mean, squared
}
