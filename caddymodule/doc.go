// Package caddymodule registers every Caddy module of the gateway, which live in
// a folder each below it. It holds no code: import it, or name it to xcaddy.
//
// It gives any web app WeChat login without touching the app. A Mini Program posts
// the code of wx.login() to a login route, a browser is sent to WeChat; from then on the
// app behind the proxy sees who the user is in the headers X-OpenID and X-UnionID,
// which no client can forge or erase. The smallest Caddyfile:
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
package caddymodule
