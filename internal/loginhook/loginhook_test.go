package loginhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
)

const key = "0123456789abcdef0123456789abcdef"

var login = Login{AppID: "wx1234567890abcdef", Kind: "mini_program", OpenID: "oUSER-1", ClientIP: "192.0.2.7"}

func hookTo(t *testing.T, h http.HandlerFunc) *Hook {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	hook, err := New(Options{URL: server.URL + "/login?token=url-secret", Secret: secret.New(key)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hook.Close)
	return hook
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestRequestIsSigned(t *testing.T) {
	var got, signature, contentType string
	hook := hookTo(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, signature, contentType = string(body), r.Header.Get("X-WeChat-Signature"), r.Header.Get("Content-Type")
		w.WriteHeader(http.StatusNoContent)
	})
	before := time.Now().Unix()
	if _, err := hook.Ask(t.Context(), login); err != nil {
		t.Fatal(err)
	}
	const want = `{"appid":"wx1234567890abcdef","kind":"mini_program","openid":"oUSER-1","client_ip":"192.0.2.7"}`
	if got != want || contentType != "application/json" {
		t.Errorf("got %s %s, want %s", contentType, got, want)
	}
	seconds, sum, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(seconds + "." + got))
	if sum != hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %q does not fit", signature)
	}
	if at, err := time.ParseDuration(seconds + "s"); err != nil || int64(at.Seconds()) < before {
		t.Errorf("signature %q has no time of now", signature)
	}
}

func TestVerdicts(t *testing.T) {
	longest := strings.Repeat("x", 64)
	for name, test := range map[string]struct {
		status  int
		body    string
		userID  string
		message string
		want    error
	}{
		"no content":       {204, "", "", "", nil},
		"nothing":          {200, "{}", "", "", nil},
		"user":             {200, `{"user_id":"42"}`, "42", "", nil},
		"every character":  {200, `{"user_id":"aZ09._:@-"}`, "aZ09._:@-", "", nil},
		"longest":          {200, `{"user_id":"` + longest + `"}`, longest, "", nil},
		"too long":         {200, `{"user_id":"` + longest + `x"}`, "", "", ErrBadAnswer},
		"empty user":       {200, `{"user_id":""}`, "", "", ErrBadAnswer},
		"number":           {200, `{"user_id":42}`, "", "", ErrBadAnswer},
		"null":             {200, `{"user_id":null}`, "", "", ErrBadAnswer},
		"new line":         {200, `{"user_id":"4\n2"}`, "", "", ErrBadAnswer},
		"brace":            {200, `{"user_id":"{env.X}"}`, "", "", ErrBadAnswer},
		"other alphabet":   {200, `{"user_id":"王"}`, "", "", ErrBadAnswer},
		"typo":             {200, `{"userid":"42"}`, "", "", ErrBadAnswer},
		"more":             {200, `{"user_id":"42","x":1}`, "", "", ErrBadAnswer},
		"twice":            {200, `{"user_id":"42","user_id":"43"}`, "", "", ErrBadAnswer},
		"no JSON":          {200, "ok", "", "", ErrBadAnswer},
		"empty":            {200, "", "", "", ErrBadAnswer},
		"array":            {200, "[]", "", "", ErrBadAnswer},
		"created":          {201, `{"user_id":"42"}`, "", "", ErrBadAnswer},
		"redirect":         {302, "", "", "", ErrBadAnswer},
		"unauthorized":     {401, "{}", "", "", ErrBadAnswer},
		"error":            {500, `{"user_id":"42"}`, "", "", ErrBadAnswer},
		"huge":             {200, `{"user_id":"42"}` + strings.Repeat(" ", 16<<10), "", "", ErrBadAnswer},
		"no":               {403, "", "", "", ErrNotAllowed},
		"no, because":      {403, `{"message":"请先联系管理员"}`, "", "请先联系管理员", ErrNotAllowed},
		"no, at length":    {403, `{"message":"` + strings.Repeat("长", 200) + `"}`, "", strings.Repeat("长", 200), ErrNotAllowed},
		"no, too long":     {403, `{"message":"` + strings.Repeat("x", 201) + `"}`, "", "", ErrNotAllowed},
		"no, with control": {403, `{"message":"a\u0000b"}`, "", "", ErrNotAllowed},
		"no, reversed":     {403, `{"message":"a\u202eb"}`, "", "", ErrNotAllowed},
		"no, HTML":         {403, `<p>no</p>`, "", "", ErrNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			hook := hookTo(t, answering(test.status, test.body))
			verdict, err := hook.Ask(t.Context(), login)
			if !errors.Is(err, test.want) || verdict.UserID != test.userID {
				t.Fatalf("got %+v, %v; want %q, %v", verdict, err, test.userID, test.want)
			}
			if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Message != test.message {
				t.Errorf("message %q, want %q", refusal.Message, test.message)
			}
			if err != nil && (strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "oUSER") || strings.Contains(err.Error(), "url-secret")) {
				t.Errorf("the error shows what it must not: %v", err)
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var calls atomic.Int32
	hook := hookTo(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	if _, err := hook.Ask(t.Context(), login); !errors.Is(err, ErrBadAnswer) {
		t.Errorf("got %v", err)
	}
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

func TestUnreachableHookNamesNoURL(t *testing.T) {
	hook, err := New(Options{URL: "http://127.0.0.1:1/?token=url-secret", Secret: secret.New(key)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hook.Ask(t.Context(), login); !errors.Is(err, ErrBadAnswer) || strings.Contains(err.Error(), "url-secret") {
		t.Errorf("got %v", err)
	}
}

// G7: net/http quotes in its errors what it cannot read of an answer, and applications
// answer with what they were asked about.
func TestErrorsHoldNothingOfAnAnswer(t *testing.T) {
	for name, raw := range map[string]string{
		"a body within the head":   "HTTP/1.1 200 OK\r\n{\"user\":\"oUSER-1\"}\r\n\r\n",
		"no head":                  "{\"user\":\"oUSER-1\"}\r\n\r\n",
		"a trailer that is none":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n{oUSER-1}\r\n\r\n",
		"a redirect to no address": "HTTP/1.1 302 Found\r\nLocation: https://example.com/%zz?user=oUSER-1\r\nContent-Length: 0\r\n\r\n",
	} {
		hook := hookTo(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, raw)
			_ = conn.Close()
		})
		if _, err := hook.Ask(t.Context(), login); !errors.Is(err, ErrBadAnswer) || strings.Contains(err.Error(), "oUSER") {
			t.Errorf("%s: asked: %v", name, err)
		}
		status, err := hook.Probe(t.Context())
		if err != nil && strings.Contains(err.Error(), "oUSER") || err == nil && status != http.StatusOK && status != http.StatusFound {
			t.Errorf("%s: probed: %d, %v", name, status, err)
		}
	}
}

// over returns a hook whose connections are pipes to the handler, for bubbles.
func over(t *testing.T, h http.HandlerFunc) *Hook {
	t.Helper()
	hook, err := New(Options{URL: "http://127.0.0.1/", Secret: secret.New(key)})
	if err != nil {
		t.Fatal(err)
	}
	listener := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour}
	go func() { _ = server.Serve(listener) }()
	hook.client.DialContext = func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		listener.conns <- there
		return here, nil
	}
	t.Cleanup(func() { hook.Close(); _ = server.Close() })
	return hook
}

type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }
func (*pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestSlowHookEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook := over(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the client leave
			<-r.Context().Done()
		})
		start := time.Now()
		if _, err := hook.Ask(t.Context(), login); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != DefaultTimeout {
			t.Errorf("took %s, want %s", took, DefaultTimeout)
		}
	})
}

func TestFailuresInARowPauseTheHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls, status atomic.Int32
		status.Store(500)
		hook := over(t, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.WriteHeader(int(status.Load()))
		})
		ask := func(want error) {
			t.Helper()
			if _, err := hook.Ask(t.Context(), login); !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
		}
		for range failuresToOpen {
			ask(ErrBadAnswer)
		}
		ask(ErrPaused)
		if calls.Load() != failuresToOpen || !hook.Open() {
			t.Errorf("%d calls, open %v", calls.Load(), hook.Open())
		}
		time.Sleep(pause + time.Second)
		ask(ErrBadAnswer) // the probe
		ask(ErrPaused)
		status.Store(403) // an answer, though a no
		time.Sleep(pause + time.Second)
		ask(ErrNotAllowed)
		ask(ErrNotAllowed)
		if hook.Open() {
			t.Error("still paused")
		}
	})
}

func TestLoginsWaitForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		hook := over(t, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.WriteHeader(http.StatusNoContent)
		})
		for range maxInFlight {
			hook.slots <- struct{}{} // as many calls are under way
		}
		if _, err := hook.Ask(t.Context(), login); !errors.Is(err, ErrPaused) || calls.Load() != 0 {
			t.Errorf("got %v after %d calls", err, calls.Load())
		}
		time.AfterFunc(DefaultTimeout/2, func() { <-hook.slots })
		if _, err := hook.Ask(t.Context(), login); err != nil || calls.Load() != 1 {
			t.Errorf("got %v after %d calls", err, calls.Load())
		}
	})
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no URL":         {Secret: secret.New(key)},
		"plain http":     {URL: "http://app.example.com/", Secret: secret.New(key)},
		"private http":   {URL: "http://10.0.0.1/", Secret: secret.New(key)},
		"other scheme":   {URL: "ftp://localhost/", Secret: secret.New(key)},
		"password":       {URL: "https://a:b@app.example.com/", Secret: secret.New(key)},
		"no secret":      {URL: "https://app.example.com/"},
		"short secret":   {URL: "https://app.example.com/", Secret: secret.New(key[1:])},
		"no time":        {URL: "https://app.example.com/", Secret: secret.New(key), Timeout: -1},
		"too much time":  {URL: "https://app.example.com/", Secret: secret.New(key), Timeout: MaxTimeout + 1},
		"fragment":       {URL: "https://app.example.com/#x", Secret: secret.New(key)},
		"relative":       {URL: "/login", Secret: secret.New(key)},
		"no host at all": {URL: "https://:443/", Secret: secret.New(key)},
	} {
		if _, err := New(o); err == nil || strings.Contains(err.Error(), key[1:]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, good := range []string{"https://app.example.com/login", "http://127.0.0.1:3000/", "http://[::1]:3000/x?y=z", "http://localhost/"} {
		if _, err := New(Options{URL: good, Secret: secret.New(key)}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"user_id":"42"}`))
	f.Add(403, []byte(`{"message":"no"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		verdict, err := judge(status, body)
		if verdict.UserID != "" && (err != nil || !ValidUserID(verdict.UserID)) {
			t.Fatalf("user_id %q with %v", verdict.UserID, err)
		}
		if err == nil && status != http.StatusOK && status != http.StatusNoContent {
			t.Fatalf("status %d lets in", status)
		}
	})
}
