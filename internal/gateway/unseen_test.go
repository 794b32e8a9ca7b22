package gateway

import (
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/token"
)

// After a restart every token is one that the gateway has never seen.
func TestTokenNeverSeenAllocatesLittle(t *testing.T) {
	ring := testRing(t, 1)
	w := newWorld(t, func(c *Config) { c.Keys = func() *key.Set { return ring } })
	claims, err := token.Verify(ring, w.login(t, "code").Token, time.Now(), w.longestLifetime())
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for i := range 202 { // all of one session, so that nothing else is new
		claims.IssuedAt = time.Now().Add(-time.Duration(i+1) * time.Second).Truncate(time.Second)
		claims.Expires = claims.IssuedAt.Add(w.TokenLifetime)
		text, err := token.Mint(ring, claims)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	allocations := testing.AllocsPerRun(200, func() {
		if _, err := w.Authenticate(t.Context(), texts[0], sites); err != nil {
			t.Fatal(err)
		}
		texts = texts[1:]
	})
	if allocations > 25 {
		t.Errorf("%v allocations for a token never seen", allocations)
	}
}
