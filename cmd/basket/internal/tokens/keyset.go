package tokens

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// Limits of a key set.
const (
	maxKeys   = 100
	minRSA    = 2048 // bits
	maxRSA    = 8192
	maxFaults = 10 // told in one error
)

// familyOf are the algorithms that can be allowed, with the family of keys that each
// needs. "none" and those with a shared secret are not among them.
var familyOf = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519",
}

// A keySet is the keys of one text. It is immutable.
type keySet struct {
	key  jwt.Keyfunc // by the kid and the algorithm
	kids map[string]bool
	sum  [sha256.Size]byte // of the text
}

// parseKeySet reads a JSON Web Key Set, for tokens of the algorithms. Keys for
// anything but signatures of these algorithms are skipped. A key that is private, a
// shared secret, weak or ambiguous makes the set an error, which joins the first ten
// faults.
//
// The members are read by jwkset and looked up by keyfunc; what the two would accept
// is narrowed here, since they take private and symmetric keys, RSA keys of any
// length, any algorithm for a key without "alg", and an answer without keys as an
// empty set.
func parseKeySet(text []byte, algorithms []string) (*keySet, error) {
	var members struct{ Keys []jwkset.JWKMarshal }
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, fmt.Errorf("no JSON Web Key Set: %w", err)
	}
	if n := len(members.Keys); n == 0 || n > maxKeys {
		return nil, fmt.Errorf(`%d "keys": want 1 to %d`, n, maxKeys)
	}
	set := &keySet{kids: map[string]bool{}, sum: sha256.Sum256(text)}
	storage := jwkset.NewMemoryStorage()
	var faults []error
	for i, m := range members.Keys {
		key, err := readKey(m, algorithms)
		if err == nil && set.kids[m.KID] {
			err = errors.New("another key has the same kid: want one each")
		}
		switch {
		case errors.Is(err, errSkip):
			continue
		case err != nil:
			faults = append(faults, fmt.Errorf("keys[%d] (kid %.64q): %w", i, m.KID, err))
			continue
		}
		if err := storage.KeyWrite(context.Background(), key); err != nil {
			return nil, err
		}
		set.kids[m.KID] = true
	}
	if len(faults) > maxFaults {
		faults = append(faults[:maxFaults], fmt.Errorf("and %d more", len(faults)-maxFaults))
	}
	if len(faults) == 0 && len(set.kids) == 0 {
		faults = append(faults, fmt.Errorf("none of %d keys is for signatures by %v: want one that is", len(members.Keys), algorithms))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	k, err := keyfunc.New(keyfunc.Options{Storage: storage})
	if err != nil {
		return nil, err
	}
	set.key = k.Keyfunc
	return set, nil
}

// errSkip is the error of a key that is not for the signatures of tokens.
var errSkip = errors.New("not for signatures of tokens")

// readKey returns a public key for one or several of the algorithms.
func readKey(m jwkset.JWKMarshal, algorithms []string) (jwkset.JWK, error) {
	switch {
	case m.KTY == jwkset.KtyOct || m.K != "":
		return jwkset.JWK{}, errors.New("a symmetric key: want public keys only")
	case m.D != "" || m.P != "" || m.Q != "" || m.DP != "" || m.DQ != "" || m.QI != "" || len(m.OTH) > 0:
		return jwkset.JWK{}, errors.New("a private key: want public keys only, and replace this one")
	case m.USE != "" && m.USE != jwkset.UseSig,
		len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify),
		m.ALG != "" && !slices.Contains(algorithms, string(m.ALG)):
		return jwkset.JWK{}, errSkip
	case m.KID == "" || len(m.KID) > maxKid:
		return jwkset.JWK{}, fmt.Errorf("a kid of %d bytes: want 1 to %d", len(m.KID), maxKid)
	}
	// Certificates are not looked at, nor fetched.
	m.X5U, m.X5C, m.X5T, m.X5TS256 = "", nil, "", ""
	m.KEYOPS = nil
	key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	switch {
	case errors.Is(err, jwkset.ErrUnsupportedKey):
		return jwkset.JWK{}, errSkip // RFC 7517, section 5
	case err != nil:
		return jwkset.JWK{}, errors.New(strings.ReplaceAll(err.Error(), "\n", ": ")) // in one line
	}
	family, err := keyFamily(key.Key())
	if err != nil {
		return jwkset.JWK{}, err
	}
	fits := slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return familyOf[a] != family })
	switch {
	case m.ALG != "" && !slices.Contains(fits, string(m.ALG)):
		return jwkset.JWK{}, fmt.Errorf("the algorithm %q for a key of %s", m.ALG, family)
	case len(fits) == 0:
		return jwkset.JWK{}, errSkip
	case m.ALG == "" && family != "RSA":
		// With "alg", keyfunc refuses tokens of other algorithms: golang-jwt 5.3 does
		// not compare the curve of a key with the algorithm.
		m.ALG = jwkset.ALG(fits[0])
		return jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	}
	return key, nil
}

// keyFamily returns the family of a public key, or what is wrong with it.
func keyFamily(key any) (string, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return "", fmt.Errorf("an RSA key of %d bits: want %d to %d", n, minRSA, maxRSA)
		}
		if k.E < 3 || k.E%2 == 0 {
			return "", fmt.Errorf("an RSA key with the exponent %d: want an odd number from 3", k.E)
		}
		return "RSA", nil
	case *ecdsa.PublicKey:
		return k.Curve.Params().Name, nil
	case ed25519.PublicKey:
		return "Ed25519", nil
	}
	return "", errSkip
}
