package operate

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/auth"
	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/caddymodule/internal/layout"
	"github.com/caddy-wechat/gateway/caddymodule/survey"
	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/token"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// checkHeaders tests each app of a server that is behind wechat_auth, and reports
// whether one of them got a user.
func (e *siteExamination) checkHeaders(ctx context.Context, site *loopSite, server *layout.Server) (findings []doctor.Finding, identified bool) {
	tested := make(map[*auth.Handler]bool)
	for _, p := range e.survey.Proxies {
		if p.Server != server || len(p.Covered) == 0 || p.AsksOnly() {
			continue
		}
		by := survey.LastPassed(p.Covered[0])
		for _, t := range p.Covered {
			tested[survey.LastPassed(t)] = true
		}
		v := &visit{site: site, proxy: p, by: by, apps: e.apps}
		findings = append(findings, v.examine(ctx))
		identified = identified || v.identified
	}
	for _, h := range e.survey.Sites {
		if h.Server == server && !tested[h.Handler] {
			findings = append(findings, doctor.Skipf(checkHeaders, h.Place(), noProxy))
		}
	}
	return findings, identified
}

// visit is the test of one app.
type visit struct {
	site  *loopSite
	proxy *survey.Proxy
	by    *auth.Handler // the wechat_auth in front
	apps  *probes

	user       identity.User
	token      string
	forgery    doctor.Forgery
	identified bool // whether the app got a user's headers
}

func (v *visit) finding(status doctor.Status, message, action wording.Text) doctor.Finding {
	return doctor.Finding{Check: checkHeaders, Subject: v.proxy.Place() + " to " + v.apps.names[v.app()], Status: status, Message: message, Action: action}
}

const (
	noProxy     = "not tested, because there is no reverse_proxy behind its wechat_auth"
	visitTime   = time.Minute
	forgeAction = "look for header_up, request_header or copy_headers lines behind wechat_auth that set or remove identity headers, and for routes that reach the app before it"
)

// examine logs in, tries paths until one leads to the app, and logs out.
func (v *visit) examine(ctx context.Context) (f doctor.Finding) {
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	if err := v.logIn(ctx); err != nil {
		return v.finding(doctor.Fail, wording.Textf("no session can be begun: %v", err), wording.Textf(storeAction))
	}
	defer func() {
		if err := v.logOut(ctx); err != nil && f.Status != doctor.Fail {
			f = v.finding(doctor.Fail, wording.Textf("the session cannot be ended: %v", err), wording.Textf(storeAction))
		}
	}()
	if len(v.forgery.True) == 0 && v.by.Assertion == nil {
		return v.finding(doctor.Warn, wording.Textf("the app gets no identity header at all"), wording.Textf("remove the `header … off` lines of the fields that the app reads"))
	}
	last := v.finding(doctor.Skip, wording.Textf("not tested, because no request of the test leads to this reverse_proxy"), wording.Text{})
	for _, t := range v.proxy.Covered {
		if survey.LastPassed(t) != v.by {
			continue
		}
		found, final := v.tryPath(ctx, t)
		if final {
			return found
		}
		if !found.Message.IsZero() {
			last = found
		}
	}
	return last
}

// logIn starts a session of an invented user.
func (v *visit) logIn(ctx context.Context) error {
	h := v.by
	v.user = identity.User{AppID: h.SiteApps()[0], OpenID: "doctor-" + rand.Text(), UnionID: "doctor-" + rand.Text(), SessionID: rand.Text()[:session.MaxIDBytes]}
	now := time.Now().Truncate(time.Second)
	ends := now.Add(min(visitTime, time.Duration(h.App().Session.TokenLifetime)))
	_, err := h.App().Store().Sessions().Put(ctx, session.Login{
		Ref:     session.Ref{AppID: v.user.AppID, OpenID: v.user.OpenID, SessionID: v.user.SessionID},
		UnionID: v.user.UnionID, SessionKey: secret.New(rand.Text()), Ends: ends,
	}, h.App().Session.MaxPerUser)
	if err != nil {
		return err
	}
	v.token, err = token.Mint(h.App().Keys().Current(), token.Claims{User: v.user, IssuedAt: now, Expires: ends})
	if err != nil {
		return err
	}
	v.forgery = doctor.Forgery{True: h.IdentityHeaders(v.user), Marker: "forged-" + rand.Text()}
	return nil
}

func (v *visit) logOut(ctx context.Context) error {
	// Also after the time for the test has passed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	_, err := v.by.App().Store().Sessions().DeleteUser(ctx, v.user.AppID, v.user.OpenID)
	return err
}

// tryPath sends the forged requests to one path. It is final when the app was
// reached as somebody, or something is wrong.
func (v *visit) tryPath(ctx context.Context, t layout.Traveller) (f doctor.Finding, final bool) {
	open := false // to requests without a token
	for _, attempt := range []struct{ authenticated, erase bool }{{false, false}, {true, false}, {true, true}} {
		v.apps.forget() // what other tests left behind
		status, body, err := v.request(ctx, t, attempt.authenticated, attempt.erase)
		if err != nil {
			return v.finding(doctor.Skip, wording.Textf("not tested: %v", err), wording.Text{}), false
		}
		got := v.apps.take(v.app())
		if got == nil {
			if attempt.authenticated {
				return v.unreached(status, body)
			}
			continue
		}
		open = open || !attempt.authenticated
		// A path without login has no identity for anybody.
		anonymous := !attempt.authenticated || open && v.isPublic(t) && !v.forgery.Identified(got)
		if problem := v.forgery.Judge(got, !anonymous); !problem.IsZero() {
			return v.finding(doctor.Fail, problem, wording.Textf(forgeAction)), true
		}
		if attempt.authenticated && anonymous {
			return v.finding(doctor.OK, wording.Textf("the app gets no forged identity header; its path needs no login, so there is none at all"), wording.Text{}), false
		}
	}
	v.identified = true
	return v.finding(doctor.OK, wording.Textf("the app gets each identity header once, with the true value, and no forged one"), wording.Text{}), true
}

// unreached says what is known when a logged-in request did not reach the app.
func (v *visit) unreached(status int, body string) (f doctor.Finding, final bool) {
	var refusal struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal([]byte(body), &refusal) // another handler's answer need not be JSON
	switch refusal.Error {
	case answer.CodeLoginRequired, answer.CodeSessionExpired, answer.CodeSessionEnded:
		return v.finding(doctor.Fail, wording.Textf("the gateway does not accept a session that it has just begun (%s)", refusal.Error),
			wording.Textf("see that nothing in front of wechat_auth removes or changes the token, and that the clock runs evenly")), true
	case answer.CodeStoreUnavailable:
		return v.finding(doctor.Fail, wording.Textf("the session cannot be looked up"), wording.Textf(storeAction)), true
	}
	return v.finding(doctor.Skip, wording.Textf("not tested, because the site answers with status %d before its app is asked", status), wording.Text{}), false
}

// app is the address that stands for the app.
func (v *visit) app() string {
	if len(v.proxy.Upstreams) == 0 {
		return ""
	}
	return v.proxy.Upstreams[0]
}

// isPublic reports whether the path may need no login.
func (v *visit) isPublic(t layout.Traveller) bool {
	return v.by.Public.MayCover(t.Sent)
}

// request sends a forged request to the site.
func (v *visit) request(ctx context.Context, t layout.Traveller, authenticated, erase bool) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.site.addr+t.Sent, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = t.Host
	v.forgery.AddTo(req.Header)
	if erase {
		v.forgery.Erase(req.Header)
	}
	if authenticated {
		v.by.Token.Put(req, v.token)
	}
	resp, err := v.site.client.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("asking the site: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, string(data), err
}
