package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestInterleave(t *testing.T) {
	var order strings.Builder
	cycle := func(name string, values ...float64) candidate {
		return candidate{name: name, measure: func(context.Context) (float64, error) {
			order.WriteString(name)
			v := values[0]
			values = append(values[1:], v)
			return v, nil
		}}
	}
	errBroken := errors.New("broken")
	calls := 0
	failing := candidate{name: "F", measure: func(context.Context) (float64, error) {
		order.WriteString("F")
		if calls++; calls == 2 {
			return 0, errBroken
		}
		return 7, nil
	}}
	values, errs := interleave(t.Context(), 3, []candidate{cycle("A", 1, 2, 3), failing, cycle("B", 4), cycle("Z", 0)})
	if got, want := order.String(), "AFBZ"+"BFA"+"AB"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	if !slices.Equal(values[0], []float64{1, 2, 3}) || !slices.Equal(values[2], []float64{4, 4, 4}) {
		t.Errorf("measurements %v", values)
	}
	if values[1] != nil || !errors.Is(errs[1], errBroken) || errs[0] != nil || errs[2] != nil {
		t.Errorf("errors %v, measurements of the failing candidate %v", errs, values[1])
	}
	if errs[3] == nil {
		t.Error("a measurement of 0: no error")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, errs := interleave(ctx, 1, []candidate{cycle("A", 1)}); !errors.Is(errs[0], context.Canceled) {
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
		{5e6, 1, 1},    // longer than the target
		{0, 1, 1e9},    // below the clock's resolution
		{300e3, 10, 1}, // ten units take longer than the target
	} {
		var counts []int
		measure := calibrated(time.Millisecond, c.units, func(n int) (float64, error) {
			counts = append(counts, n)
			return c.unitNS, nil
		})
		for range 2 {
			if ns, err := measure(t.Context()); ns != c.unitNS || err != nil {
				t.Fatalf("%+v: %v, %v", c, ns, err)
			}
		}
		n := len(counts)
		if counts[n-1] != c.want || counts[n-2] != c.want || n > 10 {
			t.Errorf("%+v: counts %v", c, counts)
		}
	}
	if _, err := calibrated(time.Second, 1, func(int) (float64, error) { return 0, errors.New("broken") })(t.Context()); err == nil {
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
		t.Errorf("summary of no values: %v", got)
	}
	// The ratios of the rounds are 2, 5 and 1, that of the medians is 6/3.
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
