package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Role is what a client may do.
type Role string

// The roles. Admin may do everything.
const (
	User  Role = "user"
	Admin Role = "admin"
)

// An Identity is a client whose credential has been accepted.
type Identity struct {
	Name string
	Role Role
}

// maxName is the length of the longest name of a client, in bytes.
const maxName = 128

// CheckName returns what is wrong with the name of a client, for an [Authenticator]
// that takes names from elsewhere. Names stand in logs: they have at most 128 bytes,
// all printable, and no spaces.
func CheckName(name string) error {
	if fault := nameFault(name); fault != "" {
		return fmt.Errorf("serve: the name of a client %s: want at most %d bytes without spaces", fault, maxName)
	}
	return nil
}

func nameFault(name string) string {
	switch {
	case name == "":
		return "is missing"
	case len(name) > maxName:
		return fmt.Sprintf("is longer than %d bytes", maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return "has a space or a character that cannot be printed"
	}
	return ""
}

// ErrCredential is the error of an [Authenticator] for a credential that it does not
// accept.
var ErrCredential = errors.New("serve: the credential is not accepted")

// An Authenticator accepts credentials. It is called by many goroutines at once.
// [Keys] is one.
type Authenticator interface {
	// Authenticate returns the client of a credential, or an error that wraps
	// ErrCredential.
	Authenticate(ctx context.Context, credential string) (Identity, error)
}

// IdentityOf returns the client of a request that has passed [Authenticate], by the
// request's context, or the zero Identity.
func IdentityOf(ctx context.Context) Identity {
	if info := infoOf(ctx); info != nil {
		return info.identity
	}
	return Identity{}
}

// WithIdentity returns a context for which [IdentityOf] returns id.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return withInfo(ctx, func(info *requestInfo) { info.identity = id })
}

// identified returns a request whose context has an identity. If [RequestID] has run it
// is r itself: nobody else reads the request before its handler runs.
func identified(r *http.Request, id Identity) *http.Request {
	if info := infoOf(r.Context()); info != nil {
		info.identity = id
		return r
	}
	return r.WithContext(WithIdentity(r.Context(), id))
}

// Authenticate passes on the requests of clients that one of the authenticators
// accepts, with their [Identity] in the context. The credential is sent as
// "Authorization: Bearer CREDENTIAL", as "X-API-Key: CREDENTIAL" or, by browsers, as
// the password of Basic authentication. Any other request is answered by 401 and
// always the same body.
//
// Free says which requests need no credential; if they have a good one, their
// identity is known nevertheless. It may be nil.
func Authenticate(free func(*http.Request) bool, authenticators ...Authenticator) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, err := identify(r, authenticators)
			switch {
			case err == nil:
				next.ServeHTTP(w, identified(r, id))
			case free != nil && free(r):
				next.ServeHTTP(w, r)
			default:
				deny(w, r, http.StatusUnauthorized)
			}
		})
	}
}

// identify returns the client of a request, or why it is none.
func identify(r *http.Request, authenticators []Authenticator) (Identity, error) {
	credential := credentialOf(r)
	if credential == "" {
		return Identity{}, errNoCredential
	}
	err := errNoAuthenticator
	for i, a := range authenticators {
		id, cause := a.Authenticate(r.Context(), credential)
		switch {
		case cause == nil:
			return id, nil
		case i == 0:
			err = cause
		default:
			err = fmt.Errorf("%w; %w", err, cause) // in one line, for logs
		}
	}
	return Identity{}, err
}

var (
	errNoCredential    = errors.New("serve: the request has no credential")
	errNoAuthenticator = errors.New("serve: there is nothing to accept a credential")
)

// RequireRole passes on the requests of clients that have the role, or Admin, and
// answers others by 403 and always the same body. It belongs behind [Authenticate].
func RequireRole(role Role) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if has := IdentityOf(r.Context()).Role; has != role && has != Admin {
				deny(w, r, http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// deny answers with 401 or 403, for all causes alike.
func deny(w http.ResponseWriter, r *http.Request, status int) {
	if status == http.StatusUnauthorized {
		w.Header()["Www-Authenticate"] = []string{`Bearer`, `Basic realm="basket", charset="UTF-8"`}
	}
	refuse(w, r, status, http.StatusText(status))
}

// refuse answers with an error in the form of the protocol that the client speaks.
func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	field := "detail"
	if strings.HasPrefix(r.URL.Path, "/v2/") || r.URL.Path == "/v2" { // the Open Inference Protocol
		field = "error"
	}
	writeJSON(w, status, map[string]string{field: text})
}

// credentialOf returns the credential of a request, or "".
func credentialOf(r *http.Request) string {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(rest)
	}
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	return r.Header.Get("X-Api-Key")
}
