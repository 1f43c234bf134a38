package tokens_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket/cmd/basket/internal/tokens"
	"github.com/golang-jwt/jwt/v5"
)

// A jwk is a key of a JSON Web Key Set.
type jwk map[string]any

// The keys of the issuer, and one of somebody else.
var (
	issuerRSA  = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	foreignRSA = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	issuerEC   = sync.OnceValue(func() *ecdsa.PrivateKey { return newEC(elliptic.P256()) })
	issuerEd   = sync.OnceValue(func() ed25519.PrivateKey {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		return key
	})
)

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func newEC(c elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// public returns a public key as RFC 7517 and RFC 8037 write it, with more members.
func public(key crypto.PublicKey, more jwk) jwk {
	var k jwk
	switch key := key.(type) {
	case *rsa.PublicKey:
		k = jwk{"kty": "RSA", "n": base64url(key.N.Bytes()), "e": base64url(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, x, y
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		k = jwk{"kty": "EC", "crv": key.Curve.Params().Name, "x": base64url(point[1 : 1+half]), "y": base64url(point[1+half:])}
	case ed25519.PublicKey:
		k = jwk{"kty": "OKP", "crv": "Ed25519", "x": base64url(key)}
	}
	maps.Copy(k, more)
	return k
}

// keySetOf returns the text of a JSON Web Key Set.
func keySetOf(keys ...jwk) []byte {
	text, err := json.Marshal(map[string][]jwk{"keys": keys})
	if err != nil {
		panic(err)
	}
	return text
}

// issuerKeys is what the issuer publishes.
func issuerKeys() []byte {
	return keySetOf(
		public(&issuerRSA().PublicKey, jwk{"kid": "rsa", "use": "sig", "alg": "RS256"}),
		public(&issuerEC().PublicKey, jwk{"kid": "ec"}),
		public(issuerEd().Public(), jwk{"kid": "ed", "key_ops": []string{"verify"}}),
	)
}

// settings are those of most tests, but JWKS.
func settings() tokens.Settings {
	return tokens.Settings{Issuer: "https://issuer.example", Audience: "basket", Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA"}}
}

// claims are good ones, changed by others; a nil value deletes.
func claims(changed jwt.MapClaims) jwt.MapClaims {
	now := time.Now()
	c := jwt.MapClaims{
		"iss": "https://issuer.example", "aud": "basket", "sub": "shop",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(c, changed)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign returns a token. A kid of nil is left out.
func sign(t testing.TB, method jwt.SigningMethod, kid, key any, c jwt.MapClaims) string {
	t.Helper()
	return signWith(t, method, jwk{"kid": kid}, key, c)
}

func signWith(t testing.TB, method jwt.SigningMethod, header jwk, key any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	maps.Copy(token.Header, header)
	maps.DeleteFunc(token.Header, func(_ string, v any) bool { return v == nil })
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// goodToken is one of the issuer for the client "shop".
func goodToken(t testing.TB) string {
	t.Helper()
	return sign(t, jwt.SigningMethodES256, "ec", issuerEC(), claims(nil))
}
