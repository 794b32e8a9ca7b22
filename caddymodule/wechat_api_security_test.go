package caddymodule_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
)

// The gateway asks for answers that it can read, and hands out none that has the
// token in it or leads elsewhere (G2).
func TestG2AnswersOfWeChatAreRead(t *testing.T) {
	g, api := newAPI(t, "wechat_api")
	token := wechattest.AccessToken(testApp, 0)
	api.answerWith(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</early?access_token="+token+">")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("X-Openapi-Seqid", "theirs")
		w.Header().Set("X-Gateway-Error", "theirs")
		w.Header().Set("X-WeChat-Gateway", "theirs")
		w.Header().Set("X-Url", r.URL.String())
		w.Header().Set("Trailer", "X-Last")
		io.WriteString(w, `{"url":"`+r.URL.String()+`"}`)
		w.Header().Set("X-Last", token)
	})
	answer := g.raw("GET /wxa/x?a=1 HTTP/1.1\r\nHost: " + g.addr + "\r\nAccept-Encoding: gzip, br\r\nConnection: close\r\n\r\n")
	if strings.Contains(answer, token) || strings.Contains(answer, "theirs") || !strings.HasPrefix(answer, "HTTP/1.1 200") ||
		!strings.Contains(answer, `"url":"/wxa/x?a=1`) {
		t.Errorf("the app gets %s", answer)
	}
	if seen := api.seen(); len(seen) != 1 || seen[0].Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("WeChat saw %+v", seen)
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		api.answerWith(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://x.example"+r.URL.String())
			w.WriteHeader(status)
		})
		resp, body := g.post("/wxa/x", `{}`)
		wantCode(t, "redirect", resp.StatusCode, body, "wechat_error", 502)
		if resp.Header.Get("Location") != "" {
			t.Errorf("headers %v", resp.Header)
		}
	}
	api.seen()
	calls := 0
	api.answerWith(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls > 1 {
			io.WriteString(w, `{"errcode":0}`)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		io.WriteString(zip, `{"errcode":"40001"}`)
		zip.Close()
	})
	if resp, body := g.post("/wxa/x", `{}`); resp.StatusCode != 200 || body != `{"errcode":0}` || len(api.seen()) != 2 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	api.answerWith(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "cut off")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	if resp, err := testClient.Get(g.url("/wxa/x")); err == nil {
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("half an answer looks whole")
		}
		resp.Body.Close()
	}
}

// Bodies that never end hold memory: all of them together only so much, and each
// for so long (G4).
func TestG4UnfinishedBodiesAreBounded(t *testing.T) {
	g, api := newAPI(t, "wechat_api")
	answers := make(chan string, 5)
	for range 5 { // each could keep 16 MiB
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() { // ends when the gateway has had enough, or with the test
			fmt.Fprintf(conn, "POST /wxa/x HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n", g.addr)
			io.WriteString(conn, "f00000\r\n"+strings.Repeat("x", 0xf00000)+"\r\n")
		}()
		go func() {
			buf := make([]byte, 4<<10)
			n, _ := conn.Read(buf)
			answers <- string(buf[:n])
		}()
	}
	refused := <-answers // or the test hangs, if all are kept
	if !strings.Contains(refused, "503") || !strings.Contains(refused, "gateway_busy") || !strings.Contains(refused, "Retry-After") {
		t.Errorf("refused with %s", refused)
	}
	if resp, body := g.post("/wxa/x", `{}`); resp.StatusCode != 200 || len(api.seen()) != 1 {
		t.Errorf("an ordinary call beside them: %d %s", resp.StatusCode, body)
	}
}

// Whoever reaches wechat_api acts in the name of the Mini Program.
func TestOpenListenersDoNotLoad(t *testing.T) {
	t.Setenv("WECHAT_TEST_SECRET", "s3cr3t-value")
	for name, tc := range map[string]struct {
		site string
		want string // in the error; empty: it loads
	}{
		"everywhere":           {":0 {\nwechat_api\n}", "allow"},
		"a public address":     {"http://x.example {\nbind 192.0.2.1\nwechat_api\n}", "192.0.2.1"},
		"one of two":           {":0 {\nbind 127.0.0.1 192.0.2.1\nwechat_api\n}", "192.0.2.1"},
		"in a handle":          {":0 {\nhandle /x/* {\nwechat_api\n}\n}", "allow"},
		"everywhere, for some": {":0 {\nwechat_api {\nallow 10.0.0.0/8 192.0.2.7 ::1\n}\n}", ""},
		"loopback":             {":0 {\nbind 127.0.0.1 ::1\nwechat_api\n}", ""},
		"unix socket":          {"http:// {\nbind unix//tmp/never-opened.sock\nwechat_api\n}", ""},
		"no range":             {":0 {\nwechat_api {\nallow everybody\n}\n}", "everybody"},
		"no pattern":           {":0 {\nbind 127.0.0.1\nwechat_api {\npath wxa\n}\n}", "wxa"},
		"unknown app":          {":0 {\nbind 127.0.0.1\nwechat_api wxffffffffffffffff\n}", "wxffffffffffffffff"},
		"unknown option":       {":0 {\nbind 127.0.0.1\nwechat_api {\nnonsense\n}\n}", "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, "{\nadmin off\nauto_https off\nwechat {\n"+oneApp+"\n}\n}\n"+tc.site+"\n")
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q in it", err, tc.want)
			} else if err != nil {
				explainedInChinese(t, err)
			}
		})
	}
}

// P2, P7: CONNECT and TRACE go no further, whatever they name.
func TestP7MethodsThatWeChatNeverSees(t *testing.T) {
	g, api := newAPI(t, "wechat_api")
	for _, method := range []string{http.MethodConnect, http.MethodTrace} {
		for _, path := range []string{"/wxa/x", "/gateway/decrypt"} {
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(g.raw(method+" "+path+" HTTP/1.1\r\nHost: "+g.addr+"\r\nConnection: close\r\n\r\n"))), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			wantCode(t, method+" "+path, resp.StatusCode, string(body), "method_not_allowed", http.StatusMethodNotAllowed)
			if resp.Header.Get("Allow") == "" {
				t.Errorf("%s %s: headers %v", method, path, resp.Header)
			}
		}
	}
	if seen := api.seen(); len(seen) != 0 || len(g.wechat.TokenForms()) != 0 {
		t.Errorf("WeChat saw %v", seen)
	}
}

// G2: a token that WeChat has taken since it was fetched is replaced when it is refused,
// however soon it is.
func TestG2TokensThatWereTakenAreReplacedAgain(t *testing.T) {
	g, api := newAPI(t, "wechat_api")
	for _, errcode := range []int{40001, 40014, 42001} {
		calls := 0
		api.answerWith(func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				fmt.Fprintf(w, `{"errcode":%d,"errmsg":"invalid credential"}`, errcode)
				return
			}
			io.WriteString(w, `{"errcode":0}`)
		})
		resp, body := g.post("/wxa/x", `{}`)
		if resp.StatusCode != http.StatusOK || body != `{"errcode":0}` || calls != 2 {
			t.Errorf("%d: %d calls, %d %s", errcode, calls, resp.StatusCode, body)
		}
	}
}

func TestWeChatsTroubleIsTold(t *testing.T) {
	for name, tc := range map[string]struct {
		answer wechattest.Answer
		status int
		code   string
	}{
		"secret wrong":   {wechattest.Errcode(40125), 502, "gateway_misconfigured"},
		"not in the IPs": {wechattest.Errcode(40164), 502, "gateway_misconfigured"},
		"busy":           {wechattest.Errcode(-1), 503, "wechat_unavailable"},
		"quota":          {wechattest.Errcode(45009), 503, "wechat_unavailable"},
		"minute's quota": {wechattest.Errcode(45011), 429, "rate_limited"},
		"nonsense":       {wechattest.Answer{Body: "<html>"}, 502, "wechat_error"},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := newAPI(t, "wechat_api")
			g.wechat.Always(&tc.answer)
			for range 3 {
				resp, body := g.post("/wxa/x", `{}`)
				wantCode(t, name, resp.StatusCode, body, tc.code, tc.status)
				if resp.Header.Get("X-Gateway-Error") != tc.code || (tc.status == 429 || tc.status == 503) && resp.Header.Get("Retry-After") == "" {
					t.Errorf("headers %v", resp.Header)
				}
				if strings.Contains(body, "logs in") { // nobody does
					t.Errorf("body %s", body)
				}
			}
			if asked := len(g.wechat.TokenForms()) + g.wechat.Calls(); asked > 1 {
				t.Errorf("WeChat was asked %d times", asked)
			}
		})
	}
}
