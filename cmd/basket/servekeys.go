package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/basket-go/basket/cmd/basket/internal/tokens"
	"github.com/basket-go/basket/serve"
)

// authSettings say who may send requests.
type authSettings struct {
	KeyFile string `type:"setting" placeholder:"FILE" help:"File of API keys, a line NAME:SHA256[:ROLE] each, which is read again when it changes; see basket key new. /status, /livez, /readyz, /v2/health, /openapi.json and /docs need no key."`
	Keys    string `type:"setting" secret:"" placeholder:"LINES" help:"More API keys, in the form of the lines of --key-file, separated by commas; meant for the environment, BASKET_KEYS."`

	JWKS          string   `name:"jwks" type:"setting" placeholder:"FILE|URL" help:"Accept JSON Web Tokens that are signed by a key of this JSON Web Key Set, which is read again when it changes."`
	JWTIssuer     string   `name:"jwt-issuer" type:"setting" placeholder:"ISS" help:"The issuer that a token must be of. Needed with --jwks."`
	JWTAudience   string   `name:"jwt-audience" type:"setting" placeholder:"AUD" help:"The audience that a token must be for. Needed with --jwks."`
	JWTAlgorithms []string `name:"jwt-algorithms" type:"setting" placeholder:"ALG,..." help:"Algorithms of signatures that are accepted (default RS256,ES256)."`
	JWTRoleClaim  string   `name:"jwt-role-claim" type:"setting" placeholder:"CLAIM" help:"The claim that has \"admin\" for administrators (default role)."`
	JWTNameClaim  string   `name:"jwt-name-claim" type:"setting" placeholder:"CLAIM" help:"The claim that names the client in logs (default sub)."`

	Admin          bool `type:"switch" help:"Without keys, allow writes under /admin."`
	InsecureNoAuth bool `type:"switch" help:"Serve without keys at an address that is not loopback."`
}

// on reports whether requests need a key or token.
func (a *authSettings) on() bool { return a.KeyFile != "" || a.Keys != "" || a.JWKS != "" }

// faults returns what is wrong with the settings together.
func (a *authSettings) faults() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if a.JWKS == "" && (a.JWTIssuer != "" || a.JWTAudience != "" || a.JWTAlgorithms != nil || a.JWTRoleClaim != "" || a.JWTNameClaim != "") {
		fault("--jwt-issuer, --jwt-audience and the like are of --jwks: give that, or leave them out")
	}
	if a.on() && a.InsecureNoAuth {
		fault("both keys and --insecure-no-auth: give one of them")
	}
	if a.on() && a.Admin {
		fault("both keys and --admin: with keys, writes under /admin want the role admin; leave --admin out")
	}
	return faults
}

// addressFaults returns what is wrong with an address to listen on, the value of a flag.
func (a *authSettings) addressFaults(name, addr string) []error {
	switch loopback, err := isLoopback(addr); {
	case err != nil:
		return []error{fmt.Errorf("%s %q: want HOST:PORT", name, addr)}
	case !loopback && !a.on() && !a.InsecureNoAuth:
		return []error{fmt.Errorf("%s is not a loopback address, and there are no API keys: give --key-file or --jwks, or --insecure-no-auth to serve everyone", addr)}
	}
	return nil
}

// isLoopback reports whether only programs of this machine reach an address. The name
// localhost does; other names are not looked up.
func isLoopback(addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, err
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback(), nil
}

// loadKeys loads keys and key sets, and follows their changes until ctx is done.
func (s *server) loadKeys(ctx context.Context) error {
	a := &s.Auth
	var faults []error
	if a.KeyFile != "" {
		keys, err := serve.LoadKeys(a.KeyFile)
		if err == nil {
			s.authenticators = append(s.authenticators, keys)
			s.follow(ctx, "keys", "keys", func(ctx context.Context, report func(error)) error {
				return keys.Watch(ctx, a.KeyFile, watchInterval, report)
			})
		}
		faults = append(faults, err)
	}
	if a.Keys != "" {
		keys, err := serve.ParseKeyList(a.Keys)
		if err != nil {
			err = fmt.Errorf("--keys: %w", err)
		} else {
			s.authenticators = append(s.authenticators, keys)
		}
		faults = append(faults, err)
	}
	if a.JWKS != "" {
		verifier, err := tokens.NewVerifier(ctx, tokens.Settings{
			JWKS: a.JWKS, Issuer: a.JWTIssuer, Audience: a.JWTAudience, Algorithms: a.JWTAlgorithms,
			RoleClaim: a.JWTRoleClaim, NameClaim: a.JWTNameClaim,
		})
		if err == nil {
			s.authenticators = append(s.authenticators, verifier)
			s.follow(ctx, "jwks", "JSON Web Key Set", verifier.Watch)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}
