package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/caddy-wechat/gateway/internal/freeport"
)

// setup is what differs from proxy to proxy.
type setup struct {
	apps  string             // lines of the option wechat; empty: one app
	store string             // more of them
	auth  func(i int) string // lines of wechat_auth in site i; nil: a public path
	site  string             // lines of every site, before reverse_proxy
	hosts []string           // of the sites; nil: one for every host
	tls   bool
}

const globals = `{
	admin %s
	persist_config off
	auto_https off
	storage file_system %s
	servers {
		protocols h1 h2
	}
	log {
		level ERROR
%s	}
%s}
`

// stockProxy starts stock Caddy with these lines in its site.
func (b *bench) stockProxy(name, site string) (*process, error) {
	return b.proxy(name, "", "off", false, setup{site: site})
}

// gatewayProxy starts a gateway whose storage is dir, with these more lines in
// its global option.
func (b *bench) gatewayProxy(name, dir, admin, store string) (*process, error) {
	return b.proxy(name, dir, admin, true, setup{store: store})
}

// proxy starts a Caddy, stock or with the gateway's handler in every site.
func (b *bench) proxy(name, dir, admin string, gateway bool, s setup) (*process, error) {
	addr, err := freeport.Addr()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir = filepath.Join(b.dir, "proxy-"+port(addr))
	}
	binary, global, logging := b.stock, "", ""
	if gateway {
		apps := s.apps
		if apps == "" {
			apps = "\t\tapp " + appID + " {env.BENCH_SECRET}\n"
		}
		binary, logging = b.gateway, b.logging
		global = "\twechat {\n" + apps + "\t\tsigning_key {env.BENCH_KEY}\n\t\tapi http://" + b.wechat.addr + "\n\t\tlogin_limit off\n" + s.store + "\t}\n"
	}
	scheme, lines := "http", s.site
	if s.tls {
		secured, err := b.secured()
		if err != nil {
			return nil, err
		}
		scheme, lines = "https", secured+lines
	}
	hosts := s.hosts
	if hosts == nil {
		hosts = []string{""}
	}
	var text strings.Builder
	fmt.Fprintf(&text, globals, admin, dir, logging, global)
	for i, host := range hosts {
		fmt.Fprintf(&text, "%s://%s:%s {\n\tbind 127.0.0.1\n%s", scheme, host, port(addr), lines)
		if gateway {
			auth := "\t\tpublic /public/*\n"
			if s.auth != nil {
				auth = s.auth(i)
			}
			fmt.Fprintf(&text, "\twechat_auth {\n%s\t}\n", auth)
		}
		fmt.Fprintf(&text, "\treverse_proxy %s\n}\n", b.upstream.addr)
	}
	return b.caddy(name, binary, dir, addr, text.String())
}

// redis starts a server of its own, or returns nil if there is none here.
func (b *bench) redis() (*process, error) {
	path, _ := exec.LookPath("redis-server")
	if path == "" {
		b.missing = append(b.missing, "gateway, Redis: redis-server is not installed")
		return nil, nil
	}
	addr, err := freeport.Addr()
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
	addr, err := freeport.Addr()
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

// nginxConfig keeps connections to both. A location with headers of its own has
// none of those around it, so both set Connection.
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
	keepalive_timeout 75s;
	tcp_nodelay on;
	upstream verifier { server %s; keepalive 64; keepalive_requests 1000000000; }
	upstream app { server %s; keepalive 64; keepalive_requests 1000000000; }
	server {
		listen %s;
		proxy_http_version 1.1;
		location / {
			auth_request /verify;
			auth_request_set $openid $upstream_http_x_openid;
			auth_request_set $unionid $upstream_http_x_unionid;
			auth_request_set $appid $upstream_http_x_appid;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-OpenID $openid;
			proxy_set_header X-UnionID $unionid;
			proxy_set_header X-AppID $appid;
			proxy_pass http://app;
		}
		location = /verify {
			internal;
			proxy_pass_request_body off;
			proxy_set_header Connection "";
			proxy_set_header Content-Length "";
			proxy_pass http://verifier;
		}
	}
}
`

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
