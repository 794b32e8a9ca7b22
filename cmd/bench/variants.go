package main

import "net/http"

// variants starts every proxy and logs in at the gateways.
func (b *bench) variants() ([]*variant, error) {
	var all []*variant
	add := func(v *variant, path, token string, extra int, sees string) {
		v.check, v.sees = call{get(path, token, extra), http.StatusOK}, sees
		all = append(all, v)
	}
	shipped, tokens, openID, err := b.loggedIn("gateway as shipped", "")
	if err != nil {
		return nil, err
	}
	// Everybody gets the same requests, stock Caddy the tokens as well: it hands
	// them on to the app, which would look at them itself.
	var stocks [2]*process
	for i, name := range []string{"stock", "stock again"} {
		p, err := b.stockProxy(name, "")
		if err != nil {
			return nil, err
		}
		stocks[i] = p
		add(&variant{name: name, proxy: p, base: "stock", calls: gets("/", tokens, 0)}, "/check", "", 0, "openid="+forgedOpenID+" extra=")
	}
	more := "value-19-of-a-usual-length"
	add(&variant{name: stockExtra, proxy: stocks[0], base: stockExtra, calls: gets("/", tokens, 20)}, "/check", "", 20, "openid="+forgedOpenID+" extra="+more)
	add(&variant{name: "gateway as shipped", proxy: shipped, base: "stock", bound: 0.85, calls: gets("/", tokens, 0)}, "/check", tokens[0], 0, "openid="+openID+" extra=")
	b.logging = "\t\texclude http.handlers.reverse_proxy\n"
	quiet, quietTokens, quietOpenID, err := b.loggedIn("gateway as shipped, quiet proxy", "")
	if err != nil {
		return nil, err
	}
	add(&variant{name: quiet.name, proxy: quiet, base: "stock", calls: gets("/", quietTokens, 0)}, "/check", quietTokens[0], 0, "openid="+quietOpenID+" extra=")
	b.logging = ""
	b.collector = goDefault // Go's own default: what the code costs can be compared
	gateway, tokens, openID, err := b.loggedIn("gateway, memory", "")
	if err != nil {
		return nil, err
	}
	add(&variant{name: "gateway, memory", proxy: gateway, base: "stock", bound: 1.03, calls: gets("/", tokens, 0)}, "/check", tokens[0], 0, "openid="+openID+" extra=")
	add(&variant{name: "gateway, public", proxy: gateway, base: "stock", calls: gets("/public/page", tokens, 0)}, "/public/check", tokens[0], 0, "openid= extra=")
	add(&variant{name: "gateway, 20 headers more", proxy: gateway, base: stockExtra, calls: gets("/", tokens, 20)}, "/check", tokens[0], 20, "openid="+openID+" extra="+more)

	cold, coldTokens, openID, err := b.loggedIn("gateway, unseen tokens", "")
	if err != nil {
		return nil, err
	}
	add(&variant{name: "gateway, unseen tokens", proxy: cold, base: "stock", bound: 1.15, fresh: coldTokens}, "/check", coldTokens[0], 0, "openid="+openID+" extra=")

	server, err := b.redis()
	if err != nil {
		return nil, err
	}
	for _, row := range []struct {
		name, option string
		bound        float64
	}{
		{"gateway, Redis warm", "", 1.05},
		{"gateway, Redis without client cache", " {\n\t\t\tclient_cache off\n\t\t\tkey_prefix bench-off:\n\t\t}", 0},
	} {
		if server == nil {
			break
		}
		p, tokens, openID, err := b.loggedIn(row.name, "\t\tstore redis "+server.addr+row.option+"\n")
		if err != nil {
			return nil, err
		}
		add(&variant{name: row.name, proxy: p, base: "stock", bound: row.bound, calls: gets("/", tokens, 0)}, "/check", tokens[0], 0, "openid="+openID+" extra=")
	}

	if server != nil {
		v, err := b.twoNodes(server)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}

	verify, err := b.helper("verifier")
	if err != nil {
		return nil, err
	}
	forward, err := b.stockProxy("forward_auth", "\tforward_auth "+verify.addr+" {\n\t\turi /verify\n\t\tcopy_headers X-OpenID X-UnionID X-AppID\n\t}\n")
	if err != nil {
		return nil, err
	}
	openID = b.openID(tokens[0])
	add(&variant{name: "forward_auth", proxy: forward, beside: verify, base: "stock", calls: gets("/", tokens, 0)}, "/check", tokens[0], 0, "openid="+openID+" extra=")
	p, err := b.nginx(verify)
	if err != nil {
		return nil, err
	}
	if p != nil {
		add(&variant{name: "nginx auth_request", proxy: p, beside: verify, base: "stock", calls: gets("/", tokens, 0)}, "/check", tokens[0], 0, "openid="+openID+" extra=")
	}
	for _, more := range []func() ([]*variant, error){b.fronts, b.cookies, b.signedURLs, b.manySites} {
		variants, err := more()
		if err != nil {
			return nil, err
		}
		all = append(all, variants...)
	}
	return all, nil
}

const stockExtra = "stock, 20 headers more"
