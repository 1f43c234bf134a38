package basket_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

// newHandler serves the users abc123, αβγ, a"b and one of the longest ID, with a
// model that predicts 53.6.
func newHandler(t testing.TB, opts ...basket.Option) http.Handler {
	t.Helper()
	s := mustStore(t, row("abc123", 1, 1), row("αβγ", 1, 1), row(`a"b`, 1, 1), row(strings.Repeat("x", 1024), 1, 1))
	opts = append([]basket.Option{basket.WithStore(s), basket.WithModel(constant(53.6))}, opts...)
	return basket.NewHandler(mustNew(t, opts...))
}

// TestHandler_table is the table of requests and responses.
func TestHandler_table(t *testing.T) {
	long := strings.Repeat("x", 1025)
	tests := []struct {
		name                    string
		method, path, mediaType string
		body                    string
		status                  int
		want                    string // the body, T standing for a timestamp
		header, value           string
	}{
		{name: "status", method: "GET", path: "/status", status: 200, want: `{"status":"OK","timestamp":"T"}`},
		{name: "predict", method: "POST", path: "/predict", body: `{"user_id":"abc123"}`, status: 200, want: `{"user_id":"abc123","predicted_price":53.6,"timestamp":"T"}`},
		{name: "predict as JSON", method: "POST", path: "/predict", mediaType: "application/json; charset=utf-8", body: `{"user_id":"abc123"}`, status: 200, want: `{"user_id":"abc123","predicted_price":53.6,"timestamp":"T"}`},
		{name: "predict as a kind of JSON", method: "POST", path: "/predict", mediaType: "application/vnd.api+json", body: `{"user_id":"abc123"}`, status: 200, want: `{"user_id":"abc123","predicted_price":53.6,"timestamp":"T"}`},
		{name: "query", method: "POST", path: "/predict?x=1", body: `{"user_id":"abc123"}`, status: 200, want: `{"user_id":"abc123","predicted_price":53.6,"timestamp":"T"}`},
		{name: "white space", method: "POST", path: "/predict", body: " \n\t{ \"user_id\" :\r\n\"abc123\" } \n", status: 200, want: `{"user_id":"abc123","predicted_price":53.6,"timestamp":"T"}`},
		{name: "unknown fields", method: "POST", path: "/predict", body: `{"a":{"user_id":"no","b":[1,{"c":"}"}]},"n":-1.5e3,"user_id":"abc123","t":true,"s":"\"}","z":null,"e":{},"l":[]}`, status: 200, want: `{"user_id":"abc123","predicted_price":53.6,"timestamp":"T"}`},
		{name: "escapes", method: "POST", path: "/predict", body: `{"\u0075ser_id":"\u0061bc\u003123"}`, status: 200, want: `{"user_id":"abc123","predicted_price":53.6,"timestamp":"T"}`},
		{name: "quoted ID", method: "POST", path: "/predict", body: `{"user_id":"a\"b"}`, status: 200, want: `{"user_id":"a\"b","predicted_price":53.6,"timestamp":"T"}`},
		{name: "Greek", method: "POST", path: "/predict", body: `{"user_id":"αβγ"}`, status: 200, want: `{"user_id":"αβγ","predicted_price":53.6,"timestamp":"T"}`},
		{name: "longest ID", method: "POST", path: "/predict", body: `{"user_id":"` + long[1:] + `"}`, status: 200, want: `{"user_id":"` + long[1:] + `","predicted_price":53.6,"timestamp":"T"}`},

		{name: "no body", method: "POST", path: "/predict", status: 400, want: `{"detail":"Request body is not one JSON value"}`},
		{name: "not JSON", method: "POST", path: "/predict", body: `user_id=abc123`, status: 400, want: `{"detail":"Request body is not one JSON value"}`},
		{name: "cut off", method: "POST", path: "/predict", body: `{"user_id":"abc123"`, status: 400, want: `{"detail":"Request body is not one JSON value"}`},
		{name: "a string", method: "POST", path: "/predict", body: `"abc123"`, status: 400, want: `{"detail":"Request body is not a JSON object"}`},
		{name: "an array", method: "POST", path: "/predict", body: `[{"user_id":"abc123"}]`, status: 400, want: `{"detail":"Request body is not a JSON object"}`},
		{name: "null", method: "POST", path: "/predict", body: `null`, status: 400, want: `{"detail":"Request body is not a JSON object"}`},
		{name: "no user_id", method: "POST", path: "/predict", body: `{}`, status: 400, want: `{"detail":"Field user_id is missing"}`},
		{name: "USER_ID", method: "POST", path: "/predict", body: `{"USER_ID":"abc123"}`, status: 400, want: `{"detail":"Field user_id is missing"}`},
		{name: "user_id within", method: "POST", path: "/predict", body: `{"a":{"user_id":"abc123"}}`, status: 400, want: `{"detail":"Field user_id is missing"}`},
		{name: "user_id twice", method: "POST", path: "/predict", body: `{"user_id":"abc123","user_id":"x"}`, status: 400, want: `{"detail":"Field user_id is given twice"}`},
		{name: "a number", method: "POST", path: "/predict", body: `{"user_id":123}`, status: 400, want: `{"detail":"Field user_id is not a string"}`},
		{name: "null ID", method: "POST", path: "/predict", body: `{"user_id":null}`, status: 400, want: `{"detail":"Field user_id is not a string"}`},
		{name: "empty ID", method: "POST", path: "/predict", body: `{"user_id":""}`, status: 400, want: `{"detail":"Invalid user ID"}`},
		{name: "long ID", method: "POST", path: "/predict", body: `{"user_id":"` + long + `"}`, status: 400, want: `{"detail":"Invalid user ID: it has 1025 bytes: want at most 1024"}`},
		{name: "not UTF-8", method: "POST", path: "/predict", body: "{\"user_id\":\"a\xff\"}", status: 400, want: `{"detail":"Request body is not UTF-8"}`},
		{name: "half a surrogate pair", method: "POST", path: "/predict", body: `{"user_id":"a\ud83d"}`, status: 400, want: `{"detail":"Field user_id is not Unicode"}`},
		{name: "a whole one", method: "POST", path: "/predict", body: `{"user_id":"\ud83d\ude00"}`, status: 404, want: `{"detail":"User not found"}`},
		{name: "a pair the wrong way round", method: "POST", path: "/predict", body: `{"user_id":"\ude00\ud83d"}`, status: 400, want: `{"detail":"Field user_id is not Unicode"}`},
		{name: "the replacement character", method: "POST", path: "/predict", body: `{"user_id":"\ufffd\\"}`, status: 404, want: `{"detail":"User not found"}`},
		{name: "control character", method: "POST", path: "/predict", body: `{"user_id":"a\nb"}`, status: 400, want: `{"detail":"Invalid user ID: it has the control character U+000A"}`},
		{name: "more after it", method: "POST", path: "/predict", body: `{"user_id":"abc123"} x`, status: 400, want: `{"detail":"Request body is not one JSON value"}`},
		{name: "another value after it", method: "POST", path: "/predict", body: `{"user_id":"abc123"}{"user_id":"abc123"}`, status: 400, want: `{"detail":"Request body is not one JSON value"}`},
		{name: "deep nesting", method: "POST", path: "/predict", body: strings.Repeat("[", 60000), status: 400, want: `{"detail":"Request body is not one JSON value"}`},

		{name: "form", method: "POST", path: "/predict", mediaType: "application/x-www-form-urlencoded", body: `{"user_id":"abc123"}`, status: 415, want: `{"detail":"Unsupported media type: send the header Content-Type: application/json"}`},
		{name: "text", method: "POST", path: "/predict", mediaType: "text/plain", body: `{"user_id":"abc123"}`, status: 415, want: `{"detail":"Unsupported media type: send the header Content-Type: application/json"}`},
		{name: "nonsense", method: "POST", path: "/predict", mediaType: ";;", body: `{"user_id":"abc123"}`, status: 415, want: `{"detail":"Unsupported media type: send the header Content-Type: application/json"}`},
		{name: "body too long", method: "POST", path: "/predict", body: `{"user_id":"abc123","x":"` + strings.Repeat("x", 64<<10) + `"}`, status: 413, want: `{"detail":"Request body over 65536 bytes"}`},
		{name: "unknown user", method: "POST", path: "/predict", body: `{"user_id":"nobody"}`, status: 404, want: `{"detail":"User not found"}`},
		{name: "GET predict", method: "GET", path: "/predict", status: 405, want: `{"detail":"Method Not Allowed"}`, header: "Allow", value: "POST"},
		{name: "DELETE predict", method: "DELETE", path: "/predict", status: 405, want: `{"detail":"Method Not Allowed"}`, header: "Allow", value: "POST"},
		{name: "POST status", method: "POST", path: "/status", status: 405, want: `{"detail":"Method Not Allowed"}`, header: "Allow", value: "GET, HEAD"},
		{name: "another path", method: "GET", path: "/", status: 404, want: `{"detail":"Not Found"}`},
		{name: "a path below", method: "POST", path: "/predict/", body: `{"user_id":"abc123"}`, status: 404, want: `{"detail":"Not Found"}`},
	}
	server := httptest.NewServer(newHandler(t))
	defer server.Close()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if test.mediaType != "" {
				r.Header.Set("Content-Type", test.mediaType)
			}
			got, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Body.Close()
			body, err := io.ReadAll(got.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got.StatusCode != test.status {
				t.Errorf("status %d, want %d", got.StatusCode, test.status)
			}
			if diff := cmp.Diff(test.want, withoutTime(t, string(body))); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if c := got.Header.Get("Content-Type"); c != "application/json" {
				t.Errorf("Content-Type %q", c)
			}
			if test.header != "" && got.Header.Get(test.header) != test.value {
				t.Errorf("%s: %q, want %q", test.header, got.Header.Get(test.header), test.value)
			}
		})
	}
}

// withoutTime puts T for the timestamp, which must be of the last minute.
func withoutTime(t *testing.T, body string) string {
	t.Helper()
	before, rest, ok := strings.Cut(body, `"timestamp":"`)
	if !ok {
		return body
	}
	stamp, rest, _ := strings.Cut(rest, `"`)
	when, err := time.Parse(time.RFC3339, stamp)
	if err != nil || time.Since(when) > time.Minute || time.Since(when) < -time.Second {
		t.Errorf("timestamp %q: %v", stamp, err)
	}
	return before + `"timestamp":"T"` + rest
}

// TestHandler_internalFailures: an internal failure exposes its status only.
func TestHandler_internalFailures(t *testing.T) {
	secret := errors.New("open /etc/secret: goroutine 1 [running]")
	failing := fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) { return 0, secret }}
	panicking := fakeModel{[]string{"regulars_count"}, func([]float64) (float64, error) { panic(secret) }}
	down := fakeStore(func(context.Context, string) (basket.Row, error) { return basket.Row{}, secret })
	slow := fakeStore(func(ctx context.Context, _ string) (basket.Row, error) {
		return basket.Row{}, fmt.Errorf("%w: %w", secret, context.DeadlineExceeded)
	})
	up := fakeStore(func(_ context.Context, userID string) (basket.Row, error) { return row(userID, 1, 1), nil })
	short := fakeStore(func(context.Context, string) (basket.Row, error) { return basket.Row{Values: []float64{1}}, nil })
	tests := []struct {
		name   string
		store  basket.Store
		model  basket.Model
		status int
		want   string
		retry  string
	}{
		{"the model fails", up, failing, 500, `{"detail":"Prediction service error"}`, ""},
		{"the model panics", up, panicking, 500, `{"detail":"Prediction service error"}`, ""},
		{"the answer is NaN", up, constant(math.NaN()), 500, `{"detail":"Prediction service error"}`, ""},
		{"the answer is infinite", up, constant(math.Inf(1)), 500, `{"detail":"Prediction service error"}`, ""},
		{"the store's row is short", short, constant(1), 500, `{"detail":"Prediction service error"}`, ""},
		{"the store is down", down, constant(1), 503, `{"detail":"Service unavailable"}`, "1"},
		{"the store is slow", slow, constant(1), 503, `{"detail":"Service unavailable"}`, "1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			log := &serviceEvents{}
			h := basket.NewHandler(mustNew(t, basket.WithStore(test.store), basket.WithModel(test.model), basket.WithServiceLogger(log)))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"u"}`)))
			if w.Code != test.status || w.Body.String() != test.want || w.Header().Get("Retry-After") != test.retry {
				t.Errorf("%d %s, Retry-After %q: want %d %s, %q", w.Code, w.Body, w.Header().Get("Retry-After"), test.status, test.want, test.retry)
			}
			if len(log.events) != 1 || log.events[0].Status != test.status || log.events[0].Err == nil {
				t.Errorf("service log: %v", log.events)
			}
		})
	}
}

// TestHandler_clientCloses: a client that closes the connection is no failure of
// the service.
func TestHandler_clientCloses(t *testing.T) {
	var text bytes.Buffer
	log := &serviceEvents{}
	store := fakeStore(func(ctx context.Context, _ string) (basket.Row, error) {
		<-ctx.Done()
		return basket.Row{}, fmt.Errorf("my store: %w", ctx.Err())
	})
	h := basket.NewHandler(mustNew(t, basket.WithStore(store), basket.WithModel(constant(1)),
		basket.WithServiceLogger(log), basket.WithServiceLogger(serve.NewTextLogger(&text)), basket.WithModelLogger(serve.NewTextLogger(&text))))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"u"}`)).WithContext(ctx)
	h.ServeHTTP(httptest.NewRecorder(), r)
	if len(log.events) != 1 || log.events[0].Status != 499 || !errors.Is(log.events[0].Err, basket.ErrCanceled) {
		t.Errorf("service events %v, want one of status 499 with ErrCanceled", log.events)
	}
	for _, want := range []string{" | CANCELED | user_id=u\n", " | status=499\n", " | INFO | Client closed the connection before the answer\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "ERROR") {
		t.Errorf("the log has an error:\n%s", &text)
	}
}

func TestHandler_logsEachRequest(t *testing.T) {
	log := &serviceEvents{}
	h := newHandler(t, basket.WithServiceLogger(log))
	for _, r := range []*http.Request{
		httptest.NewRequest("GET", "/status", nil),
		httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"abc123"}`)),
		httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"nobody"}`)),
		httptest.NewRequest("POST", "/predict", strings.NewReader(`x`)),
		httptest.NewRequest("BREW", "/a%7Cb%0A", nil),
	} {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	var got []string
	for _, e := range log.events {
		kind, _ := errors.AsType[basket.Error](e.Err)
		got = append(got, fmt.Sprintf("%s %q %d %s", e.Method, e.Path, e.Status, kind))
	}
	want := []string{`GET "/status" 200 `, `POST "/predict" 200 `, `POST "/predict" 404 user not found`, `POST "/predict" 400 invalid request`, `BREW "/a|b\n" 404 `}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("service log (-want +got):\n%s", diff)
	}
}

func TestWithMaxBody(t *testing.T) {
	p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModel(constant(1)))
	h := basket.NewHandler(p, basket.WithMaxBody(17))
	for body, status := range map[string]int{`{"user_id": "a"} `: 200, `{"user_id":  "a"} `: 413} {
		w := httptest.NewRecorder()
		// A body of unknown length must be counted as it comes.
		h.ServeHTTP(w, httptest.NewRequest("POST", "/predict", io.MultiReader(strings.NewReader(body))))
		if w.Code != status {
			t.Errorf("%d bytes: %d, want %d", len(body), w.Code, status)
		}
	}
}

// TestHandler_price: predicted_price reads back as the same number, in the
// shortest form.
func TestHandler_price(t *testing.T) {
	for v, want := range map[float64]string{
		53.6: "53.6", 0: "0", -0.1: "-0.1", 100: "100", 1e21: "1e+21", 1e20: "100000000000000000000", 1e-7: "1e-07",
		3.921256274010509: "3.921256274010509", math.MaxFloat64: "1.7976931348623157e+308", 5e-324: "5e-324",
	} {
		p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModel(constant(v)))
		w := httptest.NewRecorder()
		basket.NewHandler(p).ServeHTTP(w, httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"a"}`)))
		if !strings.Contains(w.Body.String(), `"predicted_price":`+want+`,`) {
			t.Errorf("%v: %s, want %s", v, w.Body, want)
		}
		var back struct {
			Price float64 `json:"predicted_price"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &back); err != nil || back.Price != v {
			t.Errorf("%v reads back as %v, %v", v, back.Price, err)
		}
	}
}

// TestHandler_explain: the contributions and the bias add up to the price of a
// model without a link.
func TestHandler_explain(t *testing.T) {
	ask := func(h http.Handler, query string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/predict"+query, strings.NewReader(`{"user_id":"a"}`)))
		return w.Code, w.Body.String()
	}
	s := mustStore(t, row("a", 1, 5))
	h := basket.NewHandler(mustNew(t, basket.WithStore(s), basket.WithModel(loadModel(t, regressionModel))))
	code, body := ask(h, "?explain=true")
	var got struct {
		Price         float64 `json:"predicted_price"`
		Bias          float64
		Contributions map[string]float64
	}
	if err := json.Unmarshal([]byte(body), &got); code != 200 || err != nil || len(got.Contributions) != 4 {
		t.Fatalf("%d %s, %v", code, body, err)
	}
	sum := got.Bias
	for _, name := range basket.FeatureNames() {
		sum += got.Contributions[name]
	}
	if math.Abs(sum-got.Price) > 1e-9*got.Price {
		t.Errorf("bias and contributions add up to %v, want %v", sum, got.Price)
	}
	if code, body := ask(h, "?explain=0&x"); code != 200 || strings.Contains(body, "bias") {
		t.Errorf("explain=0: %d %s", code, body)
	}
	if code, body := ask(h, "?explain=maybe"); code != 400 || body != `{"detail":"Query parameter explain: want true or false"}` {
		t.Errorf("explain=maybe: %d %s", code, body)
	}
	h = basket.NewHandler(mustNew(t, basket.WithStore(s), basket.WithModel(constant(1))))
	if code, body := ask(h, "?explain=true"); code != 501 || body != `{"detail":"The model cannot explain"}` {
		t.Errorf("a model that cannot: %d %s", code, body)
	}
}

// FuzzHandler compares the reading of bodies with that of package json.
func FuzzHandler(f *testing.F) {
	for _, body := range []string{
		`{"user_id":"abc123"}`, `{"user_id":"a\ud83d"}`, `{"a":[{}],"user_id":"x"}`, `{"user_id":1}`, `[]`, `{}`, ` {"user_id" : "\u00e9" }`, `{"user_id":"a"}x`,
		`{"user_id":"\\\"","b":{"c":[1,2,{"d":"]"}]}}`,
	} {
		f.Add([]byte(body))
	}
	var asked string
	store := fakeStore(func(_ context.Context, userID string) (basket.Row, error) {
		asked = userID
		return row(userID, 1, 1), nil
	})
	h := basket.NewHandler(mustNew(f, basket.WithStore(store), basket.WithModel(constant(1))))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/predict", bytes.NewReader(body)))
		var fields map[string]any
		err := json.Unmarshal(body, &fields)
		id, isString := fields["user_id"].(string)
		switch w.Code {
		case 200:
			if err != nil || !isString || id != asked {
				t.Errorf("served %q as %q: package json has %v, %v", body, asked, fields, err)
			}
			var answer struct {
				UserID string `json:"user_id"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.UserID != asked {
				t.Errorf("answer %s: %v", w.Body, err)
			}
		case 400, 413:
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("answer %s", w.Body)
			}
		default:
			t.Errorf("status %d for %q", w.Code, body)
		}
	})
}

func BenchmarkHandler(b *testing.B) {
	h := newHandler(b, basket.WithServiceLogger(serve.NewTextLogger(io.Discard)), basket.WithModelLogger(serve.NewTextLogger(io.Discard)))
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"abc123"}`)))
	}
}
