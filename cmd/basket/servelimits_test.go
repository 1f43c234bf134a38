package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestServe_rateLimit: one caller has a limit, another is not affected, and probes have
// none.
func TestServe_rateLimit(t *testing.T) {
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--rate-limit", "0.1", "--rate-burst", "2", "--trusted-proxies", "127.0.0.1")
	ask := func(path, client string) (int, http.Header) {
		method := "POST"
		if path == "/readyz" {
			method = "GET"
		}
		status, _, header := send(t, method, url+path, `{"user_id":"nobody"}`, "X-Forwarded-For: "+client)
		return status, header
	}
	for i, want := range []int{404, 404, 429} {
		status, header := ask("/predict", "198.51.100.1")
		if status != want || (want == 429) != (header.Get("Retry-After") != "") || header.Get("RateLimit") == "" {
			t.Errorf("request %d: %d %v, want %d", i, status, header, want)
		}
	}
	if status, _ := ask("/predict", "198.51.100.2"); status != 404 {
		t.Errorf("another client: %d, want 404", status)
	}
	if status, _ := ask("/readyz", "198.51.100.1"); status != 200 {
		t.Errorf("/readyz: %d, want 200", status)
	}
	if n := scrape(t, url)["basket_requests_refused_total"]; n == nil || n.Metric[0].GetCounter().GetValue() != 1 {
		t.Errorf("refused requests: %v, want 1", n)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_bodies: the limits of bodies and batches are told.
func TestServe_bodies(t *testing.T) {
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--max-body", "40", "--max-batch", "2", "--max-batch-body", "100", "--max-concurrent", "2")
	for _, test := range []struct {
		path, body, want string
		status           int
	}{
		{"/predict", `{"user_id":"nobody"}`, `not found`, 404},
		{"/predict", `{"user_id":"` + strings.Repeat("x", 40) + `"}`, "over 40 bytes", 413},
		{"/predict/batch", `{"user_ids":["a","b","c"]}`, "2", 413},
		{"/predict/batch", `{"user_ids":["` + strings.Repeat("x", 100) + `"]}`, "100 bytes", 413},
	} {
		if status, text, _ := send(t, "POST", url+test.path, test.body); status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s %.30s: %d %s, want %d with %q", test.path, test.body, status, text, test.status, test.want)
		}
	}
	if _, _, header := send(t, "GET", url+"/status", ""); header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("no security headers: %v", header)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_absurdLimits: settings that make no sense are told at the start, all at once.
func TestServe_absurdLimits(t *testing.T) {
	code, _, errs := runBasket(t, "serve", "--data", demo, "--model", demo+"/model.txt", "--rate-limit", "100", "--rate-burst", "10",
		"--max-concurrent", "0", "--timeout=-1s", "--max-queued", "3", "--trusted-proxies", "proxy", "--proxy-header", "Via", "--tls-cert", "a.pem", "--drift-window", "1m")
	for _, want := range []string{"rate", "--max-concurrent: 0: want more", `--timeout: "-1s"`, "--max-queued and --queue-time", `--trusted-proxies "proxy"`,
		`--proxy-header: "Via"`, "one of --tls-cert and --tls-key", "--drift-window is of --profile"} {
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("status %d, %s, want %q", code, errs, want)
		}
	}
}

// writeCertificate writes a self-signed certificate and its key.
func writeCertificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "basket"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeWholeFile(t, dir+"/tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	writeWholeFile(t, dir+"/tls.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
}

// TestServe_tls: HTTPS by a certificate that is replaced while the server runs; one that
// does not fit its key is refused and told, and the old one stays.
func TestServe_tls(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--tls-cert", dir+"/tls.crt", "--tls-key", dir+"/tls.key")
	if !strings.HasPrefix(url, "https://") {
		t.Fatalf("serving on %s", url)
	}
	get := func(path string) (serial int64, body string) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		r, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.TLS.PeerCertificates[0].SerialNumber.Int64(), string(text)
	}
	if _, text := get("/metrics"); !strings.Contains(text, "\nbasket_certificate_remaining_seconds 3") {
		t.Errorf("no time of the certificate in %s", text)
	}
	writeCertificate(t, dir, 2)
	until(t, "the new certificate is served", func() bool { serial, _ := get("/status"); return serial == 2 })
	writeWholeFile(t, dir+"/tls.key", []byte("no key"))
	until(t, "the damaged key is told", func() bool {
		serial, text := get("/readyz")
		return serial == 2 && strings.Contains(text, `"tls":"degraded"`)
	})
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_drift: a profile is made, served rows are compared with it, one of another
// model is refused by name, and a damaged one keeps the old.
func TestServe_drift(t *testing.T) {
	dir := t.TempDir()
	profile := dir + "/profile.json"
	mustRun(t, "profile", "--data", demo, "--model", demo+"/model.txt", "--out", profile)
	other := dir + "/other.txt"
	writeWholeFile(t, other, versionOf(t, 5))
	if code, _, errs := runBasket(t, "serve", "--data", demo, "--model", other, "--profile", profile); code != 1 || !strings.Contains(errs, "the profile is of the model") {
		t.Errorf("a profile of another model: status %d, %s", code, errs)
	}
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--profile", profile, "--drift-window", "1s")
	users := newChangingShop(t, demo).users
	var batch []string
	for i := range 700 {
		batch = append(batch, users[i%min(len(users), 20)]) // only a few of the users: drift
	}
	body, err := json.Marshal(map[string][]string{"user_ids": batch})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if status, text, _ := send(t, "POST", url+"/predict/batch", string(body)); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		_, text, _ := send(t, "GET", url+"/drift", "")
		if families := scrape(t, url); strings.Contains(text, `"verdict":"drift"`) || strings.Contains(text, `"verdict": "drift"`) {
			for _, name := range []string{"basket_drift_psi_ratio", "basket_drift_null_rate_ratio", "basket_drift_detected_ratio"} {
				if families[name] == nil {
					t.Errorf("no metric %s", name)
				}
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no drift is told: %s", text)
		}
	}
	writeWholeFile(t, profile, bytes.Repeat([]byte("x"), 100))
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, text, _ := send(t, "GET", url+"/readyz", ""); strings.Contains(text, `"profile":"degraded"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the damaged profile is not told")
		}
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}
