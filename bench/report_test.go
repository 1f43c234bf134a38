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
	peer := side{name: "peer"}
	ours, theirs := []float64{10, 10, 20}, []float64{40, 50, 60}
	for _, c := range []struct {
		name   string
		result result
		share  float64
	}{
		{"a time that is short enough", newResult("", nanoseconds, ours, peer, theirs, times(4)), 1.25},
		{"a time that is not", newResult("", nanoseconds, ours, peer, theirs, times(10)), 0.5},
		{"a rate: more is better", newResult("", perSecond, ours, peer, theirs, times(0.4)), 0.5},
		{"a value below", newResult("", bytes, ours, side{}, nil, under(bytes, 15)), 1.5},
		{"a value above", newResult("", bytes, ours, side{}, nil, under(bytes, 9)), 0.9},
		{"a value beside a peer", newResult("", nanoseconds, ours, peer, theirs, under(nanoseconds, 20)), 2},
	} {
		c.result.judge()
		if c.result.Met == nil || *c.result.Met != (c.share >= 1) || math.Abs(c.result.Share-c.share) > 1e-12 {
			t.Errorf("%s: met %v, %v of it, want %v", c.name, c.result.Met, c.result.Share, c.share)
		}
	}
	for _, r := range []result{
		newResult("", nanoseconds, ours, peer, theirs, nil),
		newResult("", nanoseconds, ours, side{}, nil, times(2)), // no peer to hold it against
	} {
		if r.judge(); r.Met != nil || r.verdict() != "-" {
			t.Errorf("%+v is judged", r)
		}
	}
}

func TestReport(t *testing.T) {
	r := report{Machine: machine{CPU: "a CPU", Cores: 2, OS: "a system", Go: "go1"}, Rounds: 3, Clock: "wall", Data: "some"}
	met := newResult("engine: m, one row", nanoseconds, []float64{10}, side{name: "peer", version: "1.2"}, []float64{50}, times(4))
	met.Checked = "answers equal to the bit"
	missed := newResult("engine: m, batch", nanoseconds, []float64{10}, side{name: "peer"}, []float64{50}, times(10))
	missed.Checked = met.Checked
	r.Results = []result{met, missed}
	for i := range r.Results {
		r.Results[i].judge()
	}
	r.LeftOut = []leftOut{{"wrk", "not here"}}
	r.Failures = []leftOut{{"engine: n", "the answers differ"}}
	var text strings.Builder
	if err := r.write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"peer 1.2", "5x (5..5)", "met, 1.25 of it", "NOT met, 0.50 of it", "a CPU; 2 cores; a system; go1",
		"left out: wrk: not here", "FAILED: engine: n: the answers differ",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if n := strings.Count(text.String(), met.Checked); n != 1 {
		t.Errorf("the same is said %d times in\n%s", n, &text)
	}

	var file strings.Builder
	if err := r.writeJSON(&file); err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal([]byte(file.String()), &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Results) != 2 || !*back.Results[0].Met || *back.Results[1].Met || back.Results[0].Ratio.Median != 5 {
		t.Errorf("read back: %+v", back)
	}
}

func TestDiffers(t *testing.T) {
	nan := math.NaN()
	next := math.Nextafter(1, 2)
	for _, c := range []struct {
		name      string
		got, want []float64
		tolerance float64
		wrong     bool
	}{
		{"equal", []float64{1, nan, math.Inf(1)}, []float64{1, -nan, math.Inf(1)}, 0, false},
		{"one bit", []float64{1, next}, []float64{1, 1}, 0, true},
		{"one bit of tolerance", []float64{1, next}, []float64{1, 1}, 1e-12, false},
		{"beyond the tolerance", []float64{1 + 1e-11}, []float64{1}, 1e-12, true},
		{"zero and minus zero", []float64{0}, []float64{math.Copysign(0, -1)}, 0, true},
		{"NaN for a number", []float64{nan}, []float64{1}, 1e-12, true},
		{"too few", []float64{1}, []float64{1, 1}, 0, true},
	} {
		if text := differs(c.got, c.want, c.tolerance); (text != "") != c.wrong {
			t.Errorf("%s: %q", c.name, text)
		}
	}
}
