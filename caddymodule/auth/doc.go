// Package auth has the handler `http.handlers.wechat_auth`: it removes forged identity
// headers, serves the gateway's routes, finds out who a request is from, and tells the
// app behind it. It also follows the routes of a configuration, to find ways around it.
package auth
