package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/oip"
	"github.com/basket-go/basket/serve"
)

// An apiCall is a request, and the status that it has. It is held against the document,
// the answer ever, the request if valid.
type apiCall struct {
	request string // METHOD PATH
	body    string
	headers string // NAME: VALUE, in lines
	status  int
	invalid bool // the document refuses the request too
}

// An apiCalls sends calls, and remembers the statuses of each operation of the document.
type apiCalls struct {
	seen map[string]bool // METHOD PATH STATUS
}

// do sends calls by send.
func (c *apiCalls) do(t *testing.T, key string, calls []apiCall, send func(*http.Request) *http.Response) {
	t.Helper()
	v := newValidator(t)
	for _, call := range calls {
		method, path, _ := strings.Cut(call.request, " ")
		request := func(url string) *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(call.body))
			if err != nil {
				t.Fatal(err)
			}
			if call.body == "" {
				r.Body, r.ContentLength = http.NoBody, 0
			}
			r.Header.Set("X-API-Key", key)
			if call.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			for line := range strings.SplitSeq(call.headers, "\n") {
				name, value, _ := strings.Cut(line, ": ")
				r.Header.Del(name)
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			return r
		}
		name := fmt.Sprintf("%s %.60s, %s", call.request, call.body, call.headers)
		if valid, faults := v.ValidateHttpRequest(request("http://example.com")); valid == call.invalid {
			t.Errorf("%s: the document takes the request: %v, want %v%s", name, valid, !call.invalid, told(faults))
		}
		w := send(request(""))
		text, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		if w.StatusCode != call.status {
			t.Errorf("%s: %d %s, want %d", name, w.StatusCode, text, call.status)
		}
		w.Body = io.NopCloser(strings.NewReader(string(text)))
		if valid, faults := v.ValidateHttpResponse(request("http://example.com"), w); !valid {
			t.Errorf("%s: %d %v %.300s%s", name, w.StatusCode, w.Header, text, told(faults))
		}
		c.seen[method+" "+formOf(path)+fmt.Sprint(" ", w.StatusCode)] = true
	}
}

// formOf returns the path of the document that a path is of.
func formOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	switch {
	case strings.HasPrefix(path, "/v2/models/"):
		parts[3] = "{model}"
		if len(parts) > 5 {
			parts[5] = "{version}"
		}
	case strings.HasPrefix(path, "/docs/"):
		parts[2] = "{file}"
	}
	return strings.Join(parts, "/")
}

// over returns what sends requests to a server.
func over(t *testing.T, url string) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		t.Helper()
		parsed, err := r.URL.Parse(url + r.URL.String())
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.Host = parsed, ""
		w, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Body.Close() })
		return w
	}
}

// TestOpenAPI_calls: requests of every operation, with every status that can be made to
// come, are held against the document.
func TestOpenAPI_calls(t *testing.T) {
	c := &apiCalls{seen: map[string]bool{}}
	t.Run("whole", c.whole)
	t.Run("without parts", c.withoutParts)
	t.Run("limited", c.limited)
	t.Run("failing", c.failing)

	d := readDocument(t)
	// Statuses that are told by the tests of the packages: a file that cannot be written or
	// is held by another process, and a scrape of /metrics that takes too long.
	elsewhere := []string{"PUT /admin/routes 500", "GET /metrics 503"}
	for path := range d.Paths {
		for method, o := range d.operations(t, path) {
			for status := range o.Responses {
				name := method + " " + path + " " + status
				if !c.seen[name] && !slices.Contains(elsewhere, name) {
					t.Errorf("no request has %s", name)
				}
			}
		}
	}
	if len(c.seen) < 100 {
		t.Errorf("%d statuses of operations: want 100 or more", len(c.seen))
	}
}

// whole asks a server that has all parts.
func (c *apiCalls) whole(t *testing.T) {
	dir := t.TempDir()
	for i := 1; i <= 2; i++ {
		writeWholeFile(t, fmt.Sprintf("%s/models/basket/%d/model.txt", dir, i), versionOf(t, i-1))
	}
	const table = `{"experiment":"trees","routes":[{"name":"old","model":"basket@1","weight":1},{"name":"new","model":"basket","shadow":true}]}`
	writeWholeFile(t, dir+"/routes.yaml", []byte(table))
	mustRun(t, "profile", "--data", demo, "--model", dir+"/models/basket/1/model.txt", "--out", dir+"/profile.json")
	key, line := newKey(t, "shop")
	admin, adminLine := newKey(t, "ops", "--role", "admin")
	url, stop := startServe(t, "--data", demo, "--models", dir+"/models", "--routes", dir+"/routes.yaml", "--profile", dir+"/profile.json", "--ui",
		"--keys", line+","+adminLine, "--max-body", "1000", "--max-batch", "2", "--max-batch-body", "4000")
	user := newChangingShop(t, demo).users[0]
	predict := fmt.Sprintf(`{"user_id":%q}`, user)
	long := `{"user_id":"a","more":"` + strings.Repeat("x", 1000) + `"}`
	const cross, gz = "Sec-Fetch-Site: cross-site", "Content-Encoding: gzip"
	calls := []apiCall{
		{request: "POST /predict", body: predict, status: 200},
		{request: "POST /predict?explain=true", body: predict, status: 200},
		{request: "POST /predict?explain=maybe", body: predict, status: 400, invalid: true},
		{request: "POST /predict", body: `{"user_id":"nobody"}`, status: 404},
		{request: "POST /predict", body: `{"user":"nobody"}`, status: 400, invalid: true},
		{request: "POST /predict", body: predict, headers: "X-API-Key: ", status: 401, invalid: true},
		{request: "POST /predict", body: predict, headers: cross, status: 403},
		{request: "POST /predict", body: long, status: 413},
		{request: "POST /predict", body: predict, headers: "Content-Type: text/plain", status: 415, invalid: true},
		{request: "POST /predict/batch", body: fmt.Sprintf(`{"user_ids":[%q,"\n"]}`, user), status: 200},
		{request: "POST /predict/batch", body: `{"user_ids":["nobody"]}`, status: 200},
		{request: "POST /predict/batch", body: `{"user_ids":[1]}`, status: 400, invalid: true},
		{request: "POST /predict/batch", body: `{"user_ids":["a"]}`, headers: "X-API-Key: no", status: 401},
		{request: "POST /predict/batch", body: `{"user_ids":["a"]}`, headers: cross, status: 403},
		{request: "POST /predict/batch", body: `{"user_ids":["a","b","c"]}`, status: 413},
		{request: "POST /predict/batch", body: `{"user_ids":["a"]}`, headers: "Content-Type: text/plain", status: 415, invalid: true},

		{request: "GET /v2", status: 200}, {request: "GET /v2", headers: "X-API-Key: no", status: 401},
		{request: "GET /v2/health/live", headers: "X-API-Key: ", status: 200}, {request: "GET /v2/health/ready", headers: "X-API-Key: ", status: 200},
		{request: "GET /status", headers: "X-API-Key: ", status: 200}, {request: "GET /livez", headers: "X-API-Key: ", status: 200},
		{request: "GET /readyz", status: 200}, {request: "GET /readyz", headers: "X-API-Key: ", status: 200}, {request: "GET /readyz", headers: "X-API-Key: " + admin, status: 200},
		{request: "GET /openapi.json", headers: "X-API-Key: ", status: 200}, {request: "GET /docs", headers: "X-API-Key: ", status: 200},
		{request: "GET /docs/start.js", headers: "X-API-Key: ", status: 200}, {request: "GET /docs/swagger-ui.css", headers: "X-API-Key: ", status: 200},
		{request: "GET /docs/nothing", status: 404, invalid: true}, {request: "GET /docs/nothing", headers: "X-API-Key: ", status: 401, invalid: true},
	}
	rows := `{"id":"q7","inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[94.61,15,null,0]}]}`
	users := fmt.Sprintf(`{"inputs":[{"name":"user_id","shape":[1],"datatype":"BYTES","data":[%q]}],"outputs":[{"name":"predicted_price"}]}`, user)
	head := `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","parameters":{"binary_data_size":32}}],"parameters":{"binary_data_output":true}}`
	tensor := head
	for _, v := range []float64{94.61, 15, math.NaN(), 0} {
		tensor += string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
	}
	const octets = "Content-Type: application/octet-stream\nInference-Header-Content-Length: "
	for _, of := range []string{"/v2/models/%s", "/v2/models/%s/versions/1"} {
		path := fmt.Sprintf(of, "basket-features")
		for _, path := range []string{path, path + "/ready"} {
			calls = append(calls, apiCall{request: "GET " + path, status: 200}, apiCall{request: "GET " + path, headers: "X-API-Key: no", status: 401},
				apiCall{request: "GET " + strings.Replace(path, "basket", "nothing", 1), status: 404})
		}
		infer, inferUsers := "POST "+path+"/infer", fmt.Sprintf("POST "+of, "basket")+"/infer"
		calls = append(calls, []apiCall{
			{request: infer, body: rows, status: 200},
			{request: infer, body: tensor, headers: octets + fmt.Sprint(len(head)), status: 200},
			{request: infer, body: tensor, headers: octets + "-1", status: 400, invalid: true},
			{request: infer, body: strings.Replace(rows, "FP64", "FP99", 1), status: 400, invalid: true},
			{request: infer, body: strings.Replace(rows, `"inputs"`, `"outputs"`, 1), status: 400, invalid: true},
			{request: infer, body: rows, headers: "X-API-Key: no", status: 401},
			{request: infer, body: rows, headers: cross, status: 403},
			{request: strings.Replace(infer, "basket", "nothing", 1), body: rows, status: 404},
			{request: infer, body: strings.Replace(rows, "[1,4]", "[3,4]", 1), status: 413},
			{request: infer, body: rows, headers: "Content-Encoding: br", status: 415},
			{request: infer, body: rows, headers: gz, status: 400},
			{request: inferUsers, body: users, status: 200},
			{request: inferUsers, body: strings.Replace(users, user, "nobody", 1), status: 404},
		}...)
	}
	adminKey := "X-API-Key: " + admin
	for _, path := range []string{"/metrics", "/drift", "/drift?form=snapshot", "/admin/routes", "/admin/shadows", "/ui/"} {
		calls = append(calls, apiCall{request: "GET " + path, headers: adminKey, status: 200}, apiCall{request: "GET " + path, status: 403},
			apiCall{request: "GET " + path, headers: "X-API-Key: no", status: 401})
	}
	put := func(body, headers string, status int, invalid bool) {
		calls = append(calls, apiCall{request: "PUT /admin/routes", body: body, headers: adminKey + "\n" + headers, status: status, invalid: invalid})
	}
	put(table, "If-Match: *", 200, false)
	put(table, "If-Match: *\n"+cross, 403, false)
	put(table, "If-Match: *\nX-API-Key: no", 401, false)
	put(strings.Replace(table, `"weight":1`, `"weight":-1`, 1), "If-Match: *", 400, true)
	put(strings.Replace(table, `"weight":1`, `"weight":0`, 1), "If-Match: *", 400, true)
	put(strings.Replace(table, `"shadow":true`, `"shadow":true,"weight":1`, 1), "If-Match: *", 400, true)
	put(strings.Replace(table, "basket@1", "basket@9", 1), "If-Match: *", 409, false)
	put(table, `If-Match: "0"`, 412, false)
	put(table, "", 428, true)
	put(table, "If-Match: *\nContent-Type: text/plain", 415, true)
	put(`{"more":"`+strings.Repeat("x", 1<<20)+`"}`, "If-Match: *", 413, true)
	calls = append(calls, apiCall{request: "GET /drift?form=x", headers: adminKey, status: 400, invalid: true})
	c.do(t, key, calls, over(t, url))

	_, _, header := send(t, "GET", url+"/admin/routes", "", adminKey)
	c.do(t, admin, []apiCall{{request: "GET /admin/routes", headers: "If-None-Match: " + header.Get("Etag"), status: 304}}, over(t, url))
	c.methods(t, admin, over(t, url))
	if n := sendExamples(t, url, admin); n < 15 {
		t.Errorf("%d examples: want 15 or more", n)
	}
	if code, errs := stop(); code != 0 || errs != "" {
		t.Errorf("status %d, %s", code, errs)
	}
}

// methods sends every method to every path: those of the document, and HEAD with GET, are
// served, and all others answered by 405 with those that are.
func (c *apiCalls) methods(t *testing.T, key string, send func(*http.Request) *http.Response) {
	t.Helper()
	d := readDocument(t)
	named := strings.NewReplacer("{model}", "basket-features", "{version}", "1", "{file}", "start.js")
	for path := range d.Paths {
		if path == uiPath+"/" {
			continue // a page of package dash, which has paths below it
		}
		served := slices.Collect(maps.Keys(d.operations(t, path)))
		if slices.Contains(served, "GET") {
			served = append(served, "HEAD")
		}
		slices.Sort(served)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			r, err := http.NewRequestWithContext(t.Context(), method, named.Replace(path), http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-API-Key", key)
			w := send(r)
			if refused := w.StatusCode == 405; refused == slices.Contains(served, method) {
				t.Errorf("%s %s: %d, but %q are served", method, path, w.StatusCode, served)
			} else if want := strings.Join(served, ", "); refused && (w.Header.Get("Allow") != want || w.Header.Get("Content-Type") != "application/json") {
				t.Errorf("%s %s: %v, want Allow: %s", method, path, w.Header, want)
			}
		}
	}
}

// withoutParts asks a server that has no models folder, routes, profile and page.
func (c *apiCalls) withoutParts(t *testing.T) {
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--admin")
	c.do(t, "none", []apiCall{
		{request: "GET /drift", status: 404}, {request: "GET /admin/routes", status: 404}, {request: "GET /admin/shadows", status: 404}, {request: "GET /ui/", status: 404},
		{request: "PUT /admin/routes", body: `{"experiment":"e","routes":[{"name":"a","model":"m","weight":1}]}`, headers: "If-Match: *", status: 404},
	}, over(t, url))
	stop()
}

// limited asks a server that serves one request in a long time, and then one that serves
// none at the moment.
func (c *apiCalls) limited(t *testing.T) {
	d := readDocument(t)
	named := strings.NewReplacer("{model}", "basket-features", "{version}", "1", "{file}", "start.js")
	var calls []apiCall
	for path := range d.Paths {
		for method, o := range d.operations(t, path) {
			if _, ok := o.Responses["429"]; ok {
				calls = append(calls, apiCall{request: method + " " + named.Replace(path), headers: "If-Match: *", status: 429, invalid: method != "GET"})
			}
		}
	}
	url, stop := startServe(t, "--data", demo, "--model", demo+"/model.txt", "--admin", "--rate-limit", "0.001", "--rate-burst", "1")
	_, _, _ = send(t, "GET", url+"/v2", "")
	c.do(t, "none", calls, over(t, url))
	stop()

	for i := range calls {
		calls[i].status = 503
	}
	calls = slices.DeleteFunc(calls, func(call apiCall) bool { return call.request == "GET /metrics" })
	busy := newFailing(t, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	busy.store = func(context.Context) error { entered <- struct{}{}; <-leave; return basket.ErrUserNotFound }
	h := busy.handler(t, limitSettings{MaxConcurrent: 1, QueueTime: time.Millisecond})
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"a"}`))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}()
	<-entered
	c.do(t, "none", calls, inProcess(h))
	close(leave)
	<-done
}

// A failing is a server whose store and model do what a test says.
type failing struct {
	store func(context.Context) error // nil: there is a row
	model error
}

func newFailing(_ *testing.T, model error) *failing { return &failing{model: model} }

func (f *failing) Features() []string { return basket.FeatureNames() }

func (f *failing) Predict(_ context.Context, dst, _ []float64) error {
	for i := range dst {
		dst[i] = 1
	}
	return f.model
}

func (f *failing) Row(ctx context.Context, userID string) (basket.Row, error) {
	if f.store != nil {
		if err := f.store(ctx); err != nil {
			return basket.Row{}, err
		}
	}
	return basket.Row{UserID: userID, OrderedAt: time.Now().Add(-time.Hour), Values: make([]float64, 4)}, nil
}

// handler returns the handler of the command around the store and model.
func (f *failing) handler(t *testing.T, l limitSettings, opts ...basket.Option) http.Handler {
	t.Helper()
	l.MaxBody, l.MaxBatch, l.MaxBatchBody = 1<<16, 10_000, 1<<24
	s := &server{serveCmd: &serveCmd{Addr: "127.0.0.1:0", Limits: l, Auth: authSettings{Admin: true}}, logEvent: func(string, error) {}}
	var err error
	if s.limits, err = l.build(); err != nil {
		t.Fatal(err)
	}
	if err := s.openTelemetry(t.Context(), func() int64 { return 0 }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.telemetry.close)
	p, err := basket.New(append(opts, basket.WithStore(f), basket.WithModel(f))...)
	if err != nil {
		t.Fatal(err)
	}
	ready := func(ctx context.Context) error { _, err := f.Row(ctx, "a"); return err }
	s.checks = append(s.checks, serve.Check{Name: "store", Do: ready})
	versions := func() []oip.Version { return []oip.Version{{Name: "basket", Version: "1", Model: f}} }
	return s.handler(t.Context(), p, oip.NewHandler(f, versions, oip.WithReady(s.ready), oip.WithPredictor(opts...)))
}

// inProcess returns what sends requests to a handler.
func inProcess(h http.Handler) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		r.Host = "localhost"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
}

// failing asks servers whose store or model fails.
func (c *apiCalls) failing(t *testing.T) {
	const user, users = `{"user_id":"a"}`, `{"inputs":[{"name":"user_id","shape":[1],"datatype":"BYTES","data":["a"]}]}`
	infer := func(status int) []apiCall {
		return []apiCall{{request: "POST /v2/models/basket/infer", body: users, status: status}, {request: "POST /v2/models/basket/versions/1/infer", body: users, status: status}}
	}
	f := newFailing(t, nil)
	c.do(t, "none", []apiCall{{request: "POST /predict?explain=true", body: user, status: 501}}, inProcess(f.handler(t, limitSettings{})))
	f = newFailing(t, errors.New("the model is broken"))
	c.do(t, "none", append(infer(500), apiCall{request: "POST /predict", body: user, status: 500}), inProcess(f.handler(t, limitSettings{})))
	f = newFailing(t, nil)
	c.do(t, "none", append(infer(409), apiCall{request: "POST /predict", body: user, status: 409}),
		inProcess(f.handler(t, limitSettings{}, basket.WithMaxAge(time.Minute, basket.RefuseStale))))
	f = newFailing(t, nil)
	f.store = func(context.Context) error { return errors.New("the store is away") }
	c.do(t, "none", append(infer(503), []apiCall{
		{request: "POST /predict", body: user, status: 503}, {request: "POST /predict/batch", body: `{"user_ids":["a"]}`, status: 503},
		{request: "GET /readyz", status: 503}, {request: "GET /v2/health/ready", status: 503},
	}...), inProcess(f.handler(t, limitSettings{})))
	f = newFailing(t, nil)
	f.store = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	c.do(t, "none", append(infer(504), apiCall{request: "POST /predict", body: user, status: 503}), inProcess(f.handler(t, limitSettings{Timeout: 10 * time.Millisecond})))
}
