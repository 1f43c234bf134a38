package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestServe_clients runs the clients of Triton and KServe against the command, without and
// with keys, by the script that lies beside the project; see oip.TestClients.
func TestServe_clients(t *testing.T) {
	const script = "../../../shared/spec/oip_conformance.py"
	pythons := os.Getenv("OIP_PYTHON")
	if _, err := os.Stat(script); pythons == "" || err != nil {
		if os.Getenv("BASKET_SERVERS") != "" && os.Getenv("BASKET_SHARED") != "" {
			t.Fatalf("want OIP_PYTHON, which is %q, and %s: %v", pythons, script, err)
		}
		t.Skipf("want OIP_PYTHON, Python environments with tritonclient[http] and with kserve, and %s", script)
	}
	dir := t.TempDir()
	key, line := newKey(t, "shop")
	writeWholeFile(t, dir+"/keys", []byte(line+"\n"))
	user := newChangingShop(t, demo).users[0]
	for name, args := range map[string][]string{"no keys": nil, "keys": {"--key-file", dir + "/keys"}} {
		url, stop := startServe(t, append([]string{"--data", demo, "--model", demo + "/model.txt"}, args...)...)
		status, text, _ := ask(t, "POST", url+"/v2/models/basket-features/infer", key, `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[94.61,15,0,0]}]}`)
		var price struct{ Outputs []struct{ Data []float64 } }
		if err := json.Unmarshal([]byte(text), &price); err != nil || status != 200 {
			t.Fatalf("%d %s: %v", status, text, err)
		}
		for _, python := range strings.Split(pythons, ":") {
			t.Run(name+", "+filepath.Base(filepath.Dir(filepath.Dir(python))), func(t *testing.T) {
				out, err := exec.Command(python, script, "--url", strings.TrimPrefix(url, "http://"), "--model", "basket-features", "--user-model", "basket",
					"--user", user, "--row", "94.61,15,0,0", "--want", fmt.Sprint(price.Outputs[0].Data[0]), "--header", "Authorization=Bearer "+key).CombinedOutput()
				t.Logf("%s", out)
				if err != nil || !strings.Contains(string(out), "failed checks: 0") || strings.Count(string(out), "\nok ") < 25 {
					t.Errorf("%v: want no failed check, of 25 or more", err)
				}
			})
		}
		if code, errs := stop(); code != 0 || errs != "" {
			t.Errorf("status %d, %s", code, errs)
		}
	}
}
