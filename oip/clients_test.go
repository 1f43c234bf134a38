package oip_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/oip"
)

// TestClients runs the clients of Triton and KServe, with the script that lies beside the
// project, in the Python environments that OIP_PYTHON names, separated by colons: those of
// the requirements in testdata. The project has the script's raw requests as tests of its
// own.
func TestClients(t *testing.T) {
	script := "../../shared/spec/oip_conformance.py"
	pythons := os.Getenv("OIP_PYTHON")
	if _, err := os.Stat(script); pythons == "" || err != nil {
		if os.Getenv("BASKET_SERVERS") != "" && os.Getenv("BASKET_SHARED") != "" {
			t.Fatalf("want OIP_PYTHON, which is %q, and %s: %v", pythons, script, err)
		}
		t.Skipf("want OIP_PYTHON, Python environments with tritonclient[http] and with kserve, and %s", script)
	}
	server := httptest.NewServer(newHandler(t))
	defer server.Close()
	for _, python := range strings.Split(pythons, ":") {
		t.Run(filepath.Base(filepath.Dir(filepath.Dir(python))), func(t *testing.T) {
			out, err := exec.Command(python, script, "--url", strings.TrimPrefix(server.URL, "http://"),
				"--model", "basket-features", "--user-model", "basket", "--user", "abc123", "--row", "94.61,15,0,0", "--want", "52.055").CombinedOutput()
			t.Logf("%s", out)
			if err != nil || !strings.Contains(string(out), "failed checks: 0") {
				t.Errorf("%v", err)
			}
			if n := strings.Count(string(out), "\nok "); n < 30 || strings.Count(string(out), "\nskip ") > 1 {
				t.Errorf("%d checks: want those of a client too", n)
			}
		})
	}
}

// BenchmarkHandler compares 1,000 rows in binary with the engine alone and a copy of the
// body.
func BenchmarkHandler(b *testing.B) {
	model, err := basket.LoadModel("../testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		b.Fatal(err)
	}
	h := oip.NewHandler(nil, func() []oip.Version { return []oip.Version{{Name: "price", Version: "1", Model: model}} })
	const n = 1000
	rows := make([]float64, 4*n)
	var tensor []byte
	for i := range rows {
		rows[i] = float64(i*7%100) / 3
		tensor = binary.LittleEndian.AppendUint64(tensor, math.Float64bits(rows[i]))
	}
	head := fmt.Sprintf(`{"inputs":[{"name":"features","shape":[%d,4],"datatype":"FP64","parameters":{"binary_data_size":%d}}],"parameters":{"binary_data_output":true}}`, n, len(tensor))
	body := head + string(tensor)
	b.Run("engine and copy", func(b *testing.B) {
		dst, copied := make([]float64, n), make([]byte, len(body))
		for b.Loop() {
			copy(copied, body)
			if err := model.Predict(b.Context(), dst, rows); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("handler", func(b *testing.B) {
		b.ReportAllocs()
		w := &discard{header: http.Header{}}
		for b.Loop() {
			r, err := http.NewRequest("POST", "/v2/models/price-features/infer", strings.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			r.Header["Inference-Header-Content-Length"] = []string{strconv.Itoa(len(head))}
			clear(w.header)
			h.ServeHTTP(w, r)
			if w.bytes < 8*n || w.status > 200 {
				b.Fatalf("status %d, %d bytes", w.status, w.bytes)
			}
		}
	})
}

// A discard is a ResponseWriter that keeps nothing.
type discard struct {
	header        http.Header
	bytes, status int
}

func (d *discard) Header() http.Header    { return d.header }
func (d *discard) WriteHeader(status int) { d.status = status }
func (d *discard) Write(p []byte) (int, error) {
	d.bytes = len(p)
	return len(p), nil
}
