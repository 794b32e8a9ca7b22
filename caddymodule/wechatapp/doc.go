// Package wechatapp gives any web app WeChat Mini Program login without
// touching the app. A Mini Program posts the code of wx.login() to a login
// route; from then on the app behind the proxy sees who the user is in the
// headers X-OpenID and X-UnionID, which no client can forge or erase.
//
// Modules: the app `wechat` (Mini Programs, keys, sessions; global option
// `wechat`), the handler `http.handlers.wechat_auth` (directive `wechat_auth`)
// and the session stores `wechat.stores.*`. The smallest Caddyfile:
//
//	{
//		wechat {
//			app wx1234567890abcdef {env.WECHAT_SECRET}
//		}
//	}
//
//	example.com {
//		wechat_auth
//		reverse_proxy localhost:3000
//	}
package wechatapp
