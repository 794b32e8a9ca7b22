package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

const (
	appA   = "wx1234567890abcdef"
	appB   = "wxfedcba0987654321"
	openID = "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	nonce  = "0123456789abcdef"
)

var (
	sites  = Apps{appA}
	client = netip.MustParseAddr("192.0.2.1")
)

// fakeWeChat is a Provider whose answers a test decides.
type fakeWeChat struct {
	calls  atomic.Int32
	answer func(account provider.Account, code string) (provider.User, error)
}

func (f *fakeWeChat) Exchange(_ context.Context, account provider.Account, p provider.Proof) (provider.User, error) {
	f.calls.Add(1)
	if f.answer != nil {
		return f.answer(account, p.Code)
	}
	return provider.User{OpenID: openID, SessionKey: secret.New("MDEyMzQ1Njc4OWFiY2RlZg==")}, nil
}

// failingStore cannot tell while broken.
type failingStore struct {
	session.Backend
	broken    atomic.Bool
	remembers atomic.Pointer[session.Session]
}

var errBroken = fmt.Errorf("%w: connection refused", session.ErrAway)

func (s *failingStore) Get(ctx context.Context, query session.Query) (session.Session, error) {
	if s.broken.Load() {
		if last := s.remembers.Load(); last != nil {
			return *last, errBroken
		}
		return session.Session{}, errBroken
	}
	return s.Backend.Get(ctx, query)
}

func (s *failingStore) Put(ctx context.Context, l session.Login, n int) (string, error) {
	if s.broken.Load() {
		return "", errBroken
	}
	return s.Backend.Put(ctx, l, n)
}

func (s *failingStore) Delete(ctx context.Context, ref session.Ref) error {
	if s.broken.Load() {
		return errBroken
	}
	return s.Backend.Delete(ctx, ref)
}

type world struct {
	*Gateway
	wechat *fakeWeChat
	store  *failingStore
}

func testRing(t testing.TB, seed byte) *key.Set {
	t.Helper()
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = seed + byte(i*7)
	}
	one, err := key.New(raw)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := key.NewSet(one)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	mem := memory.New(1000, time.Minute)
	t.Cleanup(func() { mem.Close() })
	w := &world{wechat: &fakeWeChat{}, store: &failingStore{Backend: mem}}
	ring := testRing(t, 1)
	c := Config{
		Accounts:      map[string]provider.Account{appA: {ID: appA, Kind: provider.MiniProgram}, appB: {ID: appB, Kind: provider.MiniProgram}},
		TokenLifetime: 2 * time.Hour, MaxLifetime: 30 * 24 * time.Hour, MaxPerUser: 2,
		Provider: w.wechat, Store: w.store, Keys: func() *key.Set { return ring }, State: NewState(),
	}
	for _, f := range change {
		f(&c)
	}
	w.Gateway = New(c)
	return w
}

func (w *world) login(t testing.TB, code string) Grant {
	t.Helper()
	grant, err := w.Login(t.Context(), LoginRequest{Code: code, Client: client}, sites)
	if err != nil {
		t.Fatal(err)
	}
	return grant
}

func (w *world) check(t testing.TB, text string, want error) {
	t.Helper()
	if _, err := w.Authenticate(t.Context(), text, sites); !errors.Is(err, want) {
		t.Errorf("Authenticate: %v, want %v", err, want)
	}
}
