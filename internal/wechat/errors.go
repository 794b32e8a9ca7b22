package wechat

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// What can happen to a call. WeChat's numbers end in this file; above it people
// ask what happened. An error of this package matches exactly one of these, and
// ErrNotSent in addition where it applies.
var (
	// ErrCodeRejected: the code is expired, malformed or another app's. The
	// client needs a new one.
	ErrCodeRejected = errors.New("WeChat rejected the code")
	// ErrCodeUsed: the code was exchanged before. The client needs a new one.
	ErrCodeUsed = errors.New("WeChat says the code was used before")
	// ErrUserBlocked: WeChat rates the user as a high risk and refuses the login.
	ErrUserBlocked = errors.New("WeChat blocked the user")
	// ErrRateLimited: this one user logs in too often.
	ErrRateLimited = errors.New("WeChat limits the rate of this user")
	// ErrQuota: the account's quota is used up, for hours.
	ErrQuota = errors.New("WeChat's quota for the account is used up")
	// ErrUnavailable: WeChat is busy, cannot be reached, or hung up before it
	// answered.
	ErrUnavailable = errors.New("WeChat unavailable")
	// ErrTimeout: there was no whole answer in time.
	ErrTimeout = errors.New("WeChat did not answer in time")
	// ErrMisconfigured: WeChat refuses the app's settings; its operator has to
	// act.
	ErrMisconfigured = errors.New("WeChat refuses the app's configuration")
	// ErrBadAnswer: there was an answer, but not one that can be used.
	ErrBadAnswer = errors.New("unusable answer from WeChat")

	// ErrNotSent: nothing of the request left this machine, so the code in it
	// is still good.
	ErrNotSent = errors.New("request was not sent")
)

// KnownErrcode reports whether the errcode has a meaning to this package.
func KnownErrcode(code int) bool {
	_, known := outcomes[code]
	return known || slices.Contains(apiErrcodes, code)
}

// apiErrcodes are others that calls with an access_token often end with (the
// global errcode list).
var apiErrcodes = []int{
	40003, 40014, 41001, 42001, 43004, 43101, 44002, 45002, 45015, 45047, 47001, 47003, 48001, 48004, 61451, 85079, 87014, 87009, 89503,
}

// outcomes says what each errcode of code2Session means ("小程序登录凭证校验
// code2Session", the global errcode list and operators' reports). Any other one
// is ErrBadAnswer.
var outcomes = map[int]error{
	-1: ErrUnavailable, // system error

	40029: ErrCodeRejected, // invalid code
	41008: ErrCodeRejected, // missing code
	42003: ErrCodeRejected, // code timed out
	40163: ErrCodeUsed,     // code been used
	40226: ErrUserBlocked,  // code blocked
	45011: ErrRateLimited,  // api minute-quota, per user
	45009: ErrQuota,        // api daily quota

	40001: ErrMisconfigured, // invalid credential
	40002: ErrMisconfigured, // invalid grant_type
	40013: ErrMisconfigured, // invalid appid
	40090: ErrMisconfigured, // platform's IP whitelist
	40094: ErrMisconfigured, // invalid component credential
	40125: ErrMisconfigured, // invalid appsecret
	40164: ErrMisconfigured, // our IP address is not in the whitelist
	40243: ErrMisconfigured, // AppSecret frozen
	41002: ErrMisconfigured, // appid missing
	41004: ErrMisconfigured, // appsecret missing
	48001: ErrMisconfigured, // api unauthorized
	48004: ErrMisconfigured, // api forbidden
	50002: ErrMisconfigured, // account frozen or banned
	50004: ErrMisconfigured, // token API forbidden
	50007: ErrMisconfigured, // account frozen
	61003: ErrMisconfigured, // not authorised to the platform
	61024: ErrMisconfigured, // component account
	89501: ErrMisconfigured, // IP confirmation pending
	89503: ErrMisconfigured, // IP needs the admin's confirmation
	89506: ErrMisconfigured, // IP refused twice
	89507: ErrMisconfigured, // IP refused once
}

// APIError is an answer with an errcode. It matches the error above that the
// errcode stands for.
type APIError struct {
	// Code is WeChat's errcode.
	Code int
	// RID is the id under which WeChat's support finds the call; may be empty.
	RID string
	// IP is the address that WeChat saw us from, if it says so (40164).
	IP string
}

// Error names errcode, rid and IP. WeChat's own text is left out, because it
// can repeat what was sent.
func (e *APIError) Error() string {
	text := fmt.Sprintf("%v (errcode %d", e.outcome(), e.Code)
	if e.IP != "" {
		text += ", put IP address " + e.IP + " into the app's IP whitelist"
	}
	if e.RID != "" {
		text += ", rid " + e.RID
	}
	return text + ")"
}

// Is makes errors.Is find the outcome that the errcode stands for.
func (e *APIError) Is(target error) bool { return target == e.outcome() }

func (e *APIError) outcome() error {
	if outcome, known := outcomes[e.Code]; known {
		return outcome
	}
	return ErrBadAnswer
}

var (
	// The tail of errmsg: "rid: 6123abcd-12345678-9abcdef0", in older answers
	// "hints: [ req_id: … ]".
	ridPattern = regexp.MustCompile(`(?:rid|req_id): ?([0-9A-Za-z-]{6,64})`)
	ipPattern  = regexp.MustCompile(`invalid ip ([0-9a-fA-F.:]{2,45})`)
)

func newAPIError(code int, errmsg string) *APIError {
	e := &APIError{Code: code}
	if m := ridPattern.FindStringSubmatch(errmsg); m != nil {
		e.RID = m[1]
	}
	if m := ipPattern.FindStringSubmatch(errmsg); m != nil && code == 40164 {
		e.IP = m[1]
	}
	return e
}
