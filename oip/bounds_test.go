package oip_test

import (
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// TestHandler_memory: a request takes a small multiple of its body's memory, whatever it is
// made of. What is counted includes the arrays that a growing buffer leaves behind; with -race,
// buffers are made anew more often.
func TestHandler_memory(t *testing.T) {
	h := newHandler(t)
	const n = 1 << 20
	for name, test := range map[string]struct{ path, body string }{
		"inputs":     {rowsPath, `{"inputs":[` + strings.Repeat("{},", n) + `{}]}`},
		"outputs":    {rowsPath, `{"outputs":[` + strings.Repeat("{},", n) + `{}]}`},
		"dimensions": {rowsPath, `{"inputs":[{"name":"features","shape":[` + strings.Repeat("0,", n) + `0]}]}`},
		"parameters": {rowsPath, `{"parameters":{` + strings.Repeat(`"a":1,`, n) + `"b":1}}`},
		"elements":   {rowsPath, `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[` + strings.Repeat("0,", n) + `0]}]}`},
		"lists":      {rowsPath, `{"inputs":[{"name":"features","shape":[1,4],"datatype":"FP64","data":[` + strings.Repeat("[0],", n) + `[0]]}]}`},
		"users":      {"/v2/models/basket/infer", `{"inputs":[{"name":"user_id","shape":[1000000],"datatype":"BYTES","data":[` + strings.Repeat(`"",`, n) + `""]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", test.path, strings.NewReader(test.body)))
			runtime.ReadMemStats(&after)
			if w.Code != 400 && w.Code != 413 {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 16*uint64(len(test.body)) {
				t.Errorf("%d bytes allocated for a body of %d", got, len(test.body))
			}
		})
	}
}
