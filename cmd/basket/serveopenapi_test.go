package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/basket-go/basket/oip"
	diff "github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/errors"
)

// An apiDocument is what the tests read of openapi.json.
type apiDocument struct {
	Paths map[string]map[string]json.RawMessage `json:"paths"`
}

// An apiOperation is a method of a path.
type apiOperation struct {
	Parameters []json.RawMessage `json:"parameters"`
	Security   *[]any            `json:"security"`
	Body       struct {
		Content map[string]struct {
			Example  json.RawMessage `json:"example"`
			Examples map[string]struct {
				Value json.RawMessage `json:"value"`
			} `json:"examples"`
		} `json:"content"`
	} `json:"requestBody"`
	Responses map[string]json.RawMessage `json:"responses"`
}

// operations returns the operations of a path, by method.
func (d apiDocument) operations(t *testing.T, path string) map[string]apiOperation {
	t.Helper()
	all := map[string]apiOperation{}
	for method, text := range d.Paths[path] {
		if method == "parameters" {
			continue
		}
		var o apiOperation
		if err := json.Unmarshal(text, &o); err != nil {
			t.Fatal(err)
		}
		all[strings.ToUpper(method)] = o
	}
	return all
}

func readDocument(t *testing.T) (d apiDocument) {
	t.Helper()
	if err := json.Unmarshal(openAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// newValidator returns a validator of the document.
func newValidator(t *testing.T) validator.Validator {
	t.Helper()
	d, err := libopenapi.NewDocument(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(d)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return v
}

// told returns faults in lines.
func told(faults []*errors.ValidationError) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "\n%s: %s", f.Message, f.Reason)
		for _, s := range f.SchemaValidationErrors {
			fmt.Fprintf(&b, "\n\t%s: %s", s.FieldPath, s.Reason)
		}
	}
	return b.String()
}

// TestOpenAPI_valid: the document is OpenAPI 3.1.
func TestOpenAPI_valid(t *testing.T) {
	if ok, faults := newValidator(t).ValidateDocument(); !ok {
		t.Error(told(faults))
	}
}

// TestOpenAPI_paths: the document has the paths of the server and no other, and says which
// of them need no key.
func TestOpenAPI_paths(t *testing.T) {
	want := append(oip.Paths(), "/predict", "/predict/batch", "/docs/{file}") // the first two of basket.NewHandler
	for _, path := range freePaths {
		if !strings.HasPrefix(path, "/docs/") {
			want = append(want, path)
		}
	}
	for _, path := range adminPaths {
		switch path {
		case "/admin":
			want = append(want, "/admin/routes", "/admin/shadows")
		case uiPath:
			want = append(want, uiPath+"/")
		default:
			want = append(want, path)
		}
	}
	slices.Sort(want)
	d := readDocument(t)
	var got []string
	for path := range d.Paths {
		got = append(got, path)
		for method, o := range d.operations(t, path) {
			free := o.Security != nil
			if is := slices.Contains(freePaths, strings.ReplaceAll(path, "{file}", "start.js")); free != is {
				t.Errorf("%s %s needs no key: %v, want %v", method, path, free, is)
			}
		}
	}
	slices.Sort(got)
	if d := diff.Diff(slices.Compact(want), got); d != "" {
		t.Error(d)
	}
	for path := range documents() {
		if name, ok := strings.CutPrefix(path, "/docs/"); ok && !bytes.Contains(d.Paths["/docs/{file}"]["parameters"], []byte(`"`+name+`"`)) {
			t.Errorf("the document does not name %s", path)
		}
	}
}

// TestServe_openapi: the document, its page and the files of this are served to everyone,
// in every encoding, with the headers of pages.
func TestServe_openapi(t *testing.T) {
	_, line := newKey(t, "shop")
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--keys", line, "--rate-limit", "0.01", "--rate-burst", "1")
	for path := range documents() {
		var texts []string
		for _, encoding := range []string{"identity", "gzip", "br, gzip;q=0.5", "gzip;q=0"} {
			status, text, header := send(t, "GET", url+path, "", "Accept-Encoding: "+encoding)
			if header.Get("Content-Encoding") == "gzip" {
				if encoding == "identity" || encoding == "gzip;q=0" {
					t.Errorf("%s is compressed for %s", path, encoding)
				}
				z, err := gzip.NewReader(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(z)
				if err != nil {
					t.Fatal(err)
				}
				text = strings.TrimSpace(string(plain))
			}
			texts = append(texts, text)
			if status != 200 || header.Get("X-Content-Type-Options") != "nosniff" || strings.Contains(header.Get("Content-Security-Policy"), "unsafe") {
				t.Errorf("GET %s: %d %v", path, status, header)
			}
		}
		if texts = slices.Compact(texts); len(texts) != 1 || texts[0] == "" {
			t.Errorf("%s has %d texts", path, len(texts))
		}
		if status, text, header := send(t, "POST", url+path, ""); status != 405 || header.Get("Allow") != "GET, HEAD" || text != `{"detail":"Method Not Allowed"}` {
			t.Errorf("POST %s: %d %s %v", path, status, text, header)
		}
	}
	if status, _, _ := send(t, "GET", url+"/docs/nothing", ""); status != 401 {
		t.Errorf("another file without a key: %d", status)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// TestOpenAPI_refuses: what the validator is told by the document is what it demands.
func TestOpenAPI_refuses(t *testing.T) {
	v := newValidator(t)
	request := func(body string) *http.Request {
		r := httptest.NewRequest("POST", "/predict", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-API-Key", "key")
		return r
	}
	for body, want := range map[string]bool{
		`{"user_id":"a"}`: true, `{"user_id":"a","more":1}`: true, `{}`: false, `{"user_id":1}`: false, `{"user_id":""}`: false, `{"user_id":"a\u0000"}`: false,
	} {
		if ok, faults := v.ValidateHttpRequest(request(body)); ok != want {
			t.Errorf("request %s: %v, want %v%s", body, ok, want, told(faults))
		}
	}
	for _, test := range []struct {
		status       int
		header, body string
		want         bool
	}{
		{200, "application/json", `{"user_id":"a","predicted_price":1.5,"timestamp":"2025-06-23T14:18:07Z"}`, true},
		{200, "application/json", `{"user_id":"a","predicted_price":"1.5","timestamp":"2025-06-23T14:18:07Z"}`, false},
		{200, "application/json", `{"user_id":"a","timestamp":"2025-06-23T14:18:07Z"}`, false},
		{200, "application/json", `{"user_id":"a","predicted_price":1.5,"path":"/srv","timestamp":"2025-06-23T14:18:07Z"}`, false},
		{200, "text/plain", `{"user_id":"a","predicted_price":1.5,"timestamp":"2025-06-23T14:18:07Z"}`, false},
		{404, "application/json", `{"detail":"User not found"}`, true},
		{404, "application/json", `{"error":"User not found"}`, false},
		{418, "application/json", `{"detail":"User not found"}`, false},
		{503, "application/json", `{"detail":"Service unavailable"}`, false}, // without Retry-After
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", test.header)
		w.Header().Set("X-Request-Id", "1")
		w.WriteHeader(test.status)
		_, _ = io.WriteString(w, test.body)
		if ok, faults := v.ValidateHttpResponse(request(`{"user_id":"a"}`), w.Result()); ok != test.want {
			t.Errorf("answer %d %s %s: %v, want %v%s", test.status, test.header, test.body, ok, test.want, told(faults))
		}
	}
}

// sendExamples sends the examples of the document, which are for the demo shop, with a key
// for administrators, and returns how many there are.
func sendExamples(t *testing.T, url, key string) (examples int) {
	t.Helper()
	d := readDocument(t)
	named := strings.NewReplacer("{model}", "basket-features", "{version}", "1", "{file}", "start.js")
	paths := slices.Sorted(maps.Keys(d.Paths))
	slices.Reverse(paths) // /predict before what changes the routes
	for _, path := range paths {
		for method, o := range d.operations(t, path) {
			bodies := []json.RawMessage{nil}
			if content, ok := o.Body.Content["application/json"]; ok {
				bodies = nil
				if content.Example != nil {
					bodies = append(bodies, content.Example)
				}
				for _, e := range content.Examples {
					bodies = append(bodies, e.Value)
				}
			}
			if len(bodies) == 0 {
				t.Errorf("%s %s has no example", method, path)
			}
			for _, body := range bodies {
				examples++
				status, text, _ := send(t, method, url+named.Replace(path), string(body), "X-API-Key: "+key, "Content-Type: application/json", "If-Match: *")
				if status != 200 {
					t.Errorf("%s %s %s: %d %s", method, path, body, status, text)
				}
				if path == "/predict" && !strings.Contains(text, cmp.Or(examplePrice(t, o), "no price")) {
					t.Errorf("/predict: %s, want the price %s of the document", text, examplePrice(t, o))
				}
			}
		}
	}
	return examples
}

// examplePrice returns the price in the example of an answer.
func examplePrice(t *testing.T, o apiOperation) string {
	t.Helper()
	var r struct {
		Content map[string]struct {
			Example struct {
				Price json.Number `json:"predicted_price"`
			} `json:"example"`
		} `json:"content"`
	}
	if err := json.Unmarshal(o.Responses["200"], &r); err != nil {
		t.Fatal(err)
	}
	return r.Content["application/json"].Example.Price.String()
}
