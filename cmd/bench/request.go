package main

import (
	"bytes"
	"fmt"
	"net/http"
)

const (
	benchHost = "bench.test"
	// forgedOpenID is what every client claims to be. Stock Caddy hands it on.
	forgedOpenID = "oFORGED-by-the-client-000000"
	// miniProgramHeaders are those of wx.request in WeChat for Android.
	miniProgramHeaders = "User-Agent: Mozilla/5.0 (Linux; Android 14; V2324A Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 " +
		"Chrome/130.0.6723.103 Mobile Safari/537.36 XWEB/1300333 MMWEBSDK/20241202 MMWEBID/5177 MicroMessenger/8.0.56.2800(0x28003858) WeChat/arm64 " +
		"Weixin NetType/WIFI Language/zh_CN ABI/arm64 MiniProgramEnv/android\r\n" +
		"Referer: https://servicewechat.com/" + appID + "/42/page-frame.html\r\n" +
		"Content-Type: application/json\r\nCharset: utf-8\r\nAccept: */*\r\nAccept-Encoding: gzip,compress,br,deflate\r\n"
)

// ask is a GET of a Mini Program, to whatever proxy.
type ask struct {
	host, path string // empty: bench.test and /
	token      string // in Authorization, or
	cookie     string // as a browser sends it
	extra      int    // more headers
}

func (a ask) raw() []byte {
	var buf bytes.Buffer
	host, path := a.host, a.path
	if host == "" {
		host = benchHost
	}
	if path == "" {
		path = "/"
	}
	fmt.Fprintf(&buf, "GET %s HTTP/1.1\r\nHost: %s\r\n%sX-OpenID: %s\r\n", path, host, miniProgramHeaders, forgedOpenID)
	if a.token != "" {
		fmt.Fprintf(&buf, "Authorization: Bearer %s\r\n", a.token)
	}
	if a.cookie != "" {
		fmt.Fprintf(&buf, "Cookie: %s\r\n", a.cookie)
	}
	for i := range a.extra {
		fmt.Fprintf(&buf, "X-Extra-%d: value-%d-of-a-usual-length\r\n", i, i)
	}
	buf.WriteString("\r\n")
	return buf.Bytes()
}

func get(path, token string, extra int) []byte {
	return ask{path: path, token: token, extra: extra}.raw()
}

func gets(path string, tokens []string, extra int) []call {
	return each(tokens, func(_ int, token string) ask { return ask{path: path, token: token, extra: extra} })
}

// each makes a call for every token.
func each(tokens []string, of func(i int, token string) ask) []call {
	calls := make([]call, len(tokens))
	for i, token := range tokens {
		calls[i] = call{of(i, token).raw(), http.StatusOK}
	}
	return calls
}

func login(body string) []byte {
	return fmt.Appendf(nil, "POST /wechat/login HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s", benchHost, miniProgramHeaders, len(body), body)
}
