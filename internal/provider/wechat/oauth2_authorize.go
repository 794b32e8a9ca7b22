package wechat

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/caddy-wechat/gateway/internal/loopback"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// DefaultAuthorizeBase is where browsers log in.
const DefaultAuthorizeBase = "https://open.weixin.qq.com"

// CheckAuthorizeBase returns an error unless raw can stand in place of
// [DefaultAuthorizeBase].
func CheckAuthorizeBase(raw string) error {
	base, err := url.Parse(raw)
	switch {
	case err != nil || base.Hostname() == "" || base.Opaque != "":
		return errors.New("is not a URL such as " + DefaultAuthorizeBase)
	case base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "" || base.Path != "":
		return errors.New("must be scheme://host[:port] and nothing else")
	case base.Scheme == "https", base.Scheme == "http" && loopback.Host(base.Hostname()):
		return nil
	case base.Scheme == "http":
		return errors.New("is plain http, which would show the login to the network; that is accepted for loopback addresses and localhost only")
	}
	return fmt.Errorf("has the scheme %q, which is not https", base.Scheme)
}

// OfficialAccount is the [provider.Redirecter] of pages in WeChat ("微信网页授权").
type OfficialAccount struct {
	*Client
	AuthorizeBase string
}

// Exchange implements [provider.Provider].
func (o OfficialAccount) Exchange(ctx context.Context, a provider.Account, p provider.Proof) (provider.User, error) {
	return o.oauth2(ctx, a, p)
}

// AuthorizeURL implements [provider.Redirecter]. connect_redirect keeps WeChat from
// loading the callback twice.
func (o OfficialAccount) AuthorizeURL(a provider.Account, scope, state, callback string) string {
	if scope == "" {
		scope = ScopeBase
	}
	return authorizeURL(o.AuthorizeBase+"/connect/oauth2/authorize", a.ID, scope, state, callback, "&connect_redirect=1")
}

// Website is the [provider.Redirecter] of websites, whose users scan a QR code
// ("网站应用微信登录").
type Website struct {
	*Client
	AuthorizeBase string
}

// Exchange implements [provider.Provider].
func (w Website) Exchange(ctx context.Context, a provider.Account, p provider.Proof) (provider.User, error) {
	return w.oauth2(ctx, a, p)
}

// AuthorizeURL implements [provider.Redirecter]. Websites have one scope.
func (w Website) AuthorizeURL(a provider.Account, _, state, callback string) string {
	return authorizeURL(w.AuthorizeBase+"/connect/qrconnect", a.ID, ScopeLogin, state, callback, "")
}

// authorizeURL writes the parameters in WeChat's order, which matters to some of
// its clients, and the fragment, without which others show an empty page.
func authorizeURL(base, appID, scope, state, callback, extra string) string {
	return base + "?appid=" + url.QueryEscape(appID) + "&redirect_uri=" + url.QueryEscape(callback) +
		"&response_type=code&scope=" + url.QueryEscape(scope) + "&state=" + url.QueryEscape(state) + extra + "#wechat_redirect"
}
