package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
)

// withCheck completes a variant with the request that shows what the upstream sees.
func withCheck(v *variant, check ask, sees string) *variant {
	check.path = "/check"
	v.check, v.sees = call{check.raw(), http.StatusOK}, "openid="+sees+" extra="
	return v
}

// fronts are proxies that clients reach over TLS, each compared with stock Caddy
// reached the same way.
func (b *bench) fronts() ([]*variant, error) {
	stock, err := b.proxy("stock, TLS", "", "off", false, setup{tls: true})
	if err != nil {
		return nil, err
	}
	tokens, dir, err := b.seeds("tls", b.sessions, oneApp)
	if err != nil {
		return nil, err
	}
	gateway, err := b.proxy("gateway, TLS", dir, "off", true, setup{tls: true})
	if err != nil {
		return nil, err
	}
	var all []*variant
	for _, how := range []struct {
		front
		name string
	}{{https, "HTTPS"}, {http2, "HTTP/2"}} {
		base := "stock, " + how.name
		check := ask{token: tokens[0]}
		all = append(all,
			withCheck(&variant{name: base, proxy: stock, base: base, front: how.front, calls: gets("/", tokens, 0)}, check, forgedOpenID),
			withCheck(&variant{name: "gateway, " + how.name, proxy: gateway, base: base, bound: 1.03, front: how.front, calls: gets("/", tokens, 0)}, check, b.openID(tokens[0])))
	}
	return all, b.awaitSessions(all...)
}

// cookies are requests of browsers.
func (b *bench) cookies() ([]*variant, error) {
	const base = "stock, cookie"
	stock, err := b.stockProxy(base, "")
	if err != nil {
		return nil, err
	}
	tokens, dir, err := b.seeds("cookie", b.sessions, func(int) (string, bool) { return appID, true })
	if err != nil {
		return nil, err
	}
	gateway, err := b.proxy("gateway, cookie", dir, "off", true, setup{
		apps: "\t\tapp " + appID + " {env.BENCH_SECRET} official_account\n",
		auth: func(int) string { return "\t\tbrowser\n" },
	})
	if err != nil {
		return nil, err
	}
	calls := each(tokens, func(_ int, token string) ask { return ask{cookie: "wechat_session=" + token} })
	check := ask{cookie: "wechat_session=" + tokens[0]}
	all := []*variant{
		withCheck(&variant{name: base, proxy: stock, base: base, calls: calls}, check, forgedOpenID),
		withCheck(&variant{name: "gateway, cookie", proxy: gateway, base: base, bound: 1.05, calls: calls}, check, b.openID(tokens[0])),
	}
	return all, b.awaitSessions(all...)
}

// Many apps in many sites, as an agency has them.
const (
	manyApps  = 1000
	manyHosts = 100
)

// manySites spreads users over all apps and sites; stock Caddy has the same sites.
func (b *bench) manySites() ([]*variant, error) {
	const base = "stock, 100 sites"
	var apps strings.Builder
	appOf := func(i int) string { return fmt.Sprintf("wx%016x", i%manyApps+1) }
	for i := range manyApps {
		fmt.Fprintf(&apps, "\t\tapp %s {env.BENCH_SECRET}\n", appOf(i))
	}
	hosts := make([]string, manyHosts)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("site-%d.test", i)
	}
	stock, err := b.proxy(base, "", "off", false, setup{hosts: hosts})
	if err != nil {
		return nil, err
	}
	tokens, dir, err := b.seeds("sites", max(b.sessions, manyApps), func(i int) (string, bool) { return appOf(i), false })
	if err != nil {
		return nil, err
	}
	gateway, err := b.proxy("gateway, 1,000 apps on 100 sites", dir, "off", true, setup{apps: apps.String(), hosts: hosts, auth: func(i int) string {
		var own strings.Builder
		for app := i; app < manyApps; app += manyHosts {
			own.WriteString(" " + appOf(app))
		}
		return "\t\tapp" + own.String() + "\n"
	}})
	if err != nil {
		return nil, err
	}
	calls := each(tokens, func(i int, token string) ask { return ask{host: hosts[i%manyHosts], token: token} })
	check := ask{host: hosts[0], token: tokens[0]}
	all := []*variant{
		withCheck(&variant{name: base, proxy: stock, base: base, calls: calls}, check, forgedOpenID),
		withCheck(&variant{name: gateway.name, proxy: gateway, base: base, calls: calls}, check, b.openID(tokens[0])),
	}
	return all, b.awaitSessions(all...)
}

// twoNodes are two gateways that share a Redis; users log in at one of them and
// their requests come to both in turn.
func (b *bench) twoNodes(server *process) (*variant, error) {
	store := "\t\tstore redis " + server.addr + " {\n\t\t\tkey_prefix bench-nodes:\n\t\t}\n"
	first, tokens, openID, err := b.loggedIn("gateway, two nodes", store)
	if err != nil {
		return nil, err
	}
	second, err := b.gatewayProxy("gateway, second node", filepath.Join(b.dir, "gateway-second"), "off", store)
	if err != nil {
		return nil, err
	}
	return withCheck(&variant{
		name: first.name, proxy: first, nodes: []*process{second}, base: "stock", calls: gets("/", tokens, 0),
	}, ask{token: tokens[0]}, openID), nil
}

// seeds makes a storage with sessions of these kinds.
func (b *bench) seeds(name string, n int, of func(i int) (app string, browser bool)) (tokens []string, dir string, err error) {
	dir = filepath.Join(b.dir, "seeded-"+name)
	tokens, err = b.seed(dir, n, of)
	return tokens, dir, err
}

// awaitSessions waits until the sessions are back: Caddy listens before that.
func (b *bench) awaitSessions(all ...*variant) error {
	for _, v := range all {
		var last error
		if err := b.poll(v.proxy, func(context.Context) error { last = b.verify(v); return last }); err != nil {
			return fmt.Errorf("%w: %w", err, last)
		}
	}
	return nil
}
