package main

import (
	"crypto/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/token"
)

// nginx is compared as a good engineer configures it: neither the app nor the
// verifier sees more connections than requests at a time.
func TestNginxKeepsItsConnections(t *testing.T) {
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("nginx is not installed")
	}
	b, err := newBench(t.Context(), options{})
	if err != nil {
		t.Skipf("cmd/bench does not work here: %v", err)
	}
	defer b.close()
	counted := func(handler http.Handler) (*process, *atomic.Int64) {
		server, opened := httptest.NewUnstartedServer(handler), new(atomic.Int64)
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		server.Start()
		t.Cleanup(server.Close)
		return &process{addr: strings.TrimPrefix(server.URL, "http://")}, opened
	}
	app, toApp := counted(upstream())
	secret := make([]byte, key.Length)
	rand.Read(secret)
	one, err := key.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	if b.ring, err = key.NewSet(one); err != nil {
		t.Fatal(err)
	}
	verify, toVerifier := counted(verifier(secret))
	b.upstream = app
	p, err := b.nginx(verify)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	user := identity.User{AppID: appID, OpenID: name(1, "open"), UnionID: name(1, "union"), SessionID: name(1, "session")[:22]}
	text, err := token.Mint(b.ring, token.Claims{User: user, IssuedAt: now, Expires: now.Add(tokenLifetime)})
	if err != nil {
		t.Fatal(err)
	}
	v := withCheck(&variant{name: "nginx", proxy: p}, ask{token: text}, user.OpenID)
	if err := b.verify(v); err != nil {
		t.Fatal(err)
	}
	c, err := dial(t.Context(), p.addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	const requests = 100
	if _, err := c.run(t.Context(), inTurn(gets("/", []string{text}, 0)), limit{requests: requests, body: answer}); err != nil {
		t.Fatal(err)
	}
	// One for each of nginx's workers and a few more for the checks before.
	if most := int64(requests / 2); toApp.Load() > most || toVerifier.Load() > most {
		t.Errorf("%d requests took %d connections to the app and %d to the verifier", requests, toApp.Load(), toVerifier.Load())
	}
}
