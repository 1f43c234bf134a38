package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/basket-go/basket"
)

// TestReadme_clients runs the programs of README.md's section on clients against the command
// that it names: each has the model's price in its output.
func TestReadme_clients(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Clients\n")
	section, _, _ = strings.Cut(section, "\n## ")
	command := regexp.MustCompile("(?m)^`basket (serve [^`]+)` serves").FindStringSubmatch(section)
	if command == nil {
		t.Fatalf("no command in %q", section)
	}
	args := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(command[1], "examples/", "../../examples/"), ":8001", ":0"))
	url, stop := startServe(t, args[1:]...)
	defer stop()
	model, err := basket.LoadModel(demo + "/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	price := make([]float64, 1)
	if err := model.Predict(t.Context(), price, []float64{20, 5, 1, 2}); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%.6f", price[0])[:6] // numpy prints eight digits

	dir := t.TempDir()
	programs := map[string]string{}
	for _, block := range regexp.MustCompile("(?s)```(\\w+)\n(.*?)```").FindAllStringSubmatch(section, -1) {
		programs[block[1]] = strings.ReplaceAll(block[2], "127.0.0.1:8000", strings.TrimPrefix(url, "http://"))
	}
	if len(programs) != 4 {
		t.Errorf("programs %q: want four", programs)
	}
	programs["go"] = "package main\n\nimport (\n\"io\"\n\"net/http\"\n\"os\"\n\"strings\"\n)\n\nfunc main() {\n" + programs["go"] +
		"if err != nil {\npanic(err)\n}\ndefer answer.Body.Close()\n_, _ = io.Copy(os.Stdout, answer.Body)\n}\n"
	python, _, _ := strings.Cut(os.Getenv("OIP_PYTHON"), ":")
	for language, run := range map[string]struct{ program, file string }{
		"sh": {"sh", "clients.sh"}, "go": {"go", "main.go"}, "python": {python, "clients.py"}, "js": {"node", "clients.mjs"},
	} {
		t.Run(language, func(t *testing.T) {
			if language == "python" && python == "" {
				if os.Getenv("BASKET_SERVERS") != "" {
					t.Fatal("BASKET_SERVERS is set, but OIP_PYTHON is not")
				}
				t.Skip("want OIP_PYTHON, of which the first Python has tritonclient[http]")
			}
			if language == "js" || language == "sh" {
				needPrograms(t, map[string]string{"js": "node", "sh": "curl"}[language])
			}
			file := filepath.Join(dir, run.file)
			if err := os.WriteFile(file, []byte(programs[language]), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{file}
			if language == "go" {
				args = []string{"run", file}
			}
			out, err := exec.Command(run.program, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%s, %v: want the price %s", out, err, want)
			}
		})
	}
}
