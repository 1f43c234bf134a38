package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/basket-go/basket/routing"
)

// TestDocs reads the examples of docs/production.md: its settings and routes are valid,
// and it names no other flag than there are.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/production.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(first string) string {
		t.Helper()
		_, rest, ok := strings.Cut(string(text), "```yaml\n# "+first+"\n")
		body, _, _ := strings.Cut(rest, "```")
		if !ok || body == "" {
			t.Fatalf("no example %s", first)
		}
		return body
	}
	settings := block("basket.yaml")
	keyFile := writeConfig(t, "0123456789abcdef\n")
	settings = strings.Replace(settings, "/etc/basket/log-key", keyFile, 1)
	file := writeConfig(t, settings)
	for name, value := range printed(t, "--config", file) {
		given := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `: (.*)$`).FindStringSubmatch(settings)
		if given != nil && !strings.Contains(value, given[1]) {
			t.Errorf("%s: %s, want %s", name, value, given[1])
		}
	}
	json, err := yamlToJSON([]byte(block("routes.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	if table, err := routing.ParseTable(json); err != nil || len(table.Routes) != 3 {
		t.Errorf("routes %+v, %v", table, err)
	}
	help := mustRun(t, "serve", "--help") + mustRun(t, "compare", "--help") + mustRun(t, "key", "new", "--help") +
		mustRun(t, "profile", "--help") + mustRun(t, "drift", "--help") + mustRun(t, "materialize", "--help") +
		mustRun(t, "feed", "--help") + mustRun(t, "publish", "--help")
	for _, flag := range regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(string(text), -1) {
		if !strings.Contains(help, flag) {
			t.Errorf("docs/production.md names the flag %s, which does not exist", flag)
		}
	}
}
