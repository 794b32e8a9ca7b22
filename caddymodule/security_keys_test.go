package caddymodule_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// J1–J9, J18 at the gateway, by somebody who knows the signing key: only what
// the gateway would mint is a token.
func TestJTokensOfOurKeyInAnotherForm(t *testing.T) {
	g := newGateway(t, withGlobal("signing_key "+testKey))
	token := g.login(userA)
	parts := strings.Split(token, ".")
	header, payload := decodePart(t, parts[0]), decodePart(t, parts[1])
	key, err := base64.StdEncoding.DecodeString(testKey)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(header, payload string) string {
		signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(sign(header, payload))); resp.StatusCode != http.StatusOK {
		t.Fatalf("the control: %d %s", resp.StatusCode, body)
	}
	g.app.requests()
	exp := payload[strings.Index(payload, `"exp":`)+6:][:10]
	swap := func(text, old, replacement string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in %q", old, text)
		}
		return strings.Replace(text, old, replacement, 1)
	}
	for name, text := range map[string]string{
		"J1 none":       sign(swap(header, "HS256", "none"), payload),
		"J1 unsigned":   parts[0] + "." + parts[1] + ".",
		"J2 kid":        sign(swap(header, `"kid":"`, `"kid":"../`), payload),
		"J2 jku":        sign(swap(header, "{", `{"jku":"http://127.0.0.1:1",`), payload),
		"J3 crit":       sign(swap(header, "{", `{"crit":["x"],"x":1,`), payload),
		"J3 typ":        sign(swap(header, "wxgw+jwt", "JWT"), payload),
		"J4 exp absent": sign(header, swap(payload, `"exp":`+exp, `"x":1`)),
		"J4 exp zero":   sign(header, swap(payload, exp, "0")),
		"J4 exp text":   sign(header, swap(payload, exp, `"`+exp+`"`)),
		"J4 exp far":    sign(header, swap(payload, exp, "9999999999")),
		"J5 aud":        sign(header, swap(payload, testApp, otherApp)),
		"J5 iss":        sign(header, swap(payload, "caddy-wechat", "somebody")),
		"J8 duplicate":  sign(header, swap(payload, "{", `{"sub":"`+openIDB+`",`)),
		"J8 case":       sign(header, swap(payload, "{", `{"SUB":"`+openIDB+`",`)),
		"J9 respelled":  token[:len(token)-1] + string(token[len(token)-1]^1),
		"J18 sub":       sign(header, swap(payload, openIDA, "")),
		"J18 payload":   sign(header, "null"),
	} {
		resp, body := g.do(http.MethodGet, "/", "", bearerHeader(text))
		wantRefusal(t, name, resp, body, 401, "login_required")
		g.wantUntouched(t, name)
	}
	// J11: a token that is right in every way, of a session that never was.
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(sign(header, swap(payload, `"sid":"`, `"sid":"AAAA`))))
	wantRefusal(t, "J11", resp, body, 401, "session_ended")
	resp, body = g.do(http.MethodGet, "/", "", bearerHeader(sign(header, swap(payload, openIDA, openIDB))))
	wantRefusal(t, "J11 another user's", resp, body, 401, "session_ended")
	g.wantUntouched(t, "J11")
}

func decodePart(t *testing.T, part string) string {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestJ11TooManySessionsEndTheOldest(t *testing.T) {
	g := newGateway(t, withGlobal("session {\nmax_per_user 2\n}"))
	one, two, three := g.login(userA), g.login(userA), g.login(userA)
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(one))
	wantRefusal(t, "the oldest", resp, body, 401, "session_ended")
	for _, token := range []string{two, three} {
		if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
}

// O1, J12: a change of configuration, under load, that loses nobody.
func TestO1ReloadLosesNothing(t *testing.T) {
	g := newGateway(t)
	token := g.login(userA)
	code := freshCode()
	g.wechat.AddCode(code, userA)
	if resp, _ := g.post("/wechat/login", `{"code":"`+code+`"}`); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.StatusCode)
	}
	stop := make(chan struct{})
	var answered atomic.Int32
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				req, err := http.NewRequest(http.MethodGet, g.url("/"), nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+token)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					// Caddy closes the old listener with what is still in its
					// queue; clients connect again then.
					continue
				}
				answered.Add(1)
				if resp.StatusCode != http.StatusOK {
					t.Errorf("during a reload: %d", resp.StatusCode)
				}
				resp.Body.Close()
			}
		})
	}
	for n := range 5 {
		g.global += "\n# change " + strconv.Itoa(n)
		g.global = strings.Replace(g.global, "api ", "api_timeout 4s\napi ", 1-min(n, 1))
		g.global = strings.Replace(g.global, "app ", "session {\ntoken_lifetime "+strconv.Itoa(n+1)+"h\n}\napp ", 1-min(n, 1))
		if err := load(g.caddyfile()); err != nil {
			t.Errorf("reload: %v", err)
		}
		if err := load(strings.Replace(g.caddyfile(), "wechat {", "wechat {\nnonsense\n", 1)); err == nil {
			t.Error("nonsense was loaded")
		}
	}
	for before := answered.Load(); answered.Load() < before+10; {
		runtime.Gosched()
	}
	close(stop)
	group.Wait()
	resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
	wantRefusal(t, "a code from before the reload", resp, body, 401, "code_used")
	if g.wechat.Calls() != 2 {
		t.Errorf("WeChat was called %d times", g.wechat.Calls())
	}
}

// J12, O7: the key in storage outlives the process, and one that is removed
// takes its tokens with it at once.
func TestJ12KeysAreKeptAndRemoved(t *testing.T) {
	g := newGateway(t, withGlobal("signing_key "+testKey))
	token := g.login(userA)
	other := base64.StdEncoding.EncodeToString([]byte("\x99\x01\xfe\x02\xfd\x03\xfc\x04\xfb\x05\xfa\x06\xf9\x07\xf8\x08\xf7\x09\xf6\x0a\xf5\x0b\xf4\x0c\xf3\x0d\xf2\x0e\xf1\x0f\xf0\x10"))
	for _, step := range []struct {
		keys   string
		status int
	}{{other + " " + testKey, 200}, {other, 401}, {testKey, 200}} {
		text := strings.Replace(g.caddyfile(), "signing_key "+testKey, "signing_key "+step.keys, 1)
		if err := load(text); err != nil {
			t.Fatal(err)
		}
		if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != step.status {
			t.Errorf("with %s: %d %s", step.keys, resp.StatusCode, body)
		}
	}
}
