package dash

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/basket-go/basket"
)

// maxQuery is the longest query that is read, in bytes.
const maxQuery = 64 << 10

// setPrefix is before the name of a feature in a query that changes its value.
const setPrefix = "set."

// parseChanges reads the changes of features from a query: "set.NAME=VALUE" with a number,
// or with nothing for a missing value. It returns the values by the position of the
// feature, and the faults, at most 20.
func parseChanges(query url.Values, features []string) (changes map[int]float64, faults []note) {
	changes = map[int]float64{}
	fault := func(before, name, after string) {
		if len(faults) < 20 {
			faults = append(faults, note{before, name, after})
		}
	}
	for j, name := range features {
		texts, ok := query[setPrefix+name]
		if !ok {
			continue
		}
		text := strings.TrimSpace(texts[len(texts)-1])
		v, err := strconv.ParseFloat(text, 64)
		switch {
		case text == "":
			v = math.NaN()
		case err != nil, math.IsNaN(v), math.IsInf(v, 0):
			fault("The value of ", name, " is no number, so it is left as it was: give one such as 14 or 2.5, or nothing for a missing value.")
			continue
		}
		changes[j] = v
	}
	for key := range query {
		if name, ok := strings.CutPrefix(key, setPrefix); ok && !slices.Contains(features, name) {
			fault("The store has no feature ", name, ": it is not changed.")
		}
	}
	slices.SortFunc(faults, func(a, b note) int { return cmp.Compare(a.Name, b.Name) })
	return changes, faults
}

// An explained is a price and why it is so.
type explained struct {
	UserID   string           `json:"user_id"`
	Route    string           `json:"route,omitempty"`
	Model    string           `json:"model,omitempty"`
	Number   int              `json:"row_number,omitempty"`
	Ordered  *time.Time       `json:"ordered_at,omitempty"` // nil if it is not known
	Age      number           `json:"row_age_seconds"`      // null if it is not known
	Price    number           `json:"price"`
	Bias     number           `json:"bias"`
	Margin   number           `json:"margin"`
	Features []explainFeature `json:"features,omitempty"`
	Changed  *explained       `json:"changed,omitempty"`
	Detail   string           `json:"detail,omitempty"`

	notes  []note
	status int
}

type explainFeature struct {
	Name         string `json:"name"`
	Value        number `json:"value"`        // null if it is missing
	Contribution number `json:"contribution"` // null if the model cannot explain

	Was number `json:"-"` // value of the row
}

// explain explains the price of the user of a request, and of the changed row if it
// changes one.
func (h *handler) explain(r *http.Request) *explained {
	if len(r.URL.RawQuery) > maxQuery {
		return &explained{status: http.StatusRequestURITooLong, notes: []note{{Before: "The address is too long: change fewer features at a time."}}}
	}
	query := r.URL.Query()
	userID := query.Get("user")
	e := &explained{UserID: userID, status: http.StatusOK}
	base, err := h.p.WhatIf(r.Context(), userID, nil)
	e.fill(base, base.Row.Values, err)
	if err != nil {
		status, text := faultOf(err, userID)
		e.status, e.notes = status, append(e.notes, text)
		if !errors.Is(err, errors.ErrUnsupported) {
			return e
		}
	}
	changes, faults := parseChanges(query, base.Features)
	e.notes = append(e.notes, faults...)
	for j, v := range changes {
		if v == base.Row.Values[j] || math.IsNaN(v) && math.IsNaN(base.Row.Values[j]) {
			delete(changes, j)
		}
	}
	if len(changes) == 0 {
		return e
	}
	changed, err := h.p.WhatIf(r.Context(), userID, func(row *basket.Row) {
		for j, v := range changes {
			if j < len(row.Values) {
				row.Values[j] = v
			}
		}
	})
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		_, text := faultOf(err, userID)
		e.notes = append(e.notes, text)
		return e
	}
	e.Changed = &explained{UserID: userID}
	e.Changed.fill(changed, base.Row.Values, err)
	return e
}

// fill takes over what is known of a price; err is that of the explanation, and was are
// the values of the row as it is stored.
func (e *explained) fill(x basket.Explanation, was []float64, err error) {
	e.Route, e.Model, e.Number = x.Route, x.Model, x.Row.Number
	e.Age, e.Price, e.Bias, e.Margin = number(math.NaN()), number(math.NaN()), number(math.NaN()), number(math.NaN())
	if len(x.Row.Values) == 0 {
		return
	}
	if !x.Row.OrderedAt.IsZero() {
		ordered := x.Row.OrderedAt.UTC()
		e.Ordered, e.Age = &ordered, number(max(time.Since(ordered), x.Row.Age).Seconds())
	}
	if err == nil || errors.Is(err, errors.ErrUnsupported) {
		e.Price = number(x.Value)
	}
	if err == nil {
		margin := x.Bias
		for _, c := range x.Contributions {
			margin += c
		}
		e.Bias, e.Margin = number(x.Bias), number(margin)
	}
	for j, v := range x.Row.Values {
		f := explainFeature{Name: x.Features[j], Value: number(v), Was: number(v), Contribution: number(math.NaN())}
		if j < len(was) {
			f.Was = number(was[j])
		}
		if err == nil {
			f.Contribution = number(x.Contributions[j])
		}
		e.Features = append(e.Features, f)
	}
}

func (h *handler) explainData(r *http.Request) (int, any) {
	e := h.explain(r)
	e.Detail = sentences(e.notes)
	return e.status, e
}

func sentences(notes []note) string {
	var texts []string
	for _, n := range notes {
		if n.Name != "" || n.After != "" {
			n.Before += strconv.Quote(n.Name) + n.After
		}
		texts = append(texts, n.Before)
	}
	return strings.Join(texts, " ")
}

// An explainBody is what the page shows.
type explainBody struct {
	UserID    string
	Asked     bool       // a user was given
	Base      *explained // nil if there is no price
	Shown     *explained // Base, or what it would be with the changes
	Old       bool       // the row is older than is wanted
	Age       string
	Changes   []change
	Waterfall []step
	Unused    int // features that add nothing
	Linked    bool
}

// A change is a feature whose value is another one than that of the row.
type change struct {
	Name    string
	Was, Is number
}

func (h *handler) explainPage(r *http.Request) *page {
	p := &page{Status: http.StatusOK, Path: "/explain", Title: "Explain"}
	body := &explainBody{UserID: r.URL.Query().Get("user"), Asked: r.URL.Query().Has("user")}
	p.Body = body
	if !body.Asked {
		return p
	}
	e := h.explain(r)
	p.Status, p.Notes = e.status, e.notes
	if len(e.Features) == 0 {
		return p
	}
	body.Base, body.Shown = e, e
	if e.Ordered != nil {
		body.Age = ago(time.Duration(float64(e.Age) * float64(time.Second)))
	}
	if e.Changed != nil {
		body.Shown = e.Changed
		for _, f := range e.Changed.Features {
			if f.Value != f.Was && !(f.Value.missing() && f.Was.missing()) {
				body.Changes = append(body.Changes, change{f.Name, f.Was, f.Value})
			}
		}
	}
	body.Waterfall, body.Unused = waterfall(body.Shown)
	margin, value := float64(body.Shown.Margin), float64(body.Shown.Price)
	body.Linked = math.Abs(margin-value) > 1e-6*max(1, math.Abs(value))
	return p
}

// Compared says how the price of the changed row compares with that of the row.
func (b *explainBody) Compared() string {
	switch d := b.Shown.Price - b.Base.Price; {
	case d > 0:
		return price(d) + " more than"
	case d < 0:
		return price(-d) + " less than"
	}
	return "the same as"
}

// A step is a bar of a waterfall: what a feature adds to the sum of those before it.
type step struct {
	Name         string
	Value        number
	Contribution number
	Others       int // features that the bar has together; 0 for one feature
	X, Width     number
	Class        string
}

// Words says what the step does, after the feature's name.
func (s step) Words() string {
	value := " = " + short(s.Value)
	switch {
	case s.Others > 0:
		value = ""
	case s.Value.missing():
		value = " is missing and"
	}
	if s.Contribution < 0 {
		return fmt.Sprintf("%s takes away %s", value, amount(-s.Contribution))
	}
	return fmt.Sprintf("%s adds %s", value, amount(s.Contribution))
}

// maxSteps is how many features have a bar of their own.
const maxSteps = 20

// waterfallWidth is the width of a waterfall in the units of its picture.
const waterfallWidth = 1000

// waterfall returns the bars from the bias to the margin, the largest first, and how many
// features add nothing.
func waterfall(e *explained) (steps []step, unused int) {
	if e.Bias.missing() {
		return nil, 0
	}
	for _, f := range e.Features {
		if f.Contribution == 0 {
			unused++
			continue
		}
		steps = append(steps, step{Name: f.Name, Value: f.Value, Contribution: f.Contribution})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(abs(b.Contribution), abs(a.Contribution)) })
	if len(steps) > maxSteps {
		others := step{Others: len(steps) - maxSteps + 1}
		for _, s := range steps[maxSteps-1:] {
			others.Contribution += s.Contribution
		}
		steps = append(steps[:maxSteps-1], others)
	}
	sum := e.Bias
	low, high := sum, sum
	for _, s := range steps {
		sum += s.Contribution
		low, high = min(low, sum), max(high, sum)
	}
	scale := number(0)
	if high > low {
		scale = waterfallWidth / (high - low)
	}
	sum = e.Bias
	for i := range steps {
		from := sum
		sum += steps[i].Contribution
		steps[i].X, steps[i].Width = (min(from, sum)-low)*scale, abs(steps[i].Contribution)*scale
		steps[i].Class = "up"
		if steps[i].Contribution < 0 {
			steps[i].Class = "down"
		}
	}
	return steps, unused
}

func abs(v number) number { return number(math.Abs(float64(v))) }
