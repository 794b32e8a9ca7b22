package wechat

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/internal/provider"
)

// KnownErrcode reports whether the errcode has a meaning to this package.
func KnownErrcode(code int) bool { return Meaning(code) != "" }

// Meaning says in words what an errcode means, in words that stand after it; empty
// for one that is not known here.
func Meaning(code int) string {
	if known, ok := errcodes[code]; ok {
		return known.meaning
	}
	return callErrcodes[code]
}

// callErrcodes are those that only calls with an access_token end with (the global
// errcode list).
var callErrcodes = map[int]string{
	40003: "the openid is wrong, or one of another app",
	40014: "the access_token is wrong",
	40097: "a parameter is wrong",
	40169: "the scene is too long or has characters that it may not have",
	41001: "the access_token is missing",
	42001: "the access_token is too old",
	41030: "the page is not in the published Mini Program",
	43004: "the user does not follow the account",
	43101: "the user has not subscribed to this message, or has used the subscription up",
	44002: "the body is empty",
	45002: "the text is too long",
	45015: "the user has not written for too long to be answered",
	45047: "too many messages to this user before the next answer",
	47001: "the body is not the JSON it should be",
	47003: "a value of the template does not fit",
	61451: "a parameter is wrong",
	85079: "the Mini Program was not published",
	87009: "the signature is wrong: the session_key is not the newest",
	87014: "the content is against the rules",
}

// errcodes says what each errcode of code2Session means ("小程序登录凭证校验
// code2Session", the global errcode list and operators' reports). Any other one
// is [provider.ErrBadAnswer].
var errcodes = map[int]struct {
	outcome error
	meaning string
}{
	-1: {provider.ErrUnavailable, "WeChat is busy"},

	40029: {provider.ErrCodeRejected, "the code is too old, malformed or another app's"},
	41008: {provider.ErrCodeRejected, "the code is missing"},
	42003: {provider.ErrCodeRejected, "the code is too old"},
	40163: {provider.ErrCodeUsed, "the code was used before"},
	40226: {provider.ErrUserBlocked, "WeChat rates the user as a high risk"},
	45011: {provider.ErrRateLimited, "this user calls too often; wait a minute"},
	45009: {provider.ErrQuota, "the account's quota of the day is used up"},

	40001: {provider.ErrMisconfigured, "the AppSecret or access_token is wrong"},
	40002: {provider.ErrMisconfigured, "the grant_type is wrong"},
	40013: {provider.ErrMisconfigured, "the AppID is wrong"},
	40090: {provider.ErrMisconfigured, "the address is not in the platform's IP whitelist"},
	40094: {provider.ErrMisconfigured, "the platform's credential is wrong"},
	40125: {provider.ErrMisconfigured, "the AppSecret is wrong, or was reset"},
	40164: {provider.ErrMisconfigured, "the gateway's address is not in the app's IP whitelist"},
	40243: {provider.ErrMisconfigured, "the AppSecret is frozen"},
	41002: {provider.ErrMisconfigured, "the AppID is missing"},
	41004: {provider.ErrMisconfigured, "the AppSecret is missing"},
	48001: {provider.ErrMisconfigured, "the account may not use this API"},
	48004: {provider.ErrMisconfigured, "the account was forbidden to use this API"},
	50002: {provider.ErrMisconfigured, "the account is frozen or banned"},
	50004: {provider.ErrMisconfigured, "the account was forbidden to get an access_token"},
	50007: {provider.ErrMisconfigured, "the account is frozen"},
	61003: {provider.ErrMisconfigured, "the app has not authorised the platform"},
	61024: {provider.ErrMisconfigured, "the account belongs to a platform, which must call in its place"},
	89501: {provider.ErrMisconfigured, "the app's admin must confirm the gateway's address"},
	89503: {provider.ErrMisconfigured, "the app's admin must confirm the gateway's address"},
	89506: {provider.ErrMisconfigured, "the app's admin has refused the gateway's address twice; wait a day"},
	89507: {provider.ErrMisconfigured, "the app's admin has refused the gateway's address; wait an hour"},
}

// RefusesToken reports whether an errcode is about the access_token of a call
// ("接口调用凭据", access_token 使用说明).
func RefusesToken(errcode int) bool { return errcode == 40001 || errcode == 40014 || errcode == 42001 }

// APIError is an answer with an errcode. It matches the outcome that the errcode
// stands for. WeChat's numbers end in this file.
type APIError struct {
	// Code is WeChat's errcode.
	Code int
	// RID is the id under which WeChat's support finds the call; may be empty.
	RID string
	// IPs are the addresses that WeChat saw us from, if it says so (40164).
	IPs []string
}

// Error names errcode, its meaning, rid and addresses. WeChat's own text is left
// out, because it can repeat what was sent.
func (e *APIError) Error() string {
	text := fmt.Sprintf("%v (errcode %d", e.outcome(), e.Code)
	if meaning := Meaning(e.Code); meaning != "" {
		text += ": " + meaning
	}
	if len(e.IPs) > 0 {
		text += ", which lacks " + strings.Join(e.IPs, " and ")
	}
	if e.RID != "" {
		text += ", rid " + e.RID
	}
	return text + ")"
}

// Is makes errors.Is find the outcome that the errcode stands for.
func (e *APIError) Is(target error) bool { return target == e.outcome() }

func (e *APIError) outcome() error {
	if known, ok := errcodes[e.Code]; ok {
		return known.outcome
	}
	return provider.ErrBadAnswer
}

// ridPattern is the tail of errmsg: "rid: 6123abcd-12345678-9abcdef0", in older
// answers "hints: [ req_id: … ]".
var ridPattern = regexp.MustCompile(`(?:rid|req_id): ?([0-9A-Za-z-]{6,64})`)

// maxIPs bounds what an answer can put into a line of the log.
const maxIPs = 8

func newAPIError(code int, errmsg string) *APIError {
	e := &APIError{Code: code}
	if m := ridPattern.FindStringSubmatch(errmsg); m != nil {
		e.RID = m[1]
	}
	if code == 40164 {
		e.IPs = addresses(errmsg)
	}
	return e
}

// addresses finds every IP address in a text, each once: WeChat repeats an IPv4
// address as an IPv6 one ("invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7").
func addresses(text string) (found []string) {
	words := strings.FieldsFunc(text, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF.:", c) })
	for _, word := range words {
		address, err := netip.ParseAddr(strings.TrimRight(word, ".:"))
		if err != nil {
			address, err = netip.ParseAddr(word) // one that ends in ::
		}
		if name := address.Unmap().String(); err == nil && !slices.Contains(found, name) && len(found) < maxIPs {
			found = append(found, name)
		}
	}
	return found
}
