package credential

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/secret"
)

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
			o := NewOwner(NewTokens(), account, f, vault)
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
		want(t, NewOwner(NewTokens(), account, f, vault), "token-1", nil)
		vault.fail = nil
		vault.values = make(map[string][]byte)
		if mine, err := vault.TakeTurn(t.Context(), "access_token "+account.ID, time.Hour); !mine || err != nil {
			t.Fatal(err)
		}
		want(t, NewOwner(NewTokens(), account, f, vault), "token-1", nil)
	})
}

// hangingVault answers nothing for a time that is its own, whatever its callers have left.
type hangingVault struct {
	*fakeVault
	timeout time.Duration
}

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
		o := NewOwner(NewTokens(), account, f, hangingVault{newVault(), fetchTime})
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
		o := NewOwner(NewTokens(), account, f, vault)
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

// A node that fails in its turn does not let the others wait for it.
func TestFailedFetchEndsTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, vault := &fakeTokens{fail: provider.ErrUnavailable}, newVault()
		want(t, NewOwner(NewTokens(), account, f, vault), "", provider.ErrUnavailable)
		f.set(nil)
		start := time.Now()
		want(t, NewOwner(NewTokens(), account, f, vault), "token-1", nil)
		if took := time.Since(start); took > 0 {
			t.Errorf("waited %s", took)
		}
	})
}
