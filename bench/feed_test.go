package main

import (
	"slices"
	"testing"

	"github.com/basket-go/basket"
)

func TestFeedFigures(t *testing.T) {
	want := feedFigures{wall: 1, cpu: 2, events: 3, users: 4, resident: 5, live: 6}
	if got, err := parseFeedFigures(want.String()); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if _, err := parseFeedFigures("1 2"); err == nil {
		t.Error("no error for a short line")
	}
}

func TestCopied(t *testing.T) {
	var got []string
	regulars := basket.Values([]basket.Regular{{UserID: "a"}, {UserID: "b"}})
	for r, err := range copied(regulars, 3, func(r *basket.Regular) *string { return &r.UserID }) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.UserID)
	}
	if want := []string{"a", "a-1", "a-2", "b", "b-1", "b-2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFreePorts(t *testing.T) {
	a, b, err := freePorts()
	if err != nil || a == b || a+1 == b {
		t.Errorf("%d, %d, %v: want two ports, and a free one after the first", a, b, err)
	}
}
