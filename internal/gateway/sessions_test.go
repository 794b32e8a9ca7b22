package gateway

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/token"
)

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
