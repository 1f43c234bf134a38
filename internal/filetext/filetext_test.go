package filetext

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	long := strings.Repeat("x", 63)
	for _, c := range []struct{ in, want string }{
		{"", `""`},
		{"Größe", `"Größe"`},
		{"a\nb\x1b[31m\xff\u202e", `"a\nb\x1b[31m\xff\u202e"`},
		{long + "y", `"` + long + `y"`},
		{long + "yz", `"` + long + `y"...`},
		{long + "é", `"` + long + `"...`},
		{strings.Repeat("\xbf", 65), `"` + strings.Repeat(`\xbf`, 60) + `"...`},
	} {
		if got := Quote(c.in); got != c.want {
			t.Errorf("Quote(%q) = %s, want %s", c.in, got, c.want)
		}
	}
}

func TestCheckLabel(t *testing.T) {
	for s, ok := range map[string]bool{
		"": true, "multiclass num_class:3": true, "1.5.dev0+größe": true, strings.Repeat("x", 256): true,
		strings.Repeat("x", 257): false, "a\nb": false, "a\tb": false, "\x1b[31m": false, "\u009b31m": false, "a\xff": false, "a\u202eb": false, "a\u00a0b": false,
	} {
		if err := CheckLabel(s); (err == nil) != ok {
			t.Errorf("CheckLabel(%q): %v", s, err)
		}
	}
}

func TestCheckNames(t *testing.T) {
	for s, ok := range map[string]bool{
		"": true, "price in €": true, "two\r\nlines": true, "a\tb": true, "👨‍👩‍👧": true, strings.Repeat("x", 1000): true,
		"\x1b[31m": false, "\u009b31m": false, "a\x00": false, "a\xff": false, "\x7f": false,
	} {
		if err := CheckNames([]string{"a", s}); (err == nil) != ok {
			t.Errorf("CheckNames(%q): %v", s, err)
		}
	}
}

func TestError(t *testing.T) {
	if Error(nil) != nil || Error(io.EOF) != io.EOF {
		t.Error("a short error changes")
	}
	long := errors.New("start " + strings.Repeat("ä", 1000) + " end")
	got := Error(long).Error()
	if len(got) > 1005 || !strings.HasPrefix(got, "start ä") || !strings.HasSuffix(got, "ä end") || strings.Trim(got, "star ä.end") != "" {
		t.Errorf("%q", got)
	}
}
