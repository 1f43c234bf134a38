package oip

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
)

// writeAnswer writes the predictions.
func (s *scratch) writeAnswer(w http.ResponseWriter, req *request, m *served, n int, inBinary bool) *Error {
	b := append(s.answer[:0], `{"model_name":`...)
	b = appendString(b, m.name)
	b = append(b, `,"model_version":`...)
	b = appendString(b, m.Version.Version)
	if req.ID != nil && *req.ID != "" {
		b = append(b, `,"id":`...)
		b = appendString(b, *req.ID)
	}
	b = append(b, `,"outputs":[{"name":"`...)
	b = append(b, m.output()...)
	b = append(b, `","shape":[`...)
	b = strconv.AppendInt(b, int64(n), 10)
	if m.outputs > 1 {
		b = strconv.AppendInt(append(b, ','), int64(m.outputs), 10)
	}
	b = append(b, `],"datatype":"FP64",`...)
	header := w.Header()
	if inBinary {
		b = append(b, `"parameters":{"binary_data_size":`...)
		b = strconv.AppendInt(b, int64(8*len(s.values)), 10)
		b = append(b, `}}]}`...)
		header.Set("Inference-Header-Content-Length", strconv.Itoa(len(b)))
		header.Set("Content-Type", "application/octet-stream")
		b = slices.Grow(b, 8*len(s.values))
		for _, v := range s.values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
	} else {
		b = append(b, `"data":[`...)
		for i, v := range s.values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendNumber(b, v)
		}
		b = append(b, `]}]}`...)
		header["Content-Type"] = jsonType
	}
	s.answer = b
	header.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // fails only if the client is gone
	return nil
}

var jsonType = []string{"application/json"}

// appendNumber appends the shortest decimal that reads back as v.
func appendNumber(b []byte, v float64) []byte {
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}

func appendString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // never fails for a string
	return append(b, text...)
}

// writeJSON writes an answer without tensors.
func writeJSON(w http.ResponseWriter, v any) *Error {
	text, _ := json.Marshal(v) // of our own types
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(text) // fails only if the client is gone
	return nil
}

// writeFailure writes why there is no other answer. KServe's client compares the content type
// literally.
func writeFailure(w http.ResponseWriter, f *Error) {
	text := f.body
	if text == nil {
		text, _ = json.Marshal(map[string]string{"error": f.Text}) // strings never fail
	}
	w.Header()["Content-Type"] = jsonType
	if f.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write(text) // fails only if the client is gone
}
