package caddymodule_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cutBy is when a test gives up on a stream. How soon it must be cut (G9) is tested on a
// clock of its own, by TestG9StreamsAreCutInTime; a busy machine takes its time.
const cutBy = time.Minute

// stream is an answer that is open, as its client has it.
type stream struct {
	resp   *http.Response
	err    error
	body   chan error // what reading to the end gives
	cancel func()
}

// openStream sends a request over a protocol and waits for the app to hear of it.
func (g *gatewayTest) openStream(t *testing.T, transport http.RoundTripper, method, path string, body io.Reader, lines ...string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, g.scheme+"://"+g.addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	s := &stream{body: make(chan error, 1), cancel: cancel}
	go func() {
		s.resp, s.err = transport.RoundTrip(req)
		if s.err != nil {
			s.body <- s.err
			return
		}
		defer s.resp.Body.Close()
		_, err := io.Copy(io.Discard, s.resp.Body)
		s.body <- err
	}()
	return s
}

// wantCut waits for the end of the stream: an error, or a refusal with this code if
// the answer had not begun.
func (s *stream) wantCut(t *testing.T, code string) {
	t.Helper()
	select {
	case err := <-s.body:
		if err == nil && (s.resp.StatusCode != http.StatusUnauthorized || s.resp.Header.Get("X-WeChat-Gateway") != code) {
			t.Errorf("the answer looks complete: %d %v", s.resp.StatusCode, s.resp.Header)
		}
	case <-time.After(cutBy):
		t.Error("still open")
		s.cancel()
	}
}

// streamingApp serves what stays open. It tells when a request has come and when the
// app sees it go.
type streamingApp struct{ came, went chan string }

func (g *gatewayTest) streamingApp() streamingApp {
	a := streamingApp{make(chan string, 100), make(chan string, 100)}
	g.app.stream(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		switch r.URL.Path {
		case "/sse":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: hello\n\n")
			_ = control.Flush()
		case "/download":
			w.Header().Set("Content-Length", "1000000000")
			_, _ = w.Write(make([]byte, 1000))
			_ = control.Flush()
		case "/upload":
			_, _ = io.ReadFull(r.Body, make([]byte, 1))
			a.came <- r.URL.Path
			_, _ = io.Copy(io.Discard, r.Body)
			a.went <- r.URL.Path
			return
		case "/poll":
		default:
			fmt.Fprintf(w, "openid=%s", r.Header.Get("X-OpenID"))
			return
		}
		a.came <- r.URL.Path
		<-r.Context().Done()
		a.went <- r.URL.Path
	})
	return a
}

// wait waits for the app.
func wait(t *testing.T, what string, c <-chan string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(cutBy):
		t.Errorf("%s: nothing", what)
	}
}

// endless is an upload that has begun and does not end.
func endless(t *testing.T) io.Reader {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	go func() { _, _ = io.WriteString(w, "x") }()
	return r
}

// G9: an answer that is open goes on after the logout of the one it is for. Whatever
// stays open is cut, at both ends, over every protocol.
func TestG9OpenAnswersEndWithTheirSession(t *testing.T) {
	g := newTLSGateway(t)
	app := g.streamingApp()
	for proto, transport := range tlsTransports(t) {
		for _, path := range []string{"/sse", "/poll", "/download", "/upload"} {
			t.Run(proto+path, func(t *testing.T) {
				token := g.tlsLogin(t, transport)
				other := g.tlsLogin(t, transport)
				method, body := http.MethodGet, io.Reader(nil)
				if path == "/upload" {
					method, body = http.MethodPost, endless(t)
				}
				s := g.openStream(t, transport, method, path, body, bearerHeader(token))
				wait(t, "request", app.came)
				spared := g.openStream(t, transport, http.MethodGet, "/sse", nil, bearerHeader(other))
				wait(t, "other request", app.came)
				if resp := g.tlsDo(t, transport, http.MethodPost, "/wechat/logout", nil, bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
					t.Fatalf("logout: %d", resp.StatusCode)
				}
				s.wantCut(t, "session_ended")
				wait(t, "the app's end", app.went)
				select {
				case err := <-spared.body:
					t.Errorf("another session's stream ended as well: %v", err)
				default:
				}
				spared.cancel()
				wait(t, "the app's end of the other", app.went)
			})
		}
	}
}

// G9: a session ends in every other way that there is.
func TestG9OpenAnswersEndHoweverTheSessionDoes(t *testing.T) {
	for name, tc := range map[string]struct {
		global string
		code   string
		end    func(*testing.T, *gatewayTest)
	}{
		"token expires": {"session {\ntoken_lifetime 2s\n}", "session_expired", func(*testing.T, *gatewayTest) {}},
		"session ends": {"", "session_ended", func(t *testing.T, g *gatewayTest) {
			g.must(http.MethodPost, "/wechat/sessions/end", `{"appid":"`+testApp+`","openid":"`+openIDA+`"}`, new(any))
		}},
		"app ends": {"", "session_ended", func(t *testing.T, g *gatewayTest) {
			g.must(http.MethodPost, "/wechat/sessions/end", `{"appid":"`+testApp+`"}`, new(any))
		}},
		"user is denied": {"", "session_ended", func(t *testing.T, g *gatewayTest) {
			g.must(
				http.MethodPost, "/wechat/users/deny",
				`{"appid":"`+testApp+`","openid":"`+openIDA+`","until":`+fmt.Sprint(time.Now().Add(time.Hour).Unix())+`}`, new(any),
			)
		}},
		"key is dropped": {"", "login_required", func(t *testing.T, g *gatewayTest) {
			var status struct{ Keys []statusKey }
			g.must(http.MethodGet, "/wechat/status", "", &status)
			g.must(http.MethodDelete, "/wechat/keys/"+status.Keys[0].ID, "", new(any))
		}},
		"replaced by a newer one": {"session {\nmax_per_user 1\n}", "session_ended", func(_ *testing.T, g *gatewayTest) { g.login(userA) }},
		"app leaves the configuration": {"", "login_required", func(t *testing.T, g *gatewayTest) {
			g.global = strings.Replace(g.global, "app "+testApp, "app "+otherApp, 1)
			if err := load(g.caddyfile()); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, withGlobal(tc.global), withAdmin)
			app := g.streamingApp()
			token := g.login(userA)
			transport := &http.Transport{DisableCompression: true}
			t.Cleanup(transport.CloseIdleConnections)
			streams := []*stream{
				g.openStream(t, transport, http.MethodGet, "/sse", nil, bearerHeader(token)),
				g.openStream(t, transport, http.MethodGet, "/poll", nil, bearerHeader(token)),
			}
			wait(t, "request", app.came)
			wait(t, "request", app.came)
			tc.end(t, g)
			for _, s := range streams {
				s.wantCut(t, tc.code)
			}
		})
	}
}

// G9: what another handler than reverse_proxy writes is cut as well, also while it waits
// for a slow client: this one reads no further than the header.
func TestG9DownloadsFromDiskAreCut(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Truncate(1<<30), file.Close()); err != nil {
		t.Fatal(err)
	}
	g := newTLSGateway(t, "file_server {\nroot "+dir+"\n}\n# no reverse_proxy")
	for proto, transport := range tlsTransports(t) {
		t.Run(proto, func(t *testing.T) {
			token := g.tlsLogin(t, transport)
			resp := g.tlsDo(t, transport, http.MethodGet, "/big", nil, bearerHeader(token))
			if resp.StatusCode != http.StatusOK {
				t.Fatal(resp.StatusCode)
			}
			if resp := g.tlsDo(t, transport, http.MethodPost, "/wechat/logout", nil, bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
				t.Fatalf("logout: %d", resp.StatusCode)
			}
			g.wantNoStreams(t)
			n, err := io.Copy(io.Discard, resp.Body)
			if err == nil {
				t.Errorf("the download looks complete, %d bytes", n)
			}
		})
	}
}

// A whole file arrives as it is, also one that is sent in several pieces.
func TestDownloadsFromDiskAreWhole(t *testing.T) {
	dir := t.TempDir()
	const size = 3*unwatched + 17
	if err := os.WriteFile(filepath.Join(dir, "big"), []byte(strings.Repeat("0123456789abcdef", size/16+1)[:size]), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, func(g *gatewayTest) { g.site = "wechat_auth\nfile_server {\nroot " + dir + "\n}\n# reverse_proxy" })
	token := g.login(userA)
	for _, bounds := range [][2]int{{0, size - 1}, {5, 5}, {17, unwatched + 16}, {1, 2*unwatched + 3}} {
		_, body := g.do(http.MethodGet, "/big", "", bearerHeader(token), fmt.Sprintf("Range: bytes=%d-%d", bounds[0], bounds[1]))
		want := strings.Repeat("0123456789abcdef", size/16+1)[bounds[0] : bounds[1]+1]
		if body != want {
			t.Errorf("%v: %d bytes, want %d", bounds, len(body), len(want))
		}
	}
}

// A stream begun under an old configuration is watched by the new one.
func TestG9StreamsOutliveReloadsButNotTheirSession(t *testing.T) {
	g := newGateway(t, func(g *gatewayTest) { g.grace = "" }) // an open answer may go on for as long as it takes
	app := g.streamingApp()
	token := g.login(userA)
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	s := g.openStream(t, transport, http.MethodGet, "/sse", nil, bearerHeader(token))
	wait(t, "request", app.came)
	for range 2 {
		g.site = "header X-Another 1\n" + g.site
		if err := load(g.caddyfile()); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-s.body:
		t.Fatalf("the reload ended the stream: %v", err)
	default:
	}
	if resp, body := g.post("/wechat/logout", "", bearerHeader(token)); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", resp.StatusCode, body)
	}
	s.wantCut(t, "session_ended")
	wait(t, "the app's end", app.went)
}

// openStreams is how many answers of this process are watched.
func openStreams(t *testing.T) int {
	t.Helper()
	return activeApp(t).OpenStreams()
}

// wantNoStreams waits until no answer is watched.
func (g *gatewayTest) wantNoStreams(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(cutBy); ; time.Sleep(20 * time.Millisecond) {
		n := openStreams(t)
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are still open", n)
		}
	}
}

// unwatched is how much of a download goes out between two looks.
const unwatched = 4 << 20

// A cut answer frees its place, and so does one that ends by itself.
func TestG9NothingIsLeftOfEndedStreams(t *testing.T) {
	g := newGateway(t)
	app := g.streamingApp()
	token := g.login(userA)
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	for range 20 {
		if _, body := g.do(http.MethodGet, "/", "", bearerHeader(token)); body != "openid="+openIDA {
			t.Fatal(body)
		}
	}
	g.wantNoStreams(t)
	var open []*stream
	for range 5 {
		open = append(open, g.openStream(t, transport, http.MethodGet, "/sse", nil, bearerHeader(token)))
		wait(t, "request", app.came)
	}
	if n := openStreams(t); n != 5 {
		t.Errorf("%d streams, want 5", n)
	}
	for _, s := range open {
		s.cancel()
	}
	g.wantNoStreams(t)
}
