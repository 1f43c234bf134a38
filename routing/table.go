package routing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/basket-go/basket"
)

// The limits of a table. A route costs a hash for each prediction, or a prediction
// if it is a shadow.
const (
	maxText       = 1 << 20
	maxRoutes     = 100
	maxName       = 128 // bytes
	maxModel      = 512 // bytes
	maxWeight     = 1_000_000
	maxFaults     = 20
	versionMarker = "@"
)

// A Table says which models answer which users. Its JSON is what the file has:
//
//	{
//	  "experiment": "price-2025",
//	  "routes": [
//	    {"name": "current", "model": "price@3", "weight": 90},
//	    {"name": "canary", "model": "price@4", "weight": 10},
//	    {"name": "next", "model": "price", "shadow": true}
//	  ]
//	}
type Table struct {
	Experiment string  `json:"experiment"`
	Routes     []Route `json:"routes"`
}

// A Route is a [basket.Route] whose model has a name.
type Route struct {
	Name   string `json:"name"`
	Model  string `json:"model"` // NAME, which follows the newest version, or NAME@VERSION
	Weight int    `json:"weight"`
	Shadow bool   `json:"shadow,omitempty"`
}

// ParseTable reads the JSON of a table, of at most 1 MiB and 100 routes. Each route
// has a weight of 0 to 1,000,000, or is a shadow; one weight at least is not 0. Names
// are UTF-8 of at most 128 bytes without control characters. Fields that are unknown
// or given twice are faults.
//
// The error joins the faults, up to 20 of them. Each names its field, as in
// "routes[1].weight", and wraps basket.ErrInvalidConfig.
func ParseTable(text []byte) (Table, error) {
	t, found := parseTable(text)
	if len(found) > 0 {
		return Table{}, found
	}
	return t, nil
}

func parseTable(text []byte) (Table, faults) {
	var p parser
	var raw json.RawMessage
	var t Table
	switch {
	case len(text) > maxText:
		p.fault("", "over %d bytes: want at most that", maxText)
	case !utf8.Valid(text):
		p.fault("", "not UTF-8: want JSON in UTF-8")
	default:
		if err := json.Unmarshal(text, &raw); err != nil {
			line := 1
			if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
				line += bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
			}
			p.fault("", "line %d: %v: want a JSON object", line, err)
			break
		}
		t = p.table(raw)
	}
	if p.more > 0 {
		p.found = append(p.found, fault{text: fmt.Sprintf("and %d more faults", p.more)})
	}
	return t, p.found
}

// text returns the JSON of a table in the only form that is written and answered.
func (t Table) text() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(t) // strings and integers: cannot fail
	return b.Bytes()
}

// tag returns the entity tag of a table's text.
func (t Table) tag() string {
	sum := sha256.Sum256(t.text())
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// A fault is what is wrong with a field of a table.
type fault struct {
	field string // empty for the whole
	text  string
	cause error // not for clients; may be nil
}

func (f fault) String() string {
	if f.field == "" {
		return f.text
	}
	return f.field + ": " + f.text
}

// faults are the faults of a table, as one error.
type faults []fault

// Error returns a line for each fault.
func (fs faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = fmt.Sprintf("routing: %s: %s", basket.ErrInvalidConfig, f)
		if f.cause != nil {
			lines[i] += ": " + f.cause.Error()
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the kind of the faults and their causes.
func (fs faults) Unwrap() []error {
	list := []error{basket.ErrInvalidConfig}
	for _, f := range fs {
		if f.cause != nil {
			list = append(list, f.cause)
		}
	}
	return list
}

// detail returns the faults for a client, in one line and without their causes.
func (fs faults) detail() string {
	list := make([]string, len(fs))
	for i, f := range fs {
		list[i] = f.String()
	}
	return strings.Join(list, "; ")
}

// A parser collects the faults of a table. Values that it is given are valid JSON.
type parser struct {
	found faults
	more  int // faults that are only counted
}

func (p *parser) fault(field, format string, args ...any) {
	if len(p.found) == maxFaults {
		p.more++
		return
	}
	p.found = append(p.found, fault{field: field, text: fmt.Sprintf(format, args...)})
}

func (p *parser) table(raw []byte) Table {
	var t Table
	fields := p.object(raw, "", "experiment", "routes")
	t.Experiment = p.name(fields, "", "experiment", maxName)
	list, ok := fields["routes"]
	switch {
	case fields == nil:
		return t
	case !ok:
		p.fault("routes", "missing: want a list of routes")
		return t
	case list[0] != '[':
		p.fault("routes", "%s: want a list of routes", kindOf(list))
		return t
	}
	before := len(p.found)
	t.Routes = p.routes(list)
	answers := slices.ContainsFunc(t.Routes, func(r Route) bool { return r.Weight > 0 })
	if !answers && len(p.found) == before {
		p.fault("routes", "no route has a weight: want one at least that answers")
	}
	return t
}

func (p *parser) routes(list []byte) []Route {
	var routes []Route
	first := map[string]int{} // where each name is
	d := json.NewDecoder(bytes.NewReader(list))
	for _, _ = d.Token(); d.More(); {
		i := len(routes)
		if i == maxRoutes {
			p.fault("routes", "over %d: want at most that", maxRoutes)
			break
		}
		var raw json.RawMessage
		_ = d.Decode(&raw)
		r := p.route(raw, fmt.Sprintf("routes[%d]", i))
		routes = append(routes, r)
		if k, ok := first[r.Name]; ok && r.Name != "" {
			p.fault(fmt.Sprintf("routes[%d].name", i), "%q is the name of routes[%d] too: want another one", r.Name, k)
		} else {
			first[r.Name] = i
		}
	}
	return routes
}

func (p *parser) route(raw []byte, path string) Route {
	var r Route
	fields := p.object(raw, path, "name", "model", "weight", "shadow")
	if fields == nil {
		return r
	}
	r.Name = p.name(fields, path, "name", maxName)
	r.Model = p.name(fields, path, "model", maxModel)
	name, version, versioned := strings.Cut(r.Model, versionMarker)
	if r.Model != "" && (name == "" || versioned && version == "" || strings.Contains(version, versionMarker)) {
		p.fault(path+".model", "%.64q: want NAME or NAME@VERSION", r.Model)
	}
	if shadow, ok := fields["shadow"]; ok {
		r.Shadow = string(shadow) == "true"
		if !r.Shadow && string(shadow) != "false" {
			p.fault(path+".shadow", "%s: want true or false", kindOf(shadow))
		}
	}
	weight, ok := fields["weight"]
	if !ok {
		if _, ok := fields["shadow"]; !ok || !r.Shadow {
			p.fault(path+".weight", "missing: want a weight, or \"shadow\": true")
		}
		return r
	}
	n, err := strconv.Atoi(string(weight))
	switch {
	case err != nil || n < 0 || n > maxWeight:
		p.fault(path+".weight", "%s: want a whole number of 0 to %d", kindOf(weight), maxWeight)
	case r.Shadow && n != 0:
		p.fault(path+".weight", "%d of a shadow: want 0 or none, because a shadow never answers", n)
	default:
		r.Weight = n
	}
	return r
}

// object returns the fields of an object, or nil if it is none.
func (p *parser) object(raw []byte, path string, want ...string) map[string]json.RawMessage {
	if raw[0] != '{' {
		p.fault(path, "%s: want an object of %s", kindOf(raw), strings.Join(want, ", "))
		return nil
	}
	fields := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(raw))
	for _, _ = d.Token(); d.More(); {
		key, _ := d.Token()
		field, _ := key.(string)
		var value json.RawMessage
		_ = d.Decode(&value)
		if !slices.Contains(want, field) {
			p.fault(path, "unknown field %.64q: want %s", field, strings.Join(want, ", "))
			continue
		}
		if _, ok := fields[field]; ok {
			p.fault(join(path, field), "given twice: want it once")
		}
		fields[field] = value
	}
	return fields
}

// name returns a field that is a name, or "".
func (p *parser) name(fields map[string]json.RawMessage, path, field string, most int) string {
	value, ok := fields[field]
	path = join(path, field)
	var s string
	switch {
	case fields == nil:
		return ""
	case !ok:
		p.fault(path, "missing: want a string")
		return ""
	case value[0] != '"':
		p.fault(path, "%s: want a string", kindOf(value))
		return ""
	}
	_ = json.Unmarshal(value, &s)
	switch {
	case s == "":
		p.fault(path, "empty: want a name")
	case len(s) > most:
		p.fault(path, "of %d bytes: want at most %d", len(s), most)
	// encoding/json puts utf8.RuneError in the place of half a surrogate pair.
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		p.fault(path, "%.64q: want a name without control characters", s)
	default:
		return s
	}
	return ""
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

// kindOf describes a JSON value in an error message.
func kindOf(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s)
		return fmt.Sprintf("%.40q", s)
	}
	return fmt.Sprintf("%.40s", raw)
}
