package identity

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func mustGuard(t testing.TB, names Names, extra ...string) *Guard {
	t.Helper()
	guard, err := NewGuard(names, extra...)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"oAAAAA": true, "oA_-09": true, strings.Repeat("a", 128): true,
		"": false, "short": false, strings.Repeat("a", 129): false, "oAAAA\n": false, "oAAAA,": false,
		"{env.X}": false, "oAAAA ": false, "oAAAA=": false, "oAAAAé": false,
	} {
		if got := ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v", id, got)
		}
	}
}

// H1, H2: a client sends the header itself, in a spelling that some server
// folds to the same name. PHP, CGI and WSGI fold _ and ., old Apache folds
// every character that is no letter or digit.
func TestStripRemovesEveryAlias(t *testing.T) {
	guard := mustGuard(t, Names{OpenID: "X-User-Id", UnionID: DefaultUnionID, SessionID: "X-Sid"}, "X-Assertion")
	for _, name := range []string{
		"X-Openid", "X-OpenID", "x-openid", "X_openid", "X.Openid", "X~Openid", "X!Openid", "X'Openid", "X*Openid", "X+Openid", "X|Openid",
		"X`Openid", "X^Openid", "X#Openid", "X$Openid", "X%Openid", "X&Openid",
		"X-Unionid", "X_UNIONID", "X-Appid", "X.Appid", "X-User-Id", "X_User-Id", "X-User_Id", "X-Sid", "X-Assertion", "X+Assertion",
		"X-Wx-Openid", "X_WX_SOURCE", "X-Wx-Anything", "X-WX-", "X-Cloudbase-Context", "X_Cloudbase.Access_Token", "X-Original-Forwarded-For", "X_Original_Forwarded_For",
	} {
		for _, trusted := range []bool{true, false} {
			h := http.Header{name: {"forged", "twice"}, "Accept": {"*/*"}}
			guard.Strip(h, func() bool { return trusted })
			if len(h) != 1 {
				t.Errorf("trusted %v: %q is still there", trusted, name)
			}
		}
	}
}

func TestStripLeavesTheRest(t *testing.T) {
	guard := mustGuard(t, DefaultNames())
	want := http.Header{}
	for _, name := range []string{
		"Accept", "Authorization", "Cookie", "X", "X-Open", "X-Openidx", "X-Open-Id", "Xopenid", "X-Wxopenid", "Xwx-Openid", "X-Request-Id",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Content-Type", "", "-", "X--Openid", "X-Union",
	} {
		want[name] = []string{"kept"}
	}
	h := want.Clone()
	guard.Strip(h, nobody)
	if !maps.EqualFunc(h, want, slices.Equal) {
		t.Errorf("got %v, want %v", h, want)
	}
}

// H8: headers that apps trust by habit pass only from a trusted proxy.
func TestStripRemovesSiblingsOfUntrustedPeers(t *testing.T) {
	guard := mustGuard(t, DefaultNames())
	for _, name := range []string{
		"Forwarded", "X-Real-Ip", "X_Real_IP", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Port",
		"X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Original-Url",
		"X-Original-Method", "X-Original-Host", "X-Rewrite-Url", "Remote-User", "Remote_User", "Remote-Groups", "Remote-Email", "Remote-Name",
		"X-Remote-User", "X-Webauth-User", "X-Auth-Request-User", "X-Auth-Request-Anything", "Proxy", "X~Forwarded~For", "X_forwarded_proto",
	} {
		h := http.Header{name: {"forged"}}
		guard.Strip(h, nobody)
		if len(h) != 0 {
			t.Errorf("%q passes from anybody", name)
		}
		h = http.Header{name: {"true"}}
		guard.Strip(h, anybody)
		if len(h) != 1 {
			t.Errorf("%q is lost from a trusted proxy", name)
		}
	}
}

// H3: what is not known stays absent.
func TestInjectSetsWhatIsKnownOnly(t *testing.T) {
	guard := mustGuard(t, Names{OpenID: "x-user", UnionID: DefaultUnionID, SessionID: "X-Session"})
	h := http.Header{}
	guard.Inject(h, User{AppID: "wx", OpenID: "oAAAAAAA", SessionID: "sid"})
	want := http.Header{"X-User": {"oAAAAAAA"}, "X-Session": {"sid"}}
	if !maps.EqualFunc(h, want, slices.Equal) {
		t.Errorf("got %v, want %v", h, want)
	}
	h["X-User"] = append(h["X-User"], "appended by a handler")
	if got := h.Get("X-Session"); got != "sid" {
		t.Errorf("appending to one header changed another: %q", got)
	}
}

func TestNewGuardRefusesNamesThatWouldBreakRequests(t *testing.T) {
	for _, name := range []string{
		"", "Host", "connection", "Content-Length", "Authorization", "Cookie", "Transfer-Encoding", "Sec-Fetch-Site",
		"X Header", "X_Header", "X-Ä", "-X", "1X", strings.Repeat("x", 65), "X:", "Forwarded", "X-Forwarded-For",
	} {
		if name == "" {
			continue
		}
		if _, err := NewGuard(Names{OpenID: name}); !errors.Is(err, ErrHeaderName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := NewGuard(Names{OpenID: "X-User", UnionID: "x-user"}); !errors.Is(err, ErrHeaderName) {
		t.Errorf("one name for two fields: %v", err)
	}
	if _, err := NewGuard(DefaultNames(), "X-OpenID"); !errors.Is(err, ErrHeaderName) {
		t.Errorf("an extra header named like a field: %v", err)
	}
}

// H4: Caddy deletes what the client's Connection names after all middleware.
func TestCleanHopKeepsOnlyHarmlessConnectionTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		connection []string
		want       []string
	}{
		"ours":             {[]string{"close, X-OpenID"}, []string{"close"}},
		"lower case":       {[]string{"x-openid,keep-alive"}, []string{"keep-alive"}},
		"several lines":    {[]string{"", "X-OpenID", "Close"}, []string{"close"}},
		"credentials":      {[]string{"Authorization, Cookie, X-Forwarded-For"}, nil},
		"empty":            {[]string{""}, nil},
		"plain keep-alive": {[]string{"keep-alive"}, []string{"keep-alive"}},
		"plain close":      {[]string{"close"}, []string{"close"}},
		"upgrade alone":    {[]string{"upgrade"}, nil},
	} {
		r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, Header: http.Header{"Connection": tc.connection}}
		if CleanHop(r) {
			t.Errorf("%s: taken for a WebSocket", name)
		}
		if got := r.Header["Connection"]; !slices.Equal(got, tc.want) {
			t.Errorf("%s: Connection %q, want %q", name, got, tc.want)
		}
	}
}

// P3: Upgrade passes for websocket alone.
func TestCleanHopKeepsOnlyWebSocketUpgrades(t *testing.T) {
	for name, tc := range map[string]struct {
		method     string
		upgrade    []string
		connection string
		want       bool
	}{
		"websocket":          {"GET", []string{"websocket"}, "Upgrade", true},
		"mixed case":         {"GET", []string{"WebSocket"}, "keep-alive, UPGRADE", true},
		"h2c":                {"GET", []string{"h2c"}, "Upgrade, HTTP2-Settings", false},
		"two protocols":      {"GET", []string{"websocket, h2c"}, "Upgrade", false},
		"two lines":          {"GET", []string{"websocket", "h2c"}, "Upgrade", false},
		"POST":               {"POST", []string{"websocket"}, "Upgrade", false},
		"no connection":      {"GET", []string{"websocket"}, "close", false},
		"unknown":            {"GET", []string{"foo"}, "Upgrade", false},
		"websocket/13":       {"GET", []string{"websocket/13"}, "Upgrade", false},
		"upgrade in a token": {"GET", []string{"websocket"}, "x-upgrade", false},
	} {
		r := &http.Request{Method: tc.method, ProtoMajor: 1, Header: http.Header{
			"Connection": {tc.connection}, "Upgrade": tc.upgrade, "Http2-Settings": {"AAMAAABkAAQ"},
		}}
		if got := CleanHop(r); got != tc.want {
			t.Errorf("%s: websocket %v", name, got)
		}
		if got := len(r.Header["Upgrade"]) > 0; got != tc.want {
			t.Errorf("%s: Upgrade kept: %v", name, got)
		}
		if hasToken(r.Header["Connection"], "upgrade") != tc.want || hasToken(r.Header["Connection"], "http2-settings") {
			t.Errorf("%s: Connection %q", name, r.Header["Connection"])
		}
		if len(r.Header["Http2-Settings"]) > 0 {
			t.Errorf("%s: HTTP2-Settings kept", name)
		}
	}
}

// H6: trailers are a second block of headers.
func TestCleanHopDropsTrailers(t *testing.T) {
	r := &http.Request{
		Method: http.MethodPost, ProtoMajor: 1, Header: http.Header{"Te": {"trailers"}, "Trailer": {"X-OpenID"}},
		Trailer: http.Header{"X-Openid": nil},
	}
	CleanHop(r)
	if len(r.Header) != 0 || r.Trailer != nil {
		t.Errorf("left: %v, trailer %v", r.Header, r.Trailer)
	}
}

// gRPC servers refuse requests without it.
func TestCleanHopKeepsTETrailersOfNewerProtocols(t *testing.T) {
	for _, tc := range []struct {
		major  int
		values []string
		want   string
	}{
		{1, []string{"trailers"}, ""},
		{2, []string{"trailers"}, "trailers"},
		{3, []string{"trailers"}, "trailers"},
		{2, []string{"gzip"}, ""},
		{2, []string{"gzip, Trailers", "x"}, "trailers"},
		{2, []string{"x-trailers"}, ""},
		{2, nil, ""},
	} {
		r := &http.Request{Method: http.MethodPost, ProtoMajor: tc.major, Header: http.Header{}}
		if tc.values != nil {
			r.Header["Te"] = tc.values
		}
		CleanHop(r)
		if got := strings.Join(r.Header["Te"], "|"); got != tc.want || tc.want == "" && len(r.Header) > 0 {
			t.Errorf("HTTP/%d, TE %q: left %v", tc.major, tc.values, r.Header)
		}
	}
}

func TestExtendedConnect(t *testing.T) {
	for name, tc := range map[string]struct {
		r    http.Request
		want bool
	}{
		"HTTP/2":             {http.Request{Method: "CONNECT", ProtoMajor: 2, Header: http.Header{":protocol": {"websocket"}}}, true},
		"HTTP/2 tunnel":      {http.Request{Method: "CONNECT", ProtoMajor: 2, Header: http.Header{}}, false},
		"HTTP/2 other":       {http.Request{Method: "CONNECT", ProtoMajor: 2, Header: http.Header{":protocol": {"connect-udp"}}}, false},
		"HTTP/3":             {http.Request{Method: "CONNECT", ProtoMajor: 3, Proto: "websocket"}, true},
		"HTTP/3 tunnel":      {http.Request{Method: "CONNECT", ProtoMajor: 3, Proto: "HTTP/3.0"}, false},
		"HTTP/1":             {http.Request{Method: "CONNECT", ProtoMajor: 1, Header: http.Header{":protocol": {"websocket"}}}, false},
		"GET with :protocol": {http.Request{Method: "GET", ProtoMajor: 2, Header: http.Header{":protocol": {"websocket"}}}, false},
	} {
		if got := IsExtendedConnect(&tc.r); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// After Strip, no server that folds names, however it does it, finds a
// protected one; and what was no alias is untouched.
func FuzzStripLeavesNoAlias(f *testing.F) {
	guard := mustGuard(f, DefaultNames())
	for _, seed := range []string{"X-OpenID", "x_openid", "X.UnionID", "X-Wx-Source", "Accept", "X-Open-ID"} {
		f.Add(seed)
	}
	folds := []func(rune) rune{ // PHP, CGI, and whoever folds everything
		func(c rune) rune { return map[rune]rune{'.': '_', '-': '_', ' ': '_'}[c] },
		func(c rune) rune { return map[rune]rune{'-': '_'}[c] },
		func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				return 0
			}
			return '_'
		},
	}
	f.Fuzz(func(t *testing.T, name string) {
		h := http.Header{name: {"x"}}
		guard.Strip(h, anybody)
		_, left := h[name]
		aliased := false
		for _, fold := range folds {
			folded := strings.Map(func(c rune) rune {
				if to := fold(c); to != 0 {
					return to
				}
				return c
			}, strings.ToLower(name))
			switch {
			case folded == "x_openid", folded == "x_unionid", folded == "x_appid", strings.HasPrefix(folded, "x_wx_"):
				aliased = true
			}
		}
		ascii := strings.IndexFunc(name, func(c rune) bool { return c > 0x7e || c <= ' ' }) < 0
		if left && aliased && ascii {
			t.Fatalf("%q is still there", name)
		}
		if !left && !aliased && ascii && !strings.HasPrefix(Fold(name), "x-cloudbase-") && Fold(name) != "x-original-forwarded-for" {
			t.Fatalf("%q was removed", name)
		}
	})
}

// Whom Caddy's trusted_proxies list.
func anybody() bool { return true }
func nobody() bool  { return false }

func BenchmarkStripAndInject(b *testing.B) {
	guard := mustGuard(b, DefaultNames())
	user := User{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", UnionID: "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
	for _, n := range []int{5, 20, 100} {
		b.Run(fmt.Sprintf("%d headers", n), func(b *testing.B) {
			r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, Header: http.Header{"Connection": {"keep-alive"}}}
			for i := range n - 1 {
				r.Header[http.CanonicalHeaderKey(fmt.Sprintf("X-Some-Header-%d", i))] = []string{"value"}
			}
			b.ReportAllocs()
			for b.Loop() {
				guard.Strip(r.Header, nobody)
				CleanHop(r)
				guard.Inject(r.Header, user)
			}
		})
	}
}
