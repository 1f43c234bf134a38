package dash

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/basket-go/basket"
)

//go:embed templates/*.html assets/*.js assets/*.css assets/*.svg
var files embed.FS

// A page is what a request for a page is answered with.
type page struct {
	Status int
	Path   string // of pages
	Title  string
	Notes  []note // faults, and what to do
	Body   any    // for the template of the path
}

// A note is a sentence for the reader. The name in it is of a client or a file, and may
// hold anything.
type note struct{ Before, Name, After string }

// sections are the pages in the order of the menu. The paths are relative, so that the
// page works under any prefix.
var sections = []struct{ Path, Link, Title string }{
	{"/", "./", "Overview"},
	{"/explain", "explain", "Explain"},
	{"/drift", "drift", "Drift"},
	{"/models", "models", "Models and routes"},
	{"/tree", "tree", "Trees"},
}

// faultPage is a page that has only a sentence.
func (h *handler) faultPage(status int, text string) *page {
	return &page{Status: status, Title: http.StatusText(status), Notes: []note{{Before: text}}}
}

// templates has a template for each page, by path, and one for pages that have no body.
var templates = sync.OnceValue(func() map[string]*template.Template {
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html"))
	all := map[string]*template.Template{"": template.Must(template.Must(layout.Clone()).Parse(`{{define "body"}}{{end}}`))}
	for _, s := range sections {
		name := path.Base(s.Link)
		if s.Path == "/" {
			name = "overview"
		}
		all[s.Path] = template.Must(template.Must(layout.Clone()).ParseFS(files, "templates/"+name+".html"))
	}
	return all
})

// writePage answers with a page.
func writePage(w http.ResponseWriter, r *http.Request, p *page) {
	t := templates()[p.Path]
	if p.Body == nil {
		t = templates()[""]
	}
	var text bytes.Buffer
	if err := t.Execute(&text, map[string]any{"Page": p, "Sections": sections}); err != nil {
		panic(fmt.Sprintf("dash: %v", err)) // a template that does not fit its data: tests execute all
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	writeCompressed(w, r, p.Status, text.Bytes())
}

// writeData answers with JSON.
func writeData(w http.ResponseWriter, r *http.Request, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"detail":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	writeCompressed(w, r, status, append(text, '\n'))
}

// writeCompressed answers with text, compressed if the client takes it.
func writeCompressed(w http.ResponseWriter, r *http.Request, status int, text []byte) {
	w.Header().Add("Vary", "Accept-Encoding")
	if takesGzip(r) && len(text) > 1000 {
		w.Header().Set("Content-Encoding", "gzip")
		text = compressed(text)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // fails only if the client is gone
	}
}

// takesGzip reports whether Accept-Encoding names gzip, other than to refuse it.
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(weight), "q="), 64)
			return err != nil || q > 0
		}
	}
	return false
}

func compressed(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text) // a Buffer does not fail
	_ = z.Close()
	return b.Bytes()
}

// An asset is an embedded file.
type asset struct {
	kind, tag     string
	plain, zipped []byte
}

// assets are the embedded files by name.
var assets = sync.OnceValue(func() map[string]asset {
	all := map[string]asset{}
	list, err := fs.Glob(files, "assets/*")
	if err != nil {
		panic(err) // the pattern is good
	}
	for _, name := range list {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			panic(err) // it is embedded
		}
		kind := mime.TypeByExtension(path.Ext(name))
		switch path.Ext(name) { // a system's table of types may say otherwise
		case ".js":
			kind = "text/javascript; charset=utf-8"
		case ".css":
			kind = "text/css; charset=utf-8"
		case ".svg":
			kind = "image/svg+xml"
		}
		sum := sha256.Sum256(text)
		all[path.Base(name)] = asset{kind, fmt.Sprintf("%x", sum[:12]), text, compressed(text)}
	}
	return all
})

// serveAsset answers with an embedded file. A browser keeps it, and asks each time whether
// it has changed.
func serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	a, ok := assets()[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	text, tag := a.plain, `"`+a.tag+`"`
	if takesGzip(r) {
		text, tag = a.zipped, `"`+a.tag+`-gzip"`
	}
	header.Set("Cache-Control", "private, no-cache")
	header.Set("Vary", "Accept-Encoding")
	header.Set("ETag", tag)
	for have := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(have), "W/") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if takesGzip(r) {
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Type", a.kind)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}

// faultOf returns the status for an error about a user, and a sentence that says what to
// do. It does not quote the error, which may have addresses of stores.
func faultOf(err error, userID string) (int, note) {
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return http.StatusOK, note{Before: "This model can predict but not explain: it has several margins, linear leaves, or no numbers of training rows in its file. " +
			"Train it with one output, or save it with its node statistics, to see contributions."}
	case errors.Is(err, basket.ErrInvalidRequest):
		return http.StatusBadRequest, note{"", userID, " cannot be a user ID: want 1 to 1024 bytes of UTF-8 without control characters. Correct it and ask again."}
	case errors.Is(err, basket.ErrUserNotFound):
		return http.StatusNotFound, note{"There is no feature row of the user ", userID, ". Check the ID; a new user appears when the data is loaded again."}
	case errors.Is(err, basket.ErrStale):
		return http.StatusConflict, note{"The row of the user ", userID, " is older than is allowed, so there is no price. Load newer data, or allow older rows."}
	case errors.Is(err, basket.ErrUnavailable), errors.Is(err, basket.ErrCanceled):
		return http.StatusServiceUnavailable, note{Before: "The store or the model does not answer. Try again in a moment; the service log says why."}
	case errors.Is(err, basket.ErrFeatureMismatch), errors.Is(err, basket.ErrData):
		return http.StatusInternalServerError, note{"The row of the user ", userID, " does not fit the store's features. Materialize the rows again; the service log says more."}
	}
	return http.StatusInternalServerError, note{Before: "The model failed on this row. Look into the service log for the cause."}
}
