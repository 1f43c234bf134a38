package dash

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// functions are what templates call.
var functions = template.FuncMap{
	"visible": visible, "price": price, "amount": amount, "exact": exact, "percent": percent, "ago": ago, "stamp": stamp,
	"latency": latencyText, "size": sizeText,
	"clip": clip, "short": short,
}

// maxShown is how many characters of a name are shown.
const maxShown = 1024

// visible returns a name as text that cannot change how the rest of the page looks: it is
// isolated, and characters that have no picture or turn the direction of writing are
// shown by their numbers.
func visible(s string) template.HTML {
	var b strings.Builder
	b.WriteString("<bdi>")
	n := 0
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		if n++; n > maxShown {
			b.WriteString("…")
			break
		}
		if hidden(r) {
			fmt.Fprintf(&b, `<span class="control">%U</span>`, r)
			continue
		}
		b.WriteString(template.HTMLEscapeString(string(r)))
		if r == '_' {
			b.WriteString("<wbr>") // names of features are long
		}
	}
	b.WriteString("</bdi>")
	return template.HTML(b.String())
}

// price formats an amount of money.
func price(v number) string { return strconv.FormatFloat(float64(v), 'f', 2, 64) }

// amount formats a contribution: two decimals, or three digits of a small one.
func amount(v number) string {
	if v != 0 && math.Abs(float64(v)) < 0.1 {
		return strconv.FormatFloat(float64(v), 'g', 3, 64)
	}
	return price(v)
}

// exact formats a number so that it reads back as the same, and a missing one as nothing.
func exact(v number) string {
	if v.missing() {
		return ""
	}
	return strconv.FormatFloat(float64(v), 'g', -1, 64)
}

// short formats a number with six digits, for reading only.
func short(v number) string { return strconv.FormatFloat(float64(v), 'g', 6, 64) }

// percent formats a share of 1.
func percent(share number) string { return strconv.FormatFloat(float64(share)*100, 'f', 1, 64) + " %" }

// stamp formats a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// ago formats a duration in its two largest units.
func ago(d time.Duration) string {
	if d < 0 {
		return "less than 0 s"
	}
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// cutLast returns the last element of the path of a request's target, and what is around
// it.
func cutLast(target string) (last, before, query string) {
	before, query, _ = strings.Cut(target, "?")
	if i := strings.LastIndexByte(before, '/'); i >= 0 {
		before, last = before[:i+1], before[i+1:]
	}
	return last, before, query
}

// A number is a float64 whose JSON is null if it is not finite.
type number float64

// missing reports whether the number is NaN.
func (n number) missing() bool { return math.IsNaN(float64(n)) }

// MarshalJSON returns the number, or null.
func (n number) MarshalJSON() ([]byte, error) {
	v := float64(n)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, v, 'g', -1, 64), nil
}
