package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

// fakeCodes draws pictures that say what they open.
type fakeCodes struct {
	drawn atomic.Int32
	err   error
}

func (f *fakeCodes) MiniProgramCode(_ context.Context, appID string, code provider.Code) ([]byte, error) {
	f.drawn.Add(1)
	time.Sleep(10 * time.Millisecond) // on the clock of the test
	if f.err != nil {
		return nil, f.err
	}
	return []byte(appID + code.Scene + code.Page + code.Version), nil
}

func withCodes(codes *fakeCodes) func(*Config) { return func(c *Config) { c.Codes = codes } }

// slowPeeks lets others go on between a look at a code and what is made of it.
type slowPeeks struct{ session.Backend }

func (s slowPeeks) PeekCode(ctx context.Context, key session.CodeKey) (session.Claim, *session.Reply, error) {
	defer time.Sleep(time.Millisecond)
	return s.Backend.PeekCode(ctx, key)
}

// draw begins a scan and draws its code.
func (w *world) draw(t *testing.T) Scan {
	t.Helper()
	s := NewScan(appA, "Chrome, Windows", "/page", client)
	if _, err := w.ScanCode(t.Context(), s, client, "pages/scan", "release"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) poll(t *testing.T, s Scan) ScanState {
	t.Helper()
	state, _, err := w.PollScan(t.Context(), s, client, 24*time.Hour)
	if err != nil {
		t.Errorf("poll: %v", err)
	}
	return state
}

func approval(token string, s Scan) Approval {
	return Approval{Token: token, Scene: s.Scene, Client: client, Apps: sites}
}

// A scan ends two minutes after it began, at every stage, and with a memory store that
// began after it (K4).
func TestK4ScansEndAfterTwoMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCodes(new(fakeCodes)))
		w.AllowLifetime(24 * time.Hour)
		token := w.login(t, "code").Token
		s, approved := w.draw(t), w.draw(t)
		time.Sleep(ScanLifetime - 2*time.Second)
		if state := w.poll(t, s); state != ScanWaiting {
			t.Errorf("in time: %s", state)
		}
		view, err := w.DescribeScan(t.Context(), approval(token, s))
		if err != nil || view.ExpiresIn > 2*time.Second || !view.SameNetwork || len(view.Numbers) != scanNumbers {
			t.Errorf("in time: %+v, %v", view, err)
		}
		if _, err := w.ApproveScan(t.Context(), approval(token, approved), approved.Right); err != nil {
			t.Errorf("in time: %v", err)
		}
		if _, err := w.ScanCode(t.Context(), s, client, "pages/scan", "release"); err != nil {
			t.Errorf("in time: %v", err)
		}
		time.Sleep(2 * time.Second)
		for _, late := range []Scan{s, approved} {
			if state := w.poll(t, late); state != ScanExpired {
				t.Errorf("late: %s", state)
			}
			if _, err := w.ScanCode(t.Context(), late, client, "pages/scan", "release"); !errors.Is(err, ErrScanEnded) {
				t.Errorf("late: %v", err)
			}
			if _, err := w.DescribeScan(t.Context(), approval(token, late)); !errors.Is(err, ErrScanEnded) {
				t.Errorf("late: %v", err)
			}
		}
		if _, err := w.ApproveScan(t.Context(), approval(token, s), s.Right); !errors.Is(err, ErrScanEnded) {
			t.Errorf("late: %v", err)
		}

		before := NewScan(appA, "", "/", client)
		time.Sleep(time.Second)
		fresh := memory.New(10, time.Minute)
		t.Cleanup(func() { fresh.Close() })
		w.store.Backend = fresh
		if state := w.poll(t, before); state != ScanExpired {
			t.Errorf("from before the store: %s", state)
		}
		future := NewScan(appA, "", "/", client)
		future.Made = time.Now().Add(time.Hour)
		if state := w.poll(t, future); state != ScanExpired {
			t.Errorf("from the future: %s", state)
		}
	})
}

// Whatever comes at once: one picture, one verdict, one session (K12).
func TestScanHappensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		codes := new(fakeCodes)
		w := newWorld(t, withCodes(codes), func(c *Config) { c.Store = slowPeeks{c.Store} })
		w.AllowLifetime(24 * time.Hour)
		token := w.login(t, "code").Token
		s := NewScan(appA, "Chrome, Windows", "/page", client)
		var (
			group         sync.WaitGroup
			yes, no, done atomic.Int32
		)
		for range 16 {
			group.Go(func() {
				picture, err := w.ScanCode(t.Context(), s, client, "pages/scan", "trial")
				if err != nil || string(picture) != appA+s.Scene+"pages/scantrial" {
					t.Errorf("%q, %v", picture, err)
				}
			})
		}
		group.Wait()
		if codes.drawn.Load() != 1 {
			t.Fatalf("%d pictures", codes.drawn.Load())
		}
		for i := range 16 {
			group.Go(func() {
				switch _, err := w.ApproveScan(t.Context(), approval(token, s), s.Numbers[i%scanNumbers]); {
				case err == nil:
					yes.Add(1)
				case errors.Is(err, ErrScanWrongNumber):
					no.Add(1)
				case !errors.Is(err, ErrScanEnded):
					t.Errorf("%v", err)
				}
			})
		}
		group.Wait()
		if yes.Load()+no.Load() != 1 {
			t.Fatalf("%d approved, %d wrong", yes.Load(), no.Load())
		}
		s = w.draw(t)
		if _, err := w.ApproveScan(t.Context(), approval(token, s), s.Right); err != nil {
			t.Fatal(err)
		}
		for range 16 {
			group.Go(func() {
				w.State.scans.polls.Delete(s.Scene) // as at nodes that have not seen it
				if state, grant, err := w.PollScan(t.Context(), s, client, time.Hour); err == nil && state == ScanDone {
					done.Add(1)
					if grant.ExpiresIn != time.Hour {
						t.Errorf("lives %s", grant.ExpiresIn)
					}
				}
			})
		}
		group.Wait()
		if done.Load() != 1 {
			t.Errorf("done %d times", done.Load())
		}
	})
}

// A desktop asks once a second.
func TestScanPollsAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCodes(new(fakeCodes)))
		s, other := w.draw(t), w.draw(t)
		for range 3 {
			w.poll(t, s)
			for range 5 {
				_, _, err := w.PollScan(t.Context(), s, client, time.Hour)
				var retry *RetryError
				if !errors.Is(err, ErrTooSoon) || !errors.As(err, &retry) || retry.After != time.Second {
					t.Errorf("at once: %v", err)
				}
			}
			w.poll(t, other)
			time.Sleep(time.Second)
		}
		for range 3 * maxPolls {
			_, _, _ = w.PollScan(t.Context(), NewScan(appA, "", "/", client), client, time.Hour)
		}
		if n := w.State.scans.polls.Len(); n > maxPolls {
			t.Errorf("a flood of scans leaves %d entries", n)
		}
	})
}

// An app draws a thousand pictures in any minute, from however many addresses (K11).
func TestK11PicturesOfAnAppAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		codes := new(fakeCodes)
		w := newWorld(t, withCodes(codes), func(c *Config) { c.LoginLimit = Limit{Events: 50, Window: time.Minute} })
		draw := func(i int) error {
			from := netip.MustParseAddr(fmt.Sprintf("198.51.%d.%d", i/250, i%250))
			_, err := w.ScanCode(t.Context(), NewScan(appA, "", "/", from), from, "pages/scan", "release")
			return err
		}
		for i := range maxDraws {
			if err := draw(i); err != nil {
				t.Fatalf("picture %d: %v", i, err)
			}
		}
		if err := draw(maxDraws); !errors.Is(err, ErrRateLimited) {
			t.Errorf("one too many: %v", err)
		}
		if codes.drawn.Load() != maxDraws {
			t.Errorf("%d pictures", codes.drawn.Load())
		}
		if w.State.scans.pictures.Len() > maxPictures {
			t.Errorf("%d pictures are kept", w.State.scans.pictures.Len())
		}
		time.Sleep(time.Minute)
		if err := draw(maxDraws + 1); err != nil {
			t.Errorf("a minute later: %v", err)
		}
		codes.err = provider.ErrUnavailable
		s := NewScan(appA, "", "/", client)
		if _, err := w.ScanCode(t.Context(), s, client, "pages/scan", "release"); !errors.Is(err, provider.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		codes.err = nil
		if _, err := w.ScanCode(t.Context(), s, client, "pages/scan", "release"); err != nil {
			t.Errorf("after a failure: %v", err)
		}
	})
}

// What is sealed counts at its host, in its cookie, with a key that counts.
func TestSealedScanCountsInItsPlace(t *testing.T) {
	ring := testRing(t, 1)
	w := newWorld(t, func(c *Config) { c.Keys = func() *key.Set { return ring } })
	s := NewScan(appA, "Chrome, Windows", "/page", client)
	sealed, err := w.SealScan(s, site, "scan")
	if err != nil {
		t.Fatal(err)
	}
	if opened, ok := w.OpenScan(sealed, site, "scan"); !ok || opened.Scene != s.Scene || opened.Right != s.Right ||
		opened.To != "/page" || !opened.Made.Equal(s.Made) {
		t.Errorf("%+v %v", opened, ok)
	}
	ticket, _, err := w.Ticket(t.Context(), w.login(t, "code").Token, site, "/", sites)
	if err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string][3]string{
		"another host": {sealed, "other.example", "scan"}, "another name": {sealed, site, "__Host-scan"}, "a ticket": {ticket, site, "scan"},
		"nothing": {"", site, "scan"}, "cut": {sealed[1:], site, "scan"},
	} {
		if _, ok := w.OpenScan(try[0], try[1], try[2]); ok {
			t.Errorf("%s opens", what)
		}
	}
	ring = testRing(t, 99)
	if _, ok := w.OpenScan(sealed, site, "scan"); ok {
		t.Error("a dropped key opens it")
	}
}

// While the store is away nobody decides, and nobody gets in.
func TestScanNeedsTheStore(t *testing.T) {
	w := newWorld(t, withCodes(new(fakeCodes)), func(c *Config) { c.Grace = 10 * time.Minute })
	token := w.login(t, "code").Token
	s := w.draw(t)
	w.store.broken.Store(true)
	if _, err := w.DescribeScan(t.Context(), approval(token, s)); !errors.Is(err, ErrStoreUnavailable) {
		t.Errorf("describe: %v", err)
	}
	w.store.broken.Store(false)
	if _, err := w.ApproveScan(t.Context(), approval(token, s), s.Right); err != nil {
		t.Fatal(err)
	}
	w.store.broken.Store(true)
	if _, _, err := w.PollScan(t.Context(), s, client, time.Hour); !errors.Is(err, ErrStoreUnavailable) {
		t.Errorf("poll: %v", err)
	}
	w.store.broken.Store(false)
	w.State.scans.polls.Delete(s.Scene)
	if state := w.poll(t, s); state != ScanDone {
		t.Errorf("when it is back: %s", state)
	}
	record, err := w.store.User(t.Context(), appA, openID)
	if err != nil || len(record.Sessions) != 2 || record.Sessions[1].Kind != session.Scan {
		t.Errorf("%+v, %v", record, err)
	}
}

// F2, G4: who only waits for a picture that another request draws stops when its
// client leaves.
func TestK11WaitingForAPictureEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withCodes(&fakeCodes{}))
		s := NewScan(appA, "Chrome, Windows", "/page", client)
		if _, _, err := w.Store.ClaimCode(t.Context(), s.key(scanOffer)); err != nil { // another node draws it
			t.Fatal(err)
		}
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		start := time.Now()
		if _, err := w.ScanCode(ctx, s, client, "pages/scan", "release"); err == nil {
			t.Error("there is a picture")
		}
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("a request whose client has left waits for %s", took)
		}
	})
}
