package loginhook

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-wechat/gateway/internal/strictjson"
)

const (
	maxUserID  = 64
	maxMessage = 200
	maxDepth   = 4
)

// Refusal is an application's no.
type Refusal struct {
	// Message for the user, as plain text of at most 200 characters. Empty if the
	// application gave none that can be shown.
	Message string
}

// Error says that the application refused the user. It does not have the message,
// which may name somebody.
func (r *Refusal) Error() string { return ErrNotAllowed.Error() }

// Is makes a [Refusal] match [ErrNotAllowed].
func (r *Refusal) Is(target error) bool { return target == ErrNotAllowed }

// judge reads an answer. What the protocol does not have is [ErrBadAnswer]: a typo in
// a member's name must not pass for "nothing changes".
func judge(status int, body []byte) (Verdict, error) {
	switch status {
	case http.StatusNoContent:
		return Verdict{}, nil
	case http.StatusForbidden:
		return Verdict{}, &Refusal{Message: message(body)}
	case http.StatusOK:
	default:
		return Verdict{}, fmt.Errorf("%w: status %d", ErrBadAnswer, status)
	}
	members, err := strictjson.Object(body, maxDepth)
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: status 200 with a %w", ErrBadAnswer, err)
	}
	raw, named := members["user_id"]
	switch id, isString := strictjson.String(raw); {
	case len(members) == 0:
		return Verdict{}, nil
	case !named || len(members) > 1:
		return Verdict{}, fmt.Errorf("%w: the only member of a 200 can be user_id", ErrBadAnswer)
	case !isString || !ValidUserID(id):
		return Verdict{}, fmt.Errorf("%w: user_id must be a string of 1 to %d characters of A-Z a-z 0-9 . _ : @ -", ErrBadAnswer, maxUserID)
	default:
		return Verdict{UserID: id}, nil
	}
}

// ValidUserID reports whether id can be an application's name for a user: 1 to 64
// characters of [A-Za-z0-9._:@-], safe in a header and in a placeholder.
func ValidUserID(id string) bool {
	if id == "" || len(id) > maxUserID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("._:@-", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// message returns the sentence of a refusal if it can be shown as it is.
func message(body []byte) string {
	members, err := strictjson.Object(body, maxDepth)
	if err != nil {
		return ""
	}
	text, ok := strictjson.String(members["message"])
	if !ok || utf8.RuneCountInString(text) > maxMessage || strings.ContainsFunc(text, hidden) {
		return ""
	}
	return strings.TrimSpace(text)
}

// hidden reports whether a character does not show: control characters, and those that
// turn the direction of the text around them.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}
