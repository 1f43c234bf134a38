package dash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	maxStreams     = 64               // that are open at a time
	streamTime     = 10 * time.Minute // after which a browser asks again, with its credential
	streamPatience = 10 * time.Second // how long a client may take to receive an event
)

// An update is an event of a stream: what the charts gain by the last step, and the page's
// figures as HTML.
type update struct {
	Last *overview `json:"last"`
	HTML string    `json:"html"`
}

// A stepCache has the update of one step, so that it is made once, however many streams
// are open. The zero value has none.
type stepCache struct {
	mu   sync.Mutex
	step int64
	text []byte
}

// stepUpdate returns the event of the last step that is over.
func (h *handler) stepUpdate(now time.Time) ([]byte, error) {
	h.step.mu.Lock()
	defer h.step.mu.Unlock()
	if step := stepOf(now); h.step.text == nil || h.step.step != step {
		var page bytes.Buffer
		if err := templates()["/"].ExecuteTemplate(&page, "update", &overviewBody{h.overview(now)}); err != nil {
			return nil, err
		}
		text, err := json.Marshal(update{h.recorder.overview(now, 1), page.String()})
		if err != nil {
			return nil, err
		}
		h.step.step, h.step.text = step, fmt.Appendf(nil, "id: %d\ndata: %s\n\n", step, text)
	}
	return h.step.text, nil
}

// stream answers with an event after each step, until the client is gone, the server stops
// or the stream has lasted long enough.
func (h *handler) stream(w http.ResponseWriter, r *http.Request) {
	if h.recorder == nil {
		writeData(w, r, http.StatusNotFound, map[string]string{"detail": noRecorder})
		return
	}
	if h.streams.Add(1) > maxStreams {
		h.streams.Add(-1)
		w.Header().Set("Retry-After", "60")
		writeData(w, r, http.StatusServiceUnavailable, map[string]string{"detail": "Too many pages are open: close some of them"})
		return
	}
	defer h.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes on each event at once
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that of the server is for the request, which is read
	send := func(text []byte) bool {
		_ = control.SetWriteDeadline(time.Now().Add(streamPatience)) // where the server has none, one that is stuck ends by TCP
		_, err := w.Write(text)
		return err == nil && control.Flush() == nil
	}
	if r.Method == http.MethodHead || !send([]byte("retry: 5000\n\n")) {
		return
	}
	end := time.NewTimer(streamTime)
	defer end.Stop()
	for {
		now := time.Now()
		next := time.NewTimer(stepLength - time.Duration(now.UnixNano()%int64(stepLength)) + streamDelay)
		select {
		case <-r.Context().Done():
		case <-h.done:
		case <-end.C:
		case <-next.C:
			text, err := h.stepUpdate(time.Now())
			if err == nil && send(text) {
				continue
			}
		}
		next.Stop()
		return
	}
}

// streamDelay is how long after the end of a step its event is sent: requests are counted
// when they end.
const streamDelay = 100 * time.Millisecond
