package gateway

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/token"
)

// cookieToken begins a session and returns a token of it for a cookie.
func (w *world) cookieToken(t *testing.T, id string) string {
	t.Helper()
	user := identity.User{AppID: appA, OpenID: openID, SessionID: id}
	now := time.Now().Truncate(time.Second)
	if _, err := w.Store.Put(t.Context(), session.Login{Ref: ref(user), Ends: now.Add(time.Hour)}, 5); err != nil {
		t.Fatal(err)
	}
	text, err := token.Mint(w.Keys(), token.Claims{User: user, IssuedAt: now, Expires: now.Add(time.Hour), Browser: true})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A script that gets hold of what is in the HttpOnly cookie, or puts a token of its
// own into the cookie, must have nothing from it (B6, B13). Each kind is tried
// first in its own place, so that the table of verified tokens knows it.
func TestB6B13TokensCountInTheirOwnPlaceOnly(t *testing.T) {
	for _, first := range []string{"never seen", "seen in its place"} {
		t.Run(first, func(t *testing.T) {
			w := newWorld(t)
			inCookie, carried := w.cookieToken(t, "0123456789abcdefghijkl"), w.login(t, "code").Token
			if first != "never seen" {
				if _, err := w.AuthenticateCookie(t.Context(), inCookie, sites); err != nil {
					t.Errorf("a cookie's token in the cookie: %v", err)
				}
				w.check(t, carried, nil)
			}
			w.check(t, inCookie, ErrLoginRequired)
			if _, err := w.AuthenticateCookie(t.Context(), carried, sites); !errors.Is(err, ErrLoginRequired) {
				t.Errorf("a client's token in the cookie: %v", err)
			}
			if _, err := w.Describe(t.Context(), inCookie, sites); !errors.Is(err, ErrLoginRequired) {
				t.Errorf("Describe: %v", err)
			}
			if _, err := w.DescribeCookie(t.Context(), carried, sites); !errors.Is(err, ErrLoginRequired) {
				t.Errorf("DescribeCookie: %v", err)
			}
			if _, err := w.Renew(t.Context(), inCookie, sites); !errors.Is(err, ErrLoginRequired) {
				t.Errorf("Renew: %v", err)
			}
			if _, err := w.Logout(t.Context(), inCookie, sites); !errors.Is(err, ErrLoginRequired) {
				t.Errorf("Logout: %v", err)
			}
			if _, err := w.LogoutCookie(t.Context(), carried, sites); !errors.Is(err, ErrLoginRequired) {
				t.Errorf("LogoutCookie: %v", err)
			}
			if d, err := w.DescribeCookie(t.Context(), inCookie, sites); err != nil || d.AppID != appA {
				t.Errorf("the session is over: %+v, %v", d, err)
			}
			if _, err := w.LogoutCookie(t.Context(), inCookie, sites); err != nil {
				t.Errorf("LogoutCookie: %v", err)
			}
			if _, err := w.AuthenticateCookie(t.Context(), inCookie, sites); !errors.Is(err, ErrSessionEnded) {
				t.Errorf("after the logout: %v", err)
			}
		})
	}
}

// A site with long browser sessions accepts their tokens; others may not claim to
// live that long by accident.
func TestLifetimesOfBrowsersAreAllowedFirst(t *testing.T) {
	w := newWorld(t)
	now := time.Now().Truncate(time.Second)
	user := identity.User{AppID: appA, OpenID: openID, SessionID: "0123456789abcdefghijkl"}
	if _, err := w.Store.Put(t.Context(), session.Login{Ref: ref(user), Ends: now.Add(24 * time.Hour)}, 5); err != nil {
		t.Fatal(err)
	}
	text, err := token.Mint(w.Keys(), token.Claims{User: user, IssuedAt: now, Expires: now.Add(24 * time.Hour), Browser: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AuthenticateCookie(t.Context(), text, sites); !errors.Is(err, ErrLoginRequired) || w.Signed(text) {
		t.Errorf("before: %v, signed %v", err, w.Signed(text))
	}
	w.AllowLifetime(24 * time.Hour)
	if _, err := w.AuthenticateCookie(t.Context(), text, sites); err != nil || !w.Signed(text) {
		t.Errorf("after: %v, signed %v", err, w.Signed(text))
	}
	if w.Signed(text[:len(text)-4]+"AAAA") || w.Signed("a.b.c") || w.Signed("") {
		t.Error("what nobody signed is ours")
	}
}
