package browser

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func newCookies(t testing.TB) Cookies {
	t.Helper()
	c, err := NewCookies(DefaultCookie)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCookieNames(t *testing.T) {
	for name, wrong := range map[string]bool{
		"wechat_session": false, "Shop-1": false, strings.Repeat("a", maxCookieName): false,
		"": true, "__Host-x": true, "__host-x": true, "__Secure-x": true, "a b": true, "a=b": true, "a;b": true, "a.b": true, "é": true,
		strings.Repeat("a", maxCookieName+1): true,
	} {
		if _, err := NewCookies(name); (err != nil) != wrong {
			t.Errorf("%q: %v", name, err)
		}
	}
	c := newCookies(t)
	if c.Session(true) != "__Host-wechat_session" || c.Session(false) != "wechat_session" ||
		c.State(true, "0123456789abcdef0123456789abcdef") != "__Host-wechat_session_state_01234567" || c.Out(false) != "wechat_session_out" {
		t.Error("names differ from the documented ones")
	}
}

// The app gets none of the gateway's cookies, under neither name, and keeps all of
// its own (B17).
func TestB17CookiesOfTheGatewayAreRemoved(t *testing.T) {
	c := newCookies(t)
	for _, test := range []struct{ sent, left []string }{
		{[]string{"a=b"}, []string{"a=b"}},
		{[]string{"__Host-wechat_session=x"}, nil},
		{[]string{"wechat_session=x"}, nil},
		{[]string{"a=b; __Host-wechat_session=x; c=d"}, []string{"a=b; c=d"}},
		{[]string{"__Host-wechat_session=x; a=b"}, []string{"a=b"}},
		{[]string{"a=b;wechat_session_state_01234567=x;c=\"d e\""}, []string{"a=b;c=\"d e\""}},
		{[]string{"__Host-wechat_session_out=1; wechat_session_snapshot=1; __Host-wechat_session_scan=x; __Host-wechat_session_state_0=x"}, nil},
		{[]string{"a=b", "wechat_session=x", "c=d; wechat_session = x"}, []string{"a=b", "c=d"}},
		{[]string{"__host-wechat_session=x; wechat_session"}, nil},
		{[]string{"wechat_sessions=1; my_wechat_session=2; wechat_session_id=3; Wechat_Session=4"}, []string{"wechat_sessions=1; my_wechat_session=2; wechat_session_id=3; Wechat_Session=4"}},
		{[]string{"a=wechat_session; b=__Host-wechat_session=x"}, []string{"a=wechat_session; b=__Host-wechat_session=x"}},
	} {
		h := http.Header{"Cookie": slices.Clone(test.sent)}
		if c.Strip(h); !slices.Equal(h["Cookie"], test.left) {
			t.Errorf("%q leaves %q, want %q", test.sent, h["Cookie"], test.left)
		}
	}
}

// An app, or who got into it, sets a cookie of the gateway's name and logs the
// browser in as somebody else (B14).
func TestB14AppsCannotSetCookiesOfTheGateway(t *testing.T) {
	c := newCookies(t)
	h := http.Header{"Set-Cookie": {
		"a=b; Path=/", "wechat_session=x", "__Host-wechat_session=x; Path=/; Secure", " wechat_session =x", "wechat_session", "=wechat_session=x",
		"__HOST-wechat_session_out=; Max-Age=0", "wechat_session_id=7", "wechat_session_state_00000000=x", "c=wechat_session",
	}}
	want := []string{"a=b; Path=/", "wechat_session_id=7", "c=wechat_session"}
	if c.StripSetCookies(h); !slices.Equal(h["Set-Cookie"], want) {
		t.Errorf("got %q, want %q", h["Set-Cookie"], want)
	}
	h = http.Header{"Set-Cookie": {"wechat_session=x"}}
	if c.StripSetCookies(h); h["Set-Cookie"] != nil {
		t.Errorf("left %q", h["Set-Cookie"])
	}
}

// Only the name of the request's own scheme is read: a page over http must not
// plant a session that counts over https. A second cookie of one name comes from
// another host (B5).
func TestB5SessionCookieIsReadByItsOwnNameOnly(t *testing.T) {
	c := newCookies(t)
	for _, test := range []struct {
		lines  []string
		secure bool
		value  string
		count  int
	}{
		{nil, true, "", 0},
		{[]string{"wechat_session=x"}, true, "", 0},
		{[]string{"wechat_session=x"}, false, "x", 1},
		{[]string{"__Host-wechat_session=x"}, false, "", 0},
		{[]string{"__Host-wechat_session=x; wechat_session=y"}, true, "x", 1},
		{[]string{"a=b", "c=d; __Host-wechat_session = x "}, true, "x", 1},
		{[]string{"__Host-wechat_session=x; __Host-wechat_session=x"}, true, "x", 2},
		{[]string{"__Host-wechat_session=x", "__Host-wechat_session=y"}, true, "y", 2},
		{[]string{"__host-wechat_session=x"}, true, "", 0},
		{[]string{"__Host-wechat_session"}, true, "", 0},
		{[]string{"__Host-wechat_session="}, true, "", 1},
	} {
		value, count := c.Value(http.Header{"Cookie": test.lines}, test.secure)
		if value != test.value || count != test.count {
			t.Errorf("%q secure %v: %q, %d; want %q, %d", test.lines, test.secure, value, count, test.value, test.count)
		}
	}
}

func TestClearRemovesWhatTheBrowserSent(t *testing.T) {
	c := newCookies(t)
	h := http.Header{"Cookie": {"a=b; __Host-wechat_session=x; __Host-wechat_session=y; wechat_session_out=1; __Host-wechat_session_state_00000000=x"}}
	var names []string
	for _, cookie := range c.Clear(h, true) {
		names = append(names, cookie.Name)
		if cookie.MaxAge >= 0 || cookie.Value != "" || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("%v", cookie)
		}
	}
	want := []string{"__Host-wechat_session", "wechat_session_out", "__Host-wechat_session_state_00000000"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

// Readers of cookies differ in what they trim from a name.
func TestStripSeesThroughSpaceOfAnyKind(t *testing.T) {
	c := newCookies(t)
	for _, space := range []string{" ", "\t", "\r", "\n", "\v", "\f", "\x00", "\x85", "\xa0", "\u00a0", "\u2003", "\ufeff", " \t\xa0"} {
		for _, name := range []string{space + "wechat_session", "wechat_session" + space, space + "__Host-wechat_session_out" + space} {
			h := http.Header{"Cookie": {"a=b;" + name + "=x"}, "Set-Cookie": {name + "=x; Path=/"}}
			c.Strip(h)
			c.StripSetCookies(h)
			if got := h["Cookie"]; !slices.Equal(got, []string{"a=b"}) || len(h["Set-Cookie"]) > 0 {
				t.Errorf("%q leaves %q", name, h)
			}
		}
	}
}

// After Strip nothing is left that the gateway, or a server that reads cookies more
// generously, takes for one of its cookies.
func FuzzStrip(f *testing.F) {
	c := newCookies(f)
	for _, seed := range []string{"a=b; wechat_session=x", "__Host-wechat_session_out=1;;=;", "wechat_session;\twechat_session =1", "\rwechat_session"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		c.Strip(h)
		if left := c.All(h); len(left) > 0 {
			t.Fatalf("%q leaves %q", line, left)
		}
		for _, cookie := range (&http.Request{Header: h}).Cookies() {
			if c.Ours(cookie.Name) {
				t.Fatalf("%q leaves %q to net/http", line, cookie)
			}
		}
		once := slices.Clone(h["Cookie"])
		if c.Strip(h); !slices.Equal(once, h["Cookie"]) {
			t.Fatalf("%q: %q, and then %q", line, once, h["Cookie"])
		}
	})
}
