// Package api has the handler `http.handlers.wechat_api`, by which apps call WeChat's
// server API without a credential.
package api
