package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFigures: each pattern of --only in docs/figures.md, README.md and the other guides
// matches a comparison.
func TestFigures(t *testing.T) {
	var names []string
	b := &bench{root: "..", long: true, large: true, list: func(name string) { names = append(names, name) }}
	b.runAll(t.Context())
	if len(names) < 30 || len(b.report.Failures)+len(b.report.Skipped) > 0 {
		t.Fatalf("comparisons %q, %+v", names, b.report)
	}
	patterns := 0
	for _, file := range []string{"README.md", "docs/figures.md", "docs/models.md", "docs/leaves.md", "docs/production.md", "docs/scale.md", "docs/stream.md"} {
		text, err := os.ReadFile("../" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile("--only ('[^']*'|[^`\\s]+)").FindAllStringSubmatch(string(text), -1) {
			patterns++
			only, err := regexp.Compile(strings.Trim(match[1], "'"))
			if err != nil || !slices.ContainsFunc(names, only.MatchString) {
				t.Errorf("%s: --only %s matches none of %q (%v)", file, match[1], names, err)
			}
		}
	}
	if patterns < 25 {
		t.Errorf("%d patterns: want 25 or more", patterns)
	}
}
