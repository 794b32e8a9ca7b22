package provider

import (
	"errors"
)

// What can happen to a proof. A platform's numbers end in its own package; above
// it people ask what happened. The error of a call matches exactly one of these,
// and [ErrNotSent] in addition where it applies.
var (
	// ErrCodeRejected: the code is expired, malformed or another app's. The
	// client needs a new one.
	ErrCodeRejected = errors.New("WeChat rejected the code")
	// ErrCodeUsed: the code was exchanged before. The client needs a new one.
	ErrCodeUsed = errors.New("WeChat says the code was used before")
	// ErrUserBlocked: WeChat rates the user as a high risk and refuses the login.
	ErrUserBlocked = errors.New("WeChat blocked the user")
	// ErrSnapshotUser: WeChat shows a visitor a snapshot of a page, with an invented
	// user who must never have a session.
	ErrSnapshotUser = errors.New("the user sees a snapshot of the page")
	// ErrRateLimited: this one user logs in too often.
	ErrRateLimited = errors.New("WeChat limits the rate of this user")
	// ErrQuota: the account's quota is used up, for hours.
	ErrQuota = errors.New("WeChat's quota for the account is used up")
	// ErrUnavailable: WeChat is busy, cannot be reached, or hung up before it
	// answered.
	ErrUnavailable = errors.New("WeChat unavailable")
	// ErrTimeout: there was no whole answer in time.
	ErrTimeout = errors.New("WeChat did not answer in time")
	// ErrMisconfigured: WeChat refuses the app's settings; its operator must
	// act.
	ErrMisconfigured = errors.New("WeChat refuses the app's configuration")
	// ErrBadAnswer: the answer cannot be used.
	ErrBadAnswer = errors.New("unusable answer from WeChat")

	// ErrNotSent: nothing of the request left this machine, so the code in it
	// is still good.
	ErrNotSent = errors.New("request was not sent")
)

// Outcomes returns all of the above but [ErrNotSent]: the error of an exchange
// matches exactly one of them.
func Outcomes() []error {
	return []error{
		ErrCodeRejected, ErrCodeUsed, ErrUserBlocked, ErrSnapshotUser, ErrRateLimited, ErrQuota,
		ErrUnavailable, ErrTimeout, ErrMisconfigured, ErrBadAnswer,
	}
}
