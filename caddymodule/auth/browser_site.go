package auth

import (
	"net/http"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// browsers is what a site needs to serve browsers.
type browsers struct {
	cookies   browser.Cookies
	methods   browser.Methods
	challenge bool
	lifetime  time.Duration
	// accounts are those that log in by a redirect, by AppID.
	accounts map[string]provider.Account
	scan     Scan       // what its code opens; for methods.Scan
	warned   *sync.Once // of an origin that WeChat refuses
	// base is what stands before the paths that the handler sees, if placed; see
	// findBases.
	base   string
	placed bool
	// besides are the cookies of other sites on the same host, which browsers send
	// here, too; tokens are the cookies that their clients have tokens in.
	besides []browser.Cookies
	tokens  []cookieCarrier
}

// strip removes from a request all cookies of the gateway but the token's own.
func (b *browsers) strip(r *http.Request) {
	b.cookies.Strip(r.Header)
	for _, cookies := range b.besides {
		cookies.Strip(r.Header)
	}
	for _, token := range b.tokens {
		token.remove(r)
	}
}

// stripAnswer removes from an answer what would set one of a browser's cookies.
func (b *browsers) stripAnswer(header http.Header) {
	b.cookies.StripSetCookies(header)
	for _, cookies := range b.besides {
		cookies.StripSetCookies(header)
	}
}

// logsIn reports whether browsers can log in here.
func (b *browsers) logsIn() bool { return b.methods != browser.Methods{} }
