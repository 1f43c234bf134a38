package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// send sends a request with a header "NAME: VALUE" each, and returns the answer's status,
// body and headers.
func send(t *testing.T, method, url, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.StatusCode, strings.TrimSpace(string(text)), w.Header
}

// TestServe_routes: a table is read, changed by one of two operators, and refused when it
// is wrong.
func TestServe_routes(t *testing.T) {
	dir := t.TempDir()
	for i := 1; i <= 2; i++ {
		writeWholeFile(t, fmt.Sprintf("%s/models/price/%d/model.txt", dir, i), versionOf(t, i))
	}
	routes := filepath.Join(dir, "routes.yaml")
	writeWholeFile(t, routes, []byte("experiment: trees # of this spring\nroutes:\n- {name: old, model: price@1, weight: 1}\n"))
	key, line := newKey(t, "shop")
	admin, adminLine := newKey(t, "ops", "--role", "admin")
	writeWholeFile(t, dir+"/keys", []byte(line+"\n"+adminLine+"\n"))
	url, stop := startServe(t, "--data", demo, "--models", dir+"/models", "--routes", routes, "--key-file", dir+"/keys", "--logs", dir+"/logs", "--log-format", "json")

	user := newChangingShop(t, demo).users[0]
	body := fmt.Sprintf(`{"user_id":%q}`, user)
	model := func() string {
		t.Helper()
		status, text, header := send(t, "POST", url+"/predict", body, "X-API-Key: "+key, "X-Request-Id: abc-1")
		if status != 200 || header.Get("X-Request-Id") != "abc-1" {
			t.Errorf("/predict: %d %s, %v", status, text, header)
		}
		return header.Get("Basket-Model")
	}
	if m := model(); m != "price@1" {
		t.Errorf("the answer is of %q, want price@1", m)
	}
	const table = `{"experiment":"trees","routes":[{"name":"new","model":"price@2","weight":1},{"name":"old","model":"price@1","shadow":true}]}`
	status, text, header := send(t, "GET", url+"/admin/routes", "", "Authorization: Bearer "+admin)
	if status != 200 || !strings.Contains(text, `"experiment": "trees"`) {
		t.Errorf("GET: %d %s", status, text)
	}
	tag := header.Get("Etag")
	for _, test := range []struct {
		what, body, key, match string
		status                 int
		want                   string
	}{
		{"no key", table, "", tag, 401, `{"detail":"Unauthorized"}`},
		{"another role", table, key, tag, 403, `{"detail":"Forbidden"}`},
		{"no If-Match", table, admin, "", 428, "If-Match"},
		{"a wrong field", strings.Replace(table, `"weight":1`, `"weight":-1`, 1), admin, tag, 400, `routes[0].weight`},
		{"an unknown version", strings.Replace(table, "price@2", "price@3", 1), admin, tag, 409, "price@3"},
		{"an unknown model", strings.Replace(table, "price@2", "cost", 1), admin, tag, 409, "cost"},
		{"good", table, admin, tag, 200, `"experiment": "trees"`},
		{"of another operator", table, admin, `"0"`, 412, "detail"},
	} {
		headers := []string{"Content-Type: application/json"}
		if test.key != "" {
			headers = append(headers, "Authorization: Bearer "+test.key)
		}
		if test.match != "" {
			headers = append(headers, "If-Match: "+test.match)
		}
		if status, text, _ := send(t, "PUT", url+"/admin/routes", test.body, headers...); status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s: %d %s, want %d with %s", test.what, status, text, test.status, test.want)
		}
	}
	if m := model(); m != "price@2" {
		t.Errorf("the answer is of %q, want price@2", m)
	}
	if text, err := os.ReadFile(routes); err != nil || !strings.Contains(string(text), `"price@2"`) {
		t.Errorf("the file has %s, %v", text, err)
	}
	if status, text, _ := send(t, "GET", url+"/admin/shadows", "", "X-API-Key: "+admin); status != 200 || !strings.Contains(text, `"old"`) {
		t.Errorf("shadows: %d %s", status, text)
	}
	// A file that another process or a person writes.
	writeWholeFile(t, routes, []byte("experiment: trees\nroutes:\n- {name: old, model: price@1, weight: 1}\n"))
	for deadline := time.Now().Add(30 * time.Second); model() != "price@1"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the file's change is not applied")
		}
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
	log, err := os.ReadFile(dir + "/logs/model_metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"request_id":"abc-1"`, `"client":"shop"`, `"model_id":"price@2"`, `"shadow":true`, `"route":"new"`, `"prior_basket_value":`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("no line of the model log has %s: %s", want, log)
		}
	}
}

// TestServe_details: an administrator sees the age of the data, the versions, and why one
// is refused; nobody else does.
func TestServe_details(t *testing.T) {
	dir := t.TempDir()
	writeWholeFile(t, dir+"/models/price/1/model.txt", versionOf(t, 1))
	writeWholeFile(t, dir+"/models/price/2/model.txt", []byte("no model"))
	key, line := newKey(t, "shop")
	admin, adminLine := newKey(t, "ops", "--role", "admin")
	url, stop := startServe(t, "--data", demo, "--models", dir+"/models", "--keys", line+","+adminLine)
	if status, text, _ := send(t, "GET", url+"/readyz", ""); status != 200 || text != `{"status":"OK","checks":{"data":"ok","models":"degraded","store":"ok"}}` {
		t.Errorf("without a key: %d %s", status, text)
	}
	if _, text, _ := send(t, "GET", url+"/readyz", "", "X-API-Key: "+key); strings.Contains(text, "details") {
		t.Errorf("with the key of a user: %s", text)
	}
	_, text, _ := send(t, "GET", url+"/readyz", "", "X-API-Key: "+admin)
	want := regexp.MustCompile(`"details":\{"data":\{"users":\d+,"newest_order":"[^"]+","age_seconds":[\d.e+]+,"read_at":"[^"]+"\},` +
		`"models":\[\{"name":"price","served":"1","loaded":\["1"\],"refused":\[\{"version":"2","reason":"price/2/model.txt: basket: bad model: [^}]*"\}\]\}\]\}`)
	if !want.MatchString(text) || strings.Contains(text, dir) {
		t.Errorf("details %s, want %s", text, want)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_tokens: a JSON Web Token of the issuer is accepted, with its role.
func TestServe_tokens(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	coordinate := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	file := filepath.Join(t.TempDir(), "jwks.json")
	writeWholeFile(t, file, fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":"1","use":"sig","alg":"ES256","x":%q,"y":%q}]}`, coordinate(point[1:33]), coordinate(point[33:])))
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--jwks", file, "--jwt-issuer", "https://issuer.example", "--jwt-audience", "basket")
	token := func(audience string, claims ...string) string {
		t.Helper()
		c := jwt.MapClaims{"iss": "https://issuer.example", "aud": audience, "sub": "shop", "exp": time.Now().Add(time.Minute).Unix()}
		if len(claims) > 0 {
			c["role"] = claims
		}
		unsigned := jwt.NewWithClaims(jwt.SigningMethodES256, c)
		unsigned.Header["kid"] = "1"
		signed, err := unsigned.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + signed
	}
	for _, test := range []struct {
		path, token string
		want        int
	}{
		{"/predict", token("basket"), 404},
		{"/predict", token("another"), 401},
		{"/admin/routes", token("basket"), 403},
		{"/admin/routes", token("basket", "admin"), 404}, // there are no routes
	} {
		if status, text, _ := send(t, "POST", url+test.path, `{"user_id":"nobody"}`, test.token); status != test.want {
			t.Errorf("%s: %d %s, want %d", test.path, status, text, test.want)
		}
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_open: without keys, only a browser's own pages and programs of this machine
// may read under /admin, and nobody may write.
func TestServe_open(t *testing.T) {
	dir := t.TempDir()
	writeWholeFile(t, dir+"/models/price/1/model.txt", versionOf(t, 1))
	writeWholeFile(t, dir+"/routes.json", []byte(`{"experiment":"e","routes":[{"name":"a","model":"price","weight":1}]}`))
	url, stop := startServe(t, "--data", demo, "--models", dir+"/models", "--routes", dir+"/routes.json")
	for _, test := range []struct {
		method, path string
		headers      []string
		want         int
	}{
		{"GET", "/admin/routes", nil, 200},
		{"PUT", "/admin/routes", []string{"If-Match: *"}, 403},
		{"POST", "/predict", nil, 404},
		{"POST", "/predict", []string{"Sec-Fetch-Site: cross-site"}, 403},
	} {
		if status, text, _ := send(t, test.method, url+test.path, `{"user_id":"nobody"}`, test.headers...); status != test.want {
			t.Errorf("%s %s %v: %d %s, want %d", test.method, test.path, test.headers, status, text, test.want)
		}
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestServe_damagedKeys: a key file that is damaged while it is used keeps the old keys,
// and is told by log and readiness.
func TestServe_damagedKeys(t *testing.T) {
	dir := t.TempDir()
	key, line := newKey(t, "shop")
	writeWholeFile(t, dir+"/keys", []byte(line+"\n"))
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--key-file", dir+"/keys", "--logs", dir+"/logs")
	ready := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			status, text, _ := send(t, "GET", url+"/readyz", "")
			if status == 200 && strings.Contains(text, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("/readyz: %d %s, want 200 with %s", status, text, want)
			}
		}
	}
	writeWholeFile(t, dir+"/keys", []byte(line+"\nops:123\n"))
	ready(`"keys":"degraded"`)
	if status, text, _ := send(t, "POST", url+"/predict", `{"user_id":"nobody"}`, "X-API-Key: "+key); status != 404 {
		t.Errorf("with the old key: %d %s, want 404", status, text)
	}
	writeWholeFile(t, dir+"/keys", []byte(line+"\n"))
	ready(`"keys":"ok"`)
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
	log, err := os.ReadFile(dir + "/logs/service_metrics.txt")
	if want := `ERROR | Failed to reload the keys; what was loaded before is used: serve: `; err != nil || !strings.Contains(string(log), want) {
		t.Errorf("log %s, %v, want %s", log, err, want)
	}
}

// TestServe_allFaults: what is wrong with several files is told at once.
func TestServe_allFaults(t *testing.T) {
	dir := t.TempDir()
	writeWholeFile(t, dir+"/keys", []byte("shop:1\n"))
	writeWholeFile(t, dir+"/model.txt", []byte("no model"))
	writeWholeFile(t, dir+"/jwks.json", []byte("{}"))
	code, out, errs := runBasket(t, "serve", "--data", dir, "--model", dir+"/model.txt", "--key-file", dir+"/keys",
		"--jwks", dir+"/jwks.json", "--jwt-issuer", "i", "--jwt-audience", "a")
	if code != 1 || out != "" {
		t.Errorf("status %d, %s", code, out)
	}
	for _, want := range []string{`keys: line 1: the hash of "shop"`, "model.txt: bad model", "jwks.json", "orders.parquet", "regulars.parquet", "inventory.parquet"} {
		if !strings.Contains(errs, want) {
			t.Errorf("errors %s, want one with %s", errs, want)
		}
	}
}
