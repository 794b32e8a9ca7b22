package credential

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/secret"
)

var account = provider.Account{ID: "wx1234567890abcdef", Secret: secret.New("0123456789abcdef")}

// fakeTokens hands out tokens as WeChat does: the same until five minutes before
// its end.
type fakeTokens struct {
	calls  atomic.Int32
	forced atomic.Int32
	mu     sync.Mutex
	fail   error
	n      int
	ends   time.Time
	took   time.Duration
}

func (f *fakeTokens) StableToken(ctx context.Context, _ provider.Account, force bool) (wechat.AccessToken, error) {
	f.calls.Add(1)
	if force {
		f.forced.Add(1)
	}
	if f.took > 0 {
		select {
		case <-time.After(f.took):
		case <-ctx.Done():
			return wechat.AccessToken{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return wechat.AccessToken{}, f.fail
	}
	if time.Until(f.ends) < 5*time.Minute {
		f.n++
		f.ends = time.Now().Add(2 * time.Hour)
	}
	return wechat.AccessToken{Value: secret.New(fmt.Sprintf("token-%d", f.n)), ExpiresIn: time.Until(f.ends)}, nil
}

func (f *fakeTokens) set(fail error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func want(t *testing.T, o *Owner, value string, wantErr error) {
	t.Helper()
	got, err := o.Token(t.Context())
	if got.Reveal() != value || !errors.Is(err, wantErr) {
		t.Errorf("token %q, %v; want %q, %v", got.Reveal(), err, value, wantErr)
	}
}

func TestManyAskAndOneFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTokens{took: time.Second}
		tokens := NewTokens()
		o := NewOwner(tokens, account, f, nil)
		if _, ok := tokens.Fetched(account.ID); ok {
			t.Error("fetched before anybody asked")
		}
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() { want(t, o, "token-1", nil) })
		}
		group.Wait()
		// A reload makes new owners on the same tokens.
		want(t, NewOwner(tokens, account, f, nil), "token-1", nil)
		if at, ok := tokens.Fetched(account.ID); !ok || time.Since(at) > 2*time.Second || f.calls.Load() != 1 {
			t.Errorf("fetched %d times, at %s", f.calls.Load(), at)
		}
	})
}

func TestTokenIsRenewedWhileItIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTokens{}
		o := NewOwner(NewTokens(), account, f, nil)
		want(t, o, "token-1", nil)
		time.Sleep(2*time.Hour - 5*time.Minute)
		want(t, o, "token-1", nil)
		if f.calls.Load() != 1 {
			t.Errorf("asked %d times within the token's life", f.calls.Load())
		}
		time.Sleep(time.Minute)
		want(t, o, "token-1", nil) // begins to renew, and does not wait
		synctest.Wait()
		want(t, o, "token-2", nil)
		// While WeChat fails, the old one serves as long as it is good.
		time.Sleep(2*time.Hour - 4*time.Minute)
		f.set(provider.ErrUnavailable)
		for range 10 {
			want(t, o, "token-2", nil)
			synctest.Wait()
		}
		time.Sleep(4 * time.Minute)
		want(t, o, "", provider.ErrUnavailable)
		if f.forced.Load() != 0 {
			t.Error("refreshed by force")
		}
	})
}

func TestFailuresAreBackedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTokens{fail: provider.ErrUnavailable}
		o := NewOwner(NewTokens(), account, f, nil)
		for pause := minBackoff; pause <= maxBackoff; pause *= 2 {
			before := f.calls.Load()
			for range 10 {
				want(t, o, "", provider.ErrUnavailable)
			}
			if asked := f.calls.Load() - before; asked != 1 || o.RetryAfter() != pause {
				t.Errorf("asked %d times, then waits %s; want 1 and %s", asked, o.RetryAfter(), pause)
			}
			time.Sleep(pause)
		}
		f.set(nil)
		time.Sleep(maxBackoff)
		want(t, o, "token-1", nil)
		f.set(provider.ErrQuota)
		o.Drop(t.Context(), secret.New("token-1"))
		want(t, o, "", provider.ErrQuota)
		if o.RetryAfter() != quotaBackoff {
			t.Errorf("after the quota is used up it waits %s", o.RetryAfter())
		}
	})
}

// bySecret takes a second, and refuses every secret but one.
type bySecret struct {
	good  secret.String
	calls atomic.Int32
}

func (f *bySecret) StableToken(_ context.Context, app provider.Account, _ bool) (wechat.AccessToken, error) {
	f.calls.Add(1)
	time.Sleep(time.Second)
	if !same(app.Secret, f.good) {
		return wechat.AccessToken{}, provider.ErrMisconfigured
	}
	return wechat.AccessToken{Value: secret.New("token-1"), ExpiresIn: 2 * time.Hour}, nil
}

// An operator corrects a secret, and a reload makes new owners on the same tokens.
func TestCorrectedSecretIsTriedAtOnce(t *testing.T) {
	for name, beforeReload := range map[string]time.Duration{"backed off": time.Minute, "while the old one is tried": 500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				corrected := provider.Account{ID: account.ID, Secret: secret.New("corrected")}
				f, tokens := &bySecret{good: corrected.Secret}, NewTokens()
				old := NewOwner(tokens, account, f, nil)
				for began := time.Now(); time.Since(began) < beforeReload; time.Sleep(100 * time.Millisecond) {
					ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
					_, _ = old.Token(ctx)
					leave()
				}
				calls, o := f.calls.Load(), NewOwner(tokens, corrected, f, nil)
				want(t, o, "token-1", nil)
				if asked := f.calls.Load() - calls; asked != 1 {
					t.Errorf("asked %d times with the corrected secret", asked)
				}
				time.Sleep(2 * time.Second) // what was under way with the old one has failed since
				want(t, o, "token-1", nil)
			})
		})
	}
}

// A secret that is wrong again is backed off like the first.
func TestEverySecretIsBackedOffByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, tokens := &bySecret{good: secret.New("good")}, NewTokens()
		o := NewOwner(tokens, account, f, nil)
		for range 4 {
			want(t, o, "", provider.ErrMisconfigured)
			time.Sleep(o.RetryAfter())
		}
		want(t, o, "", provider.ErrMisconfigured)
		o = NewOwner(tokens, provider.Account{ID: account.ID, Secret: secret.New("wrong again")}, f, nil)
		calls := f.calls.Load()
		for range 2 {
			want(t, o, "", provider.ErrMisconfigured)
		}
		if asked := f.calls.Load() - calls; asked != 1 || o.RetryAfter() != minBackoff {
			t.Errorf("asked %d times, then waits %s; want 1 and %s", asked, o.RetryAfter(), minBackoff)
		}
	})
}

func TestRefusedTokenIsDroppedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTokens{}
		o := NewOwner(NewTokens(), account, f, nil)
		want(t, o, "token-1", nil)
		if !o.Drop(t.Context(), secret.New("token-0")) || f.calls.Load() != 1 {
			t.Error("a token that was replaced already is dropped")
		}
		if !o.Drop(t.Context(), secret.New("token-1")) {
			t.Error("a refused token stays")
		}
		want(t, o, "token-1", nil) // WeChat gives it again
		if o.Drop(t.Context(), secret.New("token-1")) || f.calls.Load() != 2 {
			t.Error("dropped again at once")
		}
		o.Accepted(secret.New("token-0"))
		if o.Drop(t.Context(), secret.New("token-1")) {
			t.Error("dropped again since another one was accepted")
		}
		o.Accepted(secret.New("token-1"))
		if !o.Drop(t.Context(), secret.New("token-1")) {
			t.Error("not dropped although it was accepted since")
		}
		want(t, o, "token-1", nil)
		time.Sleep(refusedBackoff)
		if !o.Drop(t.Context(), secret.New("token-1")) {
			t.Error("never dropped again")
		}
	})
}

// Whoever has less time than WeChat takes is told that WeChat was late, and whoever has
// left that he has: only the latter is no failure of anybody.
func TestCallersWithTooLittleTimeAreToldWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOwner(NewTokens(), account, &fakeTokens{took: 5 * time.Second}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := o.Token(ctx); !errors.Is(err, provider.ErrTimeout) {
			t.Errorf("late: %v", err)
		}
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if _, err := o.Token(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, provider.ErrTimeout) {
			t.Errorf("left: %v", err)
		}
		want(t, o, "token-1", nil)
	})
}

var errHangs = errors.New("no answer in time")

// revocable hands out the token of the moment at which it was asked.
type revocable struct {
	took time.Duration
	now  atomic.Pointer[string]
}

func (f *revocable) StableToken(context.Context, provider.Account, bool) (wechat.AccessToken, error) {
	value := *f.now.Load()
	time.Sleep(f.took)
	return wechat.AccessToken{Value: secret.New(value), ExpiresIn: 2 * time.Hour}, nil
}

// A token is being renewed, WeChat answers with the same one, and it is refused before
// that answer has come: it comes back neither here nor into the vault.
func TestG2TokenRefusedWhileItIsFetchedDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, vault := &revocable{took: time.Second}, newVault()
		first, second := "token-1", "token-2"
		f.now.Store(&first)
		o := NewOwner(NewTokens(), account, f, vault)
		want(t, o, first, nil)
		time.Sleep(2*time.Hour - renewBefore)
		want(t, o, first, nil) // and the renewal is under way
		time.Sleep(f.took / 2)
		f.now.Store(&second)
		if !o.Drop(t.Context(), secret.New(first)) {
			t.Error("a refused token stays")
		}
		want(t, o, second, nil)
		if token := decodeToken(vault.values[o.name()]); token.Value.Reveal() != second {
			t.Error("the vault has the refused token")
		}
	})
}
