package wechatapp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/token"
)

// checkIdentityHeaders logs a made-up user in to every site and looks at what
// the app behind it would get. The app is a probe on loopback.
func checkIdentityHeaders(ctx context.Context, config []byte) []doctor.Finding {
	apps := newProbes()
	defer apps.close()
	redirected, err := apps.replaceApps(ctx, config)
	if err != nil {
		return skipped("not tested: "+err.Error(), checkHeaders)
	}
	i := inspect(ctx, redirected)
	defer i.close()
	if i.err != nil {
		return []doctor.Finding{{Check: checkHeaders, Status: doctor.Skip, Message: "not tested, because the configuration does not load with test apps in place of its own: " + i.err.Error()}}
	}
	var findings []doctor.Finding
	for _, w := range walkServers(i.ctx) {
		findings = append(findings, checkServer(ctx, w, apps)...)
	}
	return findings
}

// checkServer tests each app of a server that is behind wechat_auth.
func checkServer(ctx context.Context, w *walk, apps *probes) []doctor.Finding {
	var findings []doctor.Finding
	site, err := openSite(ctx, w.server)
	if err != nil {
		return skipped("not tested: "+err.Error(), checkHeaders)
	}
	defer site.close()
	tested := make(map[string]bool)
	for _, p := range w.proxies {
		if p.by == nil {
			continue
		}
		tested[p.site] = true
		v := &visit{site: site, proxy: p, apps: apps}
		findings = append(findings, v.examine(ctx))
	}
	for _, name := range w.sites {
		if !tested[name] {
			tested[name] = true
			findings = append(findings, doctor.Finding{Check: checkHeaders, Subject: name, Status: doctor.Skip, Message: "not tested, because there is no reverse_proxy behind its wechat_auth"})
		}
	}
	return findings
}

// visit is the test of one app.
type visit struct {
	site  *loopSite
	proxy proxy
	apps  *probes

	user    identity.User
	token   string
	forgery doctor.Forgery
}

func (v *visit) finding(status doctor.Status, message, action string) doctor.Finding {
	subject := v.proxy.site
	if len(v.proxy.path) > 0 {
		subject += " " + strings.Join(v.proxy.path, " ")
	}
	return doctor.Finding{Check: checkHeaders, Subject: subject + " to " + v.apps.names[v.app()], Status: status, Message: message, Action: action}
}

const (
	visitTime   = time.Minute
	forgeAction = "look for header_up, request_header or copy_headers lines behind wechat_auth that set or remove identity headers, and for routes that reach the app before it"
)

// examine logs in, tries paths until one leads to the app, and logs out.
func (v *visit) examine(ctx context.Context) (f doctor.Finding) {
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	if err := v.logIn(ctx); err != nil {
		return v.finding(doctor.Fail, "no session can be begun: "+err.Error(), storeAction)
	}
	defer func() {
		if err := v.logOut(ctx); err != nil && f.Status != doctor.Fail {
			f = v.finding(doctor.Fail, "the session cannot be ended: "+err.Error(), storeAction)
		}
	}()
	last := v.finding(doctor.Skip, "not tested, because no request of the test leads to this reverse_proxy", "")
	for _, path := range v.paths() {
		found, final := v.tryPath(ctx, path)
		if final {
			return found
		}
		if found.Message != "" {
			last = found
		}
	}
	return last
}

// logIn begins a session of somebody who does not exist.
func (v *visit) logIn(ctx context.Context) error {
	h := v.proxy.by
	v.user = identity.User{AppID: h.apps[0], OpenID: "doctor-" + rand.Text(), UnionID: "doctor-" + rand.Text(), SessionID: rand.Text()[:session.MaxIDBytes]}
	now := time.Now().Truncate(time.Second)
	ends := now.Add(min(visitTime, time.Duration(h.app.Session.TokenLifetime)))
	_, err := h.app.store.sessions().Put(ctx, session.Login{
		Ref:     session.Ref{AppID: v.user.AppID, OpenID: v.user.OpenID, SessionID: v.user.SessionID},
		UnionID: v.user.UnionID, SessionKey: secret.New(rand.Text()), Ends: ends,
	}, h.app.Session.MaxPerUser)
	if err != nil {
		return err
	}
	v.token, err = h.app.keys.Current().Mint(token.Claims{User: v.user, IssuedAt: now, Expires: ends})
	if err != nil {
		return err
	}
	v.forgery = doctor.Forgery{True: make(http.Header), Marker: "forged-" + rand.Text()}
	if h.cloud == nil {
		h.guard.Inject(v.forgery.True, v.user)
	} else {
		h.cloud.Inject(v.forgery.True, v.user, identity.Asked{}, "")
	}
	return nil
}

func (v *visit) logOut(ctx context.Context) error {
	// Also when the time for the test is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	_, err := v.proxy.by.app.store.sessions().DeleteUser(ctx, v.user.AppID, v.user.OpenID)
	return err
}

// paths are the requests that may lead to the app, by the path matchers on the
// way to it.
func (v *visit) paths() []string {
	const segment = "doctor"
	paths := []string{"/"}
	add := func(path string) {
		path = "/" + strings.TrimLeft(path, "/")
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	outer := ""
	for _, pattern := range v.proxy.path {
		path := strings.ReplaceAll(pattern, "*", segment)
		add(path)
		add(outer + "/" + strings.TrimLeft(path, "/")) // behind handle_path
		outer = strings.TrimRight(strings.TrimSuffix(pattern, "*"), "/")
	}
	return paths
}

// host is a name that the site answers to.
func (v *visit) host() string {
	for _, host := range v.proxy.host {
		if !strings.ContainsAny(host, "{}") {
			return strings.ReplaceAll(host, "*", "doctor")
		}
	}
	return "localhost"
}

// tryPath sends the forged requests to one path. It is final when the app was
// reached as somebody, or something is wrong.
func (v *visit) tryPath(ctx context.Context, path string) (f doctor.Finding, final bool) {
	open := false // to requests without a token
	for _, attempt := range []struct{ authenticated, erase bool }{{false, false}, {true, false}, {true, true}} {
		status, body, err := v.request(ctx, path, attempt.authenticated, attempt.erase)
		if err != nil {
			return v.finding(doctor.Skip, "not tested: "+err.Error(), ""), false
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
		anonymous := !attempt.authenticated || open && v.isPublic(path) && !v.forgery.Identified(got)
		if problem := v.forgery.Judge(got, !anonymous); problem != "" {
			return v.finding(doctor.Fail, problem, forgeAction), true
		}
		if attempt.authenticated && anonymous {
			return v.finding(doctor.OK, "the app gets no forged identity header; its path needs no login, so there is none at all", ""), false
		}
	}
	return v.finding(doctor.OK, "the app gets each identity header once, with the true value, and no forged one", ""), true
}

// unreached says what is known when a logged-in request did not reach the app.
func (v *visit) unreached(status int, body string) (f doctor.Finding, final bool) {
	var refusal struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal([]byte(body), &refusal) // another handler's answer need not be JSON
	switch refusal.Error {
	case CodeLoginRequired, CodeSessionExpired, CodeSessionEnded:
		return v.finding(doctor.Fail, "the gateway does not accept a session that it has just begun ("+refusal.Error+")",
			"see that nothing in front of wechat_auth removes or changes the token, and that the clock runs evenly"), true
	case CodeStoreUnavailable:
		return v.finding(doctor.Fail, "the session cannot be looked up", storeAction), true
	}
	return v.finding(doctor.Skip, fmt.Sprintf("not tested, because the site answers with status %d before its app is asked", status), ""), false
}

// app is the address that stands for the app.
func (v *visit) app() string {
	if len(v.proxy.upstreams) == 0 {
		return ""
	}
	return v.proxy.upstreams[0]
}

func (v *visit) isPublic(path string) bool {
	req, err := http.NewRequest(http.MethodGet, path, nil) //nolint:noctx // it is not sent
	if err != nil || v.proxy.by.Public == nil {
		return false
	}
	for _, pattern := range v.proxy.by.Public.patterns {
		if pattern.Match(req.URL.EscapedPath()) {
			return true
		}
	}
	return len(v.proxy.by.Public.matchers) > 0
}
