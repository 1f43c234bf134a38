package routing_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/routing"
	"github.com/google/go-cmp/cmp"
)

func TestParseTable(t *testing.T) {
	got, err := routing.ParseTable([]byte(`{"experiment": "x", "routes": [
		{"name": "current", "model": "price@3", "weight": 90, "shadow": false},
		{"name": "off", "model": "price", "weight": 0},
		{"name": "n\u00e4chste", "model": "price@v4", "shadow": true}]}`))
	want := routing.Table{Experiment: "x", Routes: []routing.Route{
		{Name: "current", Model: "price@3", Weight: 90}, {Name: "off", Model: "price"}, {Name: "nächste", Model: "price@v4", Shadow: true},
	}}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// route is a table of one route with these fields.
func route(fields string) string {
	return `{"experiment": "x", "routes": [{"name": "a", "model": "m", "weight": 1}, {` + fields + `}]}`
}

// routes is a table of n routes.
func routes(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"name": "r%d", "model": "m", "weight": 1}`, i)
	}
	return `{"experiment": "x", "routes": [` + strings.Join(list, ",") + `]}`
}

func TestParseTable_refuses(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string // the faults, without the kind
	}{
		{"empty", "", []string{"line 1: unexpected end of JSON input: want a JSON object"}},
		{"cut", "{\n\"experiment\": \"x\"\n", []string{"line 3: unexpected end of JSON input: want a JSON object"}},
		{"trailing data", routes(1) + "\n{}", []string{"line 2: invalid character '{' after top-level value: want a JSON object"}},
		{"too deep", strings.Repeat("[", 20_000), []string{"line 1: invalid character '[' exceeded max depth: want a JSON object"}},
		{"not UTF-8", route("\"name\": \"\xff\""), []string{"not UTF-8: want JSON in UTF-8"}},
		{"too long", strings.Repeat(" ", 1<<20) + "{}", []string{"over 1048576 bytes: want at most that"}},
		{"no object", `[]`, []string{"a list: want an object of experiment, routes"}},
		{"null", `null`, []string{"null: want an object of experiment, routes"}},
		{"nothing", `{}`, []string{"experiment: missing: want a string", "routes: missing: want a list of routes"}},
		{"routes are an object", `{"experiment": "x", "routes": {}}`, []string{"routes: an object: want a list of routes"}},
		{"no routes", `{"experiment": "x", "routes": []}`, []string{"routes: no route has a weight: want one at least that answers"}},
		{"only a shadow", `{"experiment": "x", "routes": [{"name": "a", "model": "m", "shadow": true}]}`, []string{"routes: no route has a weight: want one at least that answers"}},
		{"too many", routes(101), []string{"routes: over 100: want at most that"}},
		{"a route that is a string", `{"experiment": "x", "routes": ["a"]}`, []string{`routes[0]: "a": want an object of name, model, weight, shadow`}},
		{"unknown fields", route(`"name": "b", "model": "m", "wieght": 1, "Weight": {"a": [1]}, "weight": 1`), []string{
			`routes[1]: unknown field "wieght": want name, model, weight, shadow`, `routes[1]: unknown field "Weight": want name, model, weight, shadow`}},
		{"a field twice", route(`"name": "b", "model": "m", "weight": 1, "w\u0065ight": 2`), []string{"routes[1].weight: given twice: want it once"}},
		{"every fault at once", `{"experiment": 1, "expermient": "x", "routes": [{"name": "", "model": 2, "weight": "3", "shadow": "no"}, {"weight": -1}]}`, []string{
			`unknown field "expermient": want experiment, routes`,
			"experiment: 1: want a string",
			"routes[0].name: empty: want a name",
			"routes[0].model: 2: want a string",
			`routes[0].shadow: "no": want true or false`,
			`routes[0].weight: "3": want a whole number of 0 to 1000000`,
			"routes[1].name: missing: want a string",
			"routes[1].model: missing: want a string",
			"routes[1].weight: -1: want a whole number of 0 to 1000000",
		}},
		{"no weight", route(`"name": "b", "model": "m"`), []string{`routes[1].weight: missing: want a weight, or "shadow": true`}},
		{"a weight of a shadow", route(`"name": "b", "model": "m", "weight": 5, "shadow": true`), []string{"routes[1].weight: 5 of a shadow: want 0 or none, because a shadow never answers"}},
		{"a fraction", route(`"name": "b", "model": "m", "weight": 0.5`), []string{"routes[1].weight: 0.5: want a whole number of 0 to 1000000"}},
		{"a weight over all", route(`"name": "b", "model": "m", "weight": 99999999999999999999`), []string{"routes[1].weight: 99999999999999999999: want a whole number of 0 to 1000000"}},
		{"the name of another", route(`"name": "a", "model": "m", "weight": 1`), []string{`routes[1].name: "a" is the name of routes[0] too: want another one`}},
		{"a line break", route(`"name": "a\nb", "model": "m", "weight": 1`), []string{`routes[1].name: "a\nb": want a name without control characters`}},
		{"half a surrogate pair", route(`"name": "\ud800", "model": "m", "weight": 1`), []string{`routes[1].name: "�": want a name without control characters`}},
		{"a long name", route(`"name": "` + strings.Repeat("n", 129) + `", "model": "m", "weight": 1`), []string{"routes[1].name: of 129 bytes: want at most 128"}},
		{"a model without a name", route(`"name": "b", "model": "@1", "weight": 1`), []string{`routes[1].model: "@1": want NAME or NAME@VERSION`}},
		{"a model without a version", route(`"name": "b", "model": "m@", "weight": 1`), []string{`routes[1].model: "m@": want NAME or NAME@VERSION`}},
		{"two versions", route(`"name": "b", "model": "m@1@2", "weight": 1`), []string{`routes[1].model: "m@1@2": want NAME or NAME@VERSION`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := routing.ParseTable([]byte(test.text))
			if !errors.Is(err, basket.ErrInvalidConfig) {
				t.Fatalf("error %v, want ErrInvalidConfig", err)
			}
			got := strings.Split(strings.ReplaceAll(err.Error(), "routing: invalid configuration: ", ""), "\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

// TestParseTable_manyFaults: a body full of faults is not answered by as many.
func TestParseTable_manyFaults(t *testing.T) {
	_, err := routing.ParseTable([]byte(`{"experiment": "x", "routes": [{"name": "a", "model": "m", "weight": 1` + strings.Repeat(`,"x":0`, 1000) + `}]}`))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != 21 || !strings.HasSuffix(lines[20], "and 980 more faults") {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

// FuzzParseTable: no text panics, errors are short, and what is read is what is
// written.
func FuzzParseTable(f *testing.F) {
	for _, text := range []string{routes(2), route(`"name": "b", "model": "m@1", "shadow": true`), route(`"name": 1, "x": {"y": []}`), "null", "{}", `{"routes": [[]]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := routing.ParseTable(text)
		if err != nil {
			if n := len(err.Error()); n > 8<<10 || !errors.Is(err, basket.ErrInvalidConfig) {
				t.Fatalf("an error of %d bytes: %.200v", n, err)
			}
			return
		}
		again, err := json.Marshal(table)
		if err != nil {
			t.Fatal(err)
		}
		got, err := routing.ParseTable(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if diff := cmp.Diff(table, got); diff != "" {
			t.Errorf("read again (-want +got):\n%s", diff)
		}
	})
}
