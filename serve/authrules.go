package serve

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Protection says which requests [Protect] passes on. In the zero value keys are
// off and there are no admin paths.
type Protection struct {
	// Authenticators accept the credentials of clients; see [Authenticate]. With
	// none of them keys are off: requests need no credential.
	Authenticators []Authenticator

	// Free are the paths that need no credential, such as "/livez". They are
	// compared with the whole path.
	Free []string

	// Admin are the paths, such as "/admin", that need the role Admin, each with all
	// that is below it. With keys off, only GET and HEAD are passed on there, and
	// only for the hosts that Hosts tells.
	Admin []string

	// AdminWrites allows every method under Admin with keys off.
	AdminWrites bool

	// Hosts are the names, without a port, that the Host header may have under Admin
	// with keys off, besides "localhost" and IP addresses. For the sake of this list
	// a web page whose own name is made to resolve to this machine (DNS rebinding)
	// cannot use the browser of an administrator to read there.
	Hosts []string

	// Refused, unless nil, is called with the cause of a 401 or 403, which the client
	// is not told, for a log. It is called at most once a second; the cause says how
	// many requests were refused since without a call. A cause never contains the
	// credential, but the request does. The calls do not overlap.
	Refused func(r *http.Request, cause error)
}

// Protect passes on the requests that p allows, with the [Identity] of the client in
// their context, and answers the others by 401 or 403, each with one body for all
// causes. It changes nothing that p refers to.
//
// Paths are compared so that no way to write a path avoids the rule of Admin and
// still reaches the handler: escapes are decoded, upper and lower case are equal,
// empty and "." elements are skipped, a backslash is a slash, and a path with the
// element ".." counts as one of Admin.
//
// Requests other than GET, HEAD and OPTIONS that a browser sends for the page of
// another site are refused, with keys or without; see [http.CrossOriginProtection].
// With keys off, the Host header of requests outside of Admin is not checked, because
// a proxy in front may pass on the name that its clients use.
func Protect(p Protection) func(http.Handler) http.Handler {
	c := &checker{
		p:       p,
		origins: http.NewCrossOriginProtection(),
	}
	c.p.Authenticators, c.p.Free, c.p.Hosts = slices.Clone(p.Authenticators), slices.Clone(p.Free), slices.Clone(p.Hosts)
	for _, path := range p.Admin {
		c.admin = append(c.admin, elements(path))
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, status, cause := c.check(r)
			if cause != nil {
				c.report(r, cause)
				deny(w, r, status)
				return
			}
			if id != (Identity{}) {
				r = identified(r, id)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// A checker applies a Protection.
type checker struct {
	p       Protection
	origins *http.CrossOriginProtection
	admin   [][]string // the elements of p.Admin

	mu       sync.Mutex
	reported time.Time // the last call of p.Refused
	skipped  int       // requests refused since
}

// check returns the client of a request that is allowed, or the status and the cause
// of a refusal.
func (c *checker) check(r *http.Request) (id Identity, status int, cause error) {
	if err := c.origins.Check(r); err != nil {
		return Identity{}, http.StatusForbidden, fmt.Errorf("serve: %w", err)
	}
	admin := c.isAdmin(r.URL.Path)
	if len(c.p.Authenticators) == 0 {
		if admin {
			cause = c.checkOpen(r)
		}
		return Identity{}, http.StatusForbidden, cause
	}
	id, err := identify(r, c.p.Authenticators)
	switch {
	case err != nil && !admin && c.isFree(r):
		return Identity{}, 0, nil
	case err != nil:
		return Identity{}, http.StatusUnauthorized, err
	case admin && id.Role != Admin:
		return Identity{}, http.StatusForbidden, fmt.Errorf("serve: the client %q has the role %q: want %q", id.Name, id.Role, Admin)
	}
	return id, 0, nil
}

// checkOpen returns why a request under an admin path is refused with keys off, or nil.
func (c *checker) checkOpen(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !c.p.AdminWrites {
		return fmt.Errorf("serve: %.16q under an admin path with keys off: want GET or HEAD", r.Method)
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil { // no port
		host = strings.TrimSuffix(strings.TrimPrefix(r.Host, "["), "]")
	}
	if _, err := netip.ParseAddr(host); err == nil || strings.EqualFold(host, "localhost") {
		return nil
	}
	if !slices.ContainsFunc(c.p.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return fmt.Errorf("serve: the host %.64q under an admin path with keys off: want localhost, an IP address or one of %q", host, c.p.Hosts)
	}
	return nil
}

// isFree reports whether a request needs no credential. A path with unusual escapes,
// such as "%2f" for a slash, may mean another path to the handler.
func (c *checker) isFree(r *http.Request) bool {
	return r.URL.RawPath == "" && slices.Contains(c.p.Free, r.URL.Path)
}

// isAdmin reports whether a decoded path may reach an admin path.
func (c *checker) isAdmin(path string) bool {
	if len(c.admin) == 0 {
		return false
	}
	have := elements(path)
	// What is left of ".." depends on whether escapes are decoded before or after.
	return slices.Contains(have, "..") || slices.ContainsFunc(c.admin, func(rule []string) bool {
		return len(rule) <= len(have) && slices.EqualFunc(rule, have[:len(rule)], strings.EqualFold)
	})
}

// elements returns the elements of a path but the empty ones and ".".
func elements(path string) []string {
	e := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
	return slices.DeleteFunc(e, func(s string) bool { return s == "." })
}

// reportInterval is the time between two calls of Protection.Refused.
const reportInterval = time.Second

func (c *checker) report(r *http.Request, cause error) {
	if c.p.Refused == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.reported.IsZero() && now.Sub(c.reported) < reportInterval {
		c.skipped++
		return
	}
	if c.skipped > 0 {
		cause = fmt.Errorf("%w (and %d requests refused before)", cause, c.skipped)
	}
	c.reported, c.skipped = now, 0
	c.p.Refused(r, cause)
}
