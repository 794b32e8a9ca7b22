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

var app = provider.Account{ID: "wx1234567890abcdef", Secret: secret.New("0123456789abcdef")}

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
		o := NewOwner(tokens, app, f, nil)
		if _, ok := tokens.Fetched(app.ID); ok {
			t.Error("fetched before anybody asked")
		}
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() { want(t, o, "token-1", nil) })
		}
		group.Wait()
		// A reload makes new owners on the same tokens.
		want(t, NewOwner(tokens, app, f, nil), "token-1", nil)
		if at, ok := tokens.Fetched(app.ID); !ok || time.Since(at) > 2*time.Second || f.calls.Load() != 1 {
			t.Errorf("fetched %d times, at %s", f.calls.Load(), at)
		}
	})
}

func TestTokenIsRenewedWhileItIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTokens{}
		o := NewOwner(NewTokens(), app, f, nil)
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
		o := NewOwner(NewTokens(), app, f, nil)
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

func TestRefusedTokenIsDroppedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTokens{}
		o := NewOwner(NewTokens(), app, f, nil)
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
		time.Sleep(refusedBackoff)
		if !o.Drop(t.Context(), secret.New("token-1")) {
			t.Error("never dropped again")
		}
	})
}

// fakeVault is shared by the owners of several nodes.
type fakeVault struct {
	mu     sync.Mutex
	values map[string][]byte
	turns  map[string]time.Time
	fail   error
}

func newVault() *fakeVault {
	return &fakeVault{values: make(map[string][]byte), turns: make(map[string]time.Time)}
}

func (v *fakeVault) LoadShared(_ context.Context, name string) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.values[name], v.fail
}

func (v *fakeVault) SaveShared(_ context.Context, name string, value []byte, _ time.Duration) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.values[name] = value
	return v.fail
}

func (v *fakeVault) ForgetShared(_ context.Context, name string, refused func([]byte) bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if refused(v.values[name]) {
		delete(v.values, name)
	}
	return v.fail
}

func (v *fakeVault) TakeTurn(_ context.Context, name string, turn time.Duration) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil || time.Now().Before(v.turns[name]) {
		return false, v.fail
	}
	v.turns[name] = time.Now().Add(turn)
	return true, nil
}

func (v *fakeVault) EndTurn(_ context.Context, name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.turns, name)
	return v.fail
}

func TestNodesShareOneToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, vault := &fakeTokens{took: time.Second}, newVault()
		var group sync.WaitGroup
		var owners []*Owner
		for range 5 {
			o := NewOwner(NewTokens(), app, f, vault)
			owners = append(owners, o)
			group.Go(func() { want(t, o, "token-1", nil) })
		}
		group.Wait()
		if f.calls.Load() != 1 {
			t.Errorf("five nodes asked WeChat %d times", f.calls.Load())
		}
		// One node drops what WeChat refuses; the others have it until they notice.
		f.mu.Lock()
		f.ends = time.Time{}
		f.mu.Unlock()
		owners[0].Drop(t.Context(), secret.New("token-1"))
		want(t, owners[0], "token-2", nil)
		want(t, owners[1], "token-1", nil)
		owners[1].Drop(t.Context(), secret.New("token-1"))
		want(t, owners[1], "token-2", nil)
		if f.calls.Load() != 2 {
			t.Errorf("asked %d times, want 2", f.calls.Load())
		}
	})
}

// A vault that fails, or a node that dies in its turn, must not keep the others
// from calling.
func TestVaultIsNoCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, vault := &fakeTokens{}, newVault()
		vault.fail = errors.New("connection refused")
		want(t, NewOwner(NewTokens(), app, f, vault), "token-1", nil)
		vault.fail = nil
		vault.values = make(map[string][]byte)
		if mine, err := vault.TakeTurn(t.Context(), "access_token "+app.ID, time.Hour); !mine || err != nil {
			t.Fatal(err)
		}
		want(t, NewOwner(NewTokens(), app, f, vault), "token-1", nil)
	})
}

// Whoever has less time than WeChat takes is told that WeChat was late, and whoever has
// left that he has: only the latter is no failure of anybody.
func TestCallersWithTooLittleTimeAreToldWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOwner(NewTokens(), app, &fakeTokens{took: 5 * time.Second}, nil)
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

// hangingVault answers nothing for a time that is its own, whatever its callers have left.
type hangingVault struct {
	*fakeVault
	timeout time.Duration
}

var errHangs = errors.New("no answer in time")

func (v hangingVault) LoadShared(context.Context, string) ([]byte, error) {
	time.Sleep(v.timeout)
	return nil, errHangs
}

func (v hangingVault) TakeTurn(context.Context, string, time.Duration) (bool, error) {
	time.Sleep(v.timeout)
	return false, errHangs
}

func (v hangingVault) SaveShared(context.Context, string, []byte, time.Duration) error {
	time.Sleep(v.timeout)
	return errHangs
}

// Redis hangs, and `timeout` lets it do so for longer than a fetch may take: WeChat is
// asked all the same, in a time of its own.
func TestVaultThatHangsIsNoConditionEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTokens{took: 50 * time.Millisecond}
		o := NewOwner(NewTokens(), app, f, hangingVault{newVault(), fetchTime})
		want(t, o, "token-1", nil)
		want(t, o, "token-1", nil)
		if f.calls.Load() != 1 {
			t.Errorf("asked %d times", f.calls.Load())
		}
	})
}

// slowVault takes its time to forget, as one behind a network does.
type slowVault struct {
	*fakeVault
	latency time.Duration
}

func (v slowVault) ForgetShared(ctx context.Context, name string, refused func([]byte) bool) error {
	time.Sleep(v.latency)
	return v.fakeVault.ForgetShared(ctx, name, refused)
}

// A token was revoked, and ten calls are refused at once: while the first of them
// makes the vault forget it, the others must not take it from there again, and be
// refused until the pause for a second refusal is over.
func TestRefusedTokenIsNotTakenFromTheVaultAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, vault := &fakeTokens{took: 10 * time.Millisecond}, slowVault{newVault(), 100 * time.Millisecond}
		o := NewOwner(NewTokens(), app, f, vault)
		want(t, o, "token-1", nil)
		f.mu.Lock()
		f.ends = time.Time{} // the next one is another
		f.mu.Unlock()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if !o.Drop(t.Context(), secret.New("token-1")) {
					t.Error("a call is given up")
				}
				want(t, o, "token-2", nil)
			})
		}
		group.Wait()
		if f.calls.Load() != 2 {
			t.Errorf("asked %d times, want 2", f.calls.Load())
		}
	})
}

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
		o := NewOwner(NewTokens(), app, f, vault)
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

// A node that fails in its turn does not let the others wait for it.
func TestFailedFetchEndsTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, vault := &fakeTokens{fail: provider.ErrUnavailable}, newVault()
		want(t, NewOwner(NewTokens(), app, f, vault), "", provider.ErrUnavailable)
		f.set(nil)
		start := time.Now()
		want(t, NewOwner(NewTokens(), app, f, vault), "token-1", nil)
		if took := time.Since(start); took > 0 {
			t.Errorf("waited %s", took)
		}
	})
}
