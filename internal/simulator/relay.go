package simulator

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-wechat/gateway/internal/loopback"
)

const (
	maxAnswer    = 256 << 10
	relayTimeout = 70 * time.Second // longer than the longest delay of an answer
	maxRelays    = 32
)

// ParseGateway checks the address of a gateway: plain http to this machine,
// because whoever can use the playground can send anything there.
func ParseGateway(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("parsing gateway: %w", err)
	case u.Scheme != "http", u.Host == "", u.User != nil, u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("gateway must be http://<host>:<port>")
	case !loopback.Host(u.Hostname()):
		return nil, errors.New("gateway must be on this machine: a loopback address or localhost")
	}
	u.Path = ""
	return u, nil
}

// relayRequest is a request as the playground wants it on the wire. Browsers
// would neither send a Connection header nor spell names as they are told.
type relayRequest struct {
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
}

type relayAnswer struct {
	// Sent is the request's head, as it went out.
	Sent    string      `json:"sent"`
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
}

var relays = make(chan struct{}, maxRelays)

// relay sends a request to the gateway byte for byte.
func (s *Site) relay(r *http.Request) (any, error) {
	if s.Gateway == nil {
		return nil, errors.New("this simulator has no option gateway")
	}
	var req relayRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	head, err := req.head(s.Gateway.Host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), relayTimeout)
	defer cancel()
	select {
	case relays <- struct{}{}:
		defer func() { <-relays }()
	case <-ctx.Done():
		return nil, errGateway
	}
	answer, err := exchangeRaw(ctx, s.Gateway, req.Method, head+req.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGateway, err)
	}
	answer.Sent = head
	return answer, nil
}

// head writes the request line and the headers. Framing stays ours, or an
// answer could not be told from the next one.
func (q *relayRequest) head(host string) (string, error) {
	if !isPrintable(q.Method) || !strings.HasPrefix(q.Path, "/") || !isPrintable(q.Path) {
		return "", errors.New("not a request line")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.Method, q.Path, host)
	connection := false
	for _, field := range q.Headers {
		name, value := field[0], field[1]
		switch {
		case !isPrintable(name), strings.Contains(name, ":"), strings.ContainsFunc(value, isControl):
			return "", errors.New("not a header")
		case isOneOf(name, "Host", "Content-Length", "Transfer-Encoding", "Upgrade", "Expect"):
			return "", fmt.Errorf("header %s is not for the playground to set", name)
		}
		connection = connection || isOneOf(name, "Connection")
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	if !connection {
		b.WriteString("Connection: close\r\n")
	}
	if q.Body != "" || isOneOf(q.Method, "POST", "PUT", "PATCH") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(q.Body))
	}
	b.WriteString("\r\n")
	return b.String(), nil
}

func exchangeRaw(ctx context.Context, gateway *url.URL, method, request string) (*relayAnswer, error) {
	addr := gateway.Host
	if gateway.Port() == "" {
		addr = net.JoinHostPort(gateway.Hostname(), "80")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	hangUp := func() { _ = conn.Close() } // all has been read, or the reader has left
	defer hangUp()
	defer context.AfterFunc(ctx, hangUp)()
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	limit := &io.LimitedReader{R: conn, N: maxAnswer}
	reader := bufio.NewReader(limit)
	for {
		resp, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 200 {
			continue // early hints; the answer follows
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		if limit.N == 0 { // a body without a length just looks complete
			return nil, errors.New("the answer is too big")
		}
		if !utf8.Valid(body) {
			body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
		}
		return &relayAnswer{Status: resp.StatusCode, Headers: pairs(resp.Header), Body: string(body)}, nil
	}
}

func pairs(h http.Header) [][2]string {
	list := [][2]string{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			list = append(list, [2]string{name, value})
		}
	}
	return list
}

func isOneOf(name string, names ...string) bool {
	return slices.ContainsFunc(names, func(other string) bool { return strings.EqualFold(name, other) })
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

func isPrintable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}
