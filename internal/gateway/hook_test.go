package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/session"
)

// fakeHook answers as it is told.
type fakeHook struct {
	verdict loginhook.Verdict
	err     error
	wait    time.Duration
	calls   atomic.Int32
	last    atomic.Pointer[loginhook.Login]
}

func (h *fakeHook) Ask(_ context.Context, login loginhook.Login) (loginhook.Verdict, error) {
	h.calls.Add(1)
	h.last.Store(&login)
	time.Sleep(h.wait)
	return h.verdict, h.err
}

func (*fakeHook) Timeout() time.Duration { return 2 * time.Second }

func (w *world) userID(t *testing.T, text string) string {
	t.Helper()
	user, err := w.Authenticate(t.Context(), text, sites)
	if err != nil {
		t.Fatal(err)
	}
	return user.UserID
}

func TestHookNamesTheUser(t *testing.T) {
	hook := &fakeHook{verdict: loginhook.Verdict{UserID: "42"}}
	w := newWorld(t, func(c *Config) { c.Hook = Hook{LoginHook: hook} })
	first := w.login(t, "code1")
	if got := w.userID(t, first.Token); got != "42" {
		t.Errorf("user id %q", got)
	}
	if login := hook.last.Load(); login.AppID != appA || login.Kind != "mini_program" || login.ClientIP != client.String() ||
		login.OpenID == "" {
		t.Errorf("the hook was told %+v", login)
	}
	renewed, err := w.Renew(t.Context(), first.Token, sites)
	if err != nil {
		t.Fatal(err)
	}
	hook.verdict.UserID = "" // changes nothing
	second := w.login(t, "code2")
	for _, grant := range []Grant{first, renewed, second} {
		if got := w.userID(t, grant.Token); got != "42" {
			t.Errorf("user id %q", got)
		}
	}
	if hook.calls.Load() != 2 {
		t.Errorf("%d calls for two logins and a renewal", hook.calls.Load())
	}
	user, err := w.Authenticate(t.Context(), first.Token, sites)
	if err != nil {
		t.Fatal(err)
	}
	target := Target{AppID: appA, OpenID: user.OpenID}
	if err := w.SetUserID(t.Context(), target, "43"); err != nil || w.userID(t, second.Token) != "43" {
		t.Errorf("user id %q, %v", w.userID(t, second.Token), err)
	}
	if err := w.SetUserID(t.Context(), target, ""); err != nil || w.userID(t, second.Token) != "" {
		t.Errorf("user id %q, %v", w.userID(t, second.Token), err)
	}
	if err := w.SetUserID(t.Context(), target, "a b"); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("a name that is none: %v", err)
	}
	target.OpenID = "oNOBODYAAAAAAAAAAAAAAAAAAAAA"
	if err := w.SetUserID(t.Context(), target, "43"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func TestHookKeepsUsersOut(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		allow bool
		want  error
	}{
		"no":              {&loginhook.Refusal{Message: "not you"}, false, loginhook.ErrNotAllowed},
		"no, and allow":   {&loginhook.Refusal{Message: "not you"}, true, loginhook.ErrNotAllowed},
		"nonsense":        {loginhook.ErrBadAnswer, false, loginhook.ErrBadAnswer},
		"late":            {loginhook.ErrTimeout, false, loginhook.ErrTimeout},
		"paused":          {loginhook.ErrPaused, false, loginhook.ErrPaused},
		"late, and allow": {loginhook.ErrTimeout, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			hook := &fakeHook{err: test.err}
			var seen observed
			w := newWorld(t, func(c *Config) { c.Hook = Hook{hook, test.allow}; c.Observer = &seen })
			const nonce = "0123456789abcdef"
			req := LoginRequest{Code: "code", Nonce: nonce, Client: client}
			for range 2 { // the second is the answer given again
				grant, err := w.Login(t.Context(), req, sites)
				if !errors.Is(err, test.want) || (grant.Token != "") != (test.want == nil) {
					t.Fatalf("got %+v, %v; want %v", grant, err, test.want)
				}
				if no, ok := errors.AsType[*loginhook.Refusal](err); ok && no.Message != "not you" {
					t.Errorf("message %q", no.Message)
				}
			}
			if hook.calls.Load() != 1 || w.wechat.calls.Load() != 1 {
				t.Errorf("%d calls of the hook, %d of WeChat", hook.calls.Load(), w.wechat.calls.Load())
			}
			if _, err := w.Login(t.Context(), LoginRequest{Code: "code", Client: client}, sites); !errors.Is(err, ErrCodeUsed) {
				t.Errorf("the code again without its nonce: %v", err)
			}
		})
	}
}

// A hook that takes longer than WeChat may makes a login that is under way look like
// a code that was used (K14), at this node and at others.
func TestHookIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook := &fakeHook{verdict: loginhook.Verdict{UserID: "42"}, wait: 1900 * time.Millisecond}
		var other *Gateway
		w := newWorld(t, func(c *Config) {
			c.Hook = Hook{LoginHook: hook}
			c.ExchangeTimeout = time.Second
			next := *c
			next.State = NewState() // another node
			other = New(next)
		})
		var group sync.WaitGroup
		for n := range 20 {
			group.Go(func() {
				g := []*Gateway{w.Gateway, other}[n%2]
				grant, err := g.Login(t.Context(), LoginRequest{Code: "code", Nonce: "0123456789abcdef", Client: client}, sites)
				if err != nil || w.userID(t, grant.Token) != "42" {
					t.Errorf("login %d: %v", n, err)
				}
			})
		}
		group.Wait()
		if hook.calls.Load() != 1 {
			t.Errorf("%d calls of the hook", hook.calls.Load())
		}
	})
}

// An app that knows its users by number would take somebody for another user, if a
// token passed by grace without the number.
func TestGraceKnowsTheUserIDOrNobody(t *testing.T) {
	hook := &fakeHook{verdict: loginhook.Verdict{UserID: "42"}}
	w := newWorld(t, func(c *Config) { c.Grace = time.Minute; c.Hook = Hook{LoginHook: hook} })
	grant := w.login(t, "code")
	w.store.broken.Store(true)
	w.check(t, grant.Token, ErrStoreUnavailable)
	w.store.remembers.Store(&session.Session{UserID: "42", Remembered: true})
	if got := w.userID(t, grant.Token); got != "42" {
		t.Errorf("user id %q", got)
	}
}
