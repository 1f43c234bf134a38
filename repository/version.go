package repository

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket"
)

// compareVersions orders versions from old to new.
func compareVersions(a, b string) int {
	switch x, y := isNumber(a), isNumber(b); {
	case x && y:
		// By value, whatever the length.
		m, n := strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n), strings.Compare(a, b))
	case x:
		return 1
	case y:
		return -1
	}
	return strings.Compare(a, b)
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// checkName returns the error of a name or version that no reference, header or
// line of a log can have.
func checkName(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: the %s is empty", basket.ErrInvalidConfig, what)
	case strings.Contains(s, "@"), !utf8.ValidString(s), strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%w: %s %q: want UTF-8 without @ and control characters", basket.ErrInvalidConfig, what, s)
	}
	return nil
}

// isHidden reports whether a file or folder is not looked at: Kubernetes, Jupyter
// and copying programs keep theirs beside the models.
func isHidden(name string) bool { return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") }
