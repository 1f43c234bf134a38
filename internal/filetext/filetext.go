// Package filetext makes text from model files safe to print. Such text may hold
// line breaks, terminal escapes and invalid UTF-8, and may be as long as the file.
//
// Readers quote all text from a file that stands in an error. The strings that
// they return need no quoting in a log or on a terminal if CheckLabel accepts
// them; feature names, which may hold line breaks, do.
package filetext

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits in bytes.
const (
	maxQuoted = 64
	maxLabel  = 256
	maxError  = 1000
)

// Quote returns s quoted as by %q. Of more than 64 bytes it quotes the first, and
// "..." follows the closing quote.
func Quote(s string) string {
	if len(s) <= maxQuoted {
		return strconv.Quote(s)
	}
	n := maxQuoted
	for n > maxQuoted-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return strconv.Quote(s[:n]) + "..."
}

// CheckLabel checks a version or an objective: at most 256 bytes of UTF-8, all of
// it printable by the definition of unicode.IsPrint. Its error does not quote s.
func CheckLabel(s string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(s) > maxLabel || !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
		return fmt.Errorf("want at most %d bytes of printable UTF-8", maxLabel)
	}
	return nil
}

// CheckNames checks feature names: valid UTF-8 without control characters other
// than tabs and line breaks, which column headers of spreadsheets may hold.
func CheckNames(names []string) error {
	refused := func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' }
	for i, name := range names {
		if !utf8.ValidString(name) || strings.ContainsFunc(name, refused) {
			return fmt.Errorf("name %d is %s: want UTF-8 without control characters other than tabs and line breaks", i, Quote(name))
		}
	}
	return nil
}

// Error returns err. If its text is longer than 1000 bytes, it returns an error
// with the start and the end of that text, where the cause is.
func Error(err error) error {
	if err == nil || len(err.Error()) <= maxError {
		return err
	}
	text := err.Error()
	start, end := text[:maxError/2], text[len(text)-maxError/2:]
	return errors.New(strings.ToValidUTF8(start, "") + " ... " + strings.ToValidUTF8(end, ""))
}
