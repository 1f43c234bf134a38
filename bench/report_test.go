package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestUnit_format(t *testing.T) {
	for _, c := range []struct {
		unit unit
		v    float64
		want string
	}{
		{nanoseconds, 9.994, "9.99 ns"},
		{nanoseconds, 9.996, "10.0 ns"},
		{nanoseconds, 123.4, "123 ns"},
		{nanoseconds, 999.6, "1.00 µs"},
		{nanoseconds, 2e6, "2.00 ms"},
		{nanoseconds, 58e9, "58.0 s"},
		{perSecond, 12345.6, "12346/s"},
		{bytes, 40 << 20, "40.0 MB"},
	} {
		if got := c.unit.format(c.v); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.v, c.unit, got, c.want)
		}
	}
	if got, want := nanoseconds.spread(summary{2, 1, 3}), "2.00 ns (1.00 ns..3.00 ns)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestResult_judge(t *testing.T) {
	peer := candidate{name: "peer"}
	ours, theirs := []float64{10, 10, 20}, []float64{40, 50, 60}
	for _, c := range []struct {
		name   string
		result result
		share  float64
	}{
		{"time within the bar", newResult("", nanoseconds, ours, peer, theirs, minRatio(4)), 1.25},
		{"time beyond the bar", newResult("", nanoseconds, ours, peer, theirs, minRatio(10)), 0.5},
		{"rate: higher is better", newResult("", perSecond, ours, peer, theirs, minRatio(0.4)), 0.5},
		{"value within the bar", newResult("", bytes, ours, candidate{}, nil, maxValue(bytes, 15)), 1.5},
		{"value beyond the bar", newResult("", bytes, ours, candidate{}, nil, maxValue(bytes, 9)), 0.9},
		{"time within 1.4 times the peer's", newResult("", nanoseconds, []float64{14}, peer, []float64{11}, minSpeed(1.4)), 1.1},
		{"time beyond it", newResult("", nanoseconds, []float64{15.4}, peer, []float64{10}, minSpeed(1.4)), 1 / 1.1},
		{"value with a peer", newResult("", nanoseconds, ours, peer, theirs, maxValue(nanoseconds, 20)), 2},
	} {
		c.result.judge()
		if c.result.Met == nil || *c.result.Met != (c.share >= 1) || math.Abs(c.result.Share-c.share) > 1e-12 {
			t.Errorf("%s: met %v, share %v, want %v", c.name, c.result.Met, c.result.Share, c.share)
		}
	}
	for _, r := range []result{
		newResult("", nanoseconds, ours, peer, theirs, nil),
		newResult("", nanoseconds, ours, candidate{}, nil, minRatio(2)), // a ratio needs a peer
	} {
		if r.judge(); r.Met != nil || r.verdict() != "-" {
			t.Errorf("%+v: judged without a bar that applies", r)
		}
	}
}

func TestReport(t *testing.T) {
	r := report{Machine: machine{CPU: "a CPU", Cores: 2, OS: "a system", Go: "go1"}, Rounds: 3, Clock: "wall", Data: "some"}
	met := newResult("engine: m, one row", nanoseconds, []float64{10}, candidate{name: "peer", version: "1.2", checked: "answers equal"}, []float64{50}, minRatio(4))
	missed := newResult("engine: m, batch", nanoseconds, []float64{10}, candidate{name: "peer", checked: met.Checked}, []float64{50}, minRatio(10))
	made := newResult("features of 1,000,000 orders, peak", bytes, []float64{1 << 20}, candidate{}, nil, nil)
	made.Note = "a note"
	r.Results = []result{met, missed, made}
	for i := range r.Results {
		r.Results[i].judge()
	}
	r.Skipped = []problem{{"wrk", "not installed"}}
	r.Failures = []problem{{"engine: n", "the answers differ"}}
	var text strings.Builder
	if err := r.write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"peer 1.2", "5x (5..5)", "  met (1.25 of the bar)", "NOT met (0.50 of the bar)", "a CPU; 2 cores; a system; go1",
		"  features of 1,000,000 orders: a note\n", "skipped: wrk: not installed", "FAILED: engine: n: the answers differ",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if n := strings.Count(text.String(), met.Checked); n != 1 {
		t.Errorf("the same note is printed %d times in\n%s", n, &text)
	}

	file, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(file, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Results) != 3 || !*back.Results[0].Met || *back.Results[1].Met || back.Results[0].Ratio.Median != 5 {
		t.Errorf("read back: %+v", back)
	}
}
