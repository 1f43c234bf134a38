package routing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/routing"
	"github.com/google/go-cmp/cmp"
)

// request sends a request to the handler of f.
func request(t testing.TB, f *routing.File, p *basket.Predictor, method, ifMatch, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/admin/routes", strings.NewReader(body))
	if ifMatch != "" {
		r.Header.Set("If-Match", ifMatch)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	f.Handler(p).ServeHTTP(w, r)
	return w
}

func get(t testing.TB, f *routing.File, p *basket.Predictor) *httptest.ResponseRecorder {
	t.Helper()
	w := request(t, f, p, http.MethodGet, "", "", "")
	if w.Code != http.StatusOK {
		t.Fatalf("GET: %d %s", w.Code, w.Body)
	}
	return w
}

// put changes the routes, which must succeed.
func put(t testing.TB, f *routing.File, p *basket.Predictor, ifMatch, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := request(t, f, p, http.MethodPut, ifMatch, "application/json", body)
	if w.Code != http.StatusOK {
		t.Fatalf("PUT: %d %s", w.Code, w.Body)
	}
	return w
}

// requests is a ServiceLogger that keeps the requests and the messages.
type requests struct {
	mu   sync.Mutex
	list []basket.ServiceEvent
}

func (l *requests) LogService(_ context.Context, e basket.ServiceEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

func TestFile_Handler_put(t *testing.T) {
	models := newModels(t, "price@1", "price@2")
	models.add("many@1", model(t, "many@1", "multiclass"))
	for _, test := range []struct {
		name, ifMatch, contentType, body string
		status                           int
		detail                           string
	}{
		{"a new table", "ETAG", "application/json", one("price@2"), 200, ""},
		{"whatever was there", "*", "application/json; charset=utf-8", one("price@2"), 200, ""},
		{"one of several tags", `"a", ETAG`, "", one("price@2"), 200, ""},
		{"no If-Match", "", "application/json", one("price@2"), 428, "Send the header If-Match with the ETag that GET answered, or with *"},
		{"another tag", `"a"`, "application/json", one("price@2"), 412, "The routes have changed: GET them again, which may answer the old ones for some seconds"},
		{"a weak tag", `W/ETAG`, "application/json", one("price@2"), 412, "The routes have changed: GET them again, which may answer the old ones for some seconds"},
		{"YAML", "ETAG", "application/yaml", "experiment: x", 415, "Unsupported media type: send the header Content-Type: application/json"},
		{"a long body", "ETAG", "application/json", strings.Repeat(" ", 1<<20) + one("price@2"), 413, "Request body over 1048576 bytes"},
		{"no JSON", "ETAG", "application/json", "x", 400, "line 1: invalid character 'x' looking for beginning of value: want a JSON object"},
		{"two faults", "ETAG", "application/json", `{"experiment": "x", "routes": [{"name": "a", "model": "price@2", "weight": -1, "shdow": true}]}`, 400,
			`routes[0]: unknown field "shdow": want name, model, weight, shadow; routes[0].weight: -1: want a whole number of 0 to 1000000`},
		{"an unknown version", "ETAG", "application/json", one("price@9"), 409, `routes[0].model: no model "price@9" is loaded`},
		{"an unknown model", "ETAG", "application/json", one("prise"), 409, `routes[0].model: no model "prise" is loaded`},
		{"a model of several predictions", "ETAG", "application/json", one("many@1"), 409, "routes: a model does not fit the store: the service log says which"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newFile(t, one("price@1"))
			log := &requests{}
			f := open(t, path, models, routing.WithServiceLogger(log), routing.WithClient(func(context.Context) string { return "ann" }))
			p := newPredictor(t, f)
			before := get(t, f, p)
			tag := before.Header().Get("ETag")
			w := request(t, f, p, http.MethodPut, strings.ReplaceAll(test.ifMatch, "ETAG", tag), test.contentType, test.body)
			var answer struct{ Detail string }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if w.Code != test.status || answer.Detail != test.detail {
				t.Errorf("%d %s, want %d %q", w.Code, w.Body, test.status, test.detail)
			}
			if e := log.list[len(log.list)-1]; e.Status != test.status || e.Method != "PUT" || (e.Err == nil) != (test.status == 200) {
				t.Errorf("logged %+v", e)
			}
			after := get(t, f, p)
			text, err := os.ReadFile(path)
			info, statErr := os.Stat(path)
			if err := errors.Join(err, statErr); err != nil {
				t.Fatal(err)
			}
			if test.status == http.StatusOK {
				wantModel(t, p, "PUT", "price@2")
				if w.Body.String() != string(text) || after.Body.String() != string(text) || after.Header().Get("ETag") != w.Header().Get("ETag") || tag == w.Header().Get("ETag") {
					t.Errorf("PUT answers %s %s, GET %s %s, the file is %s", w.Header(), w.Body, after.Header(), after.Body, text)
				}
				if info.Mode().Perm() != 0o640 {
					t.Errorf("mode %v, want it as it was", info.Mode())
				}
				if got, want := log.list[1].Message, `Routes, changed by "ann", are now "x": "main" is price@2, weight 1`; got != want {
					t.Errorf("logged %q, want %q", got, want)
				}
				return
			}
			wantModel(t, p, "a refused PUT", "price@1")
			if string(text) != one("price@1") || after.Body.String() != before.Body.String() {
				t.Errorf("after a refused PUT the file is %s, GET answers %s", text, after.Body)
			}
			if diff := cmp.Diff([]string{"price@1"}, models.holds()); diff != "" {
				t.Errorf("held after a refused PUT (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFile_Handler_get: what GET answers can be sent back, and is answered only if
// the client does not have it.
func TestFile_Handler_get(t *testing.T) {
	f := open(t, newFile(t, withShadow), newModels(t, "price@1", "price@2"))
	p := newPredictor(t, f)
	first := get(t, f, p)
	again := put(t, f, p, first.Header().Get("ETag"), first.Body.String())
	if again.Header().Get("ETag") != first.Header().Get("ETag") || again.Body.String() != first.Body.String() {
		t.Errorf("sent back: %s, want %s", again.Body, first.Body)
	}
	r := httptest.NewRequest(http.MethodGet, "/admin/routes", nil)
	r.Header.Set("If-None-Match", first.Header().Get("ETag"))
	w := httptest.NewRecorder()
	f.Handler(p).ServeHTTP(w, r)
	if w.Code != http.StatusNotModified {
		t.Errorf("GET with If-None-Match: %d", w.Code)
	}
	if w := request(t, f, p, http.MethodHead, "", "", ""); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("ETag") != first.Header().Get("ETag") {
		t.Errorf("HEAD: %d %s %s", w.Code, w.Header(), w.Body)
	}
	if w := request(t, f, p, http.MethodPost, "*", "", ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD, PUT" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// TestFile_Handler_operators: of two operators who change the same table, the second
// is refused, and succeeds when he has seen the first one's change. They reach two
// processes, of which the second has not read the file again yet.
func TestFile_Handler_operators(t *testing.T) {
	models := newModels(t, "price@1", "price@2", "price@3")
	path := newFile(t, one("price@1"))
	f, g := open(t, path, models), open(t, path, models)
	p, q := newPredictor(t, f), newPredictor(t, g)
	tag := get(t, f, p).Header().Get("ETag")
	changed := put(t, f, p, tag, one("price@2"))
	for _, other := range []struct {
		f *routing.File
		p *basket.Predictor
	}{{f, p}, {g, q}} {
		if w := request(t, other.f, other.p, http.MethodPut, tag, "", one("price@3")); w.Code != http.StatusPreconditionFailed {
			t.Errorf("the second operator: %d %s, want 412", w.Code, w.Body)
		}
	}
	put(t, g, q, changed.Header().Get("ETag"), one("price@3"))
	wantModel(t, q, "the process that changed the file", "price@3")
	wantModel(t, p, "the one that did not", "price@2")
}

// TestFile_Handler_ConcurrentSafe: of many who change the same table at once, in two
// processes, one succeeds.
func TestFile_Handler_ConcurrentSafe(t *testing.T) {
	models := newModels(t, "price@1", "price@2")
	path := newFile(t, one("price@1"))
	files := []*routing.File{open(t, path, models), open(t, path, models)}
	predictors := []*basket.Predictor{newPredictor(t, files[0]), newPredictor(t, files[1])}
	tag := get(t, files[0], predictors[0]).Header().Get("ETag")
	statuses := make([]int, 8)
	var group sync.WaitGroup
	for i := range statuses {
		group.Go(func() {
			body := fmt.Sprintf(`{"experiment": "x%d", "routes": [{"name": "main", "model": "price@2", "weight": 1}]}`, i)
			statuses[i] = request(t, files[i%2], predictors[i%2], http.MethodPut, tag, "", body).Code
		})
	}
	group.Wait()
	counts := map[int]int{}
	for _, s := range statuses {
		counts[s]++
	}
	if diff := cmp.Diff(map[int]int{200: 1, 412: 7}, counts); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}

// TestFile_Handler_brokenFile: a file that cannot be used is not overwritten by
// chance, but on purpose.
func TestFile_Handler_brokenFile(t *testing.T) {
	path := newFile(t, one("price@1"))
	f := open(t, path, newModels(t, "price@1", "price@2"))
	p := newPredictor(t, f)
	write(t, path, `{"experiment":`)
	w := request(t, f, p, http.MethodPut, get(t, f, p).Header().Get("ETag"), "", one("price@2"))
	if w.Code != http.StatusPreconditionFailed || !strings.Contains(w.Body.String(), "If-Match: *") {
		t.Errorf("PUT over a broken file: %d %s", w.Code, w.Body)
	}
	put(t, f, p, "*", one("price@2"))
	wantModel(t, p, "PUT", "price@2")
}

// TestFile_Handler_link: the file behind a link is replaced, not the link.
func TestFile_Handler_link(t *testing.T) {
	path := newFile(t, one("price@1"))
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f := open(t, link, newModels(t, "price@1", "price@2"))
	put(t, f, newPredictor(t, f), "*", one("price@2"))
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "price@2") {
		t.Errorf("the file: %s, %v", text, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder: %v, %v, want no temporary file", entries, err)
	}
}

// TestFile_Handler_writeFails: the routes stay if the file cannot be written, and the
// client is not told where it is.
func TestFile_Handler_writeFails(t *testing.T) {
	path := newFile(t, one("price@1"))
	log := &requests{}
	f := open(t, path, newModels(t, "price@1", "price@2"), routing.WithServiceLogger(log))
	p := newPredictor(t, f)
	before := get(t, f, p)
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	w := request(t, f, p, http.MethodPut, "*", "", one("price@2"))
	if want := `{"detail":"The routes cannot be changed: the service log says why"}`; w.Code != 500 || w.Body.String() != want {
		t.Errorf("%d %s, want 500 %s", w.Code, w.Body, want)
	}
	if err := log.list[len(log.list)-1].Err; !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("logged %v, want the path", err)
	}
	wantModel(t, p, "PUT", "price@1")
	if after := get(t, f, p); after.Body.String() != before.Body.String() {
		t.Errorf("GET answers %s", after.Body)
	}
}

// TestFile_Handler_renameFails: the routes are those of before also if the last step
// fails, after p had the new ones.
func TestFile_Handler_renameFails(t *testing.T) {
	path := newFile(t, one("price@1"))
	armed := false
	f := open(t, path, newModels(t, "price@1", "price@2"), routing.WithDecoder(func(text []byte) ([]byte, error) {
		if armed { // the file becomes a folder after it was read
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
				t.Error(err)
			}
		}
		return text, nil
	}))
	p := newPredictor(t, f)
	armed = true
	if w := request(t, f, p, http.MethodPut, "*", "", one("price@2")); w.Code != http.StatusInternalServerError {
		t.Errorf("PUT: %d %s", w.Code, w.Body)
	}
	wantModel(t, p, "PUT", "price@1")
	if got := f.Table().Routes[0].Model; got != "price@1" {
		t.Errorf("table of %s", got)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder: %v, %v, want no temporary file", entries, err)
	}
}
