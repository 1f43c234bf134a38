package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestGuides_commands: the commands in README.md and docs have flags that there are.
func TestGuides_commands(t *testing.T) {
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, name := range append(names, "../../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			for line := range strings.SplitSeq(strings.ReplaceAll(block[1], "\\\n", " "), "\n") {
				words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "go -C cmd/basket run . "))
				if strings.HasPrefix(strings.TrimSpace(line), "basket ") {
					words = words[1:]
				} else if !strings.HasPrefix(strings.TrimSpace(line), "go -C cmd/basket run . ") {
					continue
				}
				commands++
				for i, word := range words { // the shell's
					if word == "|" || word == ">" || word == "&&" || word == "#" || word == "<" {
						words = words[:i]
						break
					}
				}
				var c cli
				raw := rawFlags{}
				parser, err := kong.New(&c, append(raw.options(), kong.Name("basket"), kong.Writers(io.Discard, io.Discard),
					kong.Exit(func(int) {}), kong.Vars{"features": "x"})...)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := parser.Parse(words); err != nil {
					t.Errorf("%s: %s: %v", filepath.Base(name), strings.TrimSpace(line), err)
				}
			}
		}
	}
	if commands < 8 {
		t.Errorf("%d commands: want 8 or more", commands)
	}
}
