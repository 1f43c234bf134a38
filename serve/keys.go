package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// Keys are API keys, of which only the SHA-256 is known. It is an [Authenticator],
// safe for concurrent use.
//
// The text form has one key a line, "NAME:SHA256" or "NAME:SHA256:ROLE" with the
// hash in hexadecimal; the role is "user", the default, or "admin". Empty lines and
// those that begin with "#" are skipped. Several keys may have the same name, so that
// one can be replaced by the next. [NewKey] makes a key and its line.
type Keys struct{ now atomic.Pointer[keyList] }

// A keyList is the keys of one text.
type keyList struct {
	keys []key
	sum  [sha256.Size]byte // of the text
}

type key struct {
	hash [sha256.Size]byte
	id   Identity
}

// The limits of a key file. Each key is compared with each request's.
const (
	maxKeys      = 1000
	maxKeysBytes = 1 << 20
)

// ParseKeys reads keys in text form. Its error joins all faults, each with its line.
func ParseKeys(text []byte) (*Keys, error) {
	list, err := parseKeys(text)
	if err != nil {
		return nil, err
	}
	k := &Keys{}
	k.now.Store(list)
	return k, nil
}

// LoadKeys reads a file of keys; see [ParseKeys].
func LoadKeys(path string) (*Keys, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	k, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("serve: %s: %w", path, err)
	}
	return k, nil
}

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeysBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxKeysBytes:
		return nil, fmt.Errorf("serve: %s: a key file of over %d bytes: want at most that", path, maxKeysBytes)
	}
	return text, nil
}

func parseKeys(text []byte) (*keyList, error) {
	list := &keyList{sum: sha256.Sum256(text)}
	var faults []error
	n := 0
	for line := range bytes.Lines(text) {
		n++
		s := strings.TrimSpace(string(line))
		if s == "" || s[0] == '#' {
			continue
		}
		k, err := parseKey(s)
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		list.keys = append(list.keys, k)
	}
	switch {
	case len(faults) > 0:
		return nil, errors.Join(faults...)
	case len(list.keys) == 0:
		return nil, errors.New("no keys: want a line NAME:SHA256 for each")
	case len(list.keys) > maxKeys:
		return nil, fmt.Errorf("%d keys: want at most %d", len(list.keys), maxKeys)
	}
	return list, nil
}

// parseKey reads a line. Its errors do not repeat the line, which may be a key that
// was pasted by mistake.
func parseKey(line string) (key, error) {
	name, rest, _ := strings.Cut(line, ":")
	hash, role, _ := strings.Cut(rest, ":")
	k := key{id: Identity{Name: name, Role: Role(role)}}
	if role == "" {
		k.id.Role = User
	}
	n, err := hex.Decode(k.hash[:], []byte(hash[:min(len(hash), 2*sha256.Size)]))
	switch {
	case nameFault(name) != "":
		return key{}, fmt.Errorf("the name %s: want NAME:SHA256 or NAME:SHA256:ROLE", nameFault(name))
	case err != nil || n != sha256.Size || len(hash) != 2*sha256.Size:
		return key{}, fmt.Errorf("the hash of %q is not %d hexadecimal digits, as a SHA-256 is", name, 2*sha256.Size)
	case k.id.Role != User && k.id.Role != Admin:
		return key{}, fmt.Errorf("the role of %q: want %q or %q", name, User, Admin)
	}
	return k, nil
}

// nameFault returns what is wrong with the name of a key, or "". Names stand in logs.
func nameFault(name string) string {
	switch {
	case name == "":
		return "is missing"
	case len(name) > 64:
		return "is longer than 64 bytes"
	case strings.ContainsFunc(name, func(r rune) bool { return r == ':' || unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return "has a colon, a space or a character that cannot be printed"
	}
	return ""
}

// Authenticate returns the client of a key. It takes as long for a wrong key as for
// a right one.
func (k *Keys) Authenticate(_ context.Context, credential string) (Identity, error) {
	hash := sha256.Sum256([]byte(credential))
	list := k.now.Load().keys
	found := -1
	for i := range list {
		// All are compared, so that the time does not depend on which is right.
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(list[i].hash[:], hash[:]), i, found)
	}
	if found < 0 {
		return Identity{}, ErrCredential
	}
	return list[found].id, nil
}

// Watch reads the keys again from the file at path whenever its content has changed,
// until ctx is done, and returns ctx.Err(). It looks after each interval, and takes a
// content that it has found twice in a row. If that cannot be used, the old keys
// stay, and report is called once with the error; after a change, with nil.
func (k *Keys) Watch(ctx context.Context, path string, interval time.Duration, report func(error)) error {
	if interval <= 0 {
		return fmt.Errorf("serve: watching the keys every %v: want a positive time", interval)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	used := k.now.Load().sum // of the last content that was used or refused
	var seen [sha256.Size]byte
	failing := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		text, err := readKeyFile(path)
		if err != nil {
			if !failing {
				report(err)
			}
			seen, failing = [sha256.Size]byte{}, true
			continue
		}
		sum := sha256.Sum256(text)
		settled := sum == seen
		seen = sum
		if !settled || !failing && sum == used {
			continue
		}
		used, failing = sum, false
		list, err := parseKeys(text)
		if err != nil {
			report(fmt.Errorf("serve: %s: %w", path, err))
			continue
		}
		k.now.Store(list)
		report(nil)
	}
}

// NewKey makes a random key, which is told to the client and kept nowhere, and its
// line for a file of keys.
func NewKey(name string, role Role) (key, line string, err error) {
	if fault := nameFault(name); fault != "" {
		return "", "", fmt.Errorf("serve: the name of a key %s: want at most 64 bytes without colons and spaces", fault)
	}
	if role != User && role != Admin {
		return "", "", fmt.Errorf("serve: the role %.64q of a key: want %q or %q", string(role), User, Admin)
	}
	key = "bk_" + rand.Text() + rand.Text()
	hash := sha256.Sum256([]byte(key))
	line = name + ":" + hex.EncodeToString(hash[:])
	if role != User {
		line += ":" + string(role)
	}
	return key, line, nil
}
