package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeConfig writes a configuration file and returns its path.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "basket.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// printed returns the settings that "basket serve --print-config" prints.
func printed(t *testing.T, args ...string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for line := range strings.Lines(mustRun(t, append([]string{"serve", "--print-config"}, args...)...)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok {
			t.Errorf("line %q", line)
		}
		got[name] = value
	}
	return got
}

// TestSettings_precedence: a flag precedes the environment, which precedes the file.
func TestSettings_precedence(t *testing.T) {
	file := writeConfig(t, "data: of-file\nmodel: of-file\naddr: 127.0.0.1:1\nlogs: |-\n  of\n  file\ndrain: 1s\ninsecure-no-auth: true\n")
	t.Setenv("BASKET_CONFIG", file)
	t.Setenv("BASKET_MODEL", "of-environment")
	t.Setenv("BASKET_ADDR", "127.0.0.1:2")
	t.Setenv("BASKET_LOGS", "") // is not set
	t.Setenv("BASKET_PORT_8000_TCP", "tcp://10.0.0.1:8000")
	got := printed(t, "--addr=127.0.0.1:3", "--insecure-no-auth=false")
	for name, want := range map[string]string{
		"data":             `"of-file" # ` + file + ":1",
		"model":            `"of-environment" # BASKET_MODEL`,
		"addr":             `"127.0.0.1:3" # --addr`,
		"logs":             `"of\nfile" # ` + file + ":4",
		"drain":            `"1s" # ` + file + ":7",
		"insecure-no-auth": `false # --insecure-no-auth`,
		"meaning":          `"last-order" # default`,
		"# config":         `"` + file + `" # BASKET_CONFIG`,
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
}

// TestSettings_printed: what is printed is a configuration file of the same settings.
func TestSettings_printed(t *testing.T) {
	args := []string{"--data", `a "b" # c`, "--model", "5", "--drain", "90s", "--logs", "ü\t"}
	first := mustRun(t, append([]string{"serve", "--print-config"}, args...)...)
	again := mustRun(t, "serve", "--print-config", "--config", writeConfig(t, first))
	values := func(text string) string {
		return regexp.MustCompile(`(?m)^# .*\n| # [^"]*$`).ReplaceAllString(text, "")
	}
	if diff := cmp.Diff(values(first), values(again)); diff != "" {
		t.Error(diff)
	}
}

// TestSettings_secrets: keys are not printed, neither as settings nor in errors.
func TestSettings_secrets(t *testing.T) {
	got := printed(t, "--data", "d", "--model", "m", "--logs", "l", "--log-user-id", "hash", "--log-user-id-key", "0123456789abcdef", "--keys", "shop:12")
	for _, name := range []string{"keys", "log-user-id-key"} {
		if want := `"********" # --` + name; got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
}

// TestSettings_faults: all faults are told at once, each in a line with its place.
func TestSettings_faults(t *testing.T) {
	file := writeConfig(t, "# a comment\ndrain: 5\nnot-a-setting: 1\nmodel: [a]\nprint-config: true\ninsecure-no-auth: \"yes\"\naddr: x\naddr: y\nmeaning: next\n")
	t.Setenv("BASKET_DRAIN", "soon")
	code, out, errs := runBasket(t, "serve", "--config", file, "--meaning", "first")
	if code != 1 || out != "" {
		t.Errorf("status %d, %s", code, out)
	}
	want := []string{
		`basket: FILE:8: "addr" is also in line 7: give it once`,
		`basket: FILE:2: drain: a number: want a time such as 300ms, 5s or 1h30m`,
		`basket: BASKET_DRAIN: "soon": want a time such as 300ms, 5s or 1h30m`,
		`basket: FILE:4: model: a list: want a string; quote it if it looks like something else`,
		`basket: FILE:6: insecure-no-auth: a string: want true or false`,
		`basket: FILE:9: meaning: "next": want last-order or next-order`,
		`basket: --meaning: "first": want last-order or next-order`,
		`basket: FILE:3: unknown setting "not-a-setting"; see basket serve --help`,
		`basket: FILE:5: unknown setting "print-config"; see basket serve --help`,
		`basket: no data: give --data DIR, or --store FILE.basket, FILE.parquet, redis://HOST:PORT or postgres://HOST/DATABASE`,
		`basket: --addr "x": want HOST:PORT`,
		`basket: no model: give --model FILE or --models DIR`,
	}
	got := strings.Split(strings.TrimSpace(strings.ReplaceAll(errs, file, "FILE")), "\n")
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Error(diff)
	}
}

// TestConfig_damaged: a file that is no YAML, or other YAML, is told with its line.
func TestConfig_damaged(t *testing.T) {
	for text, want := range map[string]string{
		"data: 'x\n":                    `FILE:1: could not find end`,
		"data: x\n\tmodel: y\n":         `FILE:`,
		"- data\n":                      `FILE:1: want a line NAME: VALUE for each setting`,
		"data\n":                        `FILE:1: want a line NAME: VALUE for each setting`,
		"data: x\n---\nmodel: y\n":      `FILE: 2 documents: want one`,
		"data: &a x\nmodel: *a\n":       `FILE:1: data: a value of another kind: want a string`,
		"<<: {data: x}\n":               `FILE:1: unknown setting "<<"`,
		"data:\nmodel: y\n":             `FILE:1: data: no value: want a string`,
		strings.Repeat("#", 1+64<<10):   `FILE: want at most 65536 bytes`,
		"data: x\nserve: {model: y}\n":  `FILE:2: unknown setting "serve"`,
		"Data: x\n":                     `FILE:1: unknown setting "Data"`,
		"drain: 1e99h\ndata: x\n":       `FILE:1: drain: "1e99h": want a time`,
		"insecure-no-auth: 1\ndata: x ": `FILE:1: insecure-no-auth: a number: want true or false`,
	} {
		file := writeConfig(t, text)
		code, out, errs := runBasket(t, "serve", "--config", file)
		errs = strings.ReplaceAll(errs, file, "FILE")
		if code != 1 || out != "" || !strings.Contains(errs, "basket: "+want) {
			t.Errorf("%.30q: status %d, %s%s, want %s", text, code, out, errs, want)
		}
	}
	if code, _, errs := runBasket(t, "serve", "--config", "missing.yaml"); code != 1 || !strings.Contains(errs, "missing.yaml: no such file") {
		t.Errorf("status %d, %s", code, errs)
	}
}

// FuzzParseConfig: any text is read or refused.
func FuzzParseConfig(f *testing.F) {
	for _, text := range []string{"data: x\nlist: [a, b]\n", "a: &x {b: c}\n", "- a", "? a\n: b", "a: |\n b", "", "a: 'x", "---\n...\n", "<<: *x"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		c, err := parseConfig("FILE", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "FILE:") || strings.Contains(strings.TrimSpace(err.Error()), "\n\n") {
				t.Errorf("error %q", err)
			}
			return
		}
		for _, e := range c.entries {
			for _, target := range []any{"", []string{}, false, 0, 0.0} {
				_, _ = e.texts(target)
			}
		}
	})
}

// sorted returns a sorted copy of a list.
func sorted(list []string) []string {
	return slices.Sorted(slices.Values(list))
}
