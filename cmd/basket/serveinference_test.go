package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inferred is the answer to an inference request for a user, or its error.
type inferred struct {
	Version string `json:"model_version"`
	Outputs []struct {
		Data []float64 `json:"data"`
	} `json:"outputs"`
	Error string `json:"error"`
}

// TestServe_inference: /v2 serves every loaded version, of a name the newest one first,
// whatever an experiment gives the user, and logs predictions for users only.
func TestServe_inference(t *testing.T) {
	dir := t.TempDir()
	for i := 1; i <= 3; i++ {
		writeWholeFile(t, fmt.Sprintf("%s/models/price/%d/model.txt", dir, i), versionOf(t, i))
	}
	writeWholeFile(t, dir+"/models/other/1/model.txt", versionOf(t, 4))
	writeWholeFile(t, dir+"/models/price/4/model.txt", []byte("no model"))
	writeWholeFile(t, dir+"/routes.yaml", []byte("experiment: trees\nroutes:\n- {name: old, model: price@1, weight: 1}\n"))
	key, line := newKey(t, "shop")
	writeWholeFile(t, dir+"/keys", []byte(line+"\n"))
	url, stop := startServe(t, "--data", demo, "--models", dir+"/models", "--routes", dir+"/routes.yaml", "--key-file", dir+"/keys",
		"--logs", dir+"/logs", "--log-format", "json")

	user := newChangingShop(t, demo).users[0]
	body := fmt.Sprintf(`{"inputs":[{"name":"user_id","shape":[1],"datatype":"BYTES","data":[%q]}]}`, user)
	infer := func(path, key string) (int, inferred) {
		t.Helper()
		status, text, _ := ask(t, "POST", url+path, key, body)
		var got inferred
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%s: %v: %s", path, err, text)
		}
		return status, got
	}
	prices := map[string]float64{}
	for _, test := range []struct{ path, version string }{
		{"/v2/models/price/infer", "3"}, {"/v2/models/price/versions/1/infer", "1"}, {"/v2/models/price/versions/2/infer", "2"}, {"/v2/models/other/infer", "1"},
	} {
		status, got := infer(test.path, key)
		if status != 200 || got.Version != test.version || len(got.Outputs) != 1 || len(got.Outputs[0].Data) != 1 {
			t.Fatalf("%s: %d %+v: want version %s", test.path, status, got, test.version)
		}
		prices[test.path] = got.Outputs[0].Data[0]
	}
	if len(prices) != 4 || prices["/v2/models/price/infer"] == prices["/v2/models/price/versions/1/infer"] {
		t.Errorf("prices %v: want those of four versions", prices)
	}
	status, text, _ := ask(t, "POST", url+"/predict", key, fmt.Sprintf(`{"user_id":%q}`, user))
	if want := fmt.Sprintf(`"predicted_price":%v,`, prices["/v2/models/price/versions/1/infer"]); status != 200 || !strings.Contains(text, want) {
		t.Errorf("/predict: %d %s, want %s of the experiment's version 1", status, text, want)
	}
	for _, test := range []struct {
		path, key string
		status    int
		want      string
	}{
		{"/v2/models/price/versions/4/infer", key, 404, `model "price" has no version "4" that is loaded`},
		{"/v2/models/nothing/infer", key, 404, `no model is named "nothing"`},
		{"/v2/models/price/infer", "", 401, "Unauthorized"},
		{"/v2/models/price/infer", "wrong", 401, "Unauthorized"},
	} {
		if status, got := infer(test.path, test.key); status != test.status || got.Error != test.want {
			t.Errorf("%s: %d %+v, want %d %q", test.path, status, got, test.status, test.want)
		}
	}
	rows := `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[20,5,1,2]}]}`
	if status, text, _ := ask(t, "POST", url+"/v2/models/price-features/infer", key, rows); status != 200 {
		t.Errorf("rows: %d %s", status, text)
	}
	for path, want := range map[string]string{
		"/v2/health/live": `{"live":true,"ready":true}`, "/v2/health/ready": `{"live":true,"ready":true}`,
	} {
		if status, text, _ := ask(t, "GET", url+path, "", ""); status != 200 || text != want {
			t.Errorf("%s without a key: %d %s", path, status, text)
		}
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}

	lines := func(pattern string) (all []string) {
		names, err := filepath.Glob(filepath.Join(dir, "logs", pattern))
		if err != nil || len(names) != 1 {
			t.Fatalf("logs %q: %v", names, err)
		}
		text, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	routes := map[string]int{}
	for _, line := range lines("*model*") {
		var e struct{ Route string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		routes[e.Route]++
	}
	if want := map[string]int{"price@3": 1, "price@1": 1, "price@2": 1, "other@1": 1, "old": 1}; fmt.Sprint(routes) != fmt.Sprint(want) {
		t.Errorf("predictions by route %v, want %v", routes, want)
	}
	requests := 0
	for _, line := range lines("*service*") {
		if strings.Contains(line, "/v2/models/") && !strings.Contains(line, "Refused") {
			requests++
		}
	}
	if requests != 7 {
		t.Errorf("%d lines of requests: want 7", requests)
	}
}

// TestServe_inferenceOne: the model of --model is named basket, in version 1.
func TestServe_inferenceOne(t *testing.T) {
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt")
	status, text, _ := ask(t, "GET", url+"/v2/models/basket-features", "", "")
	want := `{"name":"basket-features","versions":["1"],"platform":"lightgbm_text","inputs":[{"name":"features","datatype":"FP64","shape":[-1,4],` +
		`"parameters":{"columns":"prior_basket_value,prior_item_count,prior_regulars_count,regulars_count"}}],"outputs":[{"name":"predicted_price","datatype":"FP64","shape":[-1]}]}`
	if status != 200 || text != want {
		t.Errorf("%d %s, want %s", status, text, want)
	}
	_, metrics, _ := ask(t, "GET", url+"/metrics", "", "")
	if want := `http_route="/v2/models/{model}"`; !strings.Contains(metrics, want) {
		t.Errorf("metrics without %s", want)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}
