package caddymodule_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

// openAPI is WeChat's server API: it wants an access_token that is still good.
type openAPI struct {
	mu       sync.Mutex
	good     map[string]bool // access_tokens; nil accepts those of wechattest
	requests []apiRequest
	handle   http.HandlerFunc
}

type apiRequest struct {
	Method, Path, Query, Body string
	Length                    int64
	Header                    http.Header
}

func (o *openAPI) serve(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength < 0 {
		http.Error(w, "", http.StatusPreconditionFailed)
		return
	}
	body, _ := io.ReadAll(r.Body)
	o.mu.Lock()
	o.requests = append(o.requests, apiRequest{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body), r.ContentLength, r.Header.Clone()})
	token := r.URL.Query().Get("access_token")
	good := strings.HasPrefix(token, "access_token_of_")
	if o.good != nil {
		good = o.good[token]
	}
	handle := o.handle
	o.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; encoding=utf-8")
	switch {
	case !good:
		io.WriteString(w, `{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest rid: 6700abcd-12345678-9abcdef0"}`)
	case handle != nil:
		handle(w, r)
	default:
		io.WriteString(w, `{"errcode":0,"errmsg":"ok"}`)
	}
}

// stand puts the API beside the fake WeChat that hands out its tokens.
func (o *openAPI) stand(g *gatewayTest) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cgi-bin/stable_token" || r.URL.Path == "/sns/jscode2session" {
			g.wechat.ServeHTTP(w, r)
			return
		}
		o.serve(w, r)
	}))
	g.t.Cleanup(server.Close)
	g.global += "api " + server.URL + "\n"
}

func (o *openAPI) seen() []apiRequest {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.requests
	o.requests = nil
	return seen
}

func (o *openAPI) accept(tokens ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.good = make(map[string]bool)
	for _, token := range tokens {
		o.good[token] = true
	}
}

func (o *openAPI) answerWith(handle http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handle = handle
}

// newAPI is a gateway whose apps can call WeChat; options are those of wechat_api.
func newAPI(t *testing.T, line string, options ...func(*gatewayTest)) (*gatewayTest, *openAPI) {
	t.Helper()
	api := new(openAPI)
	return newGateway(t, append([]func(*gatewayTest){func(g *gatewayTest) {
		api.stand(g)
		g.site = "bind 127.0.0.1\nhandle /unused {\nreverse_proxy " + g.app.addr() + "\n}\n" + line
	}}, options...)...), api
}

func TestAppsCallWeChatWithoutACredential(t *testing.T) {
	g, api := newAPI(t, "wechat_api")
	body := `{"touser":"` + openIDA + `","msgtype":"text"}`
	resp, answer := g.post("/cgi-bin/message/custom/send?a=1&access_token=stolen&b=%2F&cloudbase_access_token=x&Access_Token=y", body, "X-Custom: 1", "Connection: X-Hop", "X-Hop: 1")
	if resp.StatusCode != http.StatusOK || answer != `{"errcode":0,"errmsg":"ok"}` {
		t.Errorf("%d %s", resp.StatusCode, answer)
	}
	if resp.Header.Get("X-Openapi-Seqid") == "" || resp.Header.Get("X-Gateway-Error") != "" {
		t.Errorf("headers %v", resp.Header)
	}
	token := wechattest.AccessToken(testApp, 0)
	seen := api.seen()
	if len(seen) != 1 || seen[0].Query != "a=1&b=%2F&access_token="+token || seen[0].Body != body || seen[0].Length != int64(len(body)) ||
		seen[0].Header.Get("X-Custom") != "1" || seen[0].Header.Get("X-Hop") != "" || seen[0].Path != "/cgi-bin/message/custom/send" {
		t.Errorf("WeChat saw %+v", seen)
	}
	for range 20 {
		g.do(http.MethodGet, "/wxa/getwxacode", "")
	}
	if err := load(strings.Replace(g.caddyfile(), "grace_period 1s", "grace_period 2s", 1)); err != nil {
		t.Fatal(err)
	}
	g.do(http.MethodGet, "/wxa/getwxacode", "")
	if forms := g.wechat.TokenForms(); len(forms) != 1 || forms[0].ForceRefresh != nil && *forms[0].ForceRefresh {
		t.Errorf("stable_token was asked %d times", len(forms))
	}
	if strings.Contains(answer+fmt.Sprint(resp.Header), token) {
		t.Error("the app learns the access_token")
	}
}

// WeChat answers chunked bodies with 412, and uploads are large.
func TestBodiesHaveALength(t *testing.T) {
	g, api := newAPI(t, "wechat_api")
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST /wxa/x HTTP/1.1\r\nHost: "+g.addr+"\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("chunked: %v, %v", resp, err)
	}
	if seen := api.seen(); len(seen) != 1 || seen[0].Body != `{"a":1}` || seen[0].Length != 7 {
		t.Errorf("WeChat saw %+v", seen)
	}
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	part, err := writer.CreateFormFile("media", "picture.png")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(bytes.Repeat([]byte("x"), 3<<20))
	writer.Close()
	upload := form.String()
	status, _ := g.do(http.MethodPost, "/cgi-bin/media/upload?type=image", upload, "Content-Type: "+writer.FormDataContentType())
	seen := api.seen()
	if status.StatusCode != http.StatusOK || len(seen) != 1 || seen[0].Body != upload || seen[0].Length != int64(len(upload)) {
		t.Errorf("upload: %d", status.StatusCode)
	}
}

func TestAnswersStream(t *testing.T) {
	g, api := newAPI(t, "wechat_api")
	release := make(chan struct{})
	api.answerWith(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/jpeg")
		io.WriteString(w, "first")
		http.NewResponseController(w).Flush()
		<-release
		io.WriteString(w, "second")
	})
	resp, err := testClient.Get(g.url("/wxa/getwxacodeunlimit"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%q, %v", first, err)
	}
	close(release)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
		t.Errorf("%q, %v", rest, err)
	}
}

// WeChat has the beginning of an upload before the app has sent its end.
func TestUploadsStream(t *testing.T) {
	began := make(chan string, 1)
	g := newGateway(t, func(g *gatewayTest) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/cgi-bin/stable_token" {
				g.wechat.ServeHTTP(w, r)
				return
			}
			first := make([]byte, 5)
			_, _ = io.ReadFull(r.Body, first)
			began <- string(first)
			rest, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, `{"size":%d}`, 5+rest)
		}))
		t.Cleanup(server.Close)
		g.global += "api " + server.URL + "\n"
		g.site = "handle /unused {\nreverse_proxy " + g.app.addr() + "\n}\nbind 127.0.0.1\nwechat_api"
	})
	const size = 200 << 10
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /cgi-bin/media/upload HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\nfirst%s", g.addr, size, strings.Repeat("x", 100<<10))
	if got := <-began; got != "first" { // or the test hangs, if the body is kept until its end
		t.Errorf("WeChat reads %q", got)
	}
	io.WriteString(conn, strings.Repeat("x", size-5-100<<10))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != fmt.Sprintf(`{"size":%d}`, size) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestStaleTokenIsReplacedAndTheCallRepeated(t *testing.T) {
	g, api := newAPI(t, "wechat_api")
	g.do(http.MethodGet, "/wxa/x", "")
	api.seen()
	calls := 0
	api.answerWith(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			io.WriteString(w, `{"errcode":42001,"errmsg":"access_token expired"}`)
			return
		}
		io.WriteString(w, `{"errcode":0}`)
	})
	if resp, body := g.post("/wxa/x", `{"n":1}`); resp.StatusCode != http.StatusOK || body != `{"errcode":0}` {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	seen := api.seen()
	if len(seen) != 2 || seen[0].Body != `{"n":1}` || seen[1].Body != `{"n":1}` || len(g.wechat.TokenForms()) != 2 {
		t.Errorf("WeChat saw %+v, and stable_token %d times", seen, len(g.wechat.TokenForms()))
	}
	// What cannot be sent again is answered with WeChat's own words.
	calls = 0
	large := strings.Repeat("x", 100<<10)
	if resp, body := g.do(http.MethodPost, "/wxa/x", large); resp.StatusCode != http.StatusOK || !strings.Contains(body, "42001") || resp.Header.Get("X-Gateway-Error") != "" {
		t.Errorf("large body: %d %s", resp.StatusCode, body)
	}
	if seen := api.seen(); len(seen) != 1 {
		t.Errorf("a large body was sent %d times", len(seen))
	}
	// A token that is refused twice is no reason to go on asking.
	api.answerWith(nil)
	api.accept()
	resp, body := g.post("/wxa/x", `{}`)
	wantCode(t, "refused twice", resp.StatusCode, body, "token_refused", 502)
	if resp.Header.Get("X-Gateway-Error") != "token_refused" || strings.Contains(body, "access_token_of") {
		t.Errorf("%v %s", resp.Header, body)
	}
	before := len(g.wechat.TokenForms())
	for range 5 {
		g.post("/wxa/x", `{}`)
	}
	if asked := len(g.wechat.TokenForms()) - before; asked > 1 {
		t.Errorf("stable_token was asked %d times more", asked)
	}
}

func TestRefusedCalls(t *testing.T) {
	for name, tc := range map[string]struct {
		line, path string
		status     int
		code       string
	}{
		"token":                {"wechat_api", "/cgi-bin/token?grant_type=client_credential", 403, "path_not_allowed"},
		"stable_token":         {"wechat_api", "/cgi-bin/stable_token", 403, "path_not_allowed"},
		"token in capitals":    {"wechat_api", "/CGI-BIN/Token", 403, "path_not_allowed"},
		"token with a slash":   {"wechat_api", "/cgi-bin/token/", 403, "path_not_allowed"},
		"token with slashes":   {"wechat_api", "//cgi-bin//token", 403, "path_not_allowed"},
		"token in disguise":    {"wechat_api", "/cgi-bin/%74oken", 403, "path_not_allowed"},
		"token by dots":        {"wechat_api", "/wxa/../cgi-bin/token", 403, "path_not_allowed"},
		"code exchange":        {"wechat_api", "/sns/jscode2session?js_code=x", 403, "path_not_allowed"},
		"not in the list":      {"wechat_api {\npath /wxa/*\n}", "/cgi-bin/message/custom/send", 403, "path_not_allowed"},
		"another spelling":     {"wechat_api {\npath /wxa/msg_sec_check\n}", "/WXA/Msg_Sec_Check", 403, "path_not_allowed"},
		"a slash at the end":   {"wechat_api {\npath /wxa/msg_sec_check\n}", "/wxa/msg_sec_check/", 403, "path_not_allowed"},
		"token below a path":   {"wechat_api {\npath /cgi-bin/*\n}", "/cgi-bin/token", 403, "path_not_allowed"},
		"a misspelt own call":  {"wechat_api", "/gateway/decypt", 404, "not_found"},
		"an own call, folded":  {"wechat_api", "//Gateway/Decrypt/", 404, "not_found"},
		"payment":              {"wechat_api", "/_/pay/unifiedOrder", 501, "not_implemented"},
		"storage":              {"wechat_api", "/_/cos/getauth", 501, "not_implemented"},
		"unknown app":          {"wechat_api", "/wxa/x?from_appid=wxffffffffffffffff", 400, "unknown_app"},
		"two apps":             {"wechat_api", "/wxa/x?from_appid=" + testApp + "&from_appid=" + otherApp, 400, "unknown_app"},
		"caller from outside":  {"wechat_api {\nallow 10.0.0.0/8\n}", "/wxa/x", 403, "caller_not_allowed"},
		"caller with a header": {"wechat_api {\nallow 10.0.0.0/8\n}", "/wxa/x", 403, "caller_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			g, api := newAPI(t, tc.line)
			answer := g.raw("GET " + tc.path + " HTTP/1.1\r\nHost: " + g.addr + "\r\nX-Forwarded-For: 10.0.0.1\r\nConnection: close\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			wantCode(t, name, resp.StatusCode, string(body), tc.code, tc.status)
			if resp.Header.Get("X-Gateway-Error") != tc.code || resp.Header.Get("X-Openapi-Seqid") == "" {
				t.Errorf("headers %v", resp.Header)
			}
			if seen := api.seen(); len(seen) != 0 || len(g.wechat.TokenForms()) != 0 {
				t.Errorf("WeChat saw %v", seen)
			}
		})
	}
}

// Two processes ask WeChat for one token.
func TestProcessesShareTheAccessToken(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	g, api := newAPI(t, "wechat_api", withGlobal(redisGlobal(server, "")))
	other := g.spawn(t.TempDir())
	api.seen() // of the probe whether the process is there
	var group sync.WaitGroup
	for _, p := range []*gatewayTest{g, other.gatewayTest} {
		for range 5 {
			group.Go(func() { p.do(http.MethodGet, "/wxa/x", "") })
		}
	}
	group.Wait()
	if seen := api.seen(); len(seen) != 10 || len(g.wechat.TokenForms()) != 1 {
		t.Errorf("%d calls, and stable_token %d times", len(seen), len(g.wechat.TokenForms()))
	}
	if strings.Contains(server.Do("GET", strings.TrimSpace(server.Do("KEYS", "*:t:*"))), "access_token") {
		t.Error("Redis shows the access_token")
	}
}

func TestCallsAreCounted(t *testing.T) {
	g, api := newAPI(t, "wechat_api {\npath /wxa/* /cgi-bin/*\n}", withAdmin)
	g.do(http.MethodGet, "/wxa/x?a=1", "")
	g.do(http.MethodGet, "/nothing", "")
	api.answerWith(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"errcode":45009,"errmsg":"x"}`) })
	g.do(http.MethodGet, "/cgi-bin/x", "")
	app := `app="` + testApp + `",endpoint=`
	for line, want := range map[string]string{
		`api_calls_total{` + app + `"/wxa/*",outcome="ok"}`:                                    "1",
		`api_calls_total{` + app + `"other",outcome="path_not_allowed"}`:                       "1",
		`api_calls_total{` + app + `"/cgi-bin/*",outcome="errcode"}`:                           "1",
		`wechat_errcodes_total{` + app + `"/cgi-bin/*",errcode="45009"}`:                       "1",
		`wechat_request_duration_seconds_count{app="` + testApp + `",endpoint="stable_token"}`: "1",
	} {
		if got := g.metric("caddy_wechat_auth_" + line); got != want {
			t.Errorf("%s is %q, want %q", line, got, want)
		}
	}
	if g.metric(`caddy_wechat_auth_access_token_age_seconds{app="`+testApp+`"}`) == "" {
		t.Error("the age of the access_token is missing")
	}
}
