package serve

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/basket-go/basket"
)

// A UserIDs says what loggers get instead of a user ID; "" leaves it out. It is
// called by many goroutines at once.
//
// Its loggers also replace the user ID by "[user ID]" in the text of errors, in
// which a store may have quoted it: as it is, as a Go or JSON string, or escaped for
// a URL, whole or cut after 16 bytes or more. The text is left out if it contains an
// ID of fewer than 4 bytes, whose places would tell the ID, and in the service log if
// it is that of a whole batch. Quoted text is left out of [basket.ErrData] outside of
// requests, which names users. The kinds of an error stay: [errors.Is] finds what it
// found before, and errors.AsType its [basket.Error].
//
// Not recognized are an ID that a store writes in another form, and, in the model
// log, another user of the batch whom the error of a [basket.BatchStore] names. What
// else a client chooses, paths and request IDs, is logged as it is.
type UserIDs func(userID string) string

// minUserIDKey and maxUserIDKey are the lengths of a key of HashUserIDs, in bytes.
const (
	minUserIDKey = 16
	maxUserIDKey = 1024
)

// HashUserIDs returns hashes of user IDs, so that one user's log lines still belong
// together. It is the first 16 bytes of the HMAC-SHA-256 of the ID, in hexadecimal,
// which Python repeats by
//
//	hmac.new(key, user_id.encode(), "sha256").hexdigest()[:32]
//
// The key has 16 to 1,024 bytes and must be secret: who has it can find out which of
// the users whom they know a line is about. Another key gives other hashes.
func HashUserIDs(key []byte) (UserIDs, error) {
	if len(key) < minUserIDKey || len(key) > maxUserIDKey {
		return nil, fmt.Errorf("serve: key of user IDs of %d bytes: want %d to %d", len(key), minUserIDKey, maxUserIDKey)
	}
	key = append([]byte(nil), key...)
	type hasher struct {
		hash.Hash
		buf []byte
	}
	hashers := sync.Pool{New: func() any { return &hasher{hmac.New(sha256.New, key), nil} }}
	return func(userID string) string {
		h := hashers.Get().(*hasher)
		defer hashers.Put(h)
		h.Reset()
		h.buf = append(h.buf[:0], userID...)
		_, _ = h.Write(h.buf) // never fails
		h.buf = h.Sum(h.buf[:0])
		return hex.EncodeToString(h.buf[:sha256.Size/2])
	}, nil
}

// WithoutUserIDs leaves user IDs out: [SlogLogger] and [JSONLogger] then write no
// user_id, and [TextLogger] writes user_id=-.
func WithoutUserIDs() UserIDs { return func(string) string { return "" } }

// ServiceLogger returns a logger that passes events on to l without user IDs.
func (u UserIDs) ServiceLogger(l basket.ServiceLogger) basket.ServiceLogger {
	return &userIDService{l}
}

// ModelLogger returns a logger that passes events on to l with the user IDs
// replaced.
func (u UserIDs) ModelLogger(l basket.ModelLogger) basket.ModelLogger {
	return &userIDModel{u, l}
}

type userIDService struct{ next basket.ServiceLogger }

func (l *userIDService) LogService(ctx context.Context, e basket.ServiceEvent) {
	kind, _ := errors.AsType[basket.Error](e.Err)
	switch {
	case e.Err == nil:
	case e.UserID != "":
		e.Err = withoutUserID(e.Err, e.UserID)
	case e.Method != "" && kind != basket.ErrInvalidRequest: // a batch
		e.Err = &redactedError{kindText(e.Err), e.Err}
	case kind == basket.ErrData:
		e.Err = &redactedError{withoutQuoted(e.Err.Error()), e.Err}
	}
	e.UserID = ""
	l.next.LogService(ctx, e)
}

type userIDModel struct {
	ids  UserIDs
	next basket.ModelLogger
}

func (l *userIDModel) LogModel(ctx context.Context, e basket.ModelEvent) {
	userID := e.UserID
	if e.Err != nil {
		e.Err = withoutUserID(e.Err, userID)
	}
	e.UserID = l.ids(userID)
	if e.Row.UserID != "" {
		e.Row.UserID = l.ids(e.Row.UserID)
	}
	l.next.LogModel(ctx, e)
}

const (
	userIDMark = "[user ID]"
	leftOut    = "[left out]"

	// minMarked is the length of the shortest ID that is replaced within a text.
	// The places of a shorter one would tell what it is.
	minMarked = 4

	// cutUserID is how much of an ID is recognized if the rest is missing.
	cutUserID = 16
)

// withoutUserID returns err, or an error of the same kinds without the ID in its
// text.
func withoutUserID(err error, userID string) error {
	before := err.Error()
	text := before
	for _, form := range userIDForms(userID) {
		if form != "" && strings.Contains(text, form[:min(len(form), cutUserID)]) {
			if len(userID) < minMarked {
				return &redactedError{kindText(err), err}
			}
			text = markUserID(text, form)
		}
	}
	if text == before {
		return err
	}
	return &redactedError{text, err}
}

// userIDForms are the ways in which errors quote an ID.
func userIDForms(userID string) []string {
	plain := true
	for i := range len(userID) {
		c := userID[i]
		plain = plain && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_')
	}
	if plain {
		return []string{userID}
	}
	quoted, ascii, inJSON := strconv.Quote(userID), strconv.QuoteToASCII(userID), appendJSONString(nil, userID)
	return []string{
		userID, quoted[1 : len(quoted)-1], ascii[1 : len(ascii)-1], string(inJSON[1 : len(inJSON)-1]),
		url.QueryEscape(userID), url.PathEscape(userID),
	}
}

// markUserID replaces form, also where it is cut.
func markUserID(text, form string) string {
	start := form[:min(len(form), cutUserID)]
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, start)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString(userIDMark)
		tail := form[len(start):]
		n := 0
		for n < len(tail) && n < len(rest) && tail[n] == rest[n] {
			n++
		}
		text = rest[n:]
	}
}

// withoutQuoted replaces what is quoted, as Go does it, in a text.
func withoutQuoted(text string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '"')
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i] + leftOut)
		quoted, err := strconv.QuotedPrefix(text[i:])
		if err != nil { // it has no end
			return b.String()
		}
		text = text[i+len(quoted):]
	}
}

// kindText is the text of an error whose own text is left out.
func kindText(err error) string {
	if kind, ok := errors.AsType[basket.Error](err); ok {
		return "basket: " + kind.Error() + ": the error's text may have a user ID and is left out"
	}
	return "the error's text may have a user ID and is left out"
}

// A redactedError has another text than err. It has no Unwrap, so that no logger
// can come by the old text.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }

// Is reports whether the error that it stands for is target.
func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }

// As finds the kind of the error that it stands for.
func (e *redactedError) As(target any) bool {
	kind, ok := target.(*basket.Error)
	return ok && errors.As(e.err, kind)
}
