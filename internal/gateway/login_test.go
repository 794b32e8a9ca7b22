package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
)

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

// L1: a client that hangs up does not take the others with it, nor the code. Its login
// is finished for it, so that it is recorded; who only waits goes with its client.
func TestExchangeOutlivesItsFirstClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := new(observed)
		w := newWorld(t, func(c *Config) { c.Observer = seen })
		w.wechat.answer = func(provider.Account, string) (provider.User, error) {
			time.Sleep(time.Second)
			return provider.User{OpenID: openID}, nil
		}
		login := func(stays time.Duration) (Grant, error) {
			ctx, cancel := context.WithTimeout(t.Context(), stays)
			defer cancel()
			return w.Login(ctx, LoginRequest{Code: "code", Nonce: nonce}, sites)
		}
		start := time.Now()
		var clients sync.WaitGroup
		var grants [2]Grant
		clients.Go(func() {
			var err error
			if grants[0], err = login(time.Millisecond); err != nil {
				t.Errorf("the login of the client that left: %v", err)
			}
		})
		synctest.Wait()
		clients.Go(func() {
			if _, err := login(2 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 3*time.Millisecond {
				t.Errorf("the client that waited and left got %v after %v", err, time.Since(start))
			}
		})
		clients.Go(func() {
			var err error
			if grants[1], err = login(time.Minute); err != nil {
				t.Errorf("the client that waited: %v", err)
			}
		})
		clients.Wait()
		again, err := login(time.Minute)
		if err != nil || again.Token == "" || again != grants[0] || again != grants[1] {
			t.Errorf("the repeated login got %v", err)
		}
		if n := w.wechat.calls.Load(); n != 1 {
			t.Errorf("WeChat was called %d times", n)
		}
		if n := seen.count("repeated " + appA); n != 3 {
			t.Errorf("%d repeated codes were counted", n)
		}
		if n := len(w.State.logins.byKey); n != 0 {
			t.Errorf("%d logins are under way", n)
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
	w.wechat.answer = func(provider.Account, string) (provider.User, error) { panic("cannot exchange code-of-a-user") }
	if _, err := w.Login(t.Context(), LoginRequest{Code: "code"}, sites); err == nil || strings.Contains(err.Error(), "of-a-user") {
		t.Errorf("a panic became %v", err)
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
