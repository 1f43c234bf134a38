package main

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"net/http"
	"strings"

	"github.com/swaggest/swgui/v5/static"
)

// The document of all paths, and the page to try them. The files of Swagger UI are those
// of package static, compressed by gzip.
var (
	//go:embed openapi.json
	openAPI []byte
	//go:embed docs/page.html
	docsPage []byte
	//go:embed docs/page.css
	docsStyle []byte
	//go:embed docs/start.js
	docsStart []byte
)

// docsPolicy is the Content-Security-Policy of the page. Swagger UI has its icons in its
// style sheet, as data; its scripts and styles are files, and nothing is from elsewhere.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A document is an answer that is always the same.
type document struct {
	contentType string
	text        []byte
	compressed  bool   // text is, by gzip
	policy      string // Content-Security-Policy, unless it is that of data
}

// documents returns the document of all paths and the page to try them, by path.
func documents() map[string]http.Handler {
	const script, style = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
	all := map[string]http.Handler{
		"/openapi.json":  document{contentType: "application/json", text: openAPI},
		"/docs":          document{contentType: "text/html; charset=utf-8", text: docsPage, policy: docsPolicy},
		"/docs/page.css": document{contentType: style, text: docsStyle},
		"/docs/start.js": document{contentType: script, text: docsStart},
	}
	for path, d := range map[string]struct{ name, contentType string }{
		"/docs/swagger-ui.css": {"swagger-ui.css.gz", style},
		"/docs/swagger-ui.js":  {"swagger-ui-bundle.js.gz", script},
	} {
		text, _ := static.FS.ReadFile(d.name) // part of the program
		all[path] = document{contentType: d.contentType, text: text, compressed: true}
	}
	return all
}

// ServeHTTP answers GET and HEAD.
func (d document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		h.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = io.WriteString(w, `{"detail":"Method Not Allowed"}`)
		return
	}
	h.Set("Content-Type", d.contentType)
	if d.policy != "" {
		h.Set("Content-Security-Policy", d.policy)
	}
	if !d.compressed {
		_, _ = w.Write(d.text) // fails only if the client is gone
		return
	}
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		_, _ = w.Write(d.text)
		return
	}
	if z, err := gzip.NewReader(bytes.NewReader(d.text)); err == nil { // it is: the file is part of the program
		_, _ = io.Copy(w, z)
	}
}

// acceptsGzip reports whether a client reads gzip.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			_, q, given := strings.Cut(weight, "q=")
			return !given || strings.Trim(q, "0. ") != ""
		}
	}
	return false
}
