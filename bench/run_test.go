package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTurns_takesTurns(t *testing.T) {
	var order strings.Builder
	turn := func(name string, values ...float64) side {
		return side{name, "", func(context.Context) (float64, error) {
			order.WriteString(name)
			v := values[0]
			values = append(values[1:], v)
			return v, nil
		}}
	}
	broken := errors.New("broken")
	calls := 0
	fails := side{"F", "", func(context.Context) (float64, error) {
		order.WriteString("F")
		if calls++; calls == 2 {
			return 0, broken
		}
		return 7, nil
	}}
	values, errs := turns(t.Context(), 3, []side{turn("A", 1, 2, 3), fails, turn("B", 4), turn("Z", 0)})
	if got, want := order.String(), "AFBZ"+"BFA"+"AB"; got != want {
		t.Errorf("turns %s, want %s", got, want)
	}
	if !slices.Equal(values[0], []float64{1, 2, 3}) || !slices.Equal(values[2], []float64{4, 4, 4}) {
		t.Errorf("measurements %v", values)
	}
	if values[1] != nil || !errors.Is(errs[1], broken) || errs[0] != nil || errs[2] != nil {
		t.Errorf("errors %v, measurements of the broken one %v", errs, values[1])
	}
	if errs[3] == nil {
		t.Error("a measurement of 0: no error")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, errs := turns(ctx, 1, []side{turn("A", 1)}); !errors.Is(errs[0], context.Canceled) {
		t.Errorf("canceled: %v", errs)
	}
}

func TestCalibrated(t *testing.T) {
	for _, c := range []struct {
		unitNS      float64
		units, want int
	}{
		{10, 1, 100_000},
		{10, 1000, 100},
		{5e6, 1, 1},    // longer than the slice
		{0, 1, 1e9},    // too quick for the clock
		{300e3, 10, 1}, // a bit under the slice, ten units at a time
	} {
		var tries []int
		turn := calibrated(time.Millisecond, c.units, func(n int) (float64, error) {
			tries = append(tries, n)
			return c.unitNS, nil
		})
		for range 2 {
			if ns, err := turn(t.Context()); ns != c.unitNS || err != nil {
				t.Fatalf("%+v: %v, %v", c, ns, err)
			}
		}
		n := len(tries)
		if tries[n-1] != c.want || tries[n-2] != c.want || n > 10 {
			t.Errorf("%+v: tries %v", c, tries)
		}
	}
	if _, err := calibrated(time.Second, 1, func(int) (float64, error) { return 0, errors.New("no") })(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestSummaries(t *testing.T) {
	if got, want := summarize([]float64{3, 1, 2}), (summary{2, 1, 3}); got != want {
		t.Errorf("summary %v, want %v", got, want)
	}
	if got, want := summarize([]float64{4, 1, 2, 3}), (summary{2.5, 1, 4}); got != want {
		t.Errorf("summary %v, want %v", got, want)
	}
	if got := summarize(nil); got != (summary{}) {
		t.Errorf("summary of nothing: %v", got)
	}
	// By round 2, 5 and 1; of the medians 6/3.
	if got, want := ratios([]float64{6, 15, 3}, []float64{3, 3, 3}), (summary{2, 1, 5}); got != want {
		t.Errorf("ratios %v, want %v", got, want)
	}
	values := make([]int64, 1000)
	for i := range values {
		values[i] = int64(1000 - i)
	}
	for q, want := range map[float64]int64{0.99: 990, 0.5: 500, 0: 1, 1: 1000} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v: %d, want %d", q, got, want)
		}
	}
}
