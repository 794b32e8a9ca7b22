package operate

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/internal/layout"
	"github.com/caddy-wechat/gateway/caddymodule/survey"
	"github.com/caddy-wechat/gateway/internal/browser"
	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// checkCallbacks begins logins in browsers at every site of a server, by each account,
// and looks where WeChat would send the browser back to: a host that WeChat accepts, and
// at which the gateway answers. No code is sent.
func (e *siteExamination) checkCallbacks(ctx context.Context, site *loopSite, server *layout.Server) []doctor.Finding {
	var findings []doctor.Finding
	for _, h := range e.survey.Sites {
		if h.Server != server || len(h.Logins) == 0 {
			continue
		}
		for _, login := range h.LoginsByHost() {
			above := strings.TrimSuffix(login.Sent, survey.LoginRoute)
			for _, account := range h.Handler.BrowserAccounts() {
				findings = append(findings, callback(ctx, site, login.Host, above, account))
			}
		}
	}
	return findings
}

// consoleSetting names what an account's console must list.
func consoleSetting(kind provider.Kind) string {
	if kind == provider.Website {
		return "授权回调域"
	}
	return "网页授权域名"
}

func callback(ctx context.Context, site *loopSite, host, above string, account provider.Account) doctor.Finding {
	served := wording.Textf("see that no matcher or handler takes the routes of the gateway away on this host, and that the site serves the host")
	got, err := site.loadPage(ctx, host, above+"/authorize?appid="+account.ID, account.Kind)
	if err != nil {
		return doctor.Failf(checkCallback, account.ID, served, "a browser's login at %s%s gets no answer: %v", host, above, err)
	}
	wechat, err := url.Parse(got.header.Get("Location"))
	if err != nil || got.code != http.StatusFound || wechat.Query().Get("appid") != account.ID {
		return doctor.Failf(checkCallback, account.ID, served, "a browser's login at %s%s is not sent to WeChat but gets status %s", host, above, got.status)
	}
	back, err := url.Parse(wechat.Query().Get("redirect_uri"))
	if err != nil {
		return doctor.Failf(checkCallback, account.ID, served, "a browser's login at %s%s has no callback", host, above)
	}
	origin, ok := browser.ParseOrigin(back.Scheme, back.Host)
	if !ok {
		return doctor.Failf(checkCallback, account.ID, served, "a browser's login at %s%s has a callback without a host", host, above)
	}
	if reason := origin.Refused(); reason != "" {
		return doctor.Warnf(checkCallback, account.ID,
			wording.Textf("serve the site over https on a host name without a port; behind a proxy that does, name it in trusted_proxies and let it send X-Forwarded-Proto and X-Forwarded-Host"),
			"WeChat will not send browsers back to %s: %s", origin, wording.Textf(reason))
	}
	got, err = site.loadPage(ctx, back.Host, back.RequestURI(), account.Kind)
	if err != nil {
		return doctor.Failf(checkCallback, account.ID, served, "the callback at %s gets no answer: %v", back.Host, err)
	}
	again := got.code == http.StatusFound && strings.HasPrefix(got.header.Get("Location"), wechat.Scheme+"://"+wechat.Host+"/")
	if !again && got.header.Get("X-Wechat-Gateway") == "" {
		return doctor.Failf(checkCallback, account.ID, served, "the callback at %s%s is not answered by the gateway but gets status %s", back.Host, back.Path, got.status)
	}
	return doctor.OKf(checkCallback, account.ID, "WeChat is told to send browsers back to %s, which the account's console must list as %s", back.Host, consoleSetting(account.Kind))
}

// headOnly is an answer without its body.
type headOnly struct {
	code   int
	status string
	header http.Header
}

// loadPage loads a page as a browser that fits a kind of account.
func (s *loopSite) loadPage(ctx context.Context, host, path string, kind provider.Kind) (headOnly, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		return headOnly{}, err
	}
	req.Host = host
	agent := "Mozilla/5.0 (caddy wechat doctor)"
	if kind == provider.OfficialAccount {
		agent += " MicroMessenger/8.0.50"
	}
	req.Header = http.Header{
		"User-Agent": {agent}, "Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"},
		// What a proxy in front says, which counts only if it is trusted.
		"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {host},
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return headOnly{}, fmt.Errorf("asking the site: %w", err)
	}
	_ = resp.Body.Close() // the head says it all
	return headOnly{resp.StatusCode, resp.Status, resp.Header}, nil
}
