package basket_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuides_programs: each Go program in a guide is part of a program that is tested or
// an example of this repository: the same lines, but for their indentation.
func TestGuides_programs(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "work" || d.Name() == ".git" || d.Name() == "testdata"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			text, err := os.ReadFile(path)
			code.WriteString(unindented(string(text)))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	programs := 0
	for name, text := range guides(t) {
		if name == "README.md" {
			continue // five lines of one example, without its checks of errors
		}
		for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text, -1) {
			programs++
			if !strings.Contains(code.String(), unindented(block[1])) {
				t.Errorf("%s: no file has the lines\n%s", name, block[1])
			}
		}
	}
	if programs < 6 {
		t.Errorf("%d programs: want 6 or more", programs)
	}
}

// TestGuides_links: each relative link leads to a file.
func TestGuides_links(t *testing.T) {
	for name, text := range guides(t) {
		text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
		for _, link := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(text, -1) {
			file, _, _ := strings.Cut(link[1], "#")
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), file)); err != nil {
				t.Errorf("%s: link %s: %v", name, link[1], err)
			}
		}
	}
}

// TestGuides_figures: each row of docs/figures.md names the command that gives it, and each
// section of another guide with a figure that was measured names one, or docs/figures.md.
func TestGuides_figures(t *testing.T) {
	command := regexp.MustCompile("`[^`]*(go -C |go test |bench/|grep Vm)[^`]*`|figures\\.md")
	measured := regexp.MustCompile(`\d (ns|µs|MB|GB)\b|[Mm]easured|times as long|thirtieth`)
	rows, sections := 0, 0
	for name, text := range guides(t) {
		if name == "docs/figures.md" {
			for line := range strings.Lines(text) {
				cells := strings.Split(strings.TrimSpace(line), " |")
				if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") {
					continue
				}
				rows++
				if last := cells[len(cells)-2]; !regexp.MustCompile("^ `((--long )?--only |([A-Z_]+=\\S+ )*go -C ).*`$|^ `go -C bench run \\.`$").MatchString(last) {
					t.Errorf("%s: want a command in the last column: %s", name, line)
				}
			}
			continue
		}
		for section := range strings.SplitSeq(text, "\n## ") {
			if measured.MatchString(section) {
				sections++
				if !command.MatchString(section) {
					t.Errorf("%s: no command for the figure %q of the section %.40q", name, measured.FindString(section), section)
				}
			}
		}
	}
	if rows < 25 || sections < 6 {
		t.Errorf("%d rows and %d sections with figures: want 25 and 6 or more", rows, sections)
	}
}

// guides returns README.md and the files of docs, by name.
func guides(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil || len(names) < 8 {
		t.Fatalf("guides %q, %v", names, err)
	}
	all := map[string]string{}
	for _, name := range append(names, "README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

// unindented removes the indentation of each line, and the mark of a comment.
func unindented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "//"))
		b.WriteString(line + "\n")
	}
	return b.String()
}
