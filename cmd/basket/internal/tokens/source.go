package tokens

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// Limits of reading keys.
const (
	maxText      = 1 << 20 // bytes
	maxHeader    = 64 << 10
	maxRedirects = 3
	fetchLimit   = 10 * time.Second
)

// A source is where the text of a key set is.
type source struct {
	path   string   // of a file, or
	url    *url.URL // of a server
	client *http.Client
}

// newSource returns the source that a file's path or a URL names.
func newSource(name string, transport http.RoundTripper) (source, error) {
	if name == "" {
		return source{}, errors.New("tokens: no key set: want a file or a URL")
	}
	if !strings.Contains(name, "://") {
		return source{path: name}, nil
	}
	u, err := url.Parse(name)
	if err != nil {
		return source{}, errors.New("tokens: the URL of the key set cannot be read: want https://HOST/PATH") // err repeats it, with a password
	}
	if err := checkURL(u); err != nil {
		return source{}, fmt.Errorf("tokens: the key set at %s: %w", u.Redacted(), err)
	}
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxResponseHeaderBytes = maxHeader
		transport = t
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		switch {
		case len(via) > maxRedirects:
			return fmt.Errorf("over %d redirects", maxRedirects)
		case r.URL.Scheme != u.Scheme:
			return fmt.Errorf("a redirect from %s to %.16q: want the same scheme", u.Scheme, r.URL.Scheme)
		}
		return checkURL(r.URL)
	}}
	return source{url: u, client: client}, nil
}

// checkURL returns why keys may not be fetched from u: others could change them on
// the way.
func checkURL(u *url.URL) error {
	if u.Host == "" {
		return errors.New("no host: want https://HOST/PATH")
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("the scheme %.16q: want https, or http to a loopback host", u.Scheme)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}

// String names the source for logs.
func (s source) String() string {
	if s.url != nil {
		return s.url.Redacted()
	}
	return s.path
}

// read returns the text, in at most ten seconds from a URL.
func (s source) read(ctx context.Context) ([]byte, error) {
	if s.url == nil {
		f, err := os.Open(s.path)
		if err != nil {
			return nil, fmt.Errorf("tokens: %w", err)
		}
		defer f.Close()
		return s.readAll(f)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, fetchLimit, fmt.Errorf("no answer within %v", fetchLimit))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("tokens: %v: %w", s, err)
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("tokens: the key set: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("tokens: %v: the status %d: want 200", s, response.StatusCode)
	}
	return s.readAll(response.Body)
}

func (s source) readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxText+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("tokens: %v: %w", s, err)
	case len(text) > maxText:
		return nil, fmt.Errorf("tokens: %v: a key set of over %d bytes: want at most that", s, maxText)
	}
	return text, nil
}
