package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pythons returns the Python environments of OIP_PYTHON: that of Triton's client first. It
// skips a test if there are none.
func pythons(t *testing.T) []string {
	t.Helper()
	list := os.Getenv("OIP_PYTHON")
	if list == "" {
		if os.Getenv("BASKET_SERVERS") != "" {
			t.Fatal("OIP_PYTHON is not set")
		}
		t.Skip("want OIP_PYTHON, Python environments with tritonclient[http] and with kserve")
	}
	return strings.Split(list, ":")
}

// TestServe_clients: the clients of Triton and KServe pass the script that lies beside the
// project, with a key.
func TestServe_clients(t *testing.T) {
	const script = "../../../shared/spec/oip_conformance.py"
	if _, err := os.Stat(script); err != nil {
		if os.Getenv("BASKET_SHARED") != "" {
			t.Fatal(err)
		}
		t.Skipf("want %s", script)
	}
	all := pythons(t)
	key, line := newKey(t, "shop")
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--keys", line)
	_, text, _ := ask(t, "POST", url+"/v2/models/basket-features/infer", key, `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[94.61,15,0,0]}]}`)
	var row struct {
		Outputs []struct{ Data []json.Number }
	}
	if err := json.Unmarshal([]byte(text), &row); err != nil || len(row.Outputs) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	args := []string{
		script, "--url", strings.TrimPrefix(url, "http://"), "--header", "Authorization=Bearer " + key, "--user", demoUser(t),
		"--row", "94.61,15,0,0", "--want", row.Outputs[0].Data[0].String(),
	}
	for _, python := range all {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(python))), func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput()
			t.Logf("%s", out)
			if err != nil || !strings.Contains(string(out), "failed checks: 0") {
				t.Errorf("%v", err)
			}
			if n := strings.Count(string(out), "\nok "); n < 30 {
				t.Errorf("%d checks: want those of a client too", n)
			}
		})
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// demoUser returns the user of the demo shop that the example names.
func demoUser(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/server/main.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`const demoUser = "(\w+)"`).FindSubmatch(text)
	if found == nil {
		t.Fatal("no demoUser")
	}
	return string(found[1])
}

// TestReadme_clients runs the clients of README.md as they stand there, against a server of
// the demo shop.
func TestReadme_clients(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Clients\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !ok {
		t.Fatal("README.md has no section Clients")
	}
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt")
	user, dir := demoUser(t), t.TempDir()
	_, want, _ := ask(t, "POST", url+"/v2/models/basket-features/infer", "", `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[94.61,15,0,0]}]}`)
	for _, test := range []struct{ language, file, before, after, want string }{
		{"sh", "client.sh", "", "", `"predicted_price":22.16203973983936`},
		{"go", "client.go", "package main\nimport (\n\"io\"\n\"log\"\n\"net/http\"\n\"os\"\n\"strings\"\n)\nfunc main() {\n", "}\n", "22.16203973983936"},
		{"python", "client.py", "", "", regexp.MustCompile(`"data":\[(\d+\.\d{6})`).FindStringSubmatch(want)[1]},
		{"js", "client.mjs", "", "", "22.16203973983936"},
	} {
		t.Run(test.language, func(t *testing.T) {
			block := regexp.MustCompile("(?s)\n```"+test.language+"\n(.*?)```").FindAllStringSubmatch(section, -1)
			if len(block) != 1 || !strings.Contains(block[0][1], "127.0.0.1:8000") {
				t.Fatalf("%d programs for 127.0.0.1:8000: want 1", len(block))
			}
			command := []string{"sh"}
			switch test.language {
			case "go":
				command = []string{"go", "run"}
			case "python":
				command = []string{pythons(t)[0]}
			case "js":
				if _, err := exec.LookPath("node"); err != nil {
					if os.Getenv("BASKET_SERVERS") != "" {
						t.Fatal(err)
					}
					t.Skip(err)
				}
				command = []string{"node"}
			}
			file := filepath.Join(dir, test.file)
			program := test.before + strings.ReplaceAll(block[0][1], "127.0.0.1:8000", strings.TrimPrefix(url, "http://")) + test.after
			if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), command[0], append(command[1:], file, user)...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), test.want) {
				t.Errorf("%v: %s, want %s", err, out, test.want)
			}
		})
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}
