package xgboost

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/basket-go/basket/internal/filetext"
)

// A jsonReader decodes JSON, and the words NaN, Infinity and -Infinity, which
// XGBoost writes and which encoding/json refuses (src/common/json.cc).
type jsonReader struct {
	data  string
	at    int
	depth int
}

// fail returns an error with the current offset.
func (r *jsonReader) fail(format string, args ...any) error {
	return fmt.Errorf("byte %d: %w", r.at, fmt.Errorf(format, args...))
}

// want returns an error for a character that cannot start what is wanted.
func (r *jsonReader) want(what string) error {
	if r.at >= len(r.data) {
		return r.fail("the file ends: want %s", what)
	}
	return r.fail("%q: want %s", r.data[r.at], what)
}

// peek skips white space and returns the next character, or 0 at the end.
func (r *jsonReader) peek() byte {
	for r.at < len(r.data) {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) open(bracket byte, what string) error {
	if r.peek() != bracket {
		return r.want(what)
	}
	if r.depth++; r.depth > maxDepth {
		return r.fail("nested more than %d deep", maxDepth)
	}
	r.at++
	return nil
}

// more reads the comma in front of element i and reports true, or it reads the
// closing bracket and reports false.
func (r *jsonReader) more(i int, bracket byte) (bool, error) {
	c := r.peek()
	switch {
	case c == bracket:
		r.depth--
		r.at++
		return false, nil
	case i == 0:
		return true, nil
	case c == ',':
		r.at++
		return true, nil
	}
	return false, r.want("a comma or " + strconv.QuoteRune(rune(bracket)))
}

func (r *jsonReader) object(each func(key string) error) error {
	if err := r.open('{', "an object"); err != nil {
		return err
	}
	var keys keySet
	for i := 0; ; i++ {
		more, err := r.more(i, '}')
		if err != nil || !more {
			return err
		}
		key, err := r.text()
		if err != nil {
			return err
		}
		if !keys.add(key) {
			return r.fail("key %s is a duplicate", filetext.Quote(key))
		}
		if r.peek() != ':' {
			return r.want("a colon")
		}
		r.at++
		if err := each(key); err != nil {
			return err
		}
	}
}

func (r *jsonReader) array(each func(i, n int) error) error {
	if err := r.open('[', "an array"); err != nil {
		return err
	}
	// Exact for numbers, for which list allocates.
	n := 1
	if end := strings.IndexByte(r.data[r.at:], ']'); end > 0 {
		n += min(strings.Count(r.data[r.at:r.at+end], ","), end/2)
	}
	for i := 0; ; i++ {
		more, err := r.more(i, ']')
		if err != nil || !more {
			return err
		}
		if err := each(i, n); err != nil {
			return err
		}
	}
}

// token reads a number of JSON or one of XGBoost's words. It returns "" if there
// is neither.
func (r *jsonReader) token() string {
	r.peek()
	word := number(r.data[r.at:])
	r.at += len(word)
	return word
}

func (r *jsonReader) integer() (int64, error) {
	start := r.at
	word := r.token()
	v, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		r.at = start
		r.peek()
		return 0, r.want("an integer")
	}
	return v, nil
}

func (r *jsonReader) float() (float32, error) {
	word := r.token()
	if word == "" {
		return 0, r.want("a number")
	}
	v, err := strconv.ParseFloat(word, 32)
	if err != nil {
		return 0, r.fail("%s: want a number in the range of float32", filetext.Quote(word))
	}
	return float32(v), nil
}

func (r *jsonReader) flag() (bool, error) {
	r.peek()
	for _, f := range []struct {
		word  string
		value bool
	}{{"0", false}, {"1", true}, {"false", false}, {"true", true}} {
		if strings.HasPrefix(r.data[r.at:], f.word) {
			r.at += len(f.word)
			return f.value, nil
		}
	}
	return false, r.want("true, false, 0 or 1")
}

func (r *jsonReader) text() (string, error) {
	word, escaped, err := r.quoted()
	if err == nil && escaped {
		if word, err = unescape(word); err != nil {
			err = r.fail("%w", err)
		}
	}
	return word, err
}

// quoted reads a string and returns the characters between the quotes, and whether
// there are escapes among them. The string shares the memory of r.data.
func (r *jsonReader) quoted() (word string, escaped bool, err error) {
	if r.peek() != '"' {
		return "", false, r.want("a string")
	}
	start := r.at + 1
	for i := start; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			r.at = i + 1
			return r.data[start:i], escaped, nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			r.at = i
			return "", false, r.fail("a control character in a string")
		}
	}
	r.at = len(r.data)
	return "", false, r.fail("the file ends inside a string")
}

func (r *jsonReader) skip() error {
	switch r.peek() {
	case '{':
		return r.object(func(string) error { return r.skip() })
	case '[':
		return r.array(func(int, int) error { return r.skip() })
	case '"':
		_, _, err := r.quoted()
		return err
	}
	if r.token() != "" {
		return nil
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(r.data[r.at:], word) {
			r.at += len(word)
			return nil
		}
	}
	return r.want("a value")
}

func (r *jsonReader) end() error {
	if r.peek(); r.at < len(r.data) {
		return r.want("the end of the file")
	}
	return nil
}

// parseFloat parses word, which must be a number as number defines it.
func parseFloat(word string) (float32, bool) {
	if word == "" || number(word) != word {
		return 0, false
	}
	v, err := strconv.ParseFloat(word, 32)
	return float32(v), err == nil
}

// number returns the JSON number or the word NaN, Infinity or -Infinity that s
// starts with, or "".
func number(s string) string {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	n := digits(s[i:])
	switch {
	case n == 0 && strings.HasPrefix(s[i:], "Infinity"):
		return s[:i+len("Infinity")]
	case n == 0 && i == 0 && strings.HasPrefix(s, "NaN"):
		return "NaN"
	case n == 0, n > 1 && s[i] == '0':
		return ""
	}
	i += n
	if i < len(s) && s[i] == '.' {
		if n = digits(s[i+1:]); n == 0 {
			return ""
		}
		i += 1 + n
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '-' || s[i] == '+') {
			i++
		}
		if n = digits(s[i:]); n == 0 {
			return ""
		}
		i += n
	}
	return s[:i]
}

// digits returns the number of digits that s starts with.
func digits(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

var errEscape = errors.New("bad escape")

// unescape resolves the escapes of s.
func unescape(s string) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		b.WriteString(s[:i])
		c := s[i+1] // quoted has checked that there is one
		s = s[i+2:]
		switch c {
		case '"', '\\', '/':
			b.WriteByte(c)
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'u':
			v, ok := hex4(s)
			if !ok {
				return "", errEscape
			}
			s = s[4:]
			if utf16.IsSurrogate(v) {
				low, ok := rune(0), false
				if strings.HasPrefix(s, `\u`) {
					low, ok = hex4(s[2:])
				}
				if v = utf16.DecodeRune(v, low); !ok || v == utf8.RuneError {
					return "", errEscape
				}
				s = s[6:]
			}
			b.WriteRune(v)
		default:
			return "", errEscape
		}
	}
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(s[:4], 16, 16)
	return rune(v), err == nil
}
