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
)

// Keys are API keys, of which only the SHA-256 is known. It is an [Authenticator],
// safe for concurrent use.
//
// The text form has one key a line, "NAME:SHA256" or "NAME:SHA256:ROLE" with the
// hash in hexadecimal; the role is "user", the default, or "admin". Empty lines and
// those that begin with "#" are skipped. Several keys may have the same name, so that
// one can be replaced by the next; the same key may not stand in two lines. [NewKey]
// makes a key and its line.
type Keys struct{ now atomic.Pointer[keyList] }

// A keyList is the keys of one text.
type keyList struct {
	hashes [][sha256.Size]byte
	// results are the answers for the keys in the order of hashes, and then the one
	// for any other key.
	results []result
	sum     [sha256.Size]byte // of the text
}

type result struct {
	id  Identity
	err error
}

// The limits of a text of keys. Each key is compared with each request's.
const (
	maxKeys      = 1000
	maxKeysBytes = 1 << 20
	maxKeyFaults = 10 // told in one error
)

// ParseKeys reads keys in text form, of at most 1000 keys and 1 MiB. Its error joins
// the first ten faults, each with its line.
func ParseKeys(text []byte) (*Keys, error) {
	list, err := parseKeys(text)
	if err != nil {
		return nil, err
	}
	k := &Keys{}
	k.now.Store(list)
	return k, nil
}

// ParseKeyList reads keys from one string, such as the value of an environment
// variable: the text form, in which a comma ends a line too. The lines that its error
// names are counted so.
func ParseKeyList(list string) (*Keys, error) {
	return ParseKeys([]byte(strings.ReplaceAll(list, ",", "\n")))
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
	if len(text) > maxKeysBytes {
		return nil, fmt.Errorf("keys of over %d bytes: want at most that", maxKeysBytes)
	}
	list := &keyList{sum: sha256.Sum256(text)}
	lineOf := map[[sha256.Size]byte]int{}
	var faults []error
	n := 0
	for line := range bytes.Lines(text) {
		n++
		s := strings.TrimSpace(string(line))
		if s == "" || s[0] == '#' {
			continue
		}
		hash, id, err := parseKey(s)
		if first := lineOf[hash]; err == nil && first > 0 {
			err = fmt.Errorf("the key of %q is that of line %d: want each key once", id.Name, first)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		lineOf[hash] = n
		list.hashes = append(list.hashes, hash)
		list.results = append(list.results, result{id: id})
	}
	switch {
	case len(faults) > maxKeyFaults:
		return nil, errors.Join(append(faults[:maxKeyFaults], fmt.Errorf("and %d more", len(faults)-maxKeyFaults))...)
	case len(faults) > 0:
		return nil, errors.Join(faults...)
	case len(list.hashes) == 0:
		return nil, errors.New("no keys: want a line NAME:SHA256 for each")
	case len(list.hashes) > maxKeys:
		return nil, fmt.Errorf("%d keys: want at most %d", len(list.hashes), maxKeys)
	}
	list.results = append(list.results, result{err: ErrCredential})
	return list, nil
}

// parseKey reads a line. Its errors do not repeat the line, which may be a key that
// was pasted by mistake.
func parseKey(line string) (hash [sha256.Size]byte, id Identity, err error) {
	name, rest, _ := strings.Cut(line, ":")
	digits, role, _ := strings.Cut(rest, ":")
	id = Identity{Name: name, Role: Role(role)}
	if role == "" {
		id.Role = User
	}
	fault := keyNameFault(name)
	n, hexErr := hex.Decode(hash[:], []byte(digits[:min(len(digits), 2*sha256.Size)]))
	switch {
	case fault != "":
		err = fmt.Errorf("the name %s: want NAME:SHA256 or NAME:SHA256:ROLE", fault)
	case hexErr != nil || n != sha256.Size || len(digits) != 2*sha256.Size:
		err = fmt.Errorf("the hash of %q is not %d hexadecimal digits, as a SHA-256 is", name, 2*sha256.Size)
	case id.Role != User && id.Role != Admin:
		err = fmt.Errorf("the role of %q: want %q or %q", name, User, Admin)
	}
	return hash, id, err
}

// keyNameFault returns what is wrong with the name of a key, or "". A colon ends the
// name in a line.
func keyNameFault(name string) string {
	if strings.Contains(name, ":") {
		return "has a colon"
	}
	return nameFault(name)
}

// Authenticate returns the client of a key. It takes as long for a wrong key as for
// a right one.
func (k *Keys) Authenticate(_ context.Context, credential string) (Identity, error) {
	hash := sha256.Sum256([]byte(credential))
	list := k.now.Load()
	found := len(list.hashes)
	for i := range list.hashes {
		// All are compared, so that the time does not depend on which is right, and
		// there is no branch on the outcome.
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(list.hashes[i][:], hash[:]), i, found)
	}
	r := list.results[found]
	return r.id, r.err
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
	if fault := keyNameFault(name); fault != "" {
		return "", "", fmt.Errorf("serve: the name of a key %s: want at most %d bytes without colons and spaces", fault, maxName)
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
