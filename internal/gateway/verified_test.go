package gateway

import (
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/token"
)

func sumOf(n int) (sum tokenSum) {
	binary.LittleEndian.PutUint64(sum[:], uint64(n)*0x9e3779b97f4a7c15) // as random as a real one
	binary.LittleEndian.PutUint64(sum[8:], uint64(n))
	return sum
}

func claimsOf(openID, unionID string) token.Claims {
	return token.Claims{
		User:     identity.User{AppID: appA, OpenID: openID, UnionID: unionID, SessionID: "0123456789abcdefghijkl"},
		IssuedAt: time.Unix(1_790_000_000, 0), Expires: time.Unix(1_790_007_200, 0), KeyID: "0123456789abcdef",
	}
}

func TestVerifiedTokensKeepClaimsWhole(t *testing.T) {
	table := newVerifiedTokens()
	inBrowser := claimsOf(openID, "")
	inBrowser.Browser = true
	for n, c := range []token.Claims{claimsOf(openID, ""), inBrowser, claimsOf(openID, "u"+openID), claimsOf(strings.Repeat("o", 30), strings.Repeat("u", shortTexts-30-22))} {
		table.add(sumOf(n), c)
		if got, ok := table.get(sumOf(n)); !ok || got.Claims != c {
			t.Errorf("got %+v, %v; want %+v", got, ok, c)
		}
	}
	if _, ok := table.get(sumOf(99)); ok {
		t.Error("a token nobody added")
	}
	for _, long := range []token.Claims{claimsOf(strings.Repeat("o", shortTexts-21), ""), claimsOf(openID, strings.Repeat("u", shortTexts))} {
		table.add(sumOf(100), long)
		if got, ok := table.get(sumOf(100)); ok {
			t.Errorf("a long identifier was cut: %+v", got)
		}
	}
}

func TestVerifiedTokensRememberAPlace(t *testing.T) {
	table := newVerifiedTokens()
	table.add(sumOf(1), claimsOf(openID, ""))
	table.remember(sumOf(1), 42)
	table.remember(sumOf(2), 43) // of a token that has been forgotten
	if got, ok := table.get(sumOf(1)); !ok || got.hint != 42 || got.sum != sumOf(1) || got.Claims != claimsOf(openID, "") {
		t.Errorf("got %+v, %v; want place 42", got, ok)
	}
	if got, ok := table.get(sumOf(2)); ok {
		t.Errorf("a token nobody added: %+v", got)
	}
}

func TestVerifiedTokensAreBounded(t *testing.T) {
	table := newVerifiedTokens()
	c := claimsOf(openID, "")
	const n = maxVerified + maxVerified/4
	for i := range n {
		table.add(sumOf(i), c)
	}
	if got := table.count(); got > maxVerified || got < maxVerified*9/10 {
		t.Errorf("%d tokens are remembered, the bound is %d", got, maxVerified)
	}
	if _, ok := table.get(sumOf(0)); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := table.get(sumOf(n - 1)); !ok {
		t.Error("the newest is not there")
	}
}

func TestVerifiedTokensUnderConcurrentUse(t *testing.T) {
	table := newVerifiedTokens()
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := range 2000 {
				c := claimsOf(openID, "")
				c.User.AppID = appA + string(rune('a'+(w+i)%5))
				c.Expires = time.Unix(int64(i%7), 0)
				table.add(sumOf(i), c)
				if got, ok := table.get(sumOf(i)); ok && (got.User.OpenID != openID || got.Expires.Unix() != int64(i%7)) {
					t.Errorf("token %d has the claims of another: %+v", i, got)
				}
			}
		})
	}
	group.Wait()
}

// A token that is known is known by all of its text: no other with a part of it
// counts, its signature included.
func TestKnownTokenWithAnotherByteIsRefused(t *testing.T) {
	w := newWorld(t)
	text := w.login(t, "code").Token
	known := func() {
		t.Helper()
		if user, err := w.Authenticate(t.Context(), text, sites); err != nil || user.OpenID != openID {
			t.Fatalf("the token itself: %+v, %v", user, err)
		}
	}
	known()
	for i := range len(text) {
		for _, other := range []string{
			text[:i] + string(text[i]^1) + text[i+1:], // another byte
			text[:i] + text[i+1:],                     // one less
			text[:i] + "." + text[i:],                 // one more
			text[i+1:],                                // the signature alone, in the end
		} {
			if user, err := w.Authenticate(t.Context(), other, sites); !errors.Is(err, ErrLoginRequired) {
				t.Fatalf("changed at %d of %d: %+v, %v", i, len(text), user, err)
			}
		}
	}
	known()
}
