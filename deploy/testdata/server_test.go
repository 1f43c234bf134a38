package deploy

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The demo shop and one of its users.
const (
	demo     = "../../examples/server/demo"
	demoUser = "0cad47d6c469dc763adb1d206463099d94102e680eb2815de5d0ae055bdd72e2f2df884c327bfffbbefed72720bb6ec523e244912bf26aa78f5fe7d7ab893bc7"
)

// command builds the command, once, and returns its path.
var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "basket-deploy")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "basket")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = "../../cmd/basket"
	build.Stderr = os.Stderr
	return path, build.Run()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := command(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func builtCommand(t *testing.T) string {
	t.Helper()
	path, err := command()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// startServer starts the command with a folder of models and an experiment, and returns
// its URL.
func startServer(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(demo + "/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"models/price/1/model.txt": string(text),
		"routes.yaml":              "experiment: e\nroutes:\n- {name: default, model: price@1, weight: 1}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, builtCommand(t), "serve", "--addr", "127.0.0.1:0", "--data", demo,
		"--models", dir+"/models", "--routes", dir+"/routes.yaml")
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = server.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, url, ok := strings.Cut(lines.Text(), "serving on "); ok {
			return url
		}
	}
	t.Fatal("the server does not serve")
	return ""
}

// ask sends a request and returns the body of the answer.
func ask(t *testing.T, method, url, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// scrape returns the samples of /metrics as Prometheus stores them, each with its labels,
// the name as __name__, and those that Prometheus adds: job and instance.
func scrape(t *testing.T, url string) model.Vector {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(ask(t, "GET", url+"/metrics", "")))
	if err != nil {
		t.Fatal(err)
	}
	samples := model.Vector{{Metric: model.Metric{"__name__": "up"}, Value: 1}}
	for _, family := range families {
		some, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, family)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, some...)
	}
	for _, s := range samples {
		s.Metric["job"], s.Metric["instance"] = "basket", "till:8000"
	}
	return samples
}
