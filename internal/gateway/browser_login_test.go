package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
)

// fakeBrowsers is a Provider whose answers a test decides.
type fakeBrowsers struct {
	calls  atomic.Int32
	answer func(code string) (provider.User, error)
}

func (f *fakeBrowsers) Exchange(_ context.Context, _ provider.Account, p provider.Proof) (provider.User, error) {
	f.calls.Add(1)
	if f.answer != nil {
		return f.answer(p.Code)
	}
	return provider.User{OpenID: openID, Silent: true}, nil
}

func withBrowsers(f *fakeBrowsers) func(*Config) { return func(c *Config) { c.Provider = f } }

func returning(state, code string) BrowserLogin {
	return BrowserLogin{AppID: appA, Scope: "snsapi_base", State: state, Code: code, Client: client, Lifetime: 24 * time.Hour}
}

func TestBrowserLoginLastsItsLifetime(t *testing.T) {
	fake := new(fakeBrowsers)
	w := newWorld(t, withBrowsers(fake))
	w.AllowLifetime(24 * time.Hour)
	grant, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1"))
	if err != nil || grant.ExpiresIn > 24*time.Hour || grant.ExpiresIn < 24*time.Hour-time.Minute || grant.AppID != appA {
		t.Fatalf("%+v, %v", grant, err)
	}
	user, err := w.AuthenticateCookie(t.Context(), grant.Token, sites)
	if err != nil || user.OpenID != openID || user.SessionID == "" {
		t.Errorf("%+v, %v", user, err)
	}
	d, err := w.DescribeCookie(t.Context(), grant.Token, sites)
	if err != nil || d.ExpiresIn != d.SessionExpiresIn || d.ExpiresIn < 24*time.Hour-time.Minute {
		t.Errorf("%+v, %v", d, err)
	}
}

// Callbacks are loaded twice, with one code or two, and at two nodes: one call of
// WeChat, one session (B16).
func TestB16OneStateMakesOneSession(t *testing.T) {
	fake := new(fakeBrowsers)
	release := make(chan struct{})
	fake.answer = func(string) (provider.User, error) {
		<-release
		return provider.User{OpenID: openID, Silent: true}, nil
	}
	w := newWorld(t, withBrowsers(fake))
	other := newWorld(t, withBrowsers(fake), func(c *Config) { c.Store = w.store }) // another node
	w.AllowLifetime(24 * time.Hour)
	other.AllowLifetime(24 * time.Hour)
	var group sync.WaitGroup
	tokens := make([]string, 12)
	for i := range tokens {
		node := []*world{w, other}[i%2]
		group.Go(func() {
			grant, err := node.LoginBrowser(t.Context(), returning("state-1", fmt.Sprintf("code-%d", i%3)))
			if err != nil {
				t.Errorf("callback %d: %v", i, err)
			}
			tokens[i] = grant.Token
		})
	}
	close(release)
	group.Wait()
	for _, token := range tokens {
		if token != tokens[0] {
			t.Fatal("two callbacks of one state have two sessions")
		}
	}
	if calls := fake.calls.Load(); calls != 1 {
		t.Errorf("WeChat was asked %d times", calls)
	}
	if record, err := w.Store.User(t.Context(), appA, openID); err != nil || len(record.Sessions) != 1 {
		t.Errorf("%+v, %v", record, err)
	}
}

// Back and refresh load the callback again: the same session, for a minute, as
// long as it lives. One that was logged out is not brought back (B20).
func TestB16B20StateIsAnsweredAgainWhileItsSessionLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := new(fakeBrowsers)
		w := newWorld(t, withBrowsers(fake))
		w.AllowLifetime(24 * time.Hour)
		first, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		if again, err := w.LoginBrowser(t.Context(), returning("state-1", "code-2")); err != nil || again.Token != first.Token {
			t.Errorf("after 50 s: %v", err)
		}
		time.Sleep(11 * time.Second)
		if _, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1")); !errors.Is(err, ErrStateUsed) {
			t.Errorf("after 61 s: %v", err)
		}
		second, err := w.LoginBrowser(t.Context(), returning("state-2", "code-3"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.LogoutCookie(t.Context(), second.Token, sites); err != nil {
			t.Fatal(err)
		}
		if _, err := w.LoginBrowser(t.Context(), returning("state-2", "code-3")); !errors.Is(err, ErrStateUsed) {
			t.Errorf("after a logout: %v", err)
		}
		if calls := fake.calls.Load(); calls != 2 {
			t.Errorf("WeChat was asked %d times", calls)
		}
		w.Store.(*failingStore).Backend.(interface{ Close() error }).Close()
	})
}

// A code that another state, or a Mini Program's login, has spent is not sent again,
// and the answer for the one does not leak to the other (B1, B16).
func TestB16CodeOfAnotherStateIsUsed(t *testing.T) {
	fake := new(fakeBrowsers)
	w := newWorld(t, withBrowsers(fake))
	w.AllowLifetime(24 * time.Hour)
	if _, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.LoginBrowser(t.Context(), returning("state-2", "code-1")); !errors.Is(err, ErrCodeUsed) {
		t.Errorf("another state with the same code: %v", err)
	}
	if _, err := w.Login(t.Context(), LoginRequest{Code: "code-1", Nonce: "0123456789abcdef0123456789abcdef", Client: client}, sites); !errors.Is(err, ErrCodeUsed) {
		t.Errorf("a client with the same code: %v", err)
	}
	if calls := fake.calls.Load() + w.wechat.calls.Load(); calls != 1 {
		t.Errorf("WeChat was asked %d times", calls)
	}
}

// WeChat's snapshot of a page has an invented user (B8).
func TestB8SnapshotUsersHaveNoSession(t *testing.T) {
	fake := &fakeBrowsers{answer: func(string) (provider.User, error) { return provider.User{}, provider.ErrSnapshotUser }}
	w := newWorld(t, withBrowsers(fake))
	for range 2 {
		if grant, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1")); !errors.Is(err, provider.ErrSnapshotUser) || grant.Token != "" {
			t.Errorf("%+v, %v", grant, err)
		}
	}
	if record, err := w.Store.User(t.Context(), appA, openID); err != nil || len(record.Sessions) != 0 {
		t.Errorf("%+v, %v", record, err)
	}
	if calls := fake.calls.Load(); calls != 1 {
		t.Errorf("WeChat was asked %d times", calls)
	}
}

// What went wrong before WeChat saw the code leaves state and code good.
func TestStateStaysGoodIfNothingWasSent(t *testing.T) {
	fail := true
	fake := &fakeBrowsers{answer: func(string) (provider.User, error) {
		if fail {
			return provider.User{}, fmt.Errorf("%w: %w", provider.ErrUnavailable, provider.ErrNotSent)
		}
		return provider.User{OpenID: openID}, nil
	}}
	w := newWorld(t, withBrowsers(fake))
	w.AllowLifetime(24 * time.Hour)
	if _, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1")); !errors.Is(err, provider.ErrUnavailable) {
		t.Fatal(err)
	}
	fail = false
	if _, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1")); err != nil {
		t.Errorf("the second try: %v", err)
	}
}

func TestBrowserLoginsAreCountedAndChecked(t *testing.T) {
	fake := new(fakeBrowsers)
	w := newWorld(t, withBrowsers(fake), func(c *Config) { c.LoginLimit = Limit{Events: 1, Window: time.Minute} })
	w.AllowLifetime(24 * time.Hour)
	for _, code := range []string{"", "a b", "a&secret=x", string(make([]byte, 129))} {
		if _, err := w.LoginBrowser(t.Context(), returning("state-0", code)); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("code %q: %v", code, err)
		}
	}
	unknown := returning("state-0", "code-0")
	unknown.AppID = "wx0000000000000000"
	if _, err := w.LoginBrowser(t.Context(), unknown); !errors.Is(err, ErrStateUsed) {
		t.Errorf("an account that is not configured: %v", err)
	}
	first, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.LoginBrowser(t.Context(), returning("state-2", "code-2")); !errors.Is(err, ErrRateLimited) {
		t.Errorf("beyond the limit: %v", err)
	}
	// A repeat exchanges nothing, and so the limit has nothing to count.
	if again, err := w.LoginBrowser(t.Context(), returning("state-1", "code-3")); err != nil || again.Token != first.Token {
		t.Errorf("a repeat at the limit: %v", err)
	}
	if calls := fake.calls.Load(); calls != 1 {
		t.Errorf("WeChat was asked %d times", calls)
	}
}

// The limit leaves the state and the code as they were.
func TestStateStaysGoodAtTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withBrowsers(new(fakeBrowsers)), func(c *Config) { c.LoginLimit = Limit{Events: 1, Window: time.Minute} })
		w.AllowLifetime(24 * time.Hour)
		if _, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.LoginBrowser(t.Context(), returning("state-2", "code-2")); !errors.Is(err, ErrRateLimited) {
			t.Errorf("beyond the limit: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := w.LoginBrowser(t.Context(), returning("state-2", "code-2")); err != nil {
			t.Errorf("a minute later: %v", err)
		}
		w.Store.(*failingStore).Backend.(interface{ Close() error }).Close()
	})
}

// A browser that says it has used a state is believed, also by a node that has
// forgotten it: a store in memory that began anew (B16).
func TestB16UsedStateIsNotExchangedByANodeThatForgotIt(t *testing.T) {
	fake := new(fakeBrowsers)
	w := newWorld(t, withBrowsers(fake))
	w.AllowLifetime(24 * time.Hour)
	used := returning("state-1", "code-1")
	used.Used = true
	if _, err := w.LoginBrowser(t.Context(), used); !errors.Is(err, ErrStateUsed) {
		t.Errorf("%v", err)
	}
	if calls := fake.calls.Load(); calls != 0 {
		t.Errorf("WeChat was asked %d times", calls)
	}
	// Looking at it takes nothing.
	first, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.LoginBrowser(t.Context(), used); err != nil || again.Token != first.Token {
		t.Errorf("a used state that is known: %v", err)
	}
}

// A silent login knows no unionid, and takes none away from the sessions that do.
func TestSilentLoginKeepsTheUnionID(t *testing.T) {
	const unionID = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	visitor := provider.User{OpenID: openID, UnionID: unionID}
	fake := &fakeBrowsers{answer: func(string) (provider.User, error) { return visitor, nil }}
	w := newWorld(t, withBrowsers(fake))
	w.AllowLifetime(24 * time.Hour)
	consented, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1"))
	if err != nil {
		t.Fatal(err)
	}
	visitor = provider.User{OpenID: openID, Silent: true}
	silent, err := w.LoginBrowser(t.Context(), returning("state-2", "code-2"))
	if err != nil || silent.UnionIDChanged {
		t.Fatal(silent, err)
	}
	for name, grant := range map[string]Grant{"consented": consented, "silent": silent} {
		if user, err := w.AuthenticateCookie(t.Context(), grant.Token, sites); err != nil || user.UnionID != unionID {
			t.Errorf("%s: %+v, %v", name, user, err)
		}
	}
	visitor = provider.User{OpenID: openID} // not bound any more
	if gone, err := w.LoginBrowser(t.Context(), returning("state-3", "code-3")); err != nil || !gone.UnionIDChanged {
		t.Error(gone, err)
	}
}

// An operator's ban holds for browsers, and for every repeat.
func TestDeniedUserHasNoBrowserSession(t *testing.T) {
	w := newWorld(t, withBrowsers(new(fakeBrowsers)))
	if _, err := w.Deny(t.Context(), Target{AppID: appA, OpenID: openID}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.LoginBrowser(t.Context(), returning("state-1", "code-1")); !errors.Is(err, ErrUserDenied) {
			t.Error(err)
		}
	}
}

// F6, B16: refused callbacks beyond the limit pushed everybody's used codes and states out
// of the table, so that they counted again and all tickets were void.
func TestCallbacksBeyondTheLimitForgetNothing(t *testing.T) {
	fake := new(fakeBrowsers)
	w := newWorld(t, withBrowsers(fake), func(c *Config) { c.LoginLimit = Limit{Events: 1, Window: time.Hour} })
	w.AllowLifetime(24 * time.Hour)
	first, err := w.LoginBrowser(t.Context(), returning("state-victim", "code-victim"))
	if err != nil {
		t.Fatal(err)
	}
	before := w.Store.ClaimsSince(appA)
	flood := returning("state-attacker", "junk") // one state is enough: each refusal leaves it as it was
	flood.Client = netip.MustParseAddr("203.0.113.66")
	w.State.limits.allow(flood.Client, w.LoginLimit) // that client has used its one login
	for range 1 << 16 {
		if _, err := w.LoginBrowser(t.Context(), flood); !errors.Is(err, ErrRateLimited) {
			t.Fatal(err)
		}
	}
	if since := w.Store.ClaimsSince(appA); !since.Equal(before) {
		t.Errorf("tickets of everybody made before %v are void", since)
	}
	again := returning("state-victim", "code-victim")
	again.Client = netip.MustParseAddr("198.51.100.7")
	grant, err := w.LoginBrowser(t.Context(), again)
	if err != nil || grant.Token != first.Token {
		t.Errorf("the victim's repeat: %v, same session %v", err, grant.Token == first.Token)
	}
	if calls := fake.calls.Load(); calls != 1 {
		t.Errorf("WeChat was asked %d times", calls)
	}
}
