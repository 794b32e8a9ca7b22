package simulator

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// rawServer answers one connection with text and returns what it was sent, up
// to the end of the head.
func rawServer(t *testing.T, answer string) (*url.URL, <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	seen := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var got strings.Builder
		buf := make([]byte, 4096)
		for !strings.Contains(got.String(), "\r\n\r\n") {
			n, err := conn.Read(buf)
			if err != nil {
				break
			}
			got.Write(buf[:n])
		}
		seen <- got.String()
		conn.Write([]byte(answer))
	}()
	return &url.URL{Scheme: "http", Host: listener.Addr().String()}, seen
}

// Go's own client would spell x_openid as X_openid and drop the Connection
// list, and the page would show a forgery that never was.
func TestRelaySendsForgeriesAsTheyAre(t *testing.T) {
	gateway, seen := rawServer(
		t, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 401 Unauthorized\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\n\xffend",
	)
	s := &Site{Server: New(), Gateway: gateway}
	rec := control(t, s, http.MethodPost, "/simulator/gateway", "application/json",
		`{"method":"POST","path":"/a?b=c","headers":[["x_openid","1"],["X~OpenID","2"],["Connection","close, X-OpenID"],["x_openid","3"]],"body":"{}"}`)
	want := "POST /a?b=c HTTP/1.1\r\nHost: " + gateway.Host + "\r\nx_openid: 1\r\nX~OpenID: 2\r\nConnection: close, X-OpenID\r\nx_openid: 3\r\nContent-Length: 2\r\n\r\n"
	if got := strings.TrimSuffix(<-seen, "{}"); got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	var answer relayAnswer
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != 401 || answer.Sent != want || answer.Body != "\uFFFDend" || len(answer.Headers) != 2 ||
		answer.Headers[1] != [2]string{"Retry-After", "1"} {
		t.Errorf("answer %+v", answer)
	}
}

// Whoever can smuggle a line break makes two requests of one.
func TestRelayKeepsRequestsApart(t *testing.T) {
	backend := httptest.NewServer(http.NotFoundHandler())
	defer backend.Close()
	gateway, err := ParseGateway(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{Server: New(), Gateway: gateway}
	for body, want := range map[string]int{
		`{"method":"GET","path":"/"}`:                                                        200,
		`{"method":"GET","path":"/","headers":[["A","b c"]]}`:                                200,
		`{"method":"GET /","path":"/"}`:                                                      400,
		`{"method":"GET","path":"/ HTTP/1.1"}`:                                               400,
		`{"method":"GET","path":"/\r\nA: b"}`:                                                400,
		`{"method":"GET","path":"http://192.0.2.1/"}`:                                        400,
		`{"method":"GET","path":""}`:                                                         400,
		`{"method":"GET","path":"/","headers":[["A","b\r\nC: d"]]}`:                          400,
		`{"method":"GET","path":"/","headers":[["A\n","b"]]}`:                                400,
		`{"method":"GET","path":"/","headers":[["A:","b"]]}`:                                 400,
		`{"method":"GET","path":"/","headers":[["","b"]]}`:                                   400,
		`{"method":"GET","path":"/","headers":[["host","evil.example"]]}`:                    400,
		`{"method":"POST","path":"/","headers":[["content-length","0"]],"body":"GET / ..."}`: 400,
		`{"method":"POST","path":"/","headers":[["Transfer-Encoding","chunked"]]}`:           400,
	} {
		if rec := control(t, s, http.MethodPost, "/simulator/gateway", "application/json", body); rec.Code != want {
			t.Errorf("%s: %d %s, want %d", body, rec.Code, rec.Body, want)
		}
	}
}

func TestRelaySaysWhenTheGatewayDoesNot(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":     "",
		"no HTTP":     "hello\r\n\r\n",
		"half":        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"far too big": "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", maxAnswer),
	} {
		gateway, _ := rawServer(t, answer)
		rec := control(
			t, &Site{Server: New(), Gateway: gateway}, http.MethodPost, "/simulator/gateway", "application/json",
			`{"method":"GET","path":"/"}`,
		)
		if rec.Code != http.StatusBadGateway {
			t.Errorf("%s: %d %.100s", name, rec.Code, rec.Body)
		}
	}
}

func TestGatewayHasToBeOnThisMachine(t *testing.T) {
	for text, want := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://localhost:8080/": true, "http://[::1]:8080": true,
		"http://192.0.2.1:8080": false, "http://example.com": false, "https://127.0.0.1": false, "http://127.0.0.1/path": false,
		"http://user@127.0.0.1": false, "127.0.0.1:8080": false, "": false, "http://127.0.0.1.example.com": false,
	} {
		if _, err := ParseGateway(text); (err == nil) != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
