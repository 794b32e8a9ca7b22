package wechatapp

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
	errNoToken          = errors.New("no token")
	errMethodNotAllowed = errors.New("method not allowed")
	errNotFound         = errors.New("no gateway route")
	errBodyTooLarge     = errors.New("body too large")
	errMediaType        = errors.New("unsupported media type")
	errTooEarly         = errors.New("request in early data")
	errTwoCredentials   = errors.New("two different credentials")
	errCrossSite        = errors.New("request from another site")
	errBody             = errors.New("malformed body")
	errSlowBody         = errors.New("body did not arrive in time")
)

// Errors that only browsers see.
var (
	errNotKept    = errors.New("the browser does not keep its login")
	errRefused    = errors.New("the user did not consent")
	errLoggedOut  = errors.New("the user has logged out")
	errWrongPlace = errors.New("this browser has no way in")
	errNoPageLoad = errors.New("not a page load")

	errHost          = errors.New("the Host is not a host name with an optional port")
	errCookieRenewal = errors.New("a browser's login is not renewed")
)

// refusal is what a client learns. Codes are stable: part of the public
// contract.
type refusal struct {
	err        error
	status     int
	code       string
	message    string
	retryAfter time.Duration // default for 429 and 503
}

// refusals is the one table from errors to what a client learns. The first
// match counts; whatever is not in it is a 500 without details.
var refusals = []refusal{
	{err: gateway.ErrInvalidRequest, status: http.StatusBadRequest, code: CodeInvalidRequest}, // its own words
	{err: errBody, status: http.StatusBadRequest, code: CodeInvalidRequest, message: "The body has to be one JSON object such as {\"code\":\"…\"}."},
	{err: errSlowBody, status: http.StatusBadRequest, code: CodeInvalidRequest, message: "The body did not arrive in time."},
	{err: errTwoCredentials, status: http.StatusBadRequest, code: CodeInvalidRequest, message: "The request carries more than one token."},
	{err: errCrossSite, status: http.StatusForbidden, code: CodeCrossSite, message: "The request comes from another site."},
	{err: errNoToken, status: http.StatusUnauthorized, code: CodeLoginRequired, message: loginRequiredMessage},
	{err: gateway.ErrLoginRequired, status: http.StatusUnauthorized, code: CodeLoginRequired, message: loginRequiredMessage},
	{err: gateway.ErrSessionExpired, status: http.StatusUnauthorized, code: CodeSessionExpired, message: "The token or its session is too old; log in again."},
	{err: gateway.ErrSessionEnded, status: http.StatusUnauthorized, code: CodeSessionEnded, message: "The session was ended; log in again."},
	{err: gateway.ErrCodeUsed, status: http.StatusUnauthorized, code: CodeCodeUsed, message: codeUsedMessage},
	{err: provider.ErrCodeUsed, status: http.StatusUnauthorized, code: CodeCodeUsed, message: codeUsedMessage},
	{err: provider.ErrCodeRejected, status: http.StatusUnauthorized, code: CodeCodeRejected, message: "WeChat does not accept this code; call wx.login again."},
	{err: provider.ErrSnapshotUser, status: http.StatusUnauthorized, code: CodeSnapshotUser, message: "WeChat shows a snapshot of the page, without a user; open it in full."},
	{err: provider.ErrUserBlocked, status: http.StatusForbidden, code: CodeUserBlocked, message: "WeChat has blocked the login of this user."},
	{err: gateway.ErrUserDenied, status: http.StatusForbidden, code: CodeUserBlocked, message: "This user may not log in now."},
	{err: loginhook.ErrNotAllowed, status: http.StatusForbidden, code: CodeNotAllowed, message: notAllowedMessage},
	{err: loginhook.ErrBadAnswer, status: http.StatusBadGateway, code: CodeLoginHookFailed, message: hookFailedMessage},
	{err: loginhook.ErrPaused, status: http.StatusServiceUnavailable, code: CodeLoginHookFailed, message: hookFailedMessage, retryAfter: 5 * time.Second},
	{err: loginhook.ErrTimeout, status: http.StatusGatewayTimeout, code: CodeLoginHookFailed, message: hookFailedMessage},
	{err: errNotFound, status: http.StatusNotFound, code: CodeNotFound, message: "There is no such gateway route."},
	{err: errMethodNotAllowed, status: http.StatusMethodNotAllowed, code: CodeMethodNotAllowed, message: "This method is not allowed here."},
	{err: errBodyTooLarge, status: http.StatusRequestEntityTooLarge, code: CodeBodyTooLarge, message: "The body is too large."},
	{err: errMediaType, status: http.StatusUnsupportedMediaType, code: CodeUnsupportedMediaType, message: "Send the body as application/json in UTF-8, not compressed."},
	{err: errTooEarly, status: http.StatusTooEarly, code: CodeTooEarly, message: "Send the request again when the TLS handshake is complete."},
	{err: gateway.ErrRateLimited, status: http.StatusTooManyRequests, code: CodeRateLimited, message: "There are too many logins; wait before the next one.", retryAfter: time.Second},
	{err: provider.ErrRateLimited, status: http.StatusTooManyRequests, code: CodeRateLimited, message: "This user logs in too often; wait before the next login.", retryAfter: time.Minute},
	{err: provider.ErrMisconfigured, status: http.StatusBadGateway, code: CodeGatewayMisconfigured, message: "WeChat refuses the gateway's configuration; its operator has to act."},
	{err: provider.ErrBadAnswer, status: http.StatusBadGateway, code: CodeWeChatError, message: "WeChat's answer cannot be used."},
	{err: gateway.ErrPaused, status: http.StatusServiceUnavailable, code: CodeWeChatUnavailable, message: wechatUnavailableMessage, retryAfter: time.Second},
	{err: provider.ErrQuota, status: http.StatusServiceUnavailable, code: CodeWeChatUnavailable, message: wechatUnavailableMessage, retryAfter: 10 * time.Minute},
	{err: provider.ErrTimeout, status: http.StatusGatewayTimeout, code: CodeWeChatTimeout, message: "WeChat did not answer in time; call wx.login again."},
	{err: provider.ErrUnavailable, status: http.StatusServiceUnavailable, code: CodeWeChatUnavailable, message: wechatUnavailableMessage, retryAfter: time.Second},
	{err: gateway.ErrStoreUnavailable, status: http.StatusServiceUnavailable, code: CodeStoreUnavailable, message: "Sessions cannot be looked up now; keep the token and try again.", retryAfter: time.Second},
	{err: errHost, status: http.StatusBadRequest, code: CodeInvalidRequest, message: "The Host must be a host name with an optional port."},
	{err: errNoPageLoad, status: http.StatusBadRequest, code: CodeInvalidRequest, message: "Only a browser that loads a page can do this."},
	{err: errCookieRenewal, status: http.StatusBadRequest, code: CodeInvalidRequest, message: "The login of a browser cannot be renewed; it lasts as long as its session."},
	{err: errWrongPlace, status: http.StatusUnauthorized, code: CodeOpenInWeChat, message: "This browser has no way to log in here."},
	{err: errLoggedOut, status: http.StatusUnauthorized, code: CodeLoggedOut, message: "You have logged out."},
	{err: errNotKept, status: http.StatusUnauthorized, code: CodeLoginNotKept, message: "The browser does not keep its login."},
	{err: errRefused, status: http.StatusForbidden, code: CodeConsentRefused, message: "The user did not consent."},
	{err: gateway.ErrStateUsed, status: http.StatusUnauthorized, code: CodeCodeUsed, message: codeUsedMessage},
	{err: context.Canceled, status: statusClientClosed, code: CodeClientClosed, message: internalMessage},
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

var internalError = refusal{status: http.StatusInternalServerError, code: CodeInternalError, message: internalMessage}

func refusalFor(err error) refusal {
	for _, r := range refusals {
		if !errors.Is(err, r.err) {
			continue
		}
		if r.message == "" {
			r.message = sentence(err.Error())
		}
		if no, ok := errors.AsType[*loginhook.Refusal](err); ok && no.Message != "" {
			r.message = no.Message
		}
		if retry, ok := errors.AsType[*gateway.RetryError](err); ok {
			r.retryAfter = retry.After
		}
		return r
	}
	return internalError
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
