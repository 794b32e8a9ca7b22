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

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
	"github.com/caddy-wechat/gateway/internal/token"
)

const (
	appA   = "wx1234567890abcdef"
	appB   = "wxfedcba0987654321"
	openID = "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	nonce  = "0123456789abcdef"
)

var (
	sites  = Apps{appA}
	client = netip.MustParseAddr("192.0.2.1")
)

// fakeWeChat is a Provider whose answers a test decides.
type fakeWeChat struct {
	calls  atomic.Int32
	answer func(app provider.Account, code string) (provider.User, error)
}

func (f *fakeWeChat) Exchange(_ context.Context, app provider.Account, p provider.Proof) (provider.User, error) {
	f.calls.Add(1)
	if f.answer != nil {
		return f.answer(app, p.Code)
	}
	return provider.User{OpenID: openID, SessionKey: secret.New("MDEyMzQ1Njc4OWFiY2RlZg==")}, nil
}

// failingStore cannot tell while broken.
type failingStore struct {
	session.Backend
	broken    atomic.Bool
	remembers atomic.Pointer[session.Session]
}

var errBroken = fmt.Errorf("%w: connection refused", session.ErrAway)

func (s *failingStore) Get(ctx context.Context, query session.Query) (session.Session, error) {
	if s.broken.Load() {
		if last := s.remembers.Load(); last != nil {
			return *last, errBroken
		}
		return session.Session{}, errBroken
	}
	return s.Backend.Get(ctx, query)
}

func (s *failingStore) Put(ctx context.Context, l session.Login, n int) (string, error) {
	if s.broken.Load() {
		return "", errBroken
	}
	return s.Backend.Put(ctx, l, n)
}

func (s *failingStore) Delete(ctx context.Context, ref session.Ref) error {
	if s.broken.Load() {
		return errBroken
	}
	return s.Backend.Delete(ctx, ref)
}

type world struct {
	*Gateway
	wechat *fakeWeChat
	store  *failingStore
}

func testRing(t testing.TB, seed byte) *key.Set {
	t.Helper()
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = seed + byte(i*7)
	}
	one, err := key.New(raw)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := key.NewSet(one)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	mem := memory.New(1000, time.Minute)
	t.Cleanup(func() { mem.Close() })
	w := &world{wechat: &fakeWeChat{}, store: &failingStore{Backend: mem}}
	ring := testRing(t, 1)
	c := Config{
		Accounts:      map[string]provider.Account{appA: {ID: appA, Kind: provider.MiniProgram}, appB: {ID: appB, Kind: provider.MiniProgram}},
		TokenLifetime: 2 * time.Hour, MaxLifetime: 30 * 24 * time.Hour, MaxPerUser: 2,
		Provider: w.wechat, Store: w.store, Keys: func() *key.Set { return ring }, State: NewState(),
	}
	for _, f := range change {
		f(&c)
	}
	w.Gateway = New(c)
	return w
}

func (w *world) login(t testing.TB, code string) Grant {
	t.Helper()
	grant, err := w.Login(t.Context(), LoginRequest{Code: code, Client: client}, sites)
	if err != nil {
		t.Fatal(err)
	}
	return grant
}

func (w *world) check(t testing.TB, text string, want error) {
	t.Helper()
	if _, err := w.Authenticate(t.Context(), text, sites); !errors.Is(err, want) {
		t.Errorf("Authenticate: %v, want %v", err, want)
	}
}

func TestLoginBeginsASession(t *testing.T) {
	w := newWorld(t)
	grant := w.login(t, "code")
	if grant.ExpiresIn != 2*time.Hour || grant.AppID != appA || len(grant.UserHash) != 16 {
		t.Errorf("grant %+v", grant)
	}
	user, err := w.Authenticate(t.Context(), grant.Token, sites)
	if err != nil || user.OpenID != openID || user.AppID != appA || user.UnionID != "" || len(user.SessionID) < 22 {
		t.Errorf("user %+v, %v", user, err)
	}
}

// L9: whoever plants a session on a victim must know its id beforehand.
func TestEveryLoginHasANewSessionID(t *testing.T) {
	w := newWorld(t)
	seen := make(map[string]bool)
	for n := range 20 {
		user, err := w.Authenticate(t.Context(), w.login(t, fmt.Sprint("code", n)).Token, sites)
		if err != nil || seen[user.SessionID] {
			t.Fatalf("session %q again, or %v", user.SessionID, err)
		}
		seen[user.SessionID] = true
	}
}

func TestCheckedBeforeAnybodyIsAsked(t *testing.T) {
	w := newWorld(t)
	two := Apps{appA, appB}
	for name, tc := range map[string]struct {
		req  LoginRequest
		apps Apps
	}{
		"no code":           {LoginRequest{}, sites},
		"code with &":       {LoginRequest{Code: "a&secret=b"}, sites},
		"code with newline": {LoginRequest{Code: "a\n"}, sites},
		"mock code":         {LoginRequest{Code: "the code is a mock one"}, sites},
		"long code":         {LoginRequest{Code: string(make([]byte, 129))}, sites},
		"short nonce":       {LoginRequest{Code: "a", Nonce: "short"}, sites},
		"bad nonce":         {LoginRequest{Code: "a", Nonce: "0123456789abcde!"}, sites},
		"no appid":          {LoginRequest{Code: "a"}, two},
		"foreign appid":     {LoginRequest{Code: "a", AppID: appB}, sites},
	} {
		if _, err := w.Login(t.Context(), tc.req, tc.apps); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := w.wechat.calls.Load(); n != 0 {
		t.Errorf("WeChat was called %d times", n)
	}
}

// L1: a client sends the code twice at once, a proxy repeats it.
func TestCodesInFlightShareOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.wechat.answer = func(provider.Account, string) (provider.User, error) {
			time.Sleep(time.Second)
			return provider.User{OpenID: openID}, nil
		}
		tokens := make(chan string, 8)
		var group sync.WaitGroup
		for range cap(tokens) {
			group.Go(func() { tokens <- w.login(t, "code").Token })
		}
		group.Wait()
		close(tokens)
		first := <-tokens
		for text := range tokens {
			if text != first {
				t.Error("two sessions of one code")
			}
		}
		if n := w.wechat.calls.Load(); n != 1 {
			t.Errorf("WeChat was called %d times", n)
		}
	})
}

// L1: a client that hangs up does not take the others with it, nor the code.
func TestExchangeOutlivesItsFirstClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.wechat.answer = func(provider.Account, string) (provider.User, error) {
			time.Sleep(time.Second)
			return provider.User{OpenID: openID}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Millisecond)
			cancel()
		}()
		if _, err := w.Login(ctx, LoginRequest{Code: "code", Nonce: nonce}, sites); !errors.Is(err, context.Canceled) {
			t.Errorf("the client that left got %v", err)
		}
		time.Sleep(2 * time.Second)
		grant, err := w.Login(t.Context(), LoginRequest{Code: "code", Nonce: nonce}, sites)
		if err != nil || grant.Token == "" {
			t.Errorf("the repeated login got %v", err)
		}
		if n := w.wechat.calls.Load(); n != 1 {
			t.Errorf("WeChat was called %d times", n)
		}
	})
}

func TestAnswerIsGivenAgainWithItsNonceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, err := w.Login(t.Context(), LoginRequest{Code: "code", Nonce: nonce}, sites)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{"", "fedcba9876543210"} {
			if _, err := w.Login(t.Context(), LoginRequest{Code: "code", Nonce: other}, sites); !errors.Is(err, ErrCodeUsed) {
				t.Errorf("nonce %q: %v", other, err)
			}
		}
		time.Sleep(59 * time.Second)
		if again, err := w.Login(t.Context(), LoginRequest{Code: "code", Nonce: nonce}, sites); err != nil || again != first {
			t.Errorf("again: %+v, %v; want %+v", again, err, first)
		}
		time.Sleep(2 * time.Second)
		if _, err := w.Login(t.Context(), LoginRequest{Code: "code", Nonce: nonce}, sites); !errors.Is(err, ErrCodeUsed) {
			t.Errorf("after a minute: %v", err)
		}
		if n := w.wechat.calls.Load(); n != 1 {
			t.Errorf("WeChat was called %d times", n)
		}
	})
}

func TestRefusalIsGivenAgainToo(t *testing.T) {
	w := newWorld(t)
	w.wechat.answer = func(provider.Account, string) (provider.User, error) {
		return provider.User{}, fmt.Errorf("calling: %w", provider.ErrUserBlocked)
	}
	for range 2 {
		if _, err := w.Login(t.Context(), LoginRequest{Code: "code", Nonce: nonce}, sites); !errors.Is(err, provider.ErrUserBlocked) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := w.Login(t.Context(), LoginRequest{Code: "code"}, sites); !errors.Is(err, ErrCodeUsed) {
		t.Errorf("without nonce: %v", err)
	}
	if n := w.wechat.calls.Load(); n != 1 {
		t.Errorf("WeChat was called %d times", n)
	}
}

// W12: what never left this machine did not use up the code.
func TestCodeThatWasNotSentIsStillGood(t *testing.T) {
	w := newWorld(t)
	w.wechat.answer = func(provider.Account, string) (provider.User, error) {
		return provider.User{}, fmt.Errorf("%w: %w", provider.ErrUnavailable, provider.ErrNotSent)
	}
	if _, err := w.Login(t.Context(), LoginRequest{Code: "code"}, sites); !errors.Is(err, provider.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	w.wechat.answer = nil
	w.login(t, "code")
}

func TestPanicInAnExchangeIsAnError(t *testing.T) {
	w := newWorld(t)
	w.wechat.answer = func(provider.Account, string) (provider.User, error) { panic("bug") }
	if _, err := w.Login(t.Context(), LoginRequest{Code: "code"}, sites); err == nil {
		t.Error("a panic became a login")
	}
	w.wechat.answer = nil
	w.login(t, "code2")
}

func TestLoginLimitCountsAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.LoginLimit = Limit{Events: 2, Window: time.Minute} })
		try := func(addr string) error {
			_, err := w.Login(t.Context(), LoginRequest{Code: "code", Client: netip.MustParseAddr(addr)}, sites)
			return err
		}
		for _, addr := range []string{"192.0.2.1", "::ffff:192.0.2.1"} {
			if err := try(addr); errors.Is(err, ErrRateLimited) {
				t.Errorf("%s: %v", addr, err)
			}
		}
		err := try("192.0.2.1")
		retry, ok := errors.AsType[*RetryError](err)
		if !errors.Is(err, ErrRateLimited) || !ok || retry.After < time.Second || retry.After > 30*time.Second {
			t.Errorf("third of one address: %v, %+v", err, retry)
		}
		if err := try("192.0.2.2"); errors.Is(err, ErrRateLimited) {
			t.Errorf("another address: %v", err)
		}
		for n, addr := range []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"} {
			if err := try(addr); errors.Is(err, ErrRateLimited) != (n == 2) {
				t.Errorf("login %d of one /64: %v", n+1, err)
			}
		}
		time.Sleep(time.Minute)
		if err := try("192.0.2.1"); errors.Is(err, ErrRateLimited) {
			t.Errorf("a minute later: %v", err)
		}
	})
}

func TestTokenExpiresAndSessionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first := w.login(t, "code")
		time.Sleep(time.Hour)
		second, err := w.Renew(t.Context(), first.Token, sites)
		if err != nil || second.ExpiresIn != 2*time.Hour {
			t.Fatalf("Renew: %+v, %v", second, err)
		}
		w.check(t, first.Token, nil) // the old one lives on
		time.Sleep(time.Hour + token.Leeway + 2*time.Second)
		w.check(t, first.Token, ErrSessionExpired)
		w.check(t, second.Token, nil)
		if _, err := w.Renew(t.Context(), first.Token, sites); !errors.Is(err, ErrSessionExpired) {
			t.Errorf("renewing an expired token: %v", err)
		}
	})
}

func TestNoRenewalPassesMaxLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.MaxLifetime = 3 * time.Hour })
		grant := w.login(t, "code")
		time.Sleep(90 * time.Minute)
		grant, err := w.Renew(t.Context(), grant.Token, sites)
		if err != nil || grant.ExpiresIn > 90*time.Minute {
			t.Fatalf("Renew: %+v, %v", grant, err)
		}
		time.Sleep(90*time.Minute + time.Second)
		w.check(t, grant.Token, ErrSessionExpired) // not "ended", and no leeway
		if _, err := w.Renew(t.Context(), grant.Token, sites); !errors.Is(err, ErrSessionExpired) {
			t.Errorf("Renew at the end: %v", err)
		}
	})
}

func TestLogoutEndsTheSession(t *testing.T) {
	w := newWorld(t)
	grant := w.login(t, "code")
	renewed, err := w.Renew(t.Context(), grant.Token, sites)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.Logout(t.Context(), grant.Token, sites); err != nil {
			t.Errorf("Logout: %v", err)
		}
	}
	w.check(t, grant.Token, ErrSessionEnded)
	w.check(t, renewed.Token, ErrSessionEnded)
	if _, err := w.Renew(t.Context(), renewed.Token, sites); !errors.Is(err, ErrSessionEnded) {
		t.Errorf("Renew revives: %v", err)
	}
	for _, text := range []string{"", "x.y.z", grant.Token + "x"} {
		if _, err := w.Logout(t.Context(), text, sites); !errors.Is(err, ErrLoginRequired) {
			t.Errorf("Logout of %q: %v", text, err)
		}
	}
}

func TestExpiredTokenCanStillLogOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		grant := w.login(t, "code")
		time.Sleep(time.Hour)
		renewed, err := w.Renew(t.Context(), grant.Token, sites)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Minute)
		if _, err := w.Logout(t.Context(), grant.Token, sites); err != nil {
			t.Errorf("Logout: %v", err)
		}
		w.check(t, renewed.Token, ErrSessionEnded)
	})
}

func TestOneSessionTooManyEndsTheOldest(t *testing.T) {
	w := newWorld(t)
	first, second, third := w.login(t, "1"), w.login(t, "2"), w.login(t, "3")
	w.check(t, first.Token, ErrSessionEnded)
	w.check(t, second.Token, nil)
	w.check(t, third.Token, nil)
}

// J5: a token of one app is nothing to a site of another.
func TestSitesAcceptTheirAppsOnly(t *testing.T) {
	w := newWorld(t)
	grant := w.login(t, "code")
	for range 2 { // verified and remembered
		if _, err := w.Authenticate(t.Context(), grant.Token, Apps{appB}); !errors.Is(err, ErrLoginRequired) {
			t.Errorf("other site: %v", err)
		}
		w.check(t, grant.Token, nil)
	}
	if _, err := w.Logout(t.Context(), grant.Token, Apps{appB}); !errors.Is(err, ErrLoginRequired) {
		t.Errorf("logout at the other site: %v", err)
	}
	w.check(t, grant.Token, nil)
}

// J10, J12: a remembered token is looked at again on every use.
func TestRemovedKeyRefusesRememberedTokens(t *testing.T) {
	old, fresh := testRing(t, 1), testRing(t, 99)
	ring := old
	w := newWorld(t, func(c *Config) { c.Keys = func() *key.Set { return ring } })
	grant := w.login(t, "code")
	w.check(t, grant.Token, nil)
	ring = fresh
	w.check(t, grant.Token, ErrLoginRequired)
	ring = old
	w.check(t, grant.Token, nil)
}

func TestUnionIDOfALaterLoginReachesLiveSessions(t *testing.T) {
	w := newWorld(t)
	grant := w.login(t, "1")
	w.check(t, grant.Token, nil)
	w.wechat.answer = func(provider.Account, string) (provider.User, error) {
		return provider.User{OpenID: openID, UnionID: "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, nil
	}
	w.login(t, "2")
	user, err := w.Authenticate(t.Context(), grant.Token, sites)
	if err != nil || user.UnionID != "uAAAAAAAAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("user %+v, %v", user, err)
	}
	// W9: another one is an oddity that an operator should hear of.
	if grant := w.login(t, "3"); grant.UnionIDChanged {
		t.Error("the same unionid counts as changed")
	}
	w.wechat.answer = func(provider.Account, string) (provider.User, error) { return provider.User{OpenID: openID}, nil }
	if grant := w.login(t, "4"); !grant.UnionIDChanged {
		t.Error("a unionid that is gone does not count as changed")
	}
}

// O2: a store that cannot tell says neither yes nor no.
func TestBrokenStoreIsNoAnswer(t *testing.T) {
	w := newWorld(t)
	grant := w.login(t, "code")
	w.store.broken.Store(true)
	w.check(t, grant.Token, ErrStoreUnavailable)
	if _, err := w.Login(t.Context(), LoginRequest{Code: "code2"}, sites); !errors.Is(err, ErrStoreUnavailable) {
		t.Errorf("Login: %v", err)
	}
	if _, err := w.Logout(t.Context(), grant.Token, sites); !errors.Is(err, ErrStoreUnavailable) {
		t.Errorf("Logout: %v", err)
	}
	w.store.broken.Store(false)
	w.check(t, grant.Token, nil)
}

func TestGraceLetsYoungTokensPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen observed
		w := newWorld(t, func(c *Config) { c.Grace = 10 * time.Minute; c.Observer = &seen })
		grant := w.login(t, "code")
		w.store.broken.Store(true)
		time.Sleep(9 * time.Minute)
		w.check(t, grant.Token, nil)
		time.Sleep(2 * time.Minute)
		w.check(t, grant.Token, ErrStoreUnavailable)
		w.store.broken.Store(false)
		w.check(t, grant.Token, nil)
		if seen.count("grace "+appA) != 1 || seen.count("store failed "+appA) != 2 {
			t.Errorf("observed %q, want one pass by grace of two failures", seen.events)
		}
	})
}

// L4: hammering WeChat makes an exhausted quota worse.
func TestBreakerPausesCallsOfOneApp(t *testing.T) {
	for name, tc := range map[string]struct {
		fault    error
		failures int
		pause    time.Duration
		wantOpen bool
	}{
		"quota at once":        {provider.ErrQuota, 1, quotaPause, true},
		"busy five times":      {provider.ErrUnavailable, failuresToOpen, minPause, true},
		"timeouts five times":  {provider.ErrTimeout, failuresToOpen, minPause, true},
		"busy four times":      {provider.ErrUnavailable, failuresToOpen - 1, 0, false},
		"one user's limit":     {provider.ErrRateLimited, 50, 0, false},
		"rejected codes":       {provider.ErrCodeRejected, 50, 0, false},
		"unusable answers":     {provider.ErrBadAnswer, 50, 0, false},
		"a wrong secret stays": {provider.ErrMisconfigured, 50, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.wechat.answer = func(app provider.Account, _ string) (provider.User, error) {
					if app.ID == appB {
						return provider.User{OpenID: openID}, nil
					}
					return provider.User{}, tc.fault
				}
				n := 0
				try := func() error {
					n++
					_, err := w.Login(t.Context(), LoginRequest{Code: fmt.Sprint("code", n)}, sites)
					return err
				}
				for range tc.failures {
					if err := try(); !errors.Is(err, tc.fault) {
						t.Fatalf("got %v, want %v", err, tc.fault)
					}
				}
				calls := w.wechat.calls.Load()
				err := try()
				if got := errors.Is(err, ErrPaused); got != tc.wantOpen {
					t.Fatalf("paused %v: %v", got, err)
				}
				if !tc.wantOpen {
					return
				}
				if got := w.wechat.calls.Load(); got != calls {
					t.Error("WeChat was called during the pause")
				}
				if retry, ok := errors.AsType[*RetryError](err); !ok || retry.After > tc.pause {
					t.Errorf("retry after %+v, want at most %s", retry, tc.pause)
				}
				if _, err := w.Login(t.Context(), LoginRequest{Code: "b", AppID: appB}, Apps{appA, appB}); err != nil {
					t.Errorf("another app suffers: %v", err)
				}
				time.Sleep(tc.pause + time.Millisecond)
				if err := try(); !errors.Is(err, tc.fault) {
					t.Errorf("no probe after the pause: %v", err)
				}
				if err := try(); !errors.Is(err, ErrPaused) {
					t.Errorf("not paused after a failed probe: %v", err)
				}
				w.wechat.answer = nil
				time.Sleep(2*quotaPause + time.Millisecond)
				for range 3 {
					if err := try(); err != nil {
						t.Errorf("not closed after a good probe: %v", err)
					}
				}
			})
		})
	}
}

func TestPausesGrowAndTheCodeStaysGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.State.gate(appA).breaker
		for range failuresToOpen {
			done, err := b.allow()
			if err != nil {
				t.Fatal(err)
			}
			done(provider.ErrTimeout)
		}
		for want := minPause; want < maxPause; want *= 2 {
			if s := b.state(); s.State != BreakerOpen || time.Until(s.Until) != want || !errors.Is(s.Cause, provider.ErrTimeout) || !s.Failed.Equal(time.Now()) {
				t.Fatalf("pause of %s: %+v", want, s)
			}
			if _, err := b.allow(); !errors.Is(err, ErrPaused) {
				t.Fatalf("pause of %s: %v", want, err)
			}
			time.Sleep(want - time.Millisecond)
			if _, err := b.allow(); !errors.Is(err, ErrPaused) {
				t.Fatalf("pause of %s is over early", want)
			}
			time.Sleep(2 * time.Millisecond)
			done, err := b.allow()
			if err != nil {
				t.Fatalf("pause of %s is too long: %v", want, err)
			}
			done(provider.ErrTimeout)
		}
		// The client's code never left, so it may be tried again.
		if _, err := w.Login(t.Context(), LoginRequest{Code: "code"}, sites); !errors.Is(err, ErrPaused) {
			t.Fatal(err)
		}
		time.Sleep(2 * maxPause)
		w.login(t, "code")
	})
}

// Somebody who knows that WeChat is well need not wait, and operators read why calls
// were suspended and for how long.
func TestBreakersSayWhyAndCanBeReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes changesOfBreakers
		w := newWorld(t, func(c *Config) { c.Observer = &changes })
		w.wechat.answer = func(provider.Account, string) (provider.User, error) {
			return provider.User{}, fmt.Errorf("%w: errcode 45009", provider.ErrQuota)
		}
		if _, err := w.Login(t.Context(), LoginRequest{Code: "code"}, sites); !errors.Is(err, provider.ErrQuota) {
			t.Fatal(err)
		}
		w.wechat.answer = nil
		time.Sleep(time.Minute)
		if s := w.Breaker(appA); s.State != BreakerOpen || !errors.Is(s.Cause, provider.ErrQuota) || time.Since(s.Failed) != time.Minute {
			t.Errorf("state %+v", s)
		}
		w.ResetBreakers()
		w.ResetBreakers() // changes nothing more
		if s := w.Breaker(appA); s != (BreakerState{State: BreakerClosed}) {
			t.Errorf("after the reset %+v", s)
		}
		w.login(t, "other")
		if len(changes.seen) != 2 {
			t.Fatalf("changes %+v", changes.seen)
		}
		if c := changes.seen[0]; !c.Open || !errors.Is(c.Cause, provider.ErrQuota) || time.Until(c.Until) != quotaPause-time.Minute {
			t.Errorf("opening: %+v", c)
		}
		if c := changes.seen[1]; c.Open || c.Cause != nil || c.Lasted != time.Minute {
			t.Errorf("closing: %+v", c)
		}
	})
}

// changesOfBreakers is an Observer of nothing else.
type changesOfBreakers struct {
	nobody
	seen []BreakerChange
}

func (c *changesOfBreakers) BreakerChanged(_ string, change BreakerChange) {
	c.seen = append(c.seen, change)
}

// L3: a bounded number of calls is under way, a bounded number waits, briefly.
func TestGateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		release := make(chan struct{})
		for range maxExchanges {
			go g.do(t.Context(), func() error { <-release; return nil })
		}
		synctest.Wait()
		start := time.Now()
		if _, err := g.do(t.Context(), func() error { return nil }); !errors.Is(err, ErrRateLimited) || !wasNotSent(err) {
			t.Errorf("one too many: %v", err)
		}
		if waited := time.Since(start); waited != queueTime {
			t.Errorf("waited %s", waited)
		}
		go func() { time.Sleep(queueTime / 2); close(release) }()
		if _, err := g.do(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("one that waited its turn: %v", err)
		}
	})
}

func TestRenewedTokenIsANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		seen := map[string]bool{}
		text := w.login(t, "code").Token
		for range 4 {
			seen[text] = true
			grant, err := w.Renew(t.Context(), text, sites)
			if err != nil || seen[grant.Token] {
				t.Fatalf("renewing in the same second: %v, the same token: %v", err, seen[grant.Token])
			}
			text = grant.Token
			w.check(t, text, nil)
		}
	})
}
