package basket

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxUserID is the length of the longest valid user ID, in bytes.
const MaxUserID = 1024

// userIDFault returns what is wrong with a user ID, or "" if it is valid.
func userIDFault(userID string) string {
	switch {
	case userID == "":
		return "is empty"
	case len(userID) > MaxUserID:
		return fmt.Sprintf("has %d bytes: want at most %d", len(userID), MaxUserID)
	}
	for i := range len(userID) {
		if c := userID[i]; c < 0x20 || c >= 0x7f {
			return unicodeFault(userID)
		}
	}
	return ""
}

// unicodeFault is the part of userIDFault for IDs that are not printable ASCII.
func unicodeFault(userID string) string {
	if !utf8.ValidString(userID) {
		return "is not UTF-8"
	}
	for _, r := range userID {
		if unicode.IsControl(r) {
			return fmt.Sprintf("has the control character %U", r)
		}
	}
	return ""
}
