package tokens_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/basket-go/basket/cmd/basket/internal/tokens"
	"github.com/golang-jwt/jwt/v5"
)

// FuzzVerifier: no token panics, and one that is accepted has the signed bytes of one
// that the issuer has signed.
func FuzzVerifier(f *testing.F) {
	v, _ := newVerifier(f, issuerKeys())
	good := []string{
		goodToken(f),
		sign(f, jwt.SigningMethodRS256, "rsa", issuerRSA(), claims(nil)),
		sign(f, jwt.SigningMethodEdDSA, "ed", issuerEd(), claims(nil)),
	}
	for _, token := range append(good, "", "a.b.c", sign(f, jwt.SigningMethodNone, "ec", jwt.UnsafeAllowNoneSignatureType, claims(nil))) {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		id, err := v.Authenticate(t.Context(), token)
		if err != nil {
			return
		}
		for _, g := range good {
			if strings.HasPrefix(token, g[:strings.LastIndexByte(g, '.')+1]) {
				return
			}
		}
		t.Errorf("%q is accepted as %v", token, id)
	})
}

// FuzzKeySet: no text of keys panics, and none makes the token of another key good.
func FuzzKeySet(f *testing.F) {
	foreign := sign(f, jwt.SigningMethodRS256, "rsa", foreignRSA(), claims(nil))
	secret := signHS256(f)
	f.Add(issuerKeys())
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"rsa"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-521","x":"AA","y":"AA","kid":"rsa"},{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"a"}]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		s := settings()
		s.JWKS = filepath.Join(dir, "keys.json")
		if err := os.WriteFile(s.JWKS, text, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := tokens.NewVerifier(t.Context(), s)
		if err != nil {
			return
		}
		for _, token := range []string{foreign, secret} {
			if id, err := v.Authenticate(t.Context(), token); err == nil {
				t.Errorf("the token of another key is accepted as %v", id)
			}
		}
	})
}

func signHS256(f *testing.F) string {
	return sign(f, jwt.SigningMethodHS256, "rsa", []byte("secret"), claims(nil))
}
