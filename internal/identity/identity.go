// Package identity says who a request belongs to and keeps that statement
// honest on its way to the app: it removes every client-sent spelling of an
// identity header and sets the gateway's own.
package identity

// User is who a request belongs to, as WeChat told the gateway at login.
type User struct {
	// AppID of the Mini Program the user is in.
	AppID string
	// OpenID of the user in that Mini Program.
	OpenID string
	// UnionID of the user across the apps of one Open Platform account;
	// empty if WeChat gave none.
	UnionID string
	// UserID is the application's own name for the user; empty if it gave none.
	UserID string
	// SessionID is the gateway's own random name of the login.
	SessionID string
}

// Limits of an openid or unionid, and of our own session ids. WeChat specifies
// no format; everything observed is 28 or 29 characters of this alphabet
// ("小程序登录", UnionID 机制说明).
const (
	minIDLength = 6
	maxIDLength = 128
)

// ValidID reports whether s can be an openid, a unionid or a session id:
// 6 to 128 characters of [A-Za-z0-9_-]. Nothing else is ever written into a
// header or a placeholder.
func ValidID(s string) bool {
	if len(s) < minIDLength || len(s) > maxIDLength {
		return false
	}
	for i := range len(s) {
		if !isIDByte(s[i]) {
			return false
		}
	}
	return true
}

func isIDByte(c byte) bool {
	return isAlphanumeric(c) || c == '-' || c == '_'
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
