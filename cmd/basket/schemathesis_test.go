package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestOpenAPI_schemathesis runs schemathesis, a program that makes requests of a document,
// valid and invalid ones, against a server by its own document: without keys, and with the
// key of a user and of an administrator. SCHEMATHESIS names the program; CI has a step for
// it.
func TestOpenAPI_schemathesis(t *testing.T) {
	program := os.Getenv("SCHEMATHESIS")
	if program == "" {
		t.Skip("want SCHEMATHESIS, the program of testdata/schemathesis-requirements.txt")
	}
	dir := t.TempDir()
	for _, version := range []string{"1", "2"} {
		writeWholeFile(t, dir+"/models/basket/"+version+"/model.txt", versionOf(t, 0))
	}
	writeWholeFile(t, dir+"/routes.yaml", []byte("experiment: spring\nroutes:\n- {name: control, model: basket@1, weight: 9}\n- {name: next, model: basket, shadow: true}\n"))
	mustRun(t, "profile", "--data", demo, "--model", dir+"/models/basket/1/model.txt", "--out", dir+"/profile.json")
	key, line := newKey(t, "shop")
	admin, adminLine := newKey(t, "ops", "--role", "admin")
	config, err := filepath.Abs("testdata/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	server := []string{"--data", demo, "--models", dir + "/models", "--routes", dir + "/routes.yaml", "--profile", dir + "/profile.json", "--ui"}
	for _, test := range []struct{ name, key, setting, value string }{
		{"without keys", "", "--admin", ""},
		{"user", key, "--keys", line + "," + adminLine},
		{"admin", admin, "--keys", line + "," + adminLine},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := append(server, test.setting)
			more := []string{"--exclude-checks", "ignored_auth"} // there is none
			if test.key != "" {
				settings = append(settings, test.value)
				more = []string{"--header", "X-API-Key: " + test.key}
			}
			url, stop := startServe(t, settings...)
			command := exec.CommandContext(t.Context(), program, append([]string{
				"--config-file", config, "run", url + "/openapi.json", "--url", url, "--no-color", "--continue-on-failure",
				"--phases", "examples,coverage,fuzzing", "--max-examples", "100", "--seed", "1",
			}, more...)...)
			command.Dir = dir // for what it leaves behind
			out, err := command.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
			cases := regexp.MustCompile(`(\d+) generated, \d+ passed`).FindSubmatch(out)
			if cases == nil {
				t.Fatal("no requests are told")
			}
			if n, _ := strconv.Atoi(string(cases[1])); n < 1000 {
				t.Errorf("%d requests: want 1,000 or more", n)
			}
			if code, errs := stop(); code != 0 || errs != "" {
				t.Errorf("status %d, %s", code, errs)
			}
		})
	}
}
