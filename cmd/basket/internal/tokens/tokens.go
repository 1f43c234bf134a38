// Package tokens accepts JSON Web Tokens as credentials of package serve.
package tokens

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket/serve"
	"github.com/golang-jwt/jwt/v5"
)

// Settings tell which tokens a [Verifier] accepts.
type Settings struct {
	// JWKS is a file, or an https URL, of the issuer's public keys: a JSON Web Key
	// Set of at most 1 MiB and 100 keys. http is allowed for loopback hosts only.
	JWKS string

	// Issuer and Audience must be those of a token ("iss", "aud"). Both are required.
	Issuer, Audience string

	// Algorithms are those accepted, of RS, PS and ES with 256, 384 and 512, and
	// EdDSA. By default RS256 and ES256.
	Algorithms []string

	// RoleClaim is the claim that gives the role: a string or a list of strings. A
	// client for which it has "admin" has the role serve.Admin, any other serve.User.
	// By default "role".
	RoleClaim string

	// NameClaim is the claim that gives the name of the client; see serve.CheckName.
	// By default "sub".
	NameClaim string

	// Leeway is what the clocks of the issuer and of this machine may differ, at most
	// five minutes. By default 30 seconds.
	Leeway time.Duration

	// Refresh is the time between two fetches of a URL, at least 30 seconds. By
	// default ten minutes.
	Refresh time.Duration

	// Transport makes the requests for a URL, if not nil.
	Transport http.RoundTripper
}

// Limits of the settings and of a token.
const (
	maxToken   = 16 << 10 // bytes
	maxKid     = 256      // bytes
	maxLeeway  = 5 * time.Minute
	minRefresh = retryInterval
)

// A Verifier accepts tokens that are signed by a key of a JSON Web Key Set. It is a
// serve.Authenticator, safe for concurrent use.
//
// A token has at most 16 KiB, the issuer, the audience and an algorithm of the
// settings, the "kid" of a key, and "exp"; "nbf" and "iat" are checked if present.
type Verifier struct {
	settings Settings
	source   source
	parser   *jwt.Parser
	now      atomic.Pointer[keySet]
	unknown  chan struct{} // that a token named a key that is not in the set
	look     time.Duration // between two looks at a file
}

var _ serve.Authenticator = (*Verifier)(nil)

// NewVerifier reads the keys and returns a Verifier of them. The keys stay the same
// unless [Verifier.Watch] runs.
func NewVerifier(ctx context.Context, s Settings) (*Verifier, error) {
	s.Algorithms = slices.Clone(s.Algorithms)
	s.setDefaults()
	source, err := newSource(s.JWKS, s.Transport)
	if err := errors.Join(err, s.check()); err != nil {
		return nil, err
	}
	v := &Verifier{
		settings: s,
		source:   source,
		unknown:  make(chan struct{}, 1),
		look:     time.Second,
		parser: jwt.NewParser(
			jwt.WithValidMethods(s.Algorithms), jwt.WithIssuer(s.Issuer), jwt.WithAudience(s.Audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(s.Leeway), jwt.WithStrictDecoding(),
		),
	}
	text, err := v.source.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := v.use(text); err != nil {
		return nil, err
	}
	return v, nil
}

func (s *Settings) setDefaults() {
	if len(s.Algorithms) == 0 {
		s.Algorithms = []string{"RS256", "ES256"}
	}
	if s.RoleClaim == "" {
		s.RoleClaim = "role"
	}
	if s.NameClaim == "" {
		s.NameClaim = "sub"
	}
	if s.Leeway == 0 {
		s.Leeway = 30 * time.Second
	}
	if s.Refresh == 0 {
		s.Refresh = 10 * time.Minute
	}
}

// check returns all faults of the settings but those of JWKS.
func (s *Settings) check() error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf("tokens: "+format, args...)) }
	if s.Issuer == "" {
		add("no issuer: want the one of the tokens")
	}
	if s.Audience == "" {
		add("no audience: want the one that tokens for this server have")
	}
	for _, a := range s.Algorithms {
		if familyOf[a] == "" {
			add("the algorithm %.32q: want RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA", a)
		}
	}
	if s.Leeway < 0 || s.Leeway > maxLeeway {
		add("the leeway %v: want 0 to %v", s.Leeway, maxLeeway)
	}
	if s.Refresh < minRefresh {
		add("the refresh every %v: want at least %v", s.Refresh, minRefresh)
	}
	return errors.Join(faults...)
}

// Authenticate returns the client of a token, or an error that wraps
// serve.ErrCredential and tells the cause, but nothing of the token except its kid.
//
// It never waits for the network. A token of an unknown kid is refused, and lets
// [Verifier.Watch] fetch the keys, so that the next one is accepted if the key is new.
func (v *Verifier) Authenticate(_ context.Context, token string) (serve.Identity, error) {
	if len(token) > maxToken {
		return serve.Identity{}, refused("a token of %d bytes: want at most %d", len(token), maxToken)
	}
	claims := jwt.MapClaims{}
	if _, err := v.parser.ParseWithClaims(token, claims, v.key); err != nil {
		return serve.Identity{}, refused("%v", err)
	}
	name, ok := claims[v.settings.NameClaim].(string)
	if !ok {
		return serve.Identity{}, refused("the token has no text in the claim %q, which names the client", v.settings.NameClaim)
	}
	if err := serve.CheckName(name); err != nil {
		return serve.Identity{}, refused("the claim %q: %v", v.settings.NameClaim, err)
	}
	return serve.Identity{Name: name, Role: roleOf(claims[v.settings.RoleClaim])}, nil
}

// key returns the key that must have signed a token whose header has been read.
func (v *Verifier) key(t *jwt.Token) (any, error) {
	// No extension of RFC 7515 is known here, and golang-jwt 5.3 does not look.
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New(`the header has "crit": want no extensions`)
	}
	// keyfunc 3.9 tries all keys for a token without a kid.
	kid, _ := t.Header["kid"].(string)
	if kid == "" || len(kid) > maxKid {
		return nil, fmt.Errorf("a kid of %d bytes: want 1 to %d", len(kid), maxKid)
	}
	set := v.now.Load()
	if !set.kids[kid] {
		select {
		case v.unknown <- struct{}{}:
		default:
		}
		return nil, fmt.Errorf("no key has the kid %.64q", kid)
	}
	return set.key(t)
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{serve.ErrCredential}, args...)...)
}

func roleOf(claim any) serve.Role {
	switch c := claim.(type) {
	case string:
		if c == string(serve.Admin) {
			return serve.Admin
		}
	case []any:
		if slices.Contains(c, any(string(serve.Admin))) {
			return serve.Admin
		}
	}
	return serve.User
}
