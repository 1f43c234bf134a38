package tokens_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket/cmd/basket/internal/tokens"
	"github.com/basket-go/basket/serve"
	"github.com/golang-jwt/jwt/v5"
)

// writeFile writes a file as a whole, as those who change keys should.
func writeFile(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// newVerifier returns a Verifier of a file with the text.
func newVerifier(t testing.TB, text []byte) (v *tokens.Verifier, path string) {
	t.Helper()
	s := settings()
	s.JWKS = filepath.Join(t.TempDir(), "keys.json")
	writeFile(t, s.JWKS, text)
	v, err := tokens.NewVerifier(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return v, s.JWKS
}

// publicForms are the bytes of the public key that a verifier might take for a shared
// secret.
func publicForms(t *testing.T) map[string][]byte {
	t.Helper()
	key := &issuerRSA().PublicKey
	pkix, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(key)
	return map[string][]byte{
		"PKIX, DER": pkix, "PKCS #1, DER": pkcs1, "modulus": key.N.Bytes(), "JWKS": issuerKeys(), "empty": {},
		"PKIX, PEM":    pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}),
		"PKCS #1, PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
	}
}

type tokenTest struct {
	reason, token string
	status        int    // of an admin path; a client gets 200 elsewhere
	cause         string // of a refusal, for the log
}

func tokenTests(t *testing.T) []tokenTest {
	rs, es, none := jwt.SigningMethodRS256, jwt.SigningMethodES256, jwt.UnsafeAllowNoneSignatureType
	ec := func(changed jwt.MapClaims) string { return sign(t, es, "ec", issuerEC(), claims(changed)) }
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	good := goodToken(t)
	parts := strings.Split(good, ".")
	tests := []tokenTest{
		{"RS256", sign(t, rs, "rsa", issuerRSA(), claims(jwt.MapClaims{"role": "admin"})), 200, ""},
		{"ES256", ec(jwt.MapClaims{"role": []string{"reader", "admin"}}), 200, ""},
		{"EdDSA", sign(t, jwt.SigningMethodEdDSA, "ed", issuerEd(), claims(jwt.MapClaims{"role": "admin"})), 200, ""},
		{"one of several audiences", ec(jwt.MapClaims{"aud": []string{"other", "basket"}, "role": "admin"}), 200, ""},
		{"expired within the leeway", ec(jwt.MapClaims{"exp": in(-10 * time.Second), "role": "admin"}), 200, ""},
		{"only what is required", ec(jwt.MapClaims{"nbf": nil, "iat": nil, "role": "admin"}), 200, ""},

		{"no role", good, 403, ""},
		{"another role", ec(jwt.MapClaims{"role": "Admin"}), 403, ""},
		{"a role that contains the word", ec(jwt.MapClaims{"role": "not admin"}), 403, ""},
		{"a role of another type", ec(jwt.MapClaims{"role": map[string]any{"admin": true}}), 403, ""},
		{"a list of other roles", ec(jwt.MapClaims{"role": []any{"user", 1, nil}}), 403, ""},

		{"no text", "", 401, ""},
		{"no token", "x", 401, "token is malformed"},
		{"expired", ec(jwt.MapClaims{"exp": in(-time.Minute)}), 401, "token is expired"},
		{"no expiry", ec(jwt.MapClaims{"exp": nil}), 401, "exp claim is required"},
		{"expiry of another type", ec(jwt.MapClaims{"exp": "tomorrow"}), 401, "exp is invalid"},
		{"not yet valid", ec(jwt.MapClaims{"nbf": in(time.Minute)}), 401, "token is not valid yet"},
		{"issued in the future", ec(jwt.MapClaims{"iat": in(time.Minute)}), 401, "token used before issued"},
		{"another issuer", ec(jwt.MapClaims{"iss": "https://issuer.example/"}), 401, "token has invalid issuer"},
		{"no issuer", ec(jwt.MapClaims{"iss": nil}), 401, "iss claim is required"},
		{"another audience", ec(jwt.MapClaims{"aud": "baskets"}), 401, "token has invalid audience"},
		{"no audience", ec(jwt.MapClaims{"aud": nil}), 401, "aud claim is required"},
		{"no name", ec(jwt.MapClaims{"sub": nil}), 401, `no text in the claim "sub"`},
		{"a name of another type", ec(jwt.MapClaims{"sub": 1}), 401, `no text in the claim "sub"`},
		{"a name that would forge a log", ec(jwt.MapClaims{"sub": "shop\nERROR"}), 401, "has a space or a character that cannot be printed"},
		{"a long name", ec(jwt.MapClaims{"sub": strings.Repeat("x", 129)}), 401, "longer than 128 bytes"},
		{"a long token", ec(jwt.MapClaims{"x": strings.Repeat("x", 16<<10)}), 401, "want at most 16384"},

		{"unknown kid", sign(t, es, "new", issuerEC(), claims(nil)), 401, `no key has the kid "new"`},
		{"no kid", sign(t, es, nil, issuerEC(), claims(nil)), 401, "a kid of 0 bytes"},
		{"a kid of another type", sign(t, es, []string{"ec"}, issuerEC(), claims(nil)), 401, "a kid of 0 bytes"},
		{"a path as kid", sign(t, es, "../../dev/null", issuerEC(), claims(nil)), 401, "no key has the kid"},
		{"another key", sign(t, rs, "rsa", foreignRSA(), claims(nil)), 401, "token signature is invalid"},
		{"another key, given in the header", signWith(t, rs, jwk{"kid": "rsa", "jwk": public(&foreignRSA().PublicKey, nil)}, foreignRSA(), claims(nil)), 401, "token signature is invalid"},
		{"the kid of another of the keys", sign(t, rs, "ec", issuerRSA(), claims(nil)), 401, `does not match token "alg"`},
		{"an extension", signWith(t, es, jwk{"kid": "ec", "crit": []string{"b64"}, "b64": false}, issuerEC(), claims(nil)), 401, `"crit"`},
		{"an algorithm that is not allowed", sign(t, jwt.SigningMethodRS512, "rsa", issuerRSA(), claims(nil)), 401, "signing method RS512 is invalid"},
		{"an algorithm that is not the key's", sign(t, jwt.SigningMethodPS256, "rsa", issuerRSA(), claims(nil)), 401, `does not match token "alg"`},
		{"another curve", sign(t, jwt.SigningMethodES384, "ec", newEC(elliptic.P384()), claims(nil)), 401, "signing method ES384 is invalid"},
		{"none", sign(t, jwt.SigningMethodNone, "ec", none, claims(nil)), 401, "signing method none is invalid"},
		{"None", base64url([]byte(`{"alg":"None","kid":"ec"}`)) + "." + parts[1] + ".", 401, "signing method (alg) is unavailable"},
		{"no algorithm", base64url([]byte(`{"kid":"ec"}`)) + "." + parts[1] + "." + parts[2], 401, "signing method (alg) is unspecified"},
		{"no signature", parts[0] + "." + parts[1] + ".", 401, "token signature is invalid"},
		{"a zero signature", parts[0] + "." + parts[1] + "." + base64url(make([]byte, 64)), 401, "token signature is invalid"},
		{"other claims", parts[0] + "." + strings.Split(ec(jwt.MapClaims{"role": "admin"}), ".")[1] + "." + parts[2], 401, "token signature is invalid"},
		{"two parts", parts[0] + "." + parts[1], 401, "invalid number of segments"},
		{"four parts", good + "." + parts[2], 401, "invalid number of segments"},
		{"padding", good + "==", 401, "token is malformed"},
	}
	for form, secret := range publicForms(t) {
		for _, kid := range []string{"rsa", "ec"} {
			tests = append(tests, tokenTest{"HS256 with the public key as secret: " + form, sign(t, jwt.SigningMethodHS256, kid, secret, claims(nil)), 401, "signing method HS256 is invalid"})
		}
	}
	return tests
}

// TestVerifier is the table of tokens over HTTP. All causes of 401 have one body, in
// the form of either protocol.
func TestVerifier(t *testing.T) {
	v, _ := newVerifier(t, issuerKeys())
	server := httptest.NewServer(serve.Protect(serve.Protection{
		Authenticators: []serve.Authenticator{v},
		Admin:          []string{"/admin", "/v2/repository"},
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, serve.IdentityOf(r.Context()).Name)
	})))
	defer server.Close()
	get := func(path, token string) (status int, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	words := map[int]string{401: "Unauthorized", 403: "Forbidden"}
	for _, test := range tokenTests(t) {
		t.Run(test.reason, func(t *testing.T) {
			for path, form := range map[string]string{"/admin/routes": `{"detail":%q}`, "/v2/repository/index": `{"error":%q}`} {
				want := "shop"
				if test.status != 200 {
					want = fmt.Sprintf(form+"\n", words[test.status])
				}
				if status, body := get(path, test.token); status != test.status || body != want {
					t.Errorf("%s: %d %q, want %d %q", path, status, body, test.status, want)
				}
			}
			for path, form := range map[string]string{"/predict": `{"detail":%q}`, "/v2/models/price/infer": `{"error":%q}`} {
				status, want := 200, "shop"
				if test.status == 401 {
					status, want = 401, fmt.Sprintf(form+"\n", words[401])
				}
				if got, body := get(path, test.token); got != status || body != want {
					t.Errorf("%s: %d %q, want %d %q", path, got, body, status, want)
				}
			}
			_, err := v.Authenticate(t.Context(), test.token)
			switch {
			case (err != nil) != (test.status == 401):
				t.Errorf("Authenticate: %v", err)
			case err == nil:
			case !errors.Is(err, serve.ErrCredential) || !strings.Contains(err.Error(), test.cause):
				t.Errorf("the cause %q, want %q", err, test.cause)
			case strings.Contains(err.Error(), "\n") || len(err.Error()) > 300 || len(test.token) > 20 && strings.Contains(err.Error(), test.token[:20]):
				t.Errorf("the cause is long or has the token: %q", err)
			}
		})
	}
}

// TestVerifier_claims: the claims of the name and of the role can be chosen.
func TestVerifier_claims(t *testing.T) {
	s := settings()
	s.NameClaim, s.RoleClaim = "client_id", "https://basket.example/roles"
	s.JWKS = filepath.Join(t.TempDir(), "keys.json")
	writeFile(t, s.JWKS, issuerKeys())
	v, err := tokens.NewVerifier(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	token := sign(t, jwt.SigningMethodES256, "ec", issuerEC(), claims(jwt.MapClaims{"client_id": "till-7", s.RoleClaim: []string{"admin"}, "role": "user"}))
	if id, err := v.Authenticate(t.Context(), token); err != nil || id != (serve.Identity{Name: "till-7", Role: serve.Admin}) {
		t.Errorf("%v, %v", id, err)
	}
	if id, err := v.Authenticate(t.Context(), goodToken(t)); err == nil {
		t.Errorf("a token without the name: %v", id)
	}
}

func TestNewVerifier_refuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	writeFile(t, path, issuerKeys())
	tests := map[string]struct {
		s    tokens.Settings
		want []string
	}{
		"nothing": {tokens.Settings{}, []string{"no key set", "no issuer", "no audience"}},
		"algorithms": {
			tokens.Settings{JWKS: path, Issuer: "i", Audience: "a", Algorithms: []string{"RS256", "none", "HS256", "rs256", ""}},
			[]string{`the algorithm "none"`, `the algorithm "HS256"`, `the algorithm "rs256"`, `the algorithm ""`},
		},
		"times":      {tokens.Settings{JWKS: path, Issuer: "i", Audience: "a", Leeway: time.Hour, Refresh: time.Second}, []string{"the leeway 1h0m0s", "the refresh every 1s"}},
		"no file":    {tokens.Settings{JWKS: path + "x", Issuer: "i", Audience: "a"}, []string{"no such file"}},
		"plain http": {tokens.Settings{JWKS: "http://user:secret@issuer.example/keys", Issuer: "i", Audience: "a"}, []string{"want https, or http to a loopback host"}},
		"scheme":     {tokens.Settings{JWKS: "file:///etc/passwd", Issuer: "i", Audience: "a"}, []string{"tokens: the key set at file:///etc/passwd: no host"}},
		"no host":    {tokens.Settings{JWKS: "https:///keys", Issuer: "i", Audience: "a"}, []string{"no host"}},
		"bad URL":    {tokens.Settings{JWKS: "https://user:secret@host:port/", Issuer: "i", Audience: "a"}, []string{"the URL of the key set cannot be read"}},
		"other keys": {tokens.Settings{JWKS: path, Issuer: "i", Audience: "a", Algorithms: []string{"ES512"}}, []string{"none of 3 keys is for signatures by [ES512]"}},
	}
	for name, test := range tests {
		_, err := tokens.NewVerifier(t.Context(), test.s)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
}

// TestVerifier_keySets is the table of key sets: which cannot be used, and why.
func TestVerifier_keySets(t *testing.T) {
	rsaKey, ec := &issuerRSA().PublicKey, public(&issuerEC().PublicKey, jwk{"kid": "ec"})
	many := make([]jwk, 101)
	for i := range many {
		many[i] = public(&issuerEC().PublicKey, jwk{"kid": fmt.Sprint(i)})
	}
	tests := map[string]struct {
		text []byte
		want string // "" if the key "ec" can be used
	}{
		"one key":             {keySetOf(ec), ""},
		"100 keys":            {keySetOf(append(many[:99:99], ec)...), ""},
		"keys for other uses": {keySetOf(ec, jwk{"kty": "RSA", "use": "enc"}, public(rsaKey, jwk{"alg": "RSA-OAEP", "kid": "a"}), public(rsaKey, jwk{"key_ops": []string{"wrapKey"}, "kid": "ec"})), ""},
		"keys of other types": {keySetOf(ec, jwk{"kty": "AKP", "kid": "a"}, jwk{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "b"}, public(&newEC(elliptic.P521()).PublicKey, jwk{"kid": "c"})), ""},
		"certificates":        {keySetOf(public(&issuerEC().PublicKey, jwk{"kid": "ec", "x5u": "http://127.0.0.1:1/", "x5c": []string{"no certificate"}, "x5t": "x"})), ""},
		"other members":       {[]byte(`{"version":1,` + string(keySetOf(ec)[1:])), ""},

		"no JSON":            {[]byte("<html>"), "no JSON Web Key Set"},
		"cut off":            {keySetOf(ec)[:80], "no JSON Web Key Set"},
		"more after it":      {append(keySetOf(ec), '{'), "no JSON Web Key Set"},
		"an error's answer":  {[]byte(`{"error":"unavailable"}`), `0 "keys": want 1 to 100`},
		"no keys":            {[]byte(`{"keys":[]}`), `0 "keys": want 1 to 100`},
		"a list":             {[]byte(`[]`), "no JSON Web Key Set"},
		"101 keys":           {keySetOf(many...), `101 "keys": want 1 to 100`},
		"two of one kid":     {keySetOf(ec, public(rsaKey, jwk{"kid": "ec"})), `keys[1] (kid "ec"): another key has the same kid`},
		"no kid":             {keySetOf(public(rsaKey, nil)), "a kid of 0 bytes: want 1 to 256"},
		"symmetric":          {keySetOf(ec, jwk{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}), `keys[1] (kid "s"): a symmetric key: want public keys only`},
		"symmetric, for enc": {keySetOf(ec, jwk{"kty": "oct", "k": "c2VjcmV0", "use": "enc"}), "a symmetric key"},
		"private RSA":        {keySetOf(public(rsaKey, jwk{"kid": "a", "d": base64url(issuerRSA().D.Bytes())})), "a private key: want public keys only, and replace this one"},
		"a prime of RSA":     {keySetOf(public(rsaKey, jwk{"kid": "a", "P": base64url(issuerRSA().Primes[0].Bytes())})), "a private key"},
		"private EC":         {keySetOf(public(&issuerEC().PublicKey, jwk{"kid": "a", "d": "AA"})), "a private key"},
		"short RSA":          {keySetOf(jwk{"kty": "RSA", "kid": "a", "e": "AQAB", "n": base64url(append([]byte{0x7f}, bytes.Repeat([]byte{0xff}, 255)...))}), "an RSA key of 2047 bits: want 2048 to 8192"},
		"long RSA":           {keySetOf(jwk{"kty": "RSA", "kid": "a", "e": "AQAB", "n": base64url(bytes.Repeat([]byte{0xff}, 1025))}), "an RSA key of 8200 bits"},
		"exponent 1":         {keySetOf(jwk{"kty": "RSA", "kid": "a", "e": "AQ", "n": base64url(rsaKey.N.Bytes())}), `parameter "e" is out of range`},
		"even exponent":      {keySetOf(jwk{"kty": "RSA", "kid": "a", "e": "BA", "n": base64url(rsaKey.N.Bytes())}), "an RSA key with the exponent 4"},
		"off the curve":      {keySetOf(jwk{"kty": "EC", "crv": "P-256", "kid": "a", "x": "AQ", "y": "AQ"}), "keys[0]"},
		"algorithm and type": {keySetOf(public(rsaKey, jwk{"kid": "a", "alg": "ES256"})), `the algorithm "ES256" for a key of RSA`},
		"none for us":        {keySetOf(public(rsaKey, jwk{"kid": "a", "alg": "HS256"})), "none of 1 keys is for signatures"},
		"many faults":        {keySetOf(make([]jwk, 50)...), "and 40 more"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := settings()
			s.JWKS = filepath.Join(t.TempDir(), "keys.json")
			writeFile(t, s.JWKS, test.text)
			v, err := tokens.NewVerifier(t.Context(), s)
			switch {
			case test.want == "" && err == nil:
				if _, err := v.Authenticate(t.Context(), goodToken(t)); err != nil {
					t.Error(err)
				}
			case test.want == "" || err == nil || !strings.Contains(err.Error(), test.want):
				t.Errorf("%v, want %q", err, test.want)
			case strings.Contains(err.Error(), "c2VjcmV0") || strings.Contains(err.Error(), "\n") && name != "many faults":
				t.Errorf("the error has the secret or several lines: %v", err)
			}
		})
	}
}
