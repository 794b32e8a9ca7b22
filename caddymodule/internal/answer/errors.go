package answer

import (
	"context"
	"errors"
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// Errors of the adapter itself.
var (
	ErrNoToken          = errors.New("no token")
	ErrMethodNotAllowed = errors.New("method not allowed")
	ErrNotFound         = errors.New("no gateway route")
	ErrBodyTooLarge     = errors.New("body too large")
	ErrMediaType        = errors.New("unsupported media type")
	ErrTooEarly         = errors.New("request in early data")
	ErrTwoCredentials   = errors.New("two different credentials")
	ErrCrossSite        = errors.New("request from another site")
	ErrBody             = errors.New("malformed body")
	ErrSlowBody         = errors.New("body did not arrive in time")
)

// Errors that only browsers see.
var (
	ErrNotKept        = errors.New("the browser does not keep its login")
	ErrConsentRefused = errors.New("the user did not consent")
	ErrLoggedOut      = errors.New("the user has logged out")
	ErrWrongPlace     = errors.New("this browser has no way in")
	ErrNoPageLoad     = errors.New("not a page load")

	ErrHost          = errors.New("the Host is not a host name with an optional port")
	ErrCookieRenewal = errors.New("a browser's login is not renewed")
)

// Refusal is what a client learns. Codes are stable: part of the public
// contract.
type Refusal struct {
	// Err is what the refusal is for.
	Err    error
	Status int
	Code   string
	// Message is a sentence for people. Without one, Err has its own words.
	Message string
	// OfApp says that Message is the application's own, which pages show, too.
	OfApp bool
	// RetryAfter is for 429 and 503.
	RetryAfter time.Duration
}

// Refusals is the one table from errors to what a client learns. The first
// match counts; whatever is not in it is a 500 without details.
var Refusals = []Refusal{
	{Err: gateway.ErrInvalidRequest, Status: http.StatusBadRequest, Code: CodeInvalidRequest}, // its own words
	{Err: ErrBody, Status: http.StatusBadRequest, Code: CodeInvalidRequest, Message: "The body must be one JSON object such as {\"code\":\"…\"}."},
	{Err: ErrSlowBody, Status: http.StatusBadRequest, Code: CodeInvalidRequest, Message: "The body did not arrive in time."},
	{Err: ErrTwoCredentials, Status: http.StatusBadRequest, Code: CodeInvalidRequest, Message: "The request carries more than one token."},
	{Err: ErrCrossSite, Status: http.StatusForbidden, Code: CodeCrossSite, Message: "The request comes from another site."},
	{Err: ErrNoToken, Status: http.StatusUnauthorized, Code: CodeLoginRequired, Message: loginRequiredMessage},
	{Err: gateway.ErrLoginRequired, Status: http.StatusUnauthorized, Code: CodeLoginRequired, Message: loginRequiredMessage},
	{Err: gateway.ErrSessionExpired, Status: http.StatusUnauthorized, Code: CodeSessionExpired, Message: "The token or its session is too old; log in again."},
	{Err: gateway.ErrSessionEnded, Status: http.StatusUnauthorized, Code: CodeSessionEnded, Message: "The session was ended; log in again."},
	{Err: gateway.ErrCodeUsed, Status: http.StatusUnauthorized, Code: CodeCodeUsed, Message: codeUsedMessage},
	{Err: provider.ErrCodeUsed, Status: http.StatusUnauthorized, Code: CodeCodeUsed, Message: codeUsedMessage},
	{Err: provider.ErrCodeRejected, Status: http.StatusUnauthorized, Code: CodeCodeRejected, Message: "WeChat does not accept this code; call wx.login again."},
	{Err: provider.ErrSnapshotUser, Status: http.StatusUnauthorized, Code: CodeSnapshotUser, Message: "WeChat shows a snapshot of the page, without a user; open it in full."},
	{Err: provider.ErrUserBlocked, Status: http.StatusForbidden, Code: CodeUserBlocked, Message: "WeChat has blocked the login of this user."},
	{Err: gateway.ErrUserDenied, Status: http.StatusForbidden, Code: CodeUserBlocked, Message: "This user may not log in now."},
	{Err: loginhook.ErrNotAllowed, Status: http.StatusForbidden, Code: CodeNotAllowed, Message: notAllowedMessage},
	{Err: loginhook.ErrBadAnswer, Status: http.StatusBadGateway, Code: CodeLoginHookFailed, Message: hookFailedMessage},
	{Err: loginhook.ErrPaused, Status: http.StatusServiceUnavailable, Code: CodeLoginHookFailed, Message: hookFailedMessage, RetryAfter: 5 * time.Second},
	{Err: loginhook.ErrTimeout, Status: http.StatusGatewayTimeout, Code: CodeLoginHookFailed, Message: hookFailedMessage},
	{Err: ErrNotFound, Status: http.StatusNotFound, Code: CodeNotFound, Message: "There is no such gateway route."},
	{Err: ErrMethodNotAllowed, Status: http.StatusMethodNotAllowed, Code: CodeMethodNotAllowed, Message: "This method is not allowed here."},
	{Err: ErrBodyTooLarge, Status: http.StatusRequestEntityTooLarge, Code: CodeBodyTooLarge, Message: "The body is too large."},
	{Err: ErrMediaType, Status: http.StatusUnsupportedMediaType, Code: CodeUnsupportedMediaType, Message: "Send the body as application/json in UTF-8, not compressed."},
	{Err: ErrTooEarly, Status: http.StatusTooEarly, Code: CodeTooEarly, Message: "Send the request again when the TLS handshake is complete."},
	{Err: gateway.ErrRateLimited, Status: http.StatusTooManyRequests, Code: CodeRateLimited, Message: "There are too many logins; wait before the next one.", RetryAfter: time.Second},
	{Err: provider.ErrRateLimited, Status: http.StatusTooManyRequests, Code: CodeRateLimited, Message: "This user logs in too often; wait before the next login.", RetryAfter: time.Minute},
	{Err: provider.ErrMisconfigured, Status: http.StatusBadGateway, Code: CodeGatewayMisconfigured, Message: "WeChat refuses the gateway's configuration; its operator must act."},
	{Err: provider.ErrBadAnswer, Status: http.StatusBadGateway, Code: CodeWeChatError, Message: "WeChat's answer cannot be used."},
	{Err: gateway.ErrPaused, Status: http.StatusServiceUnavailable, Code: CodeWeChatUnavailable, Message: wechatUnavailableMessage, RetryAfter: time.Second},
	{Err: provider.ErrQuota, Status: http.StatusServiceUnavailable, Code: CodeWeChatUnavailable, Message: wechatUnavailableMessage, RetryAfter: 10 * time.Minute},
	{Err: provider.ErrTimeout, Status: http.StatusGatewayTimeout, Code: CodeWeChatTimeout, Message: "WeChat did not answer in time; call wx.login again."},
	{Err: provider.ErrUnavailable, Status: http.StatusServiceUnavailable, Code: CodeWeChatUnavailable, Message: wechatUnavailableMessage, RetryAfter: time.Second},
	{Err: gateway.ErrStoreUnavailable, Status: http.StatusServiceUnavailable, Code: CodeStoreUnavailable, Message: "Sessions cannot be looked up now; keep the token and try again.", RetryAfter: time.Second},
	{Err: ErrHost, Status: http.StatusBadRequest, Code: CodeInvalidRequest, Message: "The Host must be a host name with an optional port."},
	{Err: ErrNoPageLoad, Status: http.StatusBadRequest, Code: CodeInvalidRequest, Message: "Only a browser that loads a page can do this."},
	{Err: ErrCookieRenewal, Status: http.StatusBadRequest, Code: CodeInvalidRequest, Message: "The login of a browser cannot be renewed; it lasts as long as its session."},
	{Err: ErrWrongPlace, Status: http.StatusUnauthorized, Code: CodeOpenInWeChat, Message: "This browser has no way to log in here."},
	{Err: ErrLoggedOut, Status: http.StatusUnauthorized, Code: CodeLoggedOut, Message: "You have logged out."},
	{Err: ErrNotKept, Status: http.StatusUnauthorized, Code: CodeLoginNotKept, Message: "The browser does not keep its login."},
	{Err: ErrConsentRefused, Status: http.StatusForbidden, Code: CodeConsentRefused, Message: "The user did not consent."},
	{Err: gateway.ErrTicketRefused, Status: http.StatusGone, Code: CodeTicketRefused, Message: "This ticket cannot be used; go back and open the page again."},
	{Err: gateway.ErrScanEnded, Status: http.StatusGone, Code: CodeScanEnded, Message: "This scan is over; scan a new code."},
	{Err: gateway.ErrScanWrongNumber, Status: http.StatusForbidden, Code: CodeScanWrongNumber, Message: "The desktop shows another number; scan a new code."},
	{Err: gateway.ErrTooSoon, Status: http.StatusTooManyRequests, Code: CodeRateLimited, Message: "Ask once a second at most.", RetryAfter: time.Second},
	{Err: gateway.ErrStateUsed, Status: http.StatusUnauthorized, Code: CodeCodeUsed, Message: codeUsedMessage},
	{Err: context.Canceled, Status: statusClientClosed, Code: CodeClientClosed, Message: internalMessage},
}

const (
	loginRequiredMessage     = "Log in first."
	codeUsedMessage          = "This code was used before; call wx.login again."
	wechatUnavailableMessage = "WeChat cannot be reached now; try again later."
	notAllowedMessage        = "The application does not let this user in."
	hookFailedMessage        = "The application could not be asked about this user; call wx.login again."
	internalMessage          = "The gateway could not handle the request."

	// statusClientClosed is for the log: the client that left reads no answer
	// (nginx's 499).
	statusClientClosed = 499
)

// InternalError is the answer to whatever is not in the table.
var InternalError = Refusal{Status: http.StatusInternalServerError, Code: CodeInternalError, Message: internalMessage}

// For returns what a client learns of an error.
func For(err error) Refusal {
	for _, r := range Refusals {
		if !errors.Is(err, r.Err) {
			continue
		}
		if r.Message == "" {
			r.Message = sentence(err.Error())
		}
		if no, ok := errors.AsType[*loginhook.Refusal](err); ok && no.Message != "" {
			r.Message, r.OfApp = no.Message, true
		}
		if retry, ok := errors.AsType[*gateway.RetryError](err); ok {
			r.RetryAfter = retry.After
		}
		return r
	}
	return InternalError
}

// sentence turns the text of an ErrInvalidRequest, which never quotes what the
// client sent, into one for the client.
func sentence(text string) string {
	const prefix = "invalid request: "
	if len(text) > len(prefix) && text[:len(prefix)] == prefix {
		text = text[len(prefix):]
	}
	if text == "" {
		return "The request is not valid."
	}
	first, size := utf8.DecodeRuneInString(text) // it may be a capital already, as in AppID
	return string(unicode.ToUpper(first)) + text[size:] + "."
}
