package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
)

// answering returns the base URL of what answers every request with these bytes.
func answering(t *testing.T, raw string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = conn.Read(make([]byte, 4<<10))
				_, _ = io.WriteString(conn, raw)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// G7, W6: net/http quotes in its errors what it cannot read of an answer. An answer whose
// head ends too early, or a redirect to no address, would bring a session_key, an openid
// or the code into the log. And whatever answers so has answered: that is no outage.
func TestErrorsHoldNothingOfAnAnswer(t *testing.T) {
	const hidden = "tiihtNczf5v6AKRyjwEUhQ"
	for name, raw := range map[string]string{
		"a body in place of the head": `{"session_key":"` + hidden + `=="}` + "\r\n\r\n",
		"a body within the head":      "HTTP/1.1 200 OK\r\n" + `{"session_key":"` + hidden + `=="}` + "\r\n\r\n",
		"a status that is none":       "HTTP/1.1 " + hidden + " OK\r\n\r\n",
		"a length that is none":       "HTTP/1.1 200 OK\r\nContent-Length: " + hidden + "\r\n\r\n",
		"an unknown encoding":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + hidden + "\r\n\r\n",
		"a redirect to no address":    "HTTP/1.1 302 Found\r\nLocation: https://example.com/%zz?session_key=" + hidden + "\r\nContent-Length: 0\r\n\r\n",
		"a redirect":                  "HTTP/1.1 302 Found\r\nLocation: https://example.com/?session_key=" + hidden + "\r\nContent-Length: 0\r\n\r\n",
	} {
		base := answering(t, raw)
		client := newClient(t, 5*time.Second, base)
		_, err := client.Ask(t.Context(), Call{Method: http.MethodGet, Path: "/sns/jscode2session"})
		if err == nil || strings.Contains(err.Error(), hidden) || !errors.Is(err, provider.ErrBadAnswer) {
			t.Errorf("%s: asked: %v", name, err)
		}
		resp, err := client.Relay(t.Context(), Relayed{Method: http.MethodGet, Path: "/", Header: make(http.Header)})
		if err == nil {
			_ = resp.Body.Close() // of a redirect, which the caller judges
		} else if strings.Contains(err.Error(), hidden) || !errors.Is(err, provider.ErrBadAnswer) {
			t.Errorf("%s: relayed: %v", name, err)
		}
	}
}
