package simulator

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrUser says that a user's name is not 1 to 32 letters, digits or signs of any
// script, or unknown, or that there are too many users.
var ErrUser = errors.New("no such user, or not a name for one")

// User is a test user.
type User struct {
	Name string `json:"name"`
	// UnionID says whether logins of the user have a unionid.
	UnionID bool `json:"unionid"`
}

// maxName is how many characters a user's name has.
const maxName = 32

// CheckName returns [ErrUser] unless name can be a user's: 1 to 32 characters of any
// script that are seen, with spaces inside only.
func CheckName(name string) error {
	hidden := func(c rune) bool {
		return c == utf8.RuneError || !unicode.IsGraphic(c) || c != ' ' && unicode.IsSpace(c)
	}
	if length := utf8.RuneCountInString(name); length == 0 || length > maxName || strings.TrimSpace(name) != name || strings.ContainsFunc(name, hidden) {
		return ErrUser
	}
	return nil
}
