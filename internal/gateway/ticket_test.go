package gateway

import (
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

const site = "example.com"

func (w *world) ticket(t *testing.T, text string) WebViewTicket {
	t.Helper()
	sealed, lifetime, err := w.Ticket(t.Context(), text, site, "/page", sites)
	if err != nil || lifetime != TicketLifetime {
		t.Fatalf("lives %s: %v", lifetime, err)
	}
	opened, err := w.OpenTicket(site, sealed, sites)
	if err != nil || opened.To != "/page" || opened.User.OpenID != openID {
		t.Fatalf("%+v, %v", opened, err)
	}
	return opened
}

// K1: a ticket counts once and for a minute, for the session that it was made in.
func TestK1TicketCountsOnceAndForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.AllowLifetime(24 * time.Hour)
		grant := w.login(t, "code")
		used := w.ticket(t, grant.Token)
		var (
			group sync.WaitGroup
			mu    sync.Mutex
			got   []Grant
		)
		for range 32 {
			group.Go(func() {
				entered, err := w.UseTicket(t.Context(), used, 24*time.Hour)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					got = append(got, entered)
				case !errors.Is(err, ErrTicketRefused):
					t.Errorf("%v", err)
				}
			})
		}
		group.Wait()
		if len(got) != 1 || got[0].ExpiresIn != 24*time.Hour {
			t.Fatalf("%+v", got)
		}
		user, err := w.AuthenticateCookie(t.Context(), got[0].Token, sites)
		if err != nil || user.SessionID != used.User.SessionID {
			t.Errorf("another session: %+v, %v", user, err)
		}
		if _, err := w.Authenticate(t.Context(), got[0].Token, sites); !errors.Is(err, ErrLoginRequired) {
			t.Errorf("a cookie's token as a client's: %v", err)
		}

		late, ends := w.ticket(t, grant.Token), w.ticket(t, grant.Token)
		time.Sleep(TicketLifetime - time.Millisecond)
		if _, err := w.CheckTicket(t.Context(), ends); err != nil {
			t.Errorf("in time: %v", err)
		}
		time.Sleep(time.Millisecond)
		if _, err := w.UseTicket(t.Context(), late, time.Hour); !errors.Is(err, ErrTicketRefused) {
			t.Errorf("late: %v", err)
		}
		over := w.ticket(t, grant.Token)
		if _, err := w.Logout(t.Context(), grant.Token, sites); err != nil {
			t.Fatal(err)
		}
		if _, err := w.UseTicket(t.Context(), over, time.Hour); !errors.Is(err, ErrTicketRefused) {
			t.Errorf("of an ended session: %v", err)
		}
		w.check(t, got[0].Token, ErrLoginRequired)
		if _, err := w.AuthenticateCookie(t.Context(), got[0].Token, sites); !errors.Is(err, ErrSessionEnded) {
			t.Errorf("the web-view after the logout: %v", err)
		}
	})
}

// K1: a memory store that has just begun does not know what was used before it, but
// its sessions come back with a snapshot.
func TestK1TicketsFromBeforeTheStoreAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		grant := w.login(t, "code")
		old := w.ticket(t, grant.Token)
		time.Sleep(time.Second)
		mem := memory.New(1000, time.Minute)
		defer mem.Close()
		snapshot, err := w.store.Backend.(*memory.Store).Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mem.Restore(snapshot); err != nil {
			t.Fatal(err)
		}
		w.store.Backend = mem
		w.check(t, grant.Token, nil)
		if _, err := w.UseTicket(t.Context(), old, time.Hour); !errors.Is(err, ErrTicketRefused) {
			t.Errorf("a ticket from before: %v", err)
		}
		if _, err := w.UseTicket(t.Context(), w.ticket(t, grant.Token), time.Hour); err != nil {
			t.Errorf("a new one: %v", err)
		}
	})
}

// A ticket of the millisecond in which the store began counts.
func TestFirstTicketCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(700 * time.Microsecond)
		w := newWorld(t)
		if _, err := w.UseTicket(t.Context(), w.ticket(t, w.login(t, "code").Token), time.Hour); err != nil {
			t.Error(err)
		}
	})
}

func TestK1TicketsCountAtTheirOwnSite(t *testing.T) {
	w := newWorld(t)
	grant := w.login(t, "code")
	sealed, _, err := w.Ticket(t.Context(), grant.Token, site, "/", sites)
	if err != nil {
		t.Fatal(err)
	}
	for what, open := range map[string]func() (WebViewTicket, error){
		"another host":       func() (WebViewTicket, error) { return w.OpenTicket("other.example", sealed, sites) },
		"another app's site": func() (WebViewTicket, error) { return w.OpenTicket(site, sealed, Apps{appB}) },
		"a dropped key": func() (WebViewTicket, error) {
			ring := testRing(t, 99)
			other := newWorld(t, func(c *Config) { c.Keys = func() *key.Set { return ring } })
			return other.OpenTicket(site, sealed, sites)
		},
	} {
		if _, err := open(); !errors.Is(err, ErrTicketRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// No ticket by grace (F3), and none for who has no Mini Program.
	w = newWorld(t, func(c *Config) { c.Grace = time.Minute })
	grant = w.login(t, "code")
	made := w.ticket(t, grant.Token)
	w.store.broken.Store(true)
	if _, _, err := w.Ticket(t.Context(), grant.Token, site, "/", sites); !errors.Is(err, ErrStoreUnavailable) {
		t.Errorf("a ticket by grace: %v", err)
	}
	if _, err := w.UseTicket(t.Context(), made, time.Hour); !errors.Is(err, ErrStoreUnavailable) {
		t.Errorf("entered by grace: %v", err)
	}
	w = newWorld(t, func(c *Config) { c.Accounts[appA] = provider.Account{ID: appA, Kind: provider.Mobile} })
	if _, _, err := w.Ticket(t.Context(), w.login(t, "code").Token, site, "/", sites); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("a mobile app: %v", err)
	}
}

// K1, K12: a flood of tickets makes room for its own in the store's memory. What gave
// way counts as used: neither a ticket nor a scan comes back.
func TestK1FloodBringsNoClaimBack(t *testing.T) {
	w := newWorld(t, withCodes(&fakeCodes{}))
	grant := w.login(t, "code")
	used, scan := w.ticket(t, grant.Token), w.draw(t)
	if _, err := w.UseTicket(t.Context(), used, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := w.DenyScan(t.Context(), approval(grant.Token, scan)); err != nil {
		t.Fatal(err)
	}
	for n := range 1 << 16 { // as UseTicket does
		key := session.CodeKey{AppID: appA, Hash: sha256.Sum256([]byte(strconv.Itoa(n)))}
		if _, _, err := w.Store.ClaimCode(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.UseTicket(t.Context(), used, time.Hour); !errors.Is(err, ErrTicketRefused) {
		t.Errorf("a used ticket after the flood: %v", err)
	}
	if state := w.poll(t, scan); state != ScanExpired {
		t.Errorf("a denied scan is %s after the flood", state)
	}
	if _, err := w.ScanCode(t.Context(), scan, client, "pages/scan", "release"); !errors.Is(err, ErrScanEnded) {
		t.Errorf("its code is drawn again: %v", err)
	}
	if _, err := w.UseTicket(t.Context(), w.ticket(t, grant.Token), time.Hour); err != nil {
		t.Errorf("a new ticket: %v", err)
	}
}
