package browser

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/ticket"
	"github.com/caddy-wechat/gateway/internal/token"
)

var (
	now    = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	secure = Origin{"https", "example.com"}
)

func newRing(t testing.TB) *key.Set {
	t.Helper()
	secret := make([]byte, key.Length)
	for i := range secret {
		secret[i] = byte(i)
	}
	one, err := key.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := key.NewSet(one)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func seal(t testing.TB, c Cookies, ring *key.Set, origin Origin, s State) *http.Cookie {
	t.Helper()
	cookie, err := c.SealState(ring, origin, s)
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

// request returns the header of a request with these cookies.
func request(cookies ...*http.Cookie) http.Header {
	r := http.Request{Header: make(http.Header)}
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return r.Header
}

func TestStateComesBackFromItsCookie(t *testing.T) {
	c, ring := newCookies(t), newRing(t)
	s := NewState("wx1234567890abcdef", "snsapi_userinfo", "/"+strings.Repeat("x", MaxTo-1), now)
	if !IsState(s.ID) || s.ID == NewState("wx1234567890abcdef", "", "/", now).ID {
		t.Errorf("state %q", s.ID)
	}
	cookie := seal(t, c, ring, secure, s)
	if size := len(cookie.Name) + len(cookie.Value); size > 1200 {
		t.Errorf("the cookie has %d bytes, more than 1,200", size)
	}
	if cookie.MaxAge != 600 || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
		t.Errorf("cookie %v", cookie)
	}
	held := c.States(ring, secure, request(cookie))
	if len(held) != 1 || !held[0].Opens || held[0].ID != s.ID || held[0].AppID != s.AppID || held[0].Scope != s.Scope || held[0].To != s.To ||
		!held[0].Made.Equal(s.Made) || held[0].UsedUp() || !held[0].Current(now) {
		t.Errorf("got %+v, want %+v", held, s)
	}
	s.Used = now.Add(time.Minute)
	cookie = seal(t, c, ring, secure, s)
	if held = c.States(ring, secure, request(cookie)); len(held) != 1 || !held[0].UsedUp() || !held[0].Used.Equal(s.Used) ||
		cookie.MaxAge != 60 {
		t.Errorf("got %+v, want %+v", held, s)
	}
}

// An attacker's state, of another browser, host, scheme or cookie, is no state of
// this login (B1).
func TestB1StateOfAnotherPlaceDoesNotOpen(t *testing.T) {
	c, ring := newCookies(t), newRing(t)
	other, err := NewCookies("other")
	if err != nil {
		t.Fatal(err)
	}
	s := NewState("wx1234567890abcdef", "snsapi_base", "/", now)
	cookie := seal(t, c, ring, secure, s)
	renamed := *cookie
	renamed.Name = c.State(true, "ffffffffffffffffffffffffffffffff")
	elsewhere := seal(t, c, ring, Origin{"https", "evil.example"}, s)
	overHTTP := seal(t, c, ring, Origin{"http", "example.com"}, s)
	overHTTP.Name = cookie.Name
	ofOther := seal(t, other, ring, secure, s)
	ofOther.Name = cookie.Name
	for name, h := range map[string]http.Header{
		"another name":       request(&renamed),
		"another host":       request(elsewhere),
		"another scheme":     request(overHTTP),
		"another site":       request(ofOther),
		"twice":              request(cookie, cookie),
		"nonsense":           request(&http.Cookie{Name: cookie.Name, Value: "x"}),
		"what is no state":   request(sealed(t, c, ring, s, "1\nx")),
		"its ID is not ours": request(sealed(t, c, ring, NewState("wx", "", "/", now), s.text())),
	} {
		held := c.States(ring, secure, h)
		if len(held) != 1 || held[0].Opens || held[0].Current(now) {
			t.Errorf("%s: %+v", name, held)
		}
	}
	if held := c.States(ring, Origin{"http", "example.com"}, request(cookie)); len(held) != 0 {
		t.Errorf("over http: %+v", held)
	}
}

// sealed is a cookie of a state's name with any text in it.
func sealed(t *testing.T, c Cookies, ring *key.Set, s State, text string) *http.Cookie {
	t.Helper()
	name := c.State(true, s.ID)
	value, err := ticket.Seal(ring, ticket.State, ticket.Place{Host: secure.Host, Name: name}, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &http.Cookie{Name: name, Value: value}
}

func TestStatesEnd(t *testing.T) {
	fresh := StoredState{Opens: true, State: State{Made: now}}
	used := StoredState{Opens: true, State: State{Made: now.Add(-5 * time.Minute), Used: now}}
	for _, test := range []struct {
		held StoredState
		at   time.Time
		want bool
	}{
		{fresh, now, true},
		{fresh, now.Add(-5 * time.Second), true},
		{fresh, now.Add(-6 * time.Second), false},
		{fresh, now.Add(StateLifetime - time.Second), true},
		{fresh, now.Add(StateLifetime), false},
		{used, now, true},
		{used, now.Add(59 * time.Second), true},
		{used, now.Add(60 * time.Second), false},
		{StoredState{State: State{Made: now}}, now, false},
	} {
		if got := test.held.Current(test.at); got != test.want {
			t.Errorf("%+v at %v: %v", test.held, test.at, got)
		}
	}
}

func TestSurplusStatesGoInOrder(t *testing.T) {
	open := func(name string, made int, used bool) StoredState {
		h := StoredState{Name: name, Opens: true, State: State{Made: now.Add(time.Duration(made) * time.Second)}}
		if used {
			h.Used = h.Made
		}
		return h
	}
	garbage := StoredState{Name: "garbage"}
	for _, test := range []struct {
		held []StoredState
		want []string
	}{
		{nil, nil},
		{[]StoredState{open("a", 1, false), open("b", 2, true), garbage}, nil},
		{[]StoredState{open("a", 1, false), open("b", 2, true), garbage, open("c", 0, false)}, []string{"b"}},
		{[]StoredState{open("a", 1, false), open("b", 2, false), garbage, open("c", 0, false)}, []string{"c"}},
		{[]StoredState{garbage, open("a", 1, true), open("b", 2, false), garbage, open("c", 0, true), open("d", 9, false)}, []string{"c", "a", "b"}},
		{[]StoredState{garbage, garbage, garbage, garbage}, []string{"garbage"}},
	} {
		if got := Surplus(test.held); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %q, want %q", test.held, got, test.want)
		}
	}
}

// A browser that forgets its session is sent to WeChat and back for ever (B3).
func TestB3TwoFreshLoginsAreNotKept(t *testing.T) {
	used := StoredState{Opens: true, State: State{Made: now.Add(-time.Minute), Used: now.Add(-10 * time.Second)}}
	old := StoredState{Opens: true, State: State{Made: now.Add(-3 * time.Minute), Used: now.Add(-2 * time.Minute)}}
	fresh := StoredState{Opens: true, State: State{Made: now}}
	for _, test := range []struct {
		held []StoredState
		want bool
	}{
		{nil, false}, {[]StoredState{used}, false}, {[]StoredState{used, old}, false}, {[]StoredState{used, fresh, fresh}, false}, {[]StoredState{used, {}, used}, true},
	} {
		if got := NotKept(test.held, now); got != test.want {
			t.Errorf("%+v: %v", test.held, got)
		}
	}
}

// Three tabs and a session together stay below what servers take as a header (B17).
func TestB17CookiesTogetherAreSmall(t *testing.T) {
	c, err := NewCookies(strings.Repeat("n", maxCookieName))
	if err != nil {
		t.Fatal(err)
	}
	ring := newRing(t)
	id := strings.Repeat("o", 128)
	text, err := token.Mint(ring, token.Claims{IssuedAt: now, Expires: now.Add(time.Hour), Browser: true})
	if err != nil {
		t.Fatal(err)
	}
	cookies := []*http.Cookie{
		{Name: c.Session(true), Value: text + id + id}, {Name: c.Out(true), Value: "1"}, {Name: c.Snapshot(true), Value: "1"},
	}
	for range MaxStates {
		cookies = append(
			cookies, seal(t, c, ring, secure, NewState("wx1234567890abcdef", "snsapi_userinfo", "/"+strings.Repeat("x", MaxTo-1), now)),
		)
	}
	if size := len(request(cookies...).Get("Cookie")); size > 6<<10 {
		t.Errorf("%d bytes of cookies, more than 6 KiB", size)
	}
}

// What parses is what text writes, so a state has one spelling.
func FuzzState(f *testing.F) {
	s := NewState("wx1234567890abcdef", "snsapi_base", "/a?b#c", now)
	f.Add(s.text())
	s.Used = now
	f.Add(s.text())
	f.Add("1\n\n\n\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseState(text)
		if err == nil && (s.text() != text || !IsState(s.ID) || s.AppID == "") {
			t.Fatalf("%q is %+v", text, s)
		}
	})
}

// A request can name as many states as its header has room for. To compare each with
// all of the others took 2 s for a megabyte of them; these would take a minute.
func TestP12StatesAreWorkInProportion(t *testing.T) {
	const many = 100_000
	c := newCookies(t)
	var line strings.Builder
	for i := range many {
		fmt.Fprintf(&line, "__Host-wechat_session_state_%08x=1; ", i)
	}
	line.WriteString("__Host-wechat_session_state_00000000=1")
	h := http.Header{"Cookie": {line.String()}}
	held := c.States(newRing(t), secure, h)
	if len(held) != many || held[0].Opens {
		t.Errorf("%d states", len(held))
	}
	if n := len(Surplus(held)); n != maxCleared {
		t.Errorf("an answer removes %d states", n)
	}
	h["Cookie"] = append(h["Cookie"], "__Host-wechat_session=x; __Host-wechat_session_out=x")
	if n := len(c.Clear(h, true)); n != maxCleared+2 {
		t.Errorf("a logout removes %d cookies", n)
	}
}
