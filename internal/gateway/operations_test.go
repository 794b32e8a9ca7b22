package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/token"
)

// observed is an Observer that writes down what it is told.
type observed struct {
	mu     sync.Mutex
	events []string
}

func (o *observed) add(event string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, event)
}

func (o *observed) count(event string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.events {
		if e == event {
			n++
		}
	}
	return n
}

func (o *observed) TokenSeen(known bool) {
	o.add(map[bool]string{true: "known token", false: "new token"}[known])
}
func (o *observed) GracePassed(appID string)  { o.add("grace " + appID) }
func (o *observed) StoreFailed(appID string)  { o.add("store failed " + appID) }
func (o *observed) CodeRepeated(appID string) { o.add("repeated " + appID) }
func (o *observed) LoginLimited(appID string) { o.add("limited " + appID) }
func (o *observed) HookAsked(appID string, _ time.Duration, err error) {
	o.add(fmt.Sprintf("hook %s %v", appID, err))
}

func (o *observed) BreakerChanged(appID string, change BreakerChange) {
	o.add(map[bool]string{true: "opened ", false: "closed "}[change.Open] + appID)
}

func TestObserverIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen observed
		w := newWorld(t, func(c *Config) { c.Observer = &seen; c.LoginLimit = Limit{9, time.Minute} })
		grant := w.login(t, "code")
		w.check(t, grant.Token, nil)
		w.check(t, grant.Token, nil)
		w.check(t, "x.y.z", ErrLoginRequired)
		if _, err := w.Login(t.Context(), LoginRequest{Code: "code", Client: client}, sites); !errors.Is(err, ErrCodeUsed) {
			t.Errorf("used code: %v", err)
		}
		w.wechat.answer = func(provider.Account, string) (provider.User, error) {
			time.Sleep(time.Second)
			return provider.User{}, provider.ErrQuota
		}
		var group sync.WaitGroup
		for range 3 { // of one code at once, of which one reaches WeChat
			group.Go(func() { w.Login(t.Context(), LoginRequest{Code: "other", Client: client}, sites) })
		}
		group.Wait()
		time.Sleep(quotaPause + time.Second)
		w.wechat.answer = nil
		w.login(t, "good")
		for n := range 20 {
			w.Login(t.Context(), LoginRequest{Code: "many" + string(rune('a'+n)), Client: client}, sites)
		}
		for event, want := range map[string]int{
			"new token": 2, "known token": 1, "repeated " + appA: 3, "opened " + appA: 1, "closed " + appA: 1, "limited " + appA: 12,
		} {
			if got := seen.count(event); got != want {
				t.Errorf("%s: %d times, want %d", event, got, want)
			}
		}
	})
}

// F2: only a client that has left is no failure of the store. Somebody who has set a
// time, as operators and signed calls do, is told the truth.
func TestF2CallersOutOfTimeHaveNotLeft(t *testing.T) {
	seen := new(observed)
	w := newWorld(t, func(c *Config) { c.Observer = seen })
	grant := w.login(t, "code")
	w.store.broken.Store(true)
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for name, ask := range map[string]func(context.Context) error{
		"token":     func(ctx context.Context) error { _, err := w.Authenticate(ctx, grant.Token, sites); return err },
		"operation": func(ctx context.Context) error { return w.storeError(ctx, appA, errBroken) },
	} {
		before := seen.count("store failed " + appA)
		if err := ask(late); !errors.Is(err, ErrStoreUnavailable) || seen.count("store failed "+appA) != before+1 {
			t.Errorf("%s, late: %v", name, err)
		}
		if err := ask(gone); !errors.Is(err, context.Canceled) || seen.count("store failed "+appA) != before+1 {
			t.Errorf("%s, gone: %v", name, err)
		}
	}
}

func TestOperatorSeesAndEndsSessions(t *testing.T) {
	w := newWorld(t)
	one, two := w.login(t, "one"), w.login(t, "two")
	target := Target{AppID: appA, OpenID: openID}
	record, err := w.Sessions(t.Context(), target)
	if err != nil || len(record.Sessions) != 2 {
		t.Fatalf("%+v, %v", record, err)
	}
	first := target
	first.SessionID = record.Sessions[0].ID
	for _, want := range []int{1, 0} { // again: it is over already
		if ended, err := w.End(t.Context(), first); ended != want || err != nil {
			t.Errorf("end of one: %d, %v; want %d", ended, err, want)
		}
	}
	w.check(t, one.Token, ErrSessionEnded)
	w.check(t, two.Token, nil)
	if ended, err := w.End(t.Context(), target); ended != 1 || err != nil {
		t.Errorf("end of a user: %d, %v", ended, err)
	}
	w.check(t, two.Token, ErrSessionEnded)
	three := w.login(t, "three")
	if ended, err := w.End(t.Context(), Target{AppID: appB}); ended != 0 || err != nil {
		t.Errorf("end of another app: %d, %v", ended, err)
	}
	w.check(t, three.Token, nil)
	if ended, err := w.End(t.Context(), Target{AppID: appA}); ended != 1 || err != nil {
		t.Errorf("end of an app: %d, %v", ended, err)
	}
	w.check(t, three.Token, ErrSessionEnded)
}

func TestDeniedUserCannotLogIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		grant := w.login(t, "code")
		target := Target{AppID: appA, OpenID: openID}
		if ended, err := w.Deny(t.Context(), target, time.Now().Add(time.Hour)); ended != 1 || err != nil {
			t.Errorf("Deny: %d, %v", ended, err)
		}
		w.check(t, grant.Token, ErrSessionEnded)
		for range 2 { // the answer is given again with its nonce
			if _, err := w.Login(t.Context(), LoginRequest{Code: "second", Nonce: nonce}, sites); !errors.Is(err, ErrUserDenied) {
				t.Errorf("login of a denied user: %v", err)
			}
		}
		if err := w.Allow(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		w.check(t, w.login(t, "third").Token, nil)
	})
}

func TestOperationsNameTheirTarget(t *testing.T) {
	w := newWorld(t)
	for name, target := range map[string]Target{
		"nobody": {}, "unknown app": {AppID: "wxffffffffffffffff"}, "session of nobody": {AppID: appA, SessionID: "x"},
		"strange openid": {AppID: appA, OpenID: "o o"},
	} {
		if _, err := w.End(t.Context(), target); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Sessions(t.Context(), Target{AppID: appA}); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("sessions of nobody: %v", err)
	}
	if _, err := w.Deny(t.Context(), Target{AppID: appA, OpenID: openID}, time.Now()); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("denied until now: %v", err)
	}
}

func TestExplainTellsWhatATokenIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := testRing(t, 1)
		w := newWorld(t, func(c *Config) {
			c.Keys = func() *key.Set { return ring }
			c.MaxLifetime, c.Grace = 3*time.Hour, 10*time.Minute
		})
		grant, ended := w.login(t, "code"), w.login(t, "other")
		if _, err := w.Logout(t.Context(), ended.Token, sites); err != nil {
			t.Fatal(err)
		}
		foreign, err := token.Mint(
			ring,
			token.Claims{
				User: identity.User{AppID: "wxffffffffffffffff", OpenID: openID, SessionID: "0123456789abcdef"}, IssuedAt: time.Now(),
				Expires: time.Now().Add(time.Hour),
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		verdict := func(text, want string) {
			t.Helper()
			e := w.Explain(t.Context(), text)
			if e.Verdict != want {
				t.Errorf("verdict %q, want %q", e.Verdict, want)
			}
			good := slices.Contains([]string{VerdictLive, VerdictEnded, VerdictExpired, VerdictUnknownApp, VerdictUnavailable}, want)
			if (e.Claims.User.OpenID != "") != good || e.Signs != (e.Claims.KeyID == ring.Signer().ID()) {
				t.Errorf("%s: %+v", want, e)
			}
			if _, err := w.Authenticate(t.Context(), text, Apps{appA, appB}); fmt.Sprint(err) != fmt.Sprint(e.Err) {
				t.Errorf("%s: a request gets %v, Explain says %v", want, err, e.Err)
			}
		}
		verdict(grant.Token, VerdictLive)
		verdict(ended.Token, VerdictEnded)
		verdict(foreign, VerdictUnknownApp)
		verdict(grant.Token[:len(grant.Token)-4]+"AAAA", VerdictForged)
		verdict("hello", VerdictMalformed)
		time.Sleep(90 * time.Minute)
		if grant, err = w.Renew(t.Context(), grant.Token, sites); err != nil {
			t.Fatal(err)
		}
		w.store.broken.Store(true)
		verdict(grant.Token, VerdictUnavailable) // and it passes by grace
		time.Sleep(time.Hour)
		verdict(grant.Token, VerdictUnavailable)
		w.store.broken.Store(false)
		time.Sleep(30*time.Minute + time.Second)
		verdict(grant.Token, VerdictExpired) // its session is over; the token has its leeway
		time.Sleep(3 * time.Hour)
		verdict(grant.Token, VerdictExpired)
		ring = testRing(t, 2)
		verdict(grant.Token, VerdictUnknownKey)
	})
}
