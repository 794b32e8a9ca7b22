package gateway

import (
	"errors"
	"time"
)

// Errors of the use cases, besides those of WeChat, which are passed on as
// package wechat defines them. The adapter turns each into one public code.
var (
	// ErrLoginRequired: no token, or one that this site does not accept. There
	// is deliberately no further reason.
	ErrLoginRequired = errors.New("login required")
	// ErrSessionExpired: our token, past its own end or that of its session.
	ErrSessionExpired = errors.New("session expired")
	// ErrSessionEnded: our token, of a session that was logged out, replaced by
	// newer ones or ended by the operator.
	ErrSessionEnded = errors.New("session ended")
	// ErrInvalidRequest: the request cannot be understood. Wrapped with what is
	// wrong in words meant for the client.
	ErrInvalidRequest = errors.New("invalid request")
	// ErrCodeUsed: the code was seen before.
	ErrCodeUsed = errors.New("code was used before")
	// ErrStateUsed: a browser finished this login before, and what came of it is not
	// known or over.
	ErrStateUsed = errors.New("the login of this state has ended")
	// ErrTicketRefused: a ticket that is used, late, of another site or of a session
	// that has ended, or opened in the wrong place. There is deliberately no further
	// reason.
	ErrTicketRefused = errors.New("ticket refused")
	// ErrScanEnded: a scan that was denied, late, decided, looked at by somebody else,
	// or that never was. There is deliberately no further reason.
	ErrScanEnded = errors.New("scan has ended")
	// ErrScanWrongNumber: the approver chose a number that the desktop does not show,
	// which has ended the scan.
	ErrScanWrongNumber = errors.New("wrong number")
	// ErrTooSoon: a desktop asks again before its time.
	ErrTooSoon = errors.New("asked again too soon")
	// ErrUserDenied: an operator lets the user not log in for a time.
	ErrUserDenied = errors.New("user is denied by the operator")
	// ErrRateLimited: too many logins from one address, or waiting for WeChat.
	ErrRateLimited = errors.New("too many logins")
	// ErrPaused: calls of WeChat are suspended for this app after WeChat
	// reported an exhausted quota or failed several times in a row.
	ErrPaused = errors.New("calls of WeChat are suspended")
	// ErrStoreUnavailable: the session store cannot tell.
	ErrStoreUnavailable = errors.New("sessions cannot be looked up")
)

// RetryError says when trying again is worth it.
type RetryError struct {
	Err error
	// After is the time to wait, at least a second.
	After time.Duration
}

// Error describes the wrapped error.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns the wrapped error.
func (e *RetryError) Unwrap() error { return e.Err }

func retryAfter(err error, after time.Duration) error {
	return &RetryError{Err: err, After: max(after, time.Second)}
}
