package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// variant is one way to send requests to one proxy.
type variant struct {
	name   string
	proxy  *process
	beside *process // whose CPU is reported apart: the verifier
	base   string   // the variant that is 1.00
	bound  float64  // of design, 0: none
	calls  []call
	fresh  []string // if set, every request has another token of these sessions
	check  call     // asks the upstream what it sees
	sees   string   // and what that has to be
}

const globals = `{
	admin %s
	persist_config off
	auto_https off
	storage file_system %s
	log {
		level ERROR
%s	}
%s}
http://:%s {
	bind 127.0.0.1
%s}
`

func (b *bench) stockProxy(name, site string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "proxy-"+addr)
	text := fmt.Sprintf(globals, "off", dir, "", "", port(addr), site+"\treverse_proxy "+b.upstream.addr+"\n")
	return b.caddy(name, b.stock, dir, addr, text)
}

// gatewayProxy starts a gateway whose storage is dir, with these more lines in
// its global option.
func (b *bench) gatewayProxy(name, dir, admin, store string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	global := "\twechat {\n\t\tapp " + appID + " {env.BENCH_SECRET}\n\t\tsigning_key {env.BENCH_KEY}\n\t\tapi http://" + b.wechat.addr +
		"\n\t\tlogin_limit off\n" + store + "\t}\n"
	site := "\twechat_auth {\n\t\tpublic /public/*\n\t}\n\treverse_proxy " + b.upstream.addr + "\n"
	return b.caddy(name, b.gateway, dir, addr, fmt.Sprintf(globals, admin, dir, b.logging, global, port(addr), site))
}

// redis starts a server of its own, or returns nil if there is none here.
func (b *bench) redis() (*process, error) {
	path, _ := exec.LookPath("redis-server")
	if path == "" {
		b.missing = append(b.missing, "gateway, Redis: redis-server is not installed")
		return nil, nil
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(b.ctx, path, "--bind", "127.0.0.1", "--port", port(addr), "--save", "", "--appendonly", "no", "--dir", b.dir) //nolint:gosec // as installed here
	p, err := b.start("redis-server", addr, cmd)
	if err != nil {
		return nil, err
	}
	return p, b.awaitPort(p)
}

// nginx starts one with auth_request, or returns nil if there is none here.
func (b *bench) nginx(verifier *process) (*process, error) {
	path, _ := exec.LookPath("nginx")
	if path == "" {
		b.missing = append(b.missing, "nginx auth_request: nginx is not installed")
		return nil, nil
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "nginx")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making directory of nginx: %w", err)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	text := fmt.Sprintf(nginxConfig, user, dir, dir, dir, dir, dir, dir, verifier.addr, b.upstream.addr, addr)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing configuration of nginx: %w", err)
	}
	p, err := b.start("nginx", addr, exec.CommandContext(b.ctx, path, "-c", file, "-p", dir, "-e", "stderr")) //nolint:gosec // as installed here
	if err != nil {
		return nil, err
	}
	return p, b.await(p)
}

const nginxConfig = `%sdaemon off;
worker_processes auto;
pid %s/pid;
events {}
http {
	access_log off;
	keepalive_requests 1000000000;
	client_body_temp_path %s/body;
	proxy_temp_path %s/proxy;
	fastcgi_temp_path %s/fastcgi;
	uwsgi_temp_path %s/uwsgi;
	scgi_temp_path %s/scgi;
	upstream verifier { server %s; keepalive 64; keepalive_requests 1000000000; }
	upstream app { server %s; keepalive 64; keepalive_requests 1000000000; }
	server {
		listen %s;
		proxy_http_version 1.1;
		proxy_set_header Connection "";
		location / {
			auth_request /verify;
			auth_request_set $openid $upstream_http_x_openid;
			auth_request_set $unionid $upstream_http_x_unionid;
			proxy_set_header Host $host;
			proxy_set_header X-OpenID $openid;
			proxy_set_header X-UnionID $unionid;
			proxy_pass http://app;
		}
		location = /verify {
			internal;
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
			proxy_pass http://verifier;
		}
	}
}
`

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
	// them on to the app, which would have to look at them itself.
	var stocks [2]*process
	for i, name := range []string{"stock", "stock again"} {
		p, err := b.stockProxy(name, "")
		if err != nil {
			return nil, err
		}
		stocks[i] = p
		add(&variant{name: name, proxy: p, base: "stock", calls: gets("/", tokens, 0)}, "/check", "", 0, "openid= extra=")
	}
	more := "value-19-of-a-usual-length"
	add(&variant{name: stockExtra, proxy: stocks[0], base: stockExtra, calls: gets("/", tokens, 20)}, "/check", "", 20, "openid= extra="+more)
	add(&variant{name: "gateway as shipped", proxy: shipped, base: "stock", bound: 0.85, calls: gets("/", tokens, 0)}, "/check", tokens[0], 0, "openid="+openID+" extra=")
	b.logging = "\t\texclude http.handlers.reverse_proxy\n"
	quiet, quietTokens, quietOpenID, err := b.loggedIn("gateway as shipped, quiet proxy", "")
	if err != nil {
		return nil, err
	}
	add(&variant{name: quiet.name, proxy: quiet, base: "stock", calls: gets("/", quietTokens, 0)}, "/check", quietTokens[0], 0, "openid="+quietOpenID+" extra=")
	b.logging = ""
	b.gogc = "100" // Go's own default: what the code costs can be compared
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
	add(&variant{name: "gateway, unseen tokens", proxy: cold, base: "stock", fresh: coldTokens}, "/check", coldTokens[0], 0, "openid="+openID+" extra=")

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
	return all, nil
}

const stockExtra = "stock, 20 headers more"

// loggedIn starts a gateway and logs users in; openID is that of the first.
func (b *bench) loggedIn(name, store string) (p *process, tokens []string, openID string, err error) {
	p, err = b.gatewayProxy(name, filepath.Join(b.dir, fmt.Sprintf("gateway-%d", len(b.processes))), "off", store)
	if err != nil {
		return nil, nil, "", err
	}
	if tokens, err = b.logins(p.addr, b.sessions); err != nil {
		return nil, nil, "", err
	}
	return p, tokens, b.openID(tokens[0]), nil
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
