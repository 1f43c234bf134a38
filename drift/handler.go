package drift

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// ServeHTTP answers GET and HEAD with the [Report] as JSON; with ?form=snapshot with the
// [Snapshot], which can be added to those of other replicas. Failures are a JSON object
// with the text "detail".
func (m *Monitor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeJSON(w, http.StatusMethodNotAllowed, detail("method not allowed: want GET"))
		return
	}
	query := r.URL.Query()
	switch query.Get("form") {
	case "":
		writeJSON(w, http.StatusOK, m.Report(time.Now()))
	case "snapshot":
		writeJSON(w, http.StatusOK, m.Snapshot().counted)
	default:
		writeJSON(w, http.StatusBadRequest, detail("form: want snapshot or nothing"))
	}
}

func detail(text string) map[string]string { return map[string]string{"detail": text} }

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"detail":"internal error"}`)
	}
	text = append(text, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
