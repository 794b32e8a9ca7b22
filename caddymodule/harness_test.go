package caddymodule_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-wechat/gateway/caddymodule"
	_ "github.com/caddy-wechat/gateway/caddymodule/simulator"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/freeport"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

const (
	testApp    = "wx1234567890abcdef"
	testSecret = "0123456789abcdef0123456789abcdef"
	otherApp   = "wxfedcba0987654321"
	openIDA    = "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	openIDB    = "oBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	unionIDA   = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	testKey    = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQIzRWeKvN7xA="
)

// gatewayTest is a running gateway between a fake WeChat and an app that
// records what it gets.
type gatewayTest struct {
	t       *testing.T
	addr    string
	wechat  *wechattest.Server
	app     *recorder
	storage string
	// storageModule is file_system unless a test says otherwise.
	storageModule string
	global        string
	site          string
	sites         string // more sites, whole
	servers       string
	admin         string // address of the admin endpoint; off by default
	extra         string
	scheme        string
	grace         string
	anyHost       bool // the site answers whatever the Host is
}

// newGateway prepares a gateway; options change the Caddyfile before start.
func newGateway(t *testing.T, options ...func(*gatewayTest)) *gatewayTest {
	t.Helper()
	g := &gatewayTest{
		t: t, scheme: "http", admin: "off", grace: "grace_period 1s", addr: freeAddr(t), storage: t.TempDir(),
		wechat: wechattest.New(testApp, testSecret), app: newRecorder(t),
	}
	for _, option := range options {
		option(g)
	}
	api := httptest.NewServer(g.wechat)
	t.Cleanup(api.Close)
	if !strings.Contains(g.global, "app ") {
		g.global = "app " + testApp + " " + testSecret + "\n" + g.global
	}
	if !strings.Contains(g.global, "api ") {
		g.global += "\napi " + api.URL
	}
	if g.site == "" {
		g.site = "wechat_auth"
	}
	if !strings.Contains(g.site, "reverse_proxy") {
		g.site += "\nreverse_proxy " + g.app.addr()
	}
	g.start()
	return g
}

func withGlobal(text string) func(*gatewayTest) {
	return func(g *gatewayTest) { g.global += text + "\n" }
}
func withSite(text string) func(*gatewayTest) { return func(g *gatewayTest) { g.site = text } }

// caddyfile is the whole configuration.
func (g *gatewayTest) caddyfile() string {
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	skip_install_trust
	%s
	storage %s %q
	servers {
		%s
	}
	wechat {
		%s
	}
	%s
}
%s://%s {
	%s
}
%s`, g.admin, g.grace, cmp.Or(
		g.storageModule, "file_system",
	), g.storage, g.servers, g.global, g.extra, g.scheme, g.siteAddr(), g.site, g.sites)
}

func (g *gatewayTest) siteAddr() string {
	if g.anyHost {
		return g.addr[strings.LastIndexByte(g.addr, ':'):]
	}
	return g.addr
}

func (g *gatewayTest) start() {
	g.t.Helper()
	if err := load(g.caddyfile()); err != nil {
		g.t.Fatalf("loading: %v\n%s", err, g.caddyfile())
	}
	g.t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			g.t.Errorf("stopping: %v", err)
		}
	})
}

// activeApp is the app of the configuration that runs.
func activeApp(t *testing.T) *wechatapp.App {
	t.Helper()
	module, err := caddy.ActiveContext().App("wechat")
	if err != nil {
		t.Fatal(err)
	}
	return module.(*wechatapp.App)
}

// load adapts and runs a Caddyfile in this process.
func load(caddyfile string) error {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// freeAddr returns a loopback address nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := freeport.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func (g *gatewayTest) url(path string) string { return "http://" + g.addr + path }

// do sends a request with header lines given as "Name: value".
func (g *gatewayTest) do(method, path, body string, headers ...string) (*http.Response, string) {
	g.t.Helper()
	var resp *http.Response
	// When a configuration is replaced, Caddy closes the old listener with the
	// connections in its queue that nobody has read from yet.
	for tries := 0; ; tries++ {
		req, err := http.NewRequestWithContext(g.t.Context(), method, g.url(path), strings.NewReader(body))
		if err != nil {
			g.t.Fatal(err)
		}
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			req.Header[name] = append(req.Header[name], value)
		}
		if resp, err = testClient.Do(req); err == nil {
			break
		}
		if tries == 5 {
			g.t.Fatal(err)
		}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(answer)
}

var testClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// post sends JSON to a gateway route.
func (g *gatewayTest) post(path, body string, headers ...string) (*http.Response, string) {
	g.t.Helper()
	return g.do(http.MethodPost, path, body, append(headers, "Content-Type: application/json")...)
}

// login returns a token for the user with a fresh code.
func (g *gatewayTest) login(user wechattest.User) string {
	g.t.Helper()
	code := freshCode()
	g.wechat.AddCode(code, user)
	resp, body := g.post("/wechat/login", `{"code":"`+code+`"}`)
	if resp.StatusCode != http.StatusOK {
		g.t.Fatalf("login: %d %s", resp.StatusCode, body)
	}
	return grantOf(g.t, body).Token
}

// tokenGrant is the answer of login and renew.
type tokenGrant struct {
	Token     string `json:"token"`
	TokenType string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"`
}

func grantOf(t *testing.T, body string) tokenGrant {
	t.Helper()
	var grant tokenGrant
	if err := json.Unmarshal([]byte(body), &grant); err != nil {
		t.Fatal(err)
	}
	return grant
}

var codeCount struct {
	sync.Mutex
	n int
}

func freshCode() string {
	codeCount.Lock()
	defer codeCount.Unlock()
	codeCount.n++
	return fmt.Sprintf("code-%08d", codeCount.n)
}

func bearerHeader(token string) string { return "Authorization: Bearer " + token }

// raw sends bytes over one connection and returns all that comes back until
// the gateway closes it; the request should say Connection: close.
func (g *gatewayTest) raw(request string) string {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		g.t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		g.t.Fatal(err)
	}
	return string(answer)
}

// errorCode returns the `error` of a JSON answer.
func errorCode(body string) string {
	var answer struct{ Error string }
	if json.Unmarshal([]byte(body), &answer) != nil {
		return "no JSON: " + body
	}
	return answer.Error
}

// recorder is an app that knows nothing of WeChat and remembers what it got.
type recorder struct {
	server *httptest.Server
	mu     sync.Mutex
	seen   []recorded
	handle http.HandlerFunc
	// streaming takes requests with their bodies unread and unrecorded.
	streaming http.HandlerFunc
}

type recorded struct {
	Method, URI, Host string
	Header, Trailer   http.Header
	Body              string
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	rec := &recorder{}
	rec.server = httptest.NewServer(rec)
	t.Cleanup(rec.server.Close)
	return rec
}

func (rec *recorder) addr() string { return strings.TrimPrefix(rec.server.URL, "http://") }

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec.mu.Lock()
	stream := rec.streaming
	rec.mu.Unlock()
	if stream != nil {
		stream(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	rec.mu.Lock()
	rec.seen = append(rec.seen, recorded{r.Method, r.RequestURI, r.Host, r.Header.Clone(), r.Trailer.Clone(), string(body)})
	handle := rec.handle
	rec.mu.Unlock()
	if handle != nil {
		handle(w, r)
		return
	}
	fmt.Fprintf(w, "openid=%s unionid=%s appid=%s", r.Header.Get("X-OpenID"), r.Header.Get("X-UnionID"), r.Header.Get("X-AppID"))
}

// requests returns what the app got since the last call.
func (rec *recorder) requests() []recorded {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	seen := rec.seen
	rec.seen = nil
	return seen
}

func (rec *recorder) stream(handle http.HandlerFunc) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.streaming = handle
}

func (rec *recorder) answerWith(handle http.HandlerFunc) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.handle = handle
}
