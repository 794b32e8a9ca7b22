package caddymodule_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

func redisGlobal(server *redistest.Server, more string) string {
	return "signing_key " + testKey + "\nstore redis " + server.Addr + " {\npassword {env.WECHAT_TEST_REDIS}\n" + more + "\n}"
}

// eventually polls for what another process or Redis brings about.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	// How soon is not asked here: a loaded machine takes its time.
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(10 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Errorf("never: %s", what)
}

// O7, J11: two processes with nothing in common but Redis and their keys are
// one gateway.
func TestTwoProcessesShareRedis(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "")))
	one, two := g.spawn(t.TempDir()), g.spawn(t.TempDir())
	code := freshCode()
	g.wechat.AddCode(code, wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	login := `{"code":"` + code + `","nonce":"0123456789abcdef"}`
	// The same code at both nodes at once makes one session.
	var group sync.WaitGroup
	answers := make([]string, 2)
	for i, p := range []*process{one, two} {
		group.Go(func() { _, answers[i] = p.post("/wechat/login", login) })
	}
	group.Wait()
	if answers[0] != answers[1] || g.wechat.Calls() != 1 {
		t.Fatalf("one code at two nodes: %q (%d calls of WeChat)", answers, g.wechat.Calls())
	}
	if resp, body := two.post("/wechat/login", `{"code":"`+code+`"}`); resp.StatusCode != http.StatusUnauthorized ||
		errorCode(body) != "code_used" {
		t.Errorf("the code again: %d %s", resp.StatusCode, body)
	}
	token := grantOf(t, answers[0]).Token
	for _, p := range []*process{one, two} {
		if _, seen := p.do(http.MethodGet, "/", "", bearerHeader(token)); seen != "openid="+openIDA+" unionid="+unionIDA+" appid="+testApp {
			t.Errorf("the app sees %s", seen)
		}
	}
	if resp, _ := one.post("/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Errorf("logout: %d", resp.StatusCode)
	}
	eventually(t, "the other node knows of the logout", func() bool {
		resp, body := two.do(http.MethodGet, "/", "", bearerHeader(token))
		return resp.StatusCode == http.StatusUnauthorized && errorCode(body) == "session_ended"
	})
	// A node that is replaced loses nobody.
	code = freshCode()
	g.wechat.AddCode(code, userA)
	_, body := one.post("/wechat/login", `{"code":"`+code+`"}`)
	one.end(os.Kill)
	if resp, body := two.do(http.MethodGet, "/", "", bearerHeader(grantOf(t, body).Token)); resp.StatusCode != http.StatusOK {
		t.Errorf("after the first node was killed: %d %s", resp.StatusCode, body)
	}
}

// G9: an answer of one node is open when its session ends at another node. It goes on
// while Redis cannot tell.
func TestG9StreamsEndWithALogoutAtAnotherNode(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "")))
	other := g.spawn(t.TempDir())
	app := g.streamingApp()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	token := g.login(userA)
	s := g.openStream(t, transport, http.MethodGet, "/sse", nil, bearerHeader(token))
	wait(t, "request", app.came)
	server.Pause()
	time.Sleep(3 * time.Second) // of real servers: sweeps that are told nothing
	select {
	case err := <-s.body:
		t.Fatalf("cut while Redis is away: %v", err)
	default:
	}
	server.Resume()
	eventually(t, "the other node logs out", func() bool {
		resp, _ := other.post("/wechat/logout", "", bearerHeader(token))
		return resp.StatusCode == http.StatusNoContent
	})
	s.wantCut(t, "session_ended")
	wait(t, "the app's end", app.went)
}

// A browser begins at one node and comes back at another, twice at once and with two
// codes (B3, B16): one exchange, one session, and a logout that both know of.
func TestB16BrowsersComeBackAtAnotherNode(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "")), withBrowsers("", ""), func(g *gatewayTest) {
		g.servers, g.anyHost = "trusted_proxies static 127.0.0.0/8", true
	})
	one, two := g.spawn(t.TempDir()), g.spawn(t.TempDir())
	front := []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"}
	s := one.surfer(userAgentWeChat)
	resp, body := s.send(http.MethodGet, "/wechat/authorize?to=/orders", "", append(front, navigation...)...)
	wechat, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatalf("%d %v %s", resp.StatusCode, err, body)
	}
	cookies := s.cookieHeader()
	var group sync.WaitGroup
	tokens := make([]string, 6)
	for i := range tokens {
		path := s.callback(wechat, s.code(wechat, pageUser))
		node := []*process{two, one}[i%2]
		group.Go(func() {
			resp, body := node.do(http.MethodGet, path, "", append(append(front, navigation...), userAgentWeChat, cookies)...)
			cookie := findCookie(resp.Cookies(), "__Host-wechat_session")
			if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/orders" || cookie == nil {
				t.Errorf("callback %d: %d to %q %s", i, resp.StatusCode, resp.Header.Get("Location"), body)
				return
			}
			tokens[i] = cookie.Value
		})
	}
	group.Wait()
	for _, token := range tokens {
		if token != tokens[0] {
			t.Fatal("callbacks of one state have several sessions")
		}
	}
	if calls := g.wechat.Calls(); calls != 1 {
		t.Errorf("WeChat was asked %d times", calls)
	}
	session := "Cookie: __Host-wechat_session=" + tokens[0]
	for _, node := range []*process{one, two} {
		if resp, body := node.do(http.MethodGet, "/", "", append(front, session)...); resp.StatusCode != http.StatusOK ||
			!strings.Contains(body, "openid="+openIDA) {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	}
	if resp, body := one.do(http.MethodPost, "/wechat/logout", "", append(front, session, "Sec-Fetch-Site: same-origin")...); resp.StatusCode != http.StatusNoContent {
		t.Errorf("logout: %d %s", resp.StatusCode, body)
	}
	eventually(t, "the other node knows of the logout", func() bool {
		_, body := two.do(http.MethodGet, "/", "", append(front, session)...)
		return errorCode(body) == "session_ended"
	})
}

// O2: Redis is killed and comes back in the middle of load.
func TestRedisOutageUnderLoad(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "")))
	token := g.login(userA)
	underLoad := bearerHeader(token)
	stop := make(chan struct{})
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
				_, value, _ := strings.Cut(underLoad, ": ")
				req.Header.Set("Authorization", value)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusOK, http.StatusServiceUnavailable:
				case http.StatusUnauthorized: // only when Redis came back empty
				default:
					t.Errorf("under load: %d", resp.StatusCode)
				}
			}
		})
	}
	server.Kill()
	eventually(t, "the outage is a 503", func() bool {
		resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token))
		return resp.StatusCode == http.StatusServiceUnavailable && errorCode(body) == "store_unavailable"
	})
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token))
	wantRefusal(t, "outage", resp, body, 503, "store_unavailable")
	calls := g.wechat.Calls()
	resp, body = g.post("/wechat/login", `{"code":"`+freshCode()+`"}`)
	wantRefusal(t, "login in an outage", resp, body, 503, "store_unavailable")
	if g.wechat.Calls() != calls {
		t.Error("a code was spent while no session could be kept")
	}
	server.Run()
	eventually(t, "logins work again without a restart", func() bool {
		code := freshCode()
		g.wechat.AddCode(code, userA)
		resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
		if resp.StatusCode == http.StatusOK {
			token = grantOf(t, body).Token
		}
		return resp.StatusCode == http.StatusOK
	})
	close(stop)
	group.Wait()
	if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d %s", resp.StatusCode, body)
	}
}

func TestGraceLetsYoungTokensPassAnOutage(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "on_failure grace 15m")))
	token := g.login(wechattest.User{OpenID: openIDA, UnionID: unionIDA})
	server.Kill()
	for range 20 {
		if resp, seen := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK ||
			!strings.HasPrefix(seen, "openid="+openIDA+" unionid="+unionIDA) {
			t.Fatalf("in the outage: %d %s", resp.StatusCode, seen)
		}
	}
	resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token[:len(token)-2]+"AA"))
	wantRefusal(t, "a forged token in the outage", resp, body, 401, "login_required")
	// It also starts without Redis.
	if err := load(g.caddyfile() + "# again"); err != nil {
		t.Errorf("with grace, without Redis: %v", err)
	}
	if resp, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); resp.StatusCode != http.StatusOK {
		t.Errorf("after a start without Redis: %d %s", resp.StatusCode, body)
	}
}

func TestRedisMistakesStopTheStart(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	t.Setenv("WECHAT_TEST_SECRET", "s3cr3t-value")
	store := func(addr, more string) string {
		return siteText(oneApp+"\nstore redis "+addr+" {\n"+more+"\n}", "")
	}
	password := "password {env.WECHAT_TEST_REDIS}"
	if err := validate(t, store(server.Addr, password+"\nkey_prefix x:\ndb 1\ntimeout 1s\nsecret "+testKey)); err != nil {
		t.Errorf("the control: %v", err)
	}
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"wrong password":     {store(server.Addr, "password {env.WECHAT_TEST_SECRET}"), []string{"WRONGPASS", "`password`", "on_failure grace"}},
		"unset password":     {store(server.Addr, "password {env.WECHAT_TEST_UNSET}"), []string{"password", "WECHAT_TEST_UNSET", "Caddyfile:6"}},
		"nobody there":       {store("127.0.0.1:1", ""), []string{"refused", "on_failure grace"}},
		"wrong database":     {store(server.Addr, password+"\ndb 99"), []string{"DB index"}},
		"no port":            {store("127.0.0.1", ""), []string{"host:port", "Caddyfile:5"}},
		"no address":         {store("", ""), []string{"address", "Caddyfile:5"}},
		"unknown option":     {store(server.Addr, "nonsense"), []string{"nonsense", "Caddyfile:6"}},
		"repeated option":    {store(server.Addr, "db 1\ndb 2"), []string{"db", "once", "Caddyfile:7"}},
		"negative database":  {store(server.Addr, "db -1"), []string{"db", "Caddyfile:6"}},
		"grace of an hour":   {store(server.Addr, "on_failure grace 1h"), []string{"on_failure", "15m", "Caddyfile:6"}},
		"client_cache of on": {store(server.Addr, "client_cache on"), []string{"client_cache", "auto or off", "Caddyfile:6"}},
		"unknown on_failure": {store(server.Addr, "on_failure allow"), []string{"on_failure", "Caddyfile:6"}},
		"weak secret":        {store(server.Addr, "secret c2hvcnQ="), []string{"secret", "5 bytes", "Caddyfile:6"}},
		"missing ca":         {store(server.Addr, password+"\ntls ca /nonexistent/ca.pem"), []string{"tls", "ca", "/nonexistent/ca.pem"}},
		"unknown tls":        {store(server.Addr, "tls insecure"), []string{"tls", "Caddyfile:6"}},
	} {
		err := validate(t, tc.text)
		if err == nil {
			t.Errorf("%s: it loads", name)
			continue
		}
		explainedInChinese(t, err)
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in the message: %v", name, want, err)
			}
		}
		if strings.Contains(err.Error(), "s3cr3t-value") || strings.Contains(err.Error(), redistest.Password) {
			t.Errorf("%s: the password is in the message: %v", name, err)
		}
	}
}

// A managed Redis often has neither CLIENT nor HELLO. Two nodes work with it all
// the same, each says so once, and a logout reaches the other within a second.
func TestRedisWithoutClientTracking(t *testing.T) {
	server := redistest.Start(t, "--rename-command", "CLIENT", "", "--rename-command", "HELLO", "")
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g := newGateway(t, withGlobal(redisGlobal(server, "")))
	one, two := g.spawn(t.TempDir()), g.spawn(t.TempDir())
	token := one.login(userA)
	for _, p := range []*process{one, two} {
		p.wantToken(token, "", http.StatusOK)
	}
	if resp, _ := one.post("/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Errorf("logout: %d", resp.StatusCode)
	}
	one.wantToken(token, "session_ended", http.StatusUnauthorized)
	eventually(t, "the other node knows of the logout", func() bool {
		resp, body := two.do(http.MethodGet, "/", "", bearerHeader(token))
		return resp.StatusCode == http.StatusUnauthorized && errorCode(body) == "session_ended"
	})
	for _, p := range []*process{one, two} {
		log, err := os.ReadFile(p.log)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(log), "does not tell what changed"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, log)
		}
		if strings.Contains(string(log), redistest.Password) {
			t.Error("the password is in the log")
		}
	}
}
