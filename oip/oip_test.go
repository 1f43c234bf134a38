package oip_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/oip"
	"github.com/google/go-cmp/cmp"
)

// A sumModel adds 1, half of the first feature and a fourth of the second.
type sumModel struct{}

func (sumModel) Features() []string { return basket.FeatureNames() }

func (sumModel) Predict(_ context.Context, dst, rows []float64) error {
	for i := range dst {
		switch row := rows[4*i:]; {
		case row[0] == -1:
			return errors.New("a model that fails, at /secret/path")
		case row[0] == -2:
			panic("a model that panics, at /secret/path")
		default:
			dst[i] = 1 + row[0]/2 + row[1]/4
			if math.IsNaN(row[2]) {
				dst[i] = 7
			}
		}
	}
	return nil
}

// newHandler serves the model "basket" in two versions, with the user abc123.
func newHandler(t testing.TB, opts ...oip.Option) *oip.Handler {
	t.Helper()
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "abc123", OrderedAt: time.Unix(1, 0), Number: 1, Values: []float64{94.61, 15, 0, 0}}}))
	if err != nil {
		t.Fatal(err)
	}
	models := []oip.Version{{Name: "basket", Version: "2", Model: sumModel{}}, {Name: "basket", Version: "1", Model: sumModel{}}, {Name: "a b/c", Version: "v1", Model: sumModel{}}}
	return oip.NewHandler(store, func() []oip.Version { return models }, opts...)
}

// do makes a request. Headers are name and value in turn.
func do(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const rowsPath = "/v2/models/basket-features/infer"

// TestHandler_answers are exchanges in JSON.
func TestHandler_answers(t *testing.T) {
	h := newHandler(t)
	tests := []struct {
		name, method, path, body string
		want                     string
	}{
		{"server", "GET", "/v2", "", `{"name":"basket","version":"(devel)","extensions":["binary_tensor_data"]}`},
		{"live", "GET", "/v2/health/live", "", `{"live":true,"ready":true}`},
		{"ready", "GET", "/v2/health/ready", "", `{"live":true,"ready":true}`},
		{"model ready", "GET", "/v2/models/basket/ready", "", `{"name":"basket","ready":true}`},
		{"version ready", "GET", "/v2/models/basket-features/versions/1/ready", "", `{"name":"basket-features","ready":true}`},
		{"metadata of users", "GET", "/v2/models/basket", "", `{"name":"basket","versions":["2","1"],"platform":"basket_go","inputs":[{"name":"user_id","datatype":"BYTES","shape":[-1]}],"outputs":[{"name":"predicted_price","datatype":"FP64","shape":[-1]}]}`},
		{"metadata of rows", "GET", "/v2/models/basket-features/versions/1", "", `{"name":"basket-features","versions":["2","1"],"platform":"basket_go","inputs":[{"name":"features","datatype":"FP64","shape":[-1,4],"parameters":{"columns":"prior_basket_value,prior_item_count,prior_regulars_count,regulars_count"}}],"outputs":[{"name":"predicted_price","datatype":"FP64","shape":[-1]}]}`},
		{"an escaped name", "GET", "/v2/models/a%20b%2Fc/ready", "", `{"name":"a b/c","ready":true}`},
		{"rows", "POST", rowsPath, `{"id":"k1","model_name":"basket-features","inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[94.61,15.0,0.0,0.0]}]}`,
			`{"model_name":"basket-features","model_version":"2","id":"k1","outputs":[{"name":"predicted_price","shape":[1],"datatype":"FP64","data":[52.055]}]}`},
		{"a version", "POST", "/v2/models/basket-features/versions/1/infer", `{"inputs":[{"name":"features","shape":[2,4],"datatype":"INT64","data":[[2,4,0,0],[4,8,0,0]]}]}`,
			`{"model_name":"basket-features","model_version":"1","outputs":[{"name":"predicted_price","shape":[2],"datatype":"FP64","data":[3,5]}]}`},
		{"a missing value", "POST", rowsPath, `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP32","data":[1,2,null,3]}]}`,
			`{"model_name":"basket-features","model_version":"2","outputs":[{"name":"predicted_price","shape":[1],"datatype":"FP64","data":[7]}]}`},
		{"no rows", "POST", rowsPath, `{"inputs":[{"name":"features","shape":[0,4],"datatype":"FP64","data":[]}]}`,
			`{"model_name":"basket-features","model_version":"2","outputs":[{"name":"predicted_price","shape":[0],"datatype":"FP64","data":[]}]}`},
		{"users", "POST", "/v2/models/basket/infer", `{"inputs":[{"name":"user_id","shape":[2],"datatype":"BYTES","data":["abc123","abc\u003123"]}],"outputs":[{"name":"predicted_price"}]}`,
			`{"model_name":"basket","model_version":"2","outputs":[{"name":"predicted_price","shape":[2],"datatype":"FP64","data":[52.055,52.055]}]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := do(h, test.method, test.path, test.body)
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("status %d, %v", w.Code, w.Header())
			}
			if diff := cmp.Diff(test.want, w.Body.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestHandler_failures: each failure has its status, an "error" and no internals.
func TestHandler_failures(t *testing.T) {
	h := newHandler(t, oip.WithMaxBody(10_000), oip.WithMaxRows(100))
	rows := func(tensor string) string { return `{"inputs":[` + tensor + `]}` }
	good := `{"name":"features","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}`
	user := func(id string) string {
		return `{"inputs":[{"name":"user_id","shape":[1],"datatype":"BYTES","data":[` + id + `]}]}`
	}
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string
	}{
		{"malformed JSON", "POST", rowsPath, "{", nil, 400, "the body is no inference request"},
		{"a list", "POST", rowsPath, "[]", nil, 400, "the body is no inference request"},
		{"inputs without end", "POST", rowsPath, rows(strings.Repeat("{},", 3000) + "{}"), nil, 400, "over 16 inputs"},
		{"outputs without end", "POST", rowsPath, `{"outputs":[` + strings.Repeat("{},", 3000) + "{}]}", nil, 400, "over 16"},
		{"dimensions without end", "POST", rowsPath, rows(`{"name":"features","shape":[` + strings.Repeat("0,", 4000) + `0]}`), nil, 400, "over 16"},
		{"inputs that are no list", "POST", rowsPath, `{"inputs":{"features":[]}}`, nil, 400, "want an array"},
		{"a shape that is no list", "POST", rowsPath, rows(`{"name":"features","shape":"[1,4]","data":[1]}`), nil, 400, "want an array"},
		{"no inputs", "POST", rowsPath, "{}", nil, 400, `the request has no inputs: want "features"`},
		{"empty inputs", "POST", rowsPath, rows(""), nil, 400, "the request has no inputs"},
		{"too few elements", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64","data":[1,2,3]}`), nil, 400, "has not the 4 elements"},
		{"too many elements", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64","data":[1,2,3,4,5]}`), nil, 400, "has not the 4 elements"},
		{"wrong width", "POST", rowsPath, rows(`{"name":"features","shape":[1,3],"datatype":"FP64","data":[1,2,3]}`), nil, 400, "has the shape [1 3]: want [n,4]"},
		{"one dimension", "POST", rowsPath, rows(`{"name":"features","shape":[4],"datatype":"FP64","data":[1,2,3,4]}`), nil, 400, "has the shape [4]"},
		{"negative dimension", "POST", rowsPath, rows(`{"name":"features","shape":[-1,4],"datatype":"FP64","data":[1,2,3,4]}`), nil, 400, "dimension -1"},
		{"a dimension with a fraction", "POST", rowsPath, rows(`{"name":"features","shape":[1.5,4],"datatype":"FP64","data":[1,2,3,4]}`), nil, 400, "dimension 1.5"},
		{"huge shape", "POST", rowsPath, rows(`{"name":"features","shape":[4611686018427387904,4],"datatype":"FP64","data":[1,2,3,4]}`), nil, 400, "elements"},
		{"shape that overflows", "POST", rowsPath, rows(`{"name":"features","shape":[18446744073709551620,4],"datatype":"FP64","data":[1,2,3,4]}`), nil, 400, "dimension 18446744073709551620"},
		{"nested in another way", "POST", rowsPath, rows(`{"name":"features","shape":[2,4],"datatype":"FP64","data":[[1,2,3,4,5],[1,2,3]]}`), nil, 400, "not nested as its shape"},
		{"half nested", "POST", rowsPath, rows(`{"name":"features","shape":[2,4],"datatype":"FP64","data":[[1,2,3,4],1,2,3,4]}`), nil, 400, "not nested as its shape"},
		{"deeply nested", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64","data":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `}`), nil, 400, "not nested as its shape"},
		{"unknown datatype", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP99","data":[1,2,3,4]}`), nil, 400, `datatype "FP99"`},
		{"half precision", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP16","data":[1,2,3,4]}`), nil, 400, `datatype "FP16"`},
		{"text", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64","data":["x",2,3,4]}`), nil, 400, `element 0 is "x"`},
		{"a fraction as integer", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"INT32","data":[1,2,3,4.5]}`), nil, 400, "element 3 is 4.5"},
		{"an integer out of range", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"INT8","data":[1,2,3,128]}`), nil, 400, "element 3 is 128"},
		{"a number out of range", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64","data":[1,2,3,1e999]}`), nil, 400, "element 3 is 1e999"},
		{"null as integer", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"INT64","data":[1,2,3,null]}`), nil, 400, "element 3 is null"},
		{"no data", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64"}`), nil, 400, "has neither data"},
		{"data of another type", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64","data":"1,2"}`), nil, 400, "data is no array"},
		{"unknown input", "POST", rowsPath, rows(`{"name":"nope","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}`), nil, 400, `unknown input "nope": want "features"`},
		{"input given twice", "POST", rowsPath, rows(good + "," + good), nil, 400, "given twice"},
		{"unknown output", "POST", rowsPath, `{"inputs":[` + good + `],"outputs":[{"name":"nope"}]}`, nil, 400, `unknown output "nope"`},
		{"output asked for twice", "POST", rowsPath, `{"inputs":[` + good + `],"outputs":[{"name":"predicted_price"},{"name":"predicted_price"}]}`, nil, 400, "asked for twice"},
		{"unknown model", "POST", "/v2/models/nope/infer", rows(good), nil, 404, `no model is named "nope"`},
		{"unknown version", "POST", "/v2/models/basket-features/versions/3/infer", rows(good), nil, 404, `no version "3"`},
		{"unknown path", "POST", "/v2/models/basket/predict", rows(good), nil, 404, "no such path"},
		{"a slash at the end", "POST", rowsPath + "/", rows(good), nil, 404, "no such path"},
		{"another protocol", "GET", "/v1/models/basket", "", nil, 404, "no such path"},
		{"GET of infer", "GET", rowsPath, "", nil, 405, "want POST"},
		{"POST of metadata", "POST", "/v2/models/basket", "", nil, 405, "want GET"},
		{"header longer than the body", "POST", rowsPath, rows(good), []string{"Inference-Header-Content-Length", "999999"}, 400, "at most the"},
		{"header negative", "POST", rowsPath, rows(good), []string{"Inference-Header-Content-Length", "-1"}, 400, `"-1"`},
		{"header no number", "POST", rowsPath, rows(good), []string{"Inference-Header-Content-Length", "x"}, 400, `"x"`},
		{"header zero", "POST", rowsPath, rows(good), []string{"Inference-Header-Content-Length", "0"}, 400, "raw form"},
		{"unknown encoding", "POST", rowsPath, rows(good), []string{"Content-Encoding", "br"}, 415, `encoding "br"`},
		{"not gzip", "POST", rowsPath, rows(good), []string{"Content-Encoding", "gzip"}, 400, "cannot be read"},
		{"a long body", "POST", rowsPath, rows(good) + strings.Repeat(" ", 10_000), nil, 413, "over 10000 bytes"},
		{"a body that grows", "POST", rowsPath, compressed(t, "gzip", rows(good)+strings.Repeat(" ", 10_000_000)), []string{"Content-Encoding", "gzip"}, 413, "over 10000 bytes"},
		{"many rows", "POST", rowsPath, rows(`{"name":"features","shape":[101,4],"datatype":"FP64","data":[1]}`), nil, 413, "want at most 100"},
		{"unknown user", "POST", "/v2/models/basket/infer", user(`"nobody"`), nil, 404, "user not found"},
		{"one unknown user", "POST", "/v2/models/basket/infer", `{"inputs":[{"name":"user_id","shape":[2],"datatype":"BYTES","data":["abc123","nobody"]}]}`, nil, 404, "element 1 of user_id: user not found"},
		{"an invalid user", "POST", "/v2/models/basket/infer", user(`"a\u0000b"`), nil, 400, "invalid user ID"},
		{"a number as user", "POST", "/v2/models/basket/infer", user(`7`), nil, 400, "element 0 is 7: want a string"},
		{"a user as number", "POST", "/v2/models/basket/infer", `{"inputs":[{"name":"user_id","shape":[1],"datatype":"INT64","data":[7]}]}`, nil, 400, `datatype "INT64": want BYTES`},
		{"a model that fails", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64","data":[-1,2,3,4]}`), nil, 500, "prediction error"},
		{"a dimension that is a string", "POST", rowsPath, rows(`{"name":"features","shape":["1",4],"datatype":"FP64","data":[1,2,3,4]}`), nil, 400, `dimension "1": want a whole number`},
		{"a model that panics", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64","data":[-2,2,3,4]}`), nil, 500, "prediction error"},
		{"a prediction without value", "POST", rowsPath, rows(`{"name":"features","shape":[1,4],"datatype":"FP64","data":[null,2,3,4]}`), nil, 500, "row 0 is not a finite number"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := do(h, test.method, test.path, test.body, test.headers...)
			var body map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body) != 1 {
				t.Fatalf("body %q: %v", w.Body, err)
			}
			if w.Code != test.status || !strings.Contains(body["error"], test.want) || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("status %d, %q: want %d, %q", w.Code, body["error"], test.status, test.want)
			}
			if strings.Contains(body["error"], "secret") || len(body["error"]) > 400 {
				t.Errorf("error %q: it is long, or tells internals", body["error"])
			}
			if (w.Code == 405) != (w.Header().Get("Allow") != "") {
				t.Errorf("status %d, header Allow %q", w.Code, w.Header().Get("Allow"))
			}
		})
	}
}

func compressed(t *testing.T, encoding, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if encoding == "deflate" {
		w = zlib.NewWriter(&b)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestHandler_binary: tensors in binary, both ways and compressed, have the bits of JSON's.
func TestHandler_binary(t *testing.T) {
	h := newHandler(t)
	rows := []float64{94.61, 15, 0, 0, 2, 4, math.NaN(), 0}
	rows[6] = 1
	for _, datatype := range []string{"FP64", "FP32", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8"} {
		for _, encoding := range []string{"", "gzip", "deflate"} {
			t.Run(datatype+" "+encoding, func(t *testing.T) {
				var tensor bytes.Buffer
				want := make([]float64, 2)
				for i, v := range rows {
					v = write(t, &tensor, datatype, v)
					switch i % 4 {
					case 0:
						want[i/4] = 1 + v/2
					case 1:
						want[i/4] += v / 4
					}
				}
				head := fmt.Sprintf(`{"id":"q7","inputs":[{"name":"features","shape":[2,4],"datatype":%q,"parameters":{"binary_data_size":%d}}],"parameters":{"binary_data_output":true}}`, datatype, tensor.Len())
				body := head + tensor.String()
				headers := []string{"Inference-Header-Content-Length", strconv.Itoa(len(head))}
				if encoding != "" {
					body, headers = compressed(t, encoding, body), append(headers, "Content-Encoding", encoding)
				}
				w := do(h, "POST", rowsPath, body, headers...)
				if w.Code != 200 || w.Header().Get("Content-Type") != "application/octet-stream" {
					t.Fatalf("status %d, %v: %s", w.Code, w.Header(), w.Body)
				}
				if diff := cmp.Diff(want, answer(t, w, `{"model_name":"basket-features","model_version":"2","id":"q7","outputs":[{"name":"predicted_price","shape":[2],"datatype":"FP64","parameters":{"binary_data_size":16}}]}`)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	t.Run("users", func(t *testing.T) {
		head := `{"inputs":[{"name":"user_id","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":10}}],"parameters":{"binary_data_output":true}}`
		w := do(h, "POST", "/v2/models/basket/infer", head+"\x06\x00\x00\x00abc123", "Inference-Header-Content-Length", strconv.Itoa(len(head)))
		if diff := cmp.Diff([]float64{52.055}, answer(t, w, `{"model_name":"basket","model_version":"2","outputs":[{"name":"predicted_price","shape":[1],"datatype":"FP64","parameters":{"binary_data_size":8}}]}`)); diff != "" {
			t.Error(diff)
		}
	})
	for name, test := range map[string]struct{ shape, size, tensor, output string }{
		"cut short":             {"[1,4]", "32", "12345678", "features"},
		"longer than the shape": {"[1,4]", "40", strings.Repeat("12345678", 5), "features"},
		"more than the tensors": {"[1,4]", "32", strings.Repeat("12345678", 5), "features"},
		"negative size":         {"[1,4]", "-8", strings.Repeat("12345678", 4), "features"},
		"size with a fraction":  {"[1,4]", "32.5", strings.Repeat("12345678", 4), "features"},
		"huge shape":            {"[1000000000,4]", "32", strings.Repeat("12345678", 4), "features"},
	} {
		t.Run(name, func(t *testing.T) {
			head := fmt.Sprintf(`{"inputs":[{"name":"features","shape":%s,"datatype":"FP64","parameters":{"binary_data_size":%s}}]}`, test.shape, test.size)
			w := do(h, "POST", rowsPath, head+test.tensor, "Inference-Header-Content-Length", strconv.Itoa(len(head)))
			if w.Code != 400 && w.Code != 413 {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
		})
	}
}

// write writes a value as a datatype, and returns it as that.
func write(t *testing.T, b *bytes.Buffer, datatype string, v float64) float64 {
	t.Helper()
	var typed any
	back := math.Trunc(v)
	switch datatype {
	case "FP64":
		typed, back = v, v
	case "FP32":
		typed, back = float32(v), float64(float32(v))
	case "INT64":
		typed = int64(v)
	case "INT32":
		typed = int32(v)
	case "INT16":
		typed = int16(v)
	case "INT8":
		typed = int8(v)
	case "UINT64":
		typed = uint64(v)
	case "UINT32":
		typed = uint32(v)
	case "UINT16":
		typed = uint16(v)
	case "UINT8":
		typed = uint8(v)
	}
	if err := binary.Write(b, binary.LittleEndian, typed); err != nil {
		t.Fatal(err)
	}
	return back
}

// answer returns the tensor of a binary answer, whose JSON must be head.
func answer(t *testing.T, w *httptest.ResponseRecorder, head string) []float64 {
	t.Helper()
	n, err := strconv.Atoi(w.Header().Get("Inference-Header-Content-Length"))
	if err != nil || n > w.Body.Len() || w.Code != 200 {
		t.Fatalf("status %d, %v: %v: %s", w.Code, w.Header(), err, w.Body)
	}
	if diff := cmp.Diff(head, string(w.Body.Bytes()[:n])); diff != "" {
		t.Error(diff)
	}
	values := make([]float64, (w.Body.Len()-n)/8)
	if err := binary.Read(bytes.NewReader(w.Body.Bytes()[n:]), binary.LittleEndian, values); err != nil {
		t.Fatal(err)
	}
	return values
}

// TestHandler_time: a request whose time is over is not one of a client that is gone.
func TestHandler_time(t *testing.T) {
	h := newHandler(t)
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for status, ctx := range map[int]context.Context{504: late, 499: gone} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", rowsPath, strings.NewReader("{}")).WithContext(ctx))
		if w.Code != status {
			t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
		}
	}
}

// TestHandler_prefix: the handler works under a prefix.
func TestHandler_prefix(t *testing.T) {
	h := http.StripPrefix("/serving", newHandler(t))
	if w := do(h, "GET", "/serving/v2/models/a%20b%2Fc/ready", ""); w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

// TestHandler_logs: predictions for users are told to model loggers with the version as
// route, those for rows are not; each request is told to the service logger.
func TestHandler_logs(t *testing.T) {
	var models []basket.ModelEvent
	var services []basket.ServiceEvent
	h := newHandler(t, oip.WithPredictor(basket.WithModelLogger(modelLogger(func(e basket.ModelEvent) { models = append(models, e) }))),
		oip.WithServiceLogger(serviceLogger(func(e basket.ServiceEvent) { services = append(services, e) })),
		oip.WithReady(func(context.Context) error { return errors.New("starting") }))
	do(h, "POST", rowsPath, `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]}`)
	do(h, "POST", "/v2/models/basket/versions/1/infer", `{"inputs":[{"name":"user_id","shape":[1],"datatype":"BYTES","data":["abc123"]}]}`)
	if w := do(h, "GET", "/v2/health/ready", ""); w.Code != 503 || w.Body.String() != `{"live":true,"ready":false}` {
		t.Errorf("not ready: %d, %s", w.Code, w.Body)
	}
	if len(models) != 1 || models[0].Route != "basket@1" || models[0].UserID != "abc123" {
		t.Errorf("model events %+v: want that of the user", models)
	}
	if len(services) != 3 || services[2].Status != 503 || services[2].Err == nil {
		t.Errorf("service events %+v: want 3", services)
	}
}

type modelLogger func(basket.ModelEvent)

func (f modelLogger) LogModel(_ context.Context, e basket.ModelEvent) { f(e) }

type serviceLogger func(basket.ServiceEvent)

func (f serviceLogger) LogService(_ context.Context, e basket.ServiceEvent) { f(e) }

// FuzzHandler: whatever a client sends, there is an answer, and none of 500.
func FuzzHandler(f *testing.F) {
	head := `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","parameters":{"binary_data_size":32}}]}`
	f.Add(head+strings.Repeat("1234567\x00", 4), strconv.Itoa(len(head)), true)
	f.Add(`{"inputs":[{"name":"features","shape":[2,4],"datatype":"INT32","data":[[1,2,3,4],[5,6,7,8]]}],"outputs":[{"name":"predicted_price","parameters":{"binary_data":true}}]}`, "", true)
	f.Add(`{"id":"x","inputs":[{"name":"user_id","shape":[1],"datatype":"BYTES","data":["abc123"]}]}`, "", false)
	h := newHandler(f)
	f.Fuzz(func(t *testing.T, body, length string, rows bool) {
		path := "/v2/models/basket/infer"
		if rows {
			path = rowsPath
		}
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header["Inference-Header-Content-Length"] = []string{length}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 500 && !strings.Contains(w.Body.String(), "finite") && !strings.Contains(w.Body.String(), "prediction error") || w.Body.Len() == 0 {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}
