package main

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/token"
)

func testBench(t *testing.T) (b *bench, secret []byte) {
	t.Helper()
	secret = make([]byte, key.Length)
	rand.Read(secret)
	one, err := key.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := key.NewSet(one)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{ring: ring}, secret
}

func TestFreshTokensAreAllDifferentAndValid(t *testing.T) {
	b, secret := testBench(t)
	now := time.Now()
	user := identity.User{AppID: appID, OpenID: name(1, "open"), SessionID: name(1, "session")}
	known, err := token.Mint(b.ring, token.Claims{User: user, IssuedAt: now, Expires: now.Add(tokenLifetime)})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for range 2 { // also across calls
		tokens, err := b.fresh([]string{known}, 4000)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range tokens {
			seen[text] = true
			if got := b.openID(text); got != user.OpenID {
				t.Fatalf("token of %q", got)
			}
		}
	}
	if len(seen) != 8000 || seen[known] {
		t.Errorf("%d different tokens, want 8000 other ones", len(seen))
	}
	for text, want := range map[string]int{known: http.StatusOK, known[:len(known)-4] + "AAAA": http.StatusUnauthorized, "": http.StatusUnauthorized} {
		r := httptest.NewRequest(http.MethodGet, "/verify", nil)
		r.Header.Set("Authorization", "Bearer "+text)
		w := httptest.NewRecorder()
		verifier(secret).ServeHTTP(w, r)
		if w.Code != want || (want == http.StatusOK) != (w.Header().Get("X-Openid") == user.OpenID) {
			t.Errorf("verifier: %d %v", w.Code, w.Header())
		}
	}
}

func TestNamesAreIDsAndDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for i := range 10_000 {
		id := name(i, "open")
		if seen[id] || !identity.ValidID(id) || len(id) != 28 {
			t.Fatalf("%d: %q", i, id)
		}
		seen[id] = true
	}
}
