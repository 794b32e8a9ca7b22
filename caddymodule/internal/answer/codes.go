package answer

import "slices"

// Codes of refusals: the `error` of an answer, the outcome of a metric and of a
// line of the log. They are stable, as part of the public contract.
const (
	CodeInvalidRequest       = "invalid_request"
	CodeLoginRequired        = "login_required"
	CodeSessionExpired       = "session_expired"
	CodeSessionEnded         = "session_ended"
	CodeCodeRejected         = "code_rejected"
	CodeCodeUsed             = "code_used"
	CodeUserBlocked          = "user_blocked"
	CodeSnapshotUser         = "snapshot_user"
	CodeNotAllowed           = "not_allowed"
	CodeLoginHookFailed      = "login_hook_failed"
	CodeCrossSite            = "cross_site"
	CodeNotFound             = "not_found"
	CodeMethodNotAllowed     = "method_not_allowed"
	CodeBodyTooLarge         = "body_too_large"
	CodeUnsupportedMediaType = "unsupported_media_type"
	CodeTooEarly             = "too_early"
	CodeRateLimited          = "rate_limited"
	CodeInternalError        = "internal_error"
	CodeWeChatError          = "wechat_error"
	CodeGatewayMisconfigured = "gateway_misconfigured"
	CodeWeChatUnavailable    = "wechat_unavailable"
	CodeWeChatTimeout        = "wechat_timeout"
	CodeStoreUnavailable     = "store_unavailable"
	// Those of browsers, besides the ones above.
	CodeOpenInWeChat   = "open_in_wechat"
	CodeLoggedOut      = "logged_out"
	CodeLoginNotKept   = "login_not_kept"
	CodeConsentRefused = "consent_refused"
	CodeTicketRefused  = "ticket_refused"
	// Those of scans.
	CodeScanEnded       = "scan_ended"
	CodeScanWrongNumber = "scan_wrong_number"
	// CodeClientClosed is for logs and metrics: the client that left reads nothing.
	CodeClientClosed = "client_closed"

	// Those of wechat_api alone.
	CodeCallerNotAllowed = "caller_not_allowed"
	CodePathNotAllowed   = "path_not_allowed"
	CodeNotImplemented   = "not_implemented"
	CodeUnknownApp       = "unknown_app"
	CodeGatewayBusy      = "gateway_busy"
	CodeTokenRefused     = "token_refused"
	CodeNoSession        = "no_session"
	CodeSessionKeyStale  = "session_key_stale"
)

// [LoginCodes] are what a login can end with, besides ok; [AlertedCodes] are those of
// them that alerts are about.
var (
	AlertedCodes = []string{CodeGatewayMisconfigured, CodeCodeRejected, CodeRateLimited}
	LoginCodes   = slices.Concat(AlertedCodes, []string{
		CodeInvalidRequest, CodeCodeUsed, CodeUserBlocked, CodeCrossSite, CodeBodyTooLarge, CodeUnsupportedMediaType, CodeInternalError,
		CodeWeChatError, CodeWeChatUnavailable, CodeWeChatTimeout, CodeStoreUnavailable, CodeClientClosed, CodeNotAllowed, CodeLoginHookFailed,
	})
)
