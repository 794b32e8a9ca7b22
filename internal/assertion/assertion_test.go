package assertion

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/gateway/internal/identity"
)

func testRing(t testing.TB, seeds ...byte) *Keys {
	t.Helper()
	var keys []Key
	for _, seed := range seeds {
		keys = append(keys, Key{ID: "key-" + string('a'+rune(seed)), Seed: bytes.Repeat([]byte{seed}, 32)})
	}
	ring, err := NewKeys(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

var user = identity.User{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", SessionID: "session-1"}

func newMinter(t testing.TB, audience string, lifetime time.Duration) *Minter {
	t.Helper()
	m, err := NewMinter(audience, lifetime)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOneSignaturePerSessionAndHalfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, ring := newMinter(t, "", time.Minute), testRing(t, 1)
		first := m.Mint(ring, user)
		time.Sleep(29 * time.Second)
		if m.Mint(ring, user) != first {
			t.Error("signed twice in a half-life")
		}
		time.Sleep(2 * time.Second)
		second := m.Mint(ring, user)
		if second == first {
			t.Error("older than its half-life")
		}
		known := user
		known.UnionID = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		for what, text := range map[string]string{
			"a unionid that became known": m.Mint(ring, known), "another key": m.Mint(testRing(t, 2, 1), user),
		} {
			if text == second {
				t.Errorf("%s has the same assertion", what)
			}
		}
	})
}

func TestAssertionSaysWhatItShould(t *testing.T) {
	for audience, want := range map[string]string{"": user.AppID, "shop": "shop"} {
		ring := testRing(t, 1, 2)
		text := newMinter(t, audience, 30*time.Second).Mint(ring, user)
		token, err := jwt.Parse(text, func(token *jwt.Token) (any, error) {
			if token.Header["kid"] != "key-b" || token.Header["typ"] != Type {
				return nil, errors.New("another header")
			}
			return ring.signer.Public(), nil
		}, jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithAudience(want), jwt.WithIssuer(Issuer), jwt.WithExpirationRequired(), jwt.WithSubject(user.OpenID))
		if err != nil {
			t.Fatal(err)
		}
		claims := token.Claims.(jwt.MapClaims)
		if _, present := claims["unionid"]; present || claims["appid"] != user.AppID || len(claims) != 6 {
			t.Errorf("claims %v", claims)
		}
	}
}

func TestPublishedKeysArePublic(t *testing.T) {
	ring := testRing(t, 1, 2)
	set := string(ring.JWKS())
	if strings.Count(set, `"kid"`) != 2 || strings.Contains(set, `"d"`) {
		t.Errorf("set %s", set)
	}
	for name, keys := range map[string][]Key{"none": nil, "short": {{ID: "x", Seed: make([]byte, 31)}}} {
		if _, err := NewKeys(keys...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLifetimeIsBounded(t *testing.T) {
	for _, lifetime := range []time.Duration{0, time.Second, 61 * time.Second, 10500 * time.Millisecond} {
		if _, err := NewMinter("", lifetime); err == nil {
			t.Errorf("%s is accepted", lifetime)
		}
	}
}

func BenchmarkMint(b *testing.B) {
	m, ring := newMinter(b, "", time.Minute), testRing(b, 1)
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Mint(ring, user)
		}
	})
	b.Run("signed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.sign(ring, user)
		}
	})
}
