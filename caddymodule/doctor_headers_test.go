package caddymodule_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

const (
	proxied  = "reverse_proxy 127.0.0.1:1"
	trueOnce = "each identity header once"
)

// Each site is a mistake that people make, or none, and what the test says.
func TestDoctorOnIdentityHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		site   string
		status doctor.Status
		texts  []string
	}{
		"plain":             {"wechat_auth\n" + proxied, doctor.OK, []string{trueOnce}},
		"below a path":      {"wechat_auth\nhandle /api/v1/* {\n" + proxied + "\n}\nrespond 404", doctor.OK, []string{trueOnce}},
		"below handle_path": {"wechat_auth\nhandle_path /shop/* {\nhandle /cart/* {\n" + proxied + "\n}\nrespond 404\n}", doctor.OK, []string{trueOnce}},
		"one ending":        {"wechat_auth\n@php path *.php\nhandle @php {\n" + proxied + "\n}\nrespond 404", doctor.OK, []string{trueOnce}},
		"public beside":     {"wechat_auth {\npublic /health\n}\n" + proxied, doctor.OK, []string{trueOnce}},
		"public only":       {"wechat_auth {\npublic /health\n}\nhandle /health {\n" + proxied + "\n}\nrespond 404", doctor.OK, []string{"needs no login"}},
		"optional":          {"wechat_auth {\noptional\n}\n" + proxied, doctor.OK, []string{trueOnce}},
		"other names":       {"wechat_auth {\nheader openid X-Member\nheader unionid off\nheader session_id X-Session\n}\n" + proxied, doctor.OK, []string{trueOnce}},
		"token in a header": {"wechat_auth {\ntoken header X-Token\n}\n" + proxied, doctor.OK, []string{trueOnce}},
		"token in a cookie": {"wechat_auth {\ntoken cookie sid\n}\n" + proxied, doctor.OK, []string{trueOnce}},
		"many transports":   {"wechat_auth\nreverse_proxy 127.0.0.1:1 127.0.0.1:2 {\nlb_policy first\nhealth_uri /up\ntransport http {\nversions h2c\n}\n}", doctor.OK, []string{trueOnce}},
		"unix socket":       {"wechat_auth\nreverse_proxy unix//run/nobody.sock", doctor.OK, []string{trueOnce}},
		"dynamic upstreams": {"wechat_auth\nreverse_proxy {\ndynamic a example.invalid 80\n}", doctor.OK, []string{trueOnce}},
		"FastCGI":           {"wechat_auth\nreverse_proxy 127.0.0.1:1 {\ntransport fastcgi\n}", doctor.OK, []string{trueOnce}},
		"removed":           {"wechat_auth\nreverse_proxy 127.0.0.1:1 {\nheader_up -X-OpenID\n}", doctor.Fail, []string{"does not get X-Openid", "header_up"}},
		"one more":          {"wechat_auth\nreverse_proxy 127.0.0.1:1 {\nheader_up +X-OpenID nobody\n}", doctor.Fail, []string{"X-Openid 2 times"}},
		"another value":     {"wechat_auth\nreverse_proxy 127.0.0.1:1 {\nheader_up X-AppID nobody\n}", doctor.Fail, []string{"X-Appid with another value"}},
		"an alias":          {"wechat_auth\nreverse_proxy 127.0.0.1:1 {\nheader_up X_OpenID {http.auth.user.openid}\n}", doctor.Fail, []string{"read as X-Openid"}},
		"kept from the client": {
			"vars kept {http.request.header.X-OpenID}\nwechat_auth\nreverse_proxy 127.0.0.1:1 {\nheader_up Remote-User {vars.kept}\n}",
			doctor.Fail,
			[]string{"Remote-User as the client sent it"},
		},
		"set for everybody":    {"wechat_auth {\noptional\n}\nreverse_proxy 127.0.0.1:1 {\nheader_up X-OpenID nobody\n}", doctor.Fail, []string{"X-Openid on a request without a login"}},
		"token removed before": {"route {\nrequest_header -Authorization\nwechat_auth\n" + proxied + "\n}", doctor.Fail, []string{"does not accept", "login_required"}},
		"no app":               {"wechat_auth\nrespond hello", doctor.Skip, []string{"no reverse_proxy"}},
		"another login":        {"wechat_auth\nbasic_auth {\nx $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n" + proxied, doctor.Skip, []string{"status 401"}},
		"unknown way":          {"wechat_auth\n@odd path_regexp ^/odd[0-9]{4}$\nhandle @odd {\n" + proxied + "\n}\nrespond 404", doctor.Skip, []string{"status 404"}},
		"two apps, one altered": {
			"wechat_auth\nhandle /a/* {\n" + proxied + "\n}\nhandle /b/* {\nreverse_proxy 127.0.0.1:2 {\nheader_up -X-OpenID\n}\n}",
			doctor.Fail,
			[]string{"/b/* to 127.0.0.1:2", "does not get"},
		},
		"no field":        {"wechat_auth {\nheader openid off\nheader unionid off\nheader appid off\n}\n" + proxied, doctor.Warn, []string{"no identity header at all", "header … off"}},
		"assertion only":  {"wechat_auth {\nheader openid off\nheader unionid off\nheader appid off\nassertion X-Signed\n}\n" + proxied, doctor.OK, []string{trueOnce}},
		"nobody gets any": {"wechat_auth {\npublic /health\n}\nhandle /health {\n" + proxied + "\n}\nrespond 404", doctor.Warn, []string{"no app would ever get"}},
		"nobody is there": {"wechat_auth\nrespond hello", doctor.Warn, []string{"no app would ever get"}},
	} {
		p := newPatient(t, withGlobal("signing_key "+testKey), withSite(tc.site))
		status, findings := p.examine("--offline")
		wantFinding(t, name, findings, "headers", tc.status, tc.texts...)
		if (status == 1) != (tc.status == doctor.Fail) {
			t.Errorf("%s: status %d: %+v", name, status, findings)
		}
	}
}

// Layouts that are right, about which the doctor has nothing to say.
func TestDoctorHasNoFalseAlarms(t *testing.T) {
	t.Setenv("WECHAT_TEST_KEY", testKey)
	for name, site := range map[string]string{
		"two apps":          "wechat_auth\nhandle /api/* {\n" + proxied + "\n}\nhandle {\nreverse_proxy 127.0.0.1:2\n}",
		"three apps":        "wechat_auth {\noptional /c/*\n}\nhandle /a/* {\n" + proxied + "\n}\nhandle_path /b/* {\nreverse_proxy 127.0.0.1:2\n}\nhandle {\nreverse_proxy 127.0.0.1:3\n}",
		"forward_auth":      "wechat_auth\nforward_auth 127.0.0.1:9 {\nuri /check\ncopy_headers X-Role\n}\n" + proxied,
		"try_files":         "root * /srv\ntry_files {path} /index.html\nwechat_auth\n" + proxied,
		"rewrite":           "rewrite * /app{uri}\nwechat_auth\n" + proxied,
		"handle_path":       "handle_path /api/* {\nwechat_auth {\npublic /health /api/health\n}\n" + proxied + "\n}\nrespond hello",
		"prefix below":      "handle /api/* {\nwechat_auth {\nprefix /api/wechat\n}\n" + proxied + "\n}\nrespond hello",
		"login elsewhere":   "handle /wechat/* {\nwechat_auth\n}\nhandle {\nwechat_auth {\noptional /about\n}\n" + proxied + "\n}",
		"token in a cookie": "wechat_auth {\ntoken cookie sid\n}\n" + proxied,
		"php":               "root * /srv\nwechat_auth\nphp_fastcgi 127.0.0.1:1",
	} {
		status, findings := newPatient(t, withGlobal("signing_key {env.WECHAT_TEST_KEY}"), withSite(site)).examine("--offline")
		for _, f := range findings {
			if f.Status == doctor.Fail || f.Status == doctor.Warn {
				t.Errorf("%s: status %d: %+v", name, status, f)
			}
		}
		wantFinding(t, name, findings, "login", doctor.OK, "answers at", "/wechat/login")
	}
}

// The doctor sends a client's requests to the routes of each site.
func TestDoctorOnLogins(t *testing.T) {
	t.Setenv("WECHAT_TEST_KEY", testKey)
	for name, tc := range map[string]struct {
		site  string
		texts []string
	}{
		"in handle":         {"handle /api/* {\nwechat_auth\n" + proxied + "\n}\nrespond hello", []string{"nobody can log in", "prefix /api/wechat"}},
		"codes to the app":  {"handle /api/* {\nwechat_auth\n" + proxied + "\n}\nhandle {\nreverse_proxy 127.0.0.1:2\n}", []string{"nobody can log in", "codes", "127.0.0.1:2"}},
		"answered before":   {"route {\nrespond /wechat/renew hello\nwechat_auth\n" + proxied + "\n}", []string{"/wechat/renew", "200", "before wechat_auth"}},
		"redirected before": {"redir /wechat/* https://example.com{uri}\nwechat_auth\n" + proxied, []string{"nobody can log in", "/wechat/login"}},
		"taken by the app":  {"route {\n@logout path /wechat/logout\nreverse_proxy @logout 127.0.0.1:2\nwechat_auth\n" + proxied + "\n}", []string{"/wechat/logout", "goes to the app"}},
		"password before":   {"route {\nbasic_auth {\nx $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\nwechat_auth\n" + proxied + "\n}", []string{"/wechat/login", "401"}},
	} {
		status, findings := newPatient(t, withGlobal("signing_key {env.WECHAT_TEST_KEY}"), withSite(tc.site)).examine("--offline")
		wantFinding(t, name, findings, "login", doctor.Fail, tc.texts...)
		if status != 1 {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

// Logins that the running gateway has suspended are no fault of the configuration,
// which looks well by itself.
func TestDoctorTellsOfSuspendedLogins(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) { g.admin = freeAddr(g.t) })
	p := &patient{gatewayTest: g}
	_, findings := p.examine("--offline")
	wantFinding(t, "running", findings, "running", doctor.OK, testApp, "lets logins pass")
	g.wechat.Next(wechattest.Errcode(45009))
	if resp, body := g.post("/wechat/login", `{"code":"`+freshCode()+`"}`); resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	status, findings := p.examine("--offline")
	wantFinding(t, "suspended", findings, "running", doctor.Fail, testApp, "suspended", "until")
	if status != 1 {
		t.Errorf("status %d", status)
	}
}

// The gateway strips whatever a client sends; the doctor must see a handler behind it
// that brings it back.
func TestDoctorSeesForgedHeaders(t *testing.T) {
	p := newPatient(t, withGlobal("signing_key "+testKey),
		withSite("vars kept {http.request.header.X-OpenID}\nroute {\nwechat_auth\nrequest_header X_OpenID {vars.kept}\n"+proxied+"\n}"))
	status, findings := p.examine("--offline")
	wantFinding(t, "not stripped", findings, "headers", doctor.Fail, "anybody can be anybody")
	if status != 1 {
		t.Errorf("status %d", status)
	}
}

func TestDoctorTestsEverySite(t *testing.T) {
	p := newPatient(t, withGlobal("signing_key "+testKey))
	name := filepath.Join(t.TempDir(), "Caddyfile")
	text := p.caddyfile() + "http://*.example.com {\nwechat_auth\nreverse_proxy 127.0.0.1:2\n}\nhttps://example.org {\nwechat_auth\nreverse_proxy 127.0.0.1:3 {\nheader_up -X-OpenID\n}\n}\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, _ := wechatCommand(t, "doctor", "--offline", "--config", name)
	if status != 1 || strings.Count(out, "ok    headers ") != 2 || strings.Count(out, "fail  headers ") != 1 ||
		!strings.Contains(out, "example.org to 127.0.0.1:3") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// The made-up user is not left behind.
func TestDoctorLeavesNoSessionInRedis(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	p := newPatient(
		t,
		withGlobal("signing_key "+testKey+"\nstore redis "+server.Addr+" {\npassword {env.WECHAT_TEST_REDIS}\nkey_prefix doctored:\n}"),
	)
	_, findings := p.examine("--offline")
	wantFinding(t, "redis", findings, "headers", doctor.OK, trueOnce)
	conn, err := net.Dial("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "AUTH %q\r\nKEYS *\r\nQUIT\r\n", redistest.Password)
	var keys []string
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, "doctored:") {
			keys = append(keys, line)
		} else if strings.HasPrefix(line, "-") {
			t.Errorf("Redis: %s", line)
		}
	}
	if len(keys) > 0 {
		t.Errorf("left behind: %q", keys)
	}
}
