// Package token mints and verifies the tokens that stand for a login. They are
// JWTs that only the gateway reads; whatever is not exactly as [Mint] makes it is
// refused.
package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

// Errors of [Verify]. A caller can tell an honest client that came late from
// everything else, and nothing more.
var (
	// ErrInvalid: not a token that this gateway minted with a key it still has.
	ErrInvalid = errors.New("not a token of this gateway")
	// ErrExpired: a token of ours, past its end. The claims are returned with it.
	ErrExpired = errors.New("token expired")
)

const (
	// Issuer is the `iss` of every token.
	Issuer = "caddy-wechat"
	// Type is the `typ` of a token that clients send themselves; no other kind of
	// statement that the gateway signs shares it (RFC 8725 section 3.11).
	Type = "wxgw+jwt"
	// BrowserType is the `typ` of a token in a browser's cookie. Neither is
	// accepted in the other's place: that is the caller's business, see
	// Claims.Browser.
	BrowserType = "wxgw-browser+jwt"
	// Leeway is how far clocks of nodes may be apart.
	Leeway = 5 * time.Second

	// maxBytes is far above what [Mint] makes with the longest identifiers.
	maxBytes = 4 << 10
)

var method = jwt.SigningMethodHS256

// Claims is what a token says.
type Claims struct {
	// User the token speaks for. UnionID may be empty.
	User identity.User
	// IssuedAt and Expires, in whole seconds.
	IssuedAt, Expires time.Time
	// KeyID names the key that signed; Mint sets it, Verify reports it.
	KeyID string
	// Browser says that the token counts in a browser's cookie and nowhere else;
	// without it, everywhere else.
	Browser bool
}

func (c Claims) typ() string {
	if c.Browser {
		return BrowserType
	}
	return Type
}

// payload is the JSON of a token's second part.
type payload struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Session  string `json:"sid"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	UnionID  string `json:"uid,omitempty"`
}

// header is the JSON of a token's first part.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// Mint signs a token for the claims with the signer of a set.
func Mint(keys *key.Set, c Claims) (string, error) {
	text := encode(header{Algorithm: method.Alg(), KeyID: keys.Signer().ID(), Type: c.typ()}) + "." +
		encode(payload{
			Issuer: Issuer, Audience: c.User.AppID, Subject: c.User.OpenID, Session: c.User.SessionID,
			IssuedAt: c.IssuedAt.Unix(), Expires: c.Expires.Unix(), UnionID: c.User.UnionID,
		})
	signature, err := method.Sign(text, keys.Signer().Reveal())
	if err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func encode(part any) string {
	data, err := json.Marshal(part)
	if err != nil {
		panic(err) // structs of strings and integers always encode
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// Plausible reports whether text has the size and shape of a token. It costs
// next to nothing and comes before anything that parses: golang-jwt decodes
// megabytes of header before it checks the signature (CVE-2025-30204), and
// decodes base64 with line breaks in it.
func Plausible(text string) bool {
	if len(text) > maxBytes {
		return false
	}
	dots := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.':
			dots++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return dots == 2
}

// Verify returns the claims of a token that [Mint] made. The error is [ErrInvalid],
// or [ErrExpired] together with the claims if the token was ours but its end,
// [Leeway] included, is before now. maxLifetime bounds the lifetime a token may
// claim.
func Verify(keys *key.Set, text string, now time.Time, maxLifetime time.Duration) (Claims, error) {
	switch claims, problem := Examine(keys, text, now, maxLifetime); problem {
	case NoProblem:
		return claims, nil
	case Expired:
		return claims, ErrExpired
	default:
		return Claims{}, ErrInvalid
	}
}

// Problem is why a token does not count. Only operators learn it.
type Problem int

// The problems a token can have.
const (
	NoProblem Problem = iota
	// Malformed: it is not what [Mint] makes.
	Malformed
	// UnknownKey: the key that it names is not in the set; Claims.KeyID is its name.
	UnknownKey
	// WrongSignature: it was not made with the key that it names.
	WrongSignature
	// Expired: it is past its end, [Leeway] included.
	Expired
)

// Examine is [Verify] with a reason. Claims are those of a token with a good
// signature, and empty otherwise.
func Examine(keys *key.Set, text string, now time.Time, maxLifetime time.Duration) (Claims, Problem) {
	if !Plausible(text) {
		return Claims{}, Malformed
	}
	end := strings.LastIndexByte(text, '.')
	signed := text[:end]
	head, body, _ := strings.Cut(signed, ".")
	kid, browser, ok := parseHeader(head)
	if !ok {
		return Claims{}, Malformed
	}
	signer, ok := keys.Find(kid)
	if !ok {
		return Claims{KeyID: kid}, UnknownKey
	}
	// Strict: the last base64 character of a signature has several spellings.
	signature, err := base64.RawURLEncoding.Strict().DecodeString(text[end+1:])
	if err != nil {
		return Claims{}, Malformed
	}
	// Of the library only the algorithm is used. Its parser accepts unknown
	// `crit`, any `typ`, a missing `exp` and an empty `sub`.
	if err := method.Verify(signed, signature, signer.Reveal()); err != nil {
		return Claims{KeyID: kid}, WrongSignature
	}
	claims, ok := parseClaims(body)
	if !ok || claims.Expires.Sub(claims.IssuedAt) > maxLifetime || claims.IssuedAt.After(now.Add(Leeway)) {
		return Claims{}, Malformed
	}
	claims.KeyID, claims.Browser = signer.ID(), browser
	if now.After(claims.Expires.Add(Leeway)) {
		return claims, Expired
	}
	return claims, NoProblem
}

// parseHeader returns the id of the key that the header names, and whether the
// token is a browser's, if the header has alg, typ and kid as [Mint] writes them and
// no other member: no crit, jku, jwk or x5u.
func parseHeader(segment string) (kid string, browser, ok bool) {
	var alg, typ string
	var room [3]strictjson.Member
	members, ok := decodeObject(segment, room[:0])
	for _, m := range members {
		switch {
		case !m.IsString:
			return "", false, false
		case m.Name == "alg":
			alg = m.Value
		case m.Name == "typ":
			typ = m.Value
		case m.Name == "kid":
			kid = m.Value
		}
	}
	browser = typ == BrowserType
	return kid, browser, ok && len(members) == len(room) && alg == method.Alg() && (browser || typ == Type)
}

// parseClaims returns what a payload says, if it has every claim that [Mint] writes,
// each of its kind, and no other.
func parseClaims(segment string) (Claims, bool) {
	var (
		c      Claims
		issuer string
		room   [7]strictjson.Member
	)
	members, ok := decodeObject(segment, room[:0])
	for _, m := range members {
		whole := false
		switch m.Name {
		case "iss":
			issuer = m.Value
		case "aud":
			c.User.AppID = m.Value
		case "sub":
			c.User.OpenID = m.Value
		case "sid":
			c.User.SessionID = m.Value
		case "uid":
			c.User.UnionID = m.Value
			ok = ok && identity.ValidID(m.Value)
		case "iat":
			whole, c.IssuedAt = true, seconds(m.Value)
		case "exp":
			whole, c.Expires = true, seconds(m.Value)
		default:
			return Claims{}, false
		}
		ok = ok && m.IsString != whole
	}
	ok = ok && issuer == Issuer && c.User.AppID != "" && !c.IssuedAt.IsZero() && c.Expires.After(c.IssuedAt) &&
		identity.ValidID(c.User.OpenID) && identity.ValidID(c.User.SessionID)
	return c, ok
}

// seconds returns the zero time for what no token says: nothing, 1970 itself, or
// beyond the year 9999, where arithmetic with times may overflow.
func seconds(digits string) time.Time {
	value, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || value <= 0 || value >= maxUnixSeconds {
		return time.Time{}
	}
	return time.Unix(value, 0)
}

// maxUnixSeconds is the first second after the year 9999.
const maxUnixSeconds = 253402300800

// decodeObject reads the members into the room that it is given. They are parts of
// one copy of the segment.
func decodeObject(segment string, room []strictjson.Member) ([]strictjson.Member, bool) {
	var buffer [maxBytes / 4 * 3]byte
	data, err := base64.RawURLEncoding.Strict().AppendDecode(buffer[:0], []byte(segment))
	if err != nil {
		return nil, false
	}
	return strictjson.Flat(string(data), room)
}
