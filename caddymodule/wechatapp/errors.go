package wechatapp

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
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
	{gateway.ErrInvalidRequest, http.StatusBadRequest, "invalid_request", "", 0}, // its own words
	{errBody, http.StatusBadRequest, "invalid_request", "The body has to be one JSON object such as {\"code\":\"…\"}.", 0},
	{errSlowBody, http.StatusBadRequest, "invalid_request", "The body did not arrive in time.", 0},
	{errTwoCredentials, http.StatusBadRequest, "invalid_request", "The request carries more than one token.", 0},
	{errCrossSite, http.StatusForbidden, "cross_site", "The request comes from another site.", 0},
	{errNoToken, http.StatusUnauthorized, "login_required", loginRequiredMessage, 0},
	{gateway.ErrLoginRequired, http.StatusUnauthorized, "login_required", loginRequiredMessage, 0},
	{gateway.ErrSessionExpired, http.StatusUnauthorized, "session_expired", "The token or its session is too old; log in again.", 0},
	{gateway.ErrSessionEnded, http.StatusUnauthorized, "session_ended", "The session was ended; log in again.", 0},
	{gateway.ErrCodeUsed, http.StatusUnauthorized, "code_used", codeUsedMessage, 0},
	{provider.ErrCodeUsed, http.StatusUnauthorized, "code_used", codeUsedMessage, 0},
	{provider.ErrCodeRejected, http.StatusUnauthorized, "code_rejected", "WeChat does not accept this code; call wx.login again.", 0},
	{provider.ErrUserBlocked, http.StatusForbidden, "user_blocked", "WeChat has blocked the login of this user.", 0},
	{gateway.ErrUserDenied, http.StatusForbidden, "user_blocked", "This user may not log in now.", 0},
	{errNotFound, http.StatusNotFound, "not_found", "There is no such gateway route.", 0},
	{errMethodNotAllowed, http.StatusMethodNotAllowed, "method_not_allowed", "This method is not allowed here.", 0},
	{errBodyTooLarge, http.StatusRequestEntityTooLarge, "body_too_large", "The body is larger than 4 KiB.", 0},
	{errMediaType, http.StatusUnsupportedMediaType, "unsupported_media_type", "Send the body as application/json in UTF-8, not compressed.", 0},
	{errTooEarly, http.StatusTooEarly, "too_early", "Send the request again when the TLS handshake is complete.", 0},
	{gateway.ErrRateLimited, http.StatusTooManyRequests, "rate_limited", "There are too many logins; wait before the next one.", time.Second},
	{provider.ErrRateLimited, http.StatusTooManyRequests, "rate_limited", "This user logs in too often; wait before the next login.", time.Minute},
	{provider.ErrMisconfigured, http.StatusBadGateway, "gateway_misconfigured", "WeChat refuses the gateway's configuration; its operator has to act.", 0},
	{provider.ErrBadAnswer, http.StatusBadGateway, "wechat_error", "WeChat's answer cannot be used.", 0},
	{gateway.ErrWeChatPaused, http.StatusServiceUnavailable, "wechat_unavailable", wechatUnavailableMessage, time.Second},
	{provider.ErrQuota, http.StatusServiceUnavailable, "wechat_unavailable", wechatUnavailableMessage, 10 * time.Minute},
	{provider.ErrTimeout, http.StatusGatewayTimeout, "wechat_timeout", "WeChat did not answer in time; call wx.login again.", 0},
	{provider.ErrUnavailable, http.StatusServiceUnavailable, "wechat_unavailable", wechatUnavailableMessage, time.Second},
	{gateway.ErrStoreUnavailable, http.StatusServiceUnavailable, "store_unavailable", "Sessions cannot be looked up now; keep the token and try again.", time.Second},
	{context.Canceled, statusClientClosed, "client_closed", internalMessage, 0},
}

const (
	loginRequiredMessage     = "Log in first."
	codeUsedMessage          = "This code was used before; call wx.login again."
	wechatUnavailableMessage = "WeChat cannot be reached now; try again later."
	internalMessage          = "The gateway could not handle the request."

	// statusClientClosed is for the log: the client that left reads no answer
	// (nginx's 499).
	statusClientClosed = 499
)

var internalError = refusal{status: http.StatusInternalServerError, code: "internal_error", message: internalMessage}

func refusalFor(err error) refusal {
	for _, r := range refusals {
		if !errors.Is(err, r.err) {
			continue
		}
		if r.message == "" {
			r.message = sentence(err.Error())
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
	return string(text[0]-'a'+'A') + text[1:] + "."
}

// writeRefusal writes the JSON of a refusal.
func writeRefusal(w http.ResponseWriter, r refusal) {
	header := w.Header()
	header.Set(identity.VerdictHeader, r.code)
	switch r.status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(max(r.retryAfter, time.Second).Seconds()))))
	}
	writeJSON(w, r.status, struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}{r.code, r.message})
}

// writeJSON writes an answer of the gateway itself; a nil body is none.
func writeJSON(w http.ResponseWriter, status int, body any) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if body == nil {
		w.WriteHeader(status)
		return
	}
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and integers always encode
	}
	header.Set("Content-Length", strconv.Itoa(len(data)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that left is no error of ours
}
