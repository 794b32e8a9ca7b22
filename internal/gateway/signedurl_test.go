package gateway

import (
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// sign returns the path and the query of a signed URL.
func (w *world) sign(t testing.TB, text, target string, lifetime time.Duration) (path, query string) {
	t.Helper()
	urls, _, err := w.Sign(t.Context(), SignRequest{Token: text, Host: site, Targets: []string{target}, Lifetime: lifetime}, sites)
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ = strings.Cut(urls[0], "?")
	return path, query
}

// K3: a signature counts until its end, at its own host, for an app of the site, and as
// long as the key that made it.
func TestK3SignatureCountsForATimeAndAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		grant := w.login(t, "code")
		path, query := w.sign(t, grant.Token, "/pic.png?size=2", 10*time.Second)
		admit := func(g *Gateway, host string, apps Apps) error {
			_, _, err := g.AdmitSigned(t.Context(), host, path, query, apps)
			return err
		}
		ring := testRing(t, 99)
		dropped := New(Config{
			Accounts: w.Accounts, TokenLifetime: time.Hour, MaxLifetime: time.Hour, MaxPerUser: 2,
			Provider: w.wechat, Store: w.store, State: NewState(), Keys: func() *key.Set { return ring },
		})
		// Another node has nothing but the keys and the store.
		node := New(Config{
			Accounts: w.Accounts, TokenLifetime: time.Hour, MaxLifetime: time.Hour, MaxPerUser: 2,
			Provider: w.wechat, Store: w.store, State: NewState(), Keys: w.Keys,
		})
		// The same process after the key was dropped: what was seen with it is over.
		reloaded := New(dropped.Config)
		reloaded.State = w.State
		if err := admit(w.Gateway, site, sites); err != nil {
			t.Fatal(err)
		}
		for what, test := range map[string]struct{ got, want error }{
			"a key dropped after use": {admit(reloaded, site, sites), ErrLoginRequired},
			"as signed":               {admit(w.Gateway, site, sites), nil},
			"another node":            {admit(node, site, sites), nil},
			"another host":            {admit(w.Gateway, "other.example", sites), ErrLoginRequired},
			"another port":            {admit(w.Gateway, site+":8443", sites), ErrLoginRequired},
			"another app's site":      {admit(w.Gateway, site, Apps{appB}), ErrLoginRequired},
			"a dropped key":           {admit(dropped, site, sites), ErrLoginRequired},
		} {
			if !errors.Is(test.got, test.want) {
				t.Errorf("%s: %v, want %v", what, test.got, test.want)
			}
		}
		time.Sleep(2 * time.Minute)
		if err := admit(w.Gateway, site, sites); !errors.Is(err, ErrSessionExpired) {
			t.Errorf("late: %v", err)
		}
	})
}

// Whatever WeChat gives a user for a name, asking for what cannot be made is the
// client's mistake.
func TestIDsTooLongForASignature(t *testing.T) {
	w := newWorld(t)
	w.wechat.answer = func(provider.Account, string) (provider.User, error) {
		return provider.User{OpenID: strings.Repeat("o", 120)}, nil
	}
	_, _, err := w.Sign(
		t.Context(), SignRequest{Token: w.login(t, "code").Token, Host: site, Targets: []string{"/"}, Lifetime: time.Minute}, sites,
	)
	if !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("%v", err)
	}
}

// Forged signatures and tickets leave memory as it was, and never reach the store.
func TestK3ForgedSignaturesLeaveNothingBehind(t *testing.T) {
	w := newWorld(t)
	grant := w.login(t, "code")
	path, query := w.sign(t, grant.Token, "/pic.png", time.Minute)
	sealed, _, err := w.Ticket(t.Context(), grant.Token, site, "/", sites)
	if err != nil {
		t.Fatal(err)
	}
	w.store.broken.Store(true) // whoever asks it hears of that
	forge := func(text string, n int) string {
		digits := strconv.FormatInt(int64(n), 36)
		return text[:len(text)-20] + strings.Repeat("A", 20-len(digits)) + digits
	}
	attack := func(from, to int) uint64 {
		for n := from; n < to; n++ {
			if _, _, err := w.AdmitSigned(t.Context(), site, path, forge(query, n), sites); !errors.Is(err, ErrLoginRequired) {
				t.Fatalf("signature %d: %v", n, err)
			}
			if _, err := w.OpenTicket(site, forge(sealed, n), sites); !errors.Is(err, ErrTicketRefused) {
				t.Fatalf("ticket %d: %v", n, err)
			}
		}
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := attack(0, 1000)
	if after := attack(1000, 21_000); after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
}

func BenchmarkAdmitSigned(b *testing.B) {
	w := newWorld(b)
	path, query := w.sign(b, w.login(b, "code").Token, "/pic.png?size=2", time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := w.AdmitSigned(b.Context(), site, path, query, sites); err != nil {
			b.Fatal(err)
		}
	}
}
