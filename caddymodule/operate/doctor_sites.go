package operate

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/layout"
	"github.com/caddy-wechat/gateway/caddymodule/survey"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// checkSites sends requests through every site, as clients do: to the gateway's
// routes, and as a made-up user to the apps, in whose place are probes on
// loopback.
func (e *examination) checkSites(ctx context.Context) []doctor.Finding {
	apps := newProbes()
	defer apps.close()
	redirected, err := apps.replaceApps(ctx, e.config)
	if err != nil {
		return skipped(wording.Textf("not tested: %v", err), checkHeaders, checkLogin)
	}
	i := inspect(ctx, redirected)
	defer i.close()
	if i.err != nil {
		return skipped(wording.Textf("not tested, because the configuration does not load with test apps in place of its own: %v", i.err), checkHeaders, checkLogin)
	}
	sites := &siteExamination{survey: survey.Of(i.ctx), apps: apps}
	var findings, logins []doctor.Finding
	someoneIdentified := false
	for _, server := range sites.survey.Servers {
		site, err := openSite(ctx, server.Server)
		if err != nil {
			return skipped(wording.Textf("not tested: %v", err), checkHeaders, checkLogin)
		}
		headers, identified := sites.checkHeaders(ctx, site, server)
		findings, someoneIdentified = append(findings, headers...), someoneIdentified || identified
		logins = append(logins, sites.checkLogins(ctx, site, server)...)
		logins = append(logins, sites.checkCallbacks(ctx, site, server)...)
		site.close()
	}
	if len(sites.survey.Sites) > 0 && !someoneIdentified && !slices.ContainsFunc(findings, untested) {
		findings = append(findings, doctor.Warnf(checkHeaders, "", wording.Textf("see that a reverse_proxy stands behind wechat_auth, on paths that are not public"),
			"no app would ever get an identity header"))
	}
	for _, n := range e.survey.Notices {
		if n.Kind == checkLogin {
			logins = append(logins, doctor.Failf(checkLogin, n.Place, n.Fix, "%s", n.Message))
		}
	}
	return append(findings, logins...)
}

// untested reports whether a finding leaves open what the app gets.
func untested(f doctor.Finding) bool {
	return f.Status == doctor.Fail || f.Status == doctor.Skip && f.Message.String() != noProxy
}

// checkLogins sends a request without credentials to every route of every
// wechat_auth of a server, as a client would, and expects the gateway's own refusal.
// No code is sent, so nothing is spent.
func (e *siteExamination) checkLogins(ctx context.Context, site *loopSite, server *layout.Server) []doctor.Finding {
	var findings []doctor.Finding
	for _, h := range e.survey.Sites {
		if h.Server != server || len(h.Logins) == 0 {
			continue
		}
		f := doctor.OKf(checkLogin, h.Place(), "the gateway answers at %s", strings.Join(h.Logins, " and "))
		host := h.LoginHost()
	routes:
		for _, login := range h.Logins {
			above := strings.TrimSuffix(login, survey.LoginRoute)
			for _, route := range h.Handler.GuardedRoutes() {
				if problem := e.tryRoute(ctx, site, host, above+"/"+route.Name, route.Method); !problem.IsZero() {
					f = doctor.Failf(checkLogin, h.Place(), wording.Textf("see that no matcher, redirect or other handler in front of wechat_auth takes the route; it must get every request below %s", above),
						"a client's request to %s%s/%s %s", host, above, route.Name, problem)
					break routes
				}
			}
		}
		findings = append(findings, f)
	}
	return findings
}

// tryRoute returns what is wrong with the answer of a route, if anything is.
func (e *siteExamination) tryRoute(ctx context.Context, site *loopSite, host, path, method string) wording.Text {
	e.apps.forget()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+site.addr+path, strings.NewReader("{}"))
	if err != nil {
		return wording.Textf("cannot be made: %v", err)
	}
	req.Host = host
	req.Header.Set("Content-Type", "application/json")
	resp, err := site.client.Do(req)
	if err != nil {
		return wording.Textf("gets no answer: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var refusal struct {
		Error string `json:"error"`
	}
	switch {
	case err != nil:
		return wording.Textf("gets no whole answer: %v", err)
	case e.apps.any():
		return wording.Textf("goes to the app")
	case json.Unmarshal(body, &refusal) != nil || resp.Header.Get(identity.VerdictHeader) != refusal.Error || refusal.Error == "":
		return wording.Textf("gets status %s before wechat_auth sees it", resp.Status)
	case !slices.Contains([]string{answer.For(gateway.ErrInvalidRequest).Code, answer.For(answer.ErrNoToken).Code, answer.CodeTicketRefused, answer.CodeScanEnded}, refusal.Error):
		return wording.Textf("is refused: %s", refusal.Error)
	}
	return wording.Text{}
}

// checkRunning asks the gateway that runs with this configuration, if one does and
// its admin endpoint is where the configuration says, whether it lets logins pass.
func (e *examination) checkRunning(ctx context.Context) []doctor.Finding {
	var config struct {
		Admin struct {
			Disabled bool   `json:"disabled"`
			Listen   string `json:"listen"`
		} `json:"admin"`
	}
	if json.Unmarshal(e.config, &config) != nil || config.Admin.Disabled {
		return nil
	}
	address, err := caddycmd.DetermineAdminAPIAddress(config.Admin.Listen, nil, "", "")
	if err != nil {
		return nil
	}
	status, err := askRunning(ctx, address)
	if err != nil {
		return nil // it does not run, or is another program
	}
	var findings []doctor.Finding
	for _, app := range status.Apps {
		if !slices.ContainsFunc(e.settings.Apps, func(m *wechatapp.Account) bool { id, err := m.ResolveID(); return err == nil && id == app.AppID }) {
			continue
		}
		if app.Breaker == gateway.BreakerClosed {
			findings = append(findings, doctor.OKf(checkRunning, app.AppID, "the running gateway lets logins pass"))
			continue
		}
		var until wording.Text
		if app.BreakerUntil != nil {
			until = wording.Textf(" until %s", app.BreakerUntil.UTC().Format(time.RFC3339))
		}
		findings = append(findings, doctor.Failf(checkRunning, app.AppID, wording.Textf("see last_problem of `caddy wechat status` and the gateway's log for WeChat's errcode; logins are tried again by themselves"),
			"logins are suspended in the running gateway%s, because WeChat answered badly", until))
	}
	return findings
}

type runningStatus struct {
	Apps []adminApp `json:"apps"`
}

// askRunning gets the status of a running gateway.
func askRunning(ctx context.Context, address string) (status runningStatus, err error) {
	type answer struct {
		runningStatus
		err error
	}
	answers := make(chan answer, 1)
	go func() { // Caddy's client has no deadline
		var a answer
		resp, err := caddycmd.AdminAPIRequest(address, http.MethodGet, "/wechat/status", nil, nil)
		if a.err = err; err == nil {
			defer resp.Body.Close() //nolint:errcheck // it was read
			a.err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&a.runningStatus)
		}
		answers <- a
	}()
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	select {
	case a := <-answers:
		return a.runningStatus, a.err
	case <-ctx.Done():
		return status, ctx.Err()
	}
}
