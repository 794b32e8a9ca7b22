package wechatapp

// Names of the events that the app emits through Caddy's events app. Their data
// names apps and hashes of users, nothing else about anybody.
const (
	eventLogin        = "wechat_login"
	eventLoginRefused = "wechat_login_refused"
	eventLogout       = "wechat_logout"
	eventEntered      = "wechat_web_view_entered"
	eventScan         = "wechat_scan_decided"
	eventSessionEnded = "wechat_session_ended"
	eventBreakerOpen  = "wechat_breaker_opened"
	eventBreakerClose = "wechat_breaker_closed"
	eventConfigError  = "wechat_configuration_error"
)
