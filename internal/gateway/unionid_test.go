package gateway

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
)

// unionIDs is UnionIDs whose answers a test decides.
type unionIDs struct {
	calls  int
	answer string
	err    error
	wait   time.Duration
}

func (u *unionIDs) UnionID(context.Context, provider.Account, string) (string, error) {
	u.calls++
	time.Sleep(u.wait)
	return u.answer, u.err
}

func TestUnionIDIsAskedForOncePerUser(t *testing.T) {
	const unionID = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	asked := &unionIDs{err: provider.ErrUnavailable}
	fake := new(fakeBrowsers)
	w := newWorld(t, withBrowsers(fake), func(c *Config) {
		c.UnionIDs = asked
		c.Accounts[appA] = provider.Account{ID: appA, Kind: provider.OfficialAccount, AskUnionID: true}
	})
	w.AllowLifetime(24 * time.Hour)
	for i, step := range []struct {
		answer      string
		err         error
		want        string
		calls       int
		description string
	}{
		{"", provider.ErrUnavailable, "", 1, "a failure changes nothing"},
		{"", nil, "", 2, "not a follower"},
		{unionID, nil, unionID, 3, "a follower"},
		{"uBBBBBBBBBBBBBBBBBBBBBBBBBBB", nil, unionID, 3, "a user whose unionid is known"},
	} {
		asked.answer, asked.err = step.answer, step.err
		n := string(rune('1' + i))
		grant, err := w.LoginBrowser(t.Context(), returning("state-"+n, "code-"+n))
		if err != nil {
			t.Fatalf("%s: %v", step.description, err)
		}
		user, err := w.AuthenticateCookie(t.Context(), grant.Token, sites)
		if err != nil || user.UnionID != step.want || asked.calls != step.calls {
			t.Errorf("%s: %q, %v, asked %d times", step.description, user.UnionID, err, asked.calls)
		}
	}
	w.Accounts[appA] = provider.Account{ID: appA, Kind: provider.OfficialAccount}
	fake.answer = func(string) (provider.User, error) {
		return provider.User{OpenID: "oBBBBBBBBBBBBBBBBBBBBBBBBBBB", Silent: true}, nil
	}
	if _, err := w.LoginBrowser(t.Context(), returning("state-9", "code-9")); err != nil || asked.calls != 3 {
		t.Errorf("without the setting: %v, asked %d times", err, asked.calls)
	}
}

// K14: a login that also asks for the unionid is not over for the other node before it
// is.
func TestK14UnionIDIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &fakeBrowsers{answer: func(string) (provider.User, error) {
			time.Sleep(2900 * time.Millisecond)
			return provider.User{OpenID: openID, Silent: true}, nil
		}}
		var other *Gateway
		w := newWorld(t, withBrowsers(slow), func(c *Config) {
			c.ExchangeTimeout = 3 * time.Second
			c.UnionIDs = &unionIDs{answer: "uAAAAAAAAAAAAAAAAAAAAAAAAAAA", wait: 2900 * time.Millisecond}
			c.Hook = Hook{LoginHook: &fakeHook{wait: 1900 * time.Millisecond}}
			c.Accounts[appA] = provider.Account{ID: appA, Kind: provider.OfficialAccount, AskUnionID: true}
			next := *c
			next.State = NewState()
			other = New(next)
		})
		w.AllowLifetime(24 * time.Hour)
		other.AllowLifetime(24 * time.Hour)
		var group sync.WaitGroup
		for n := range 4 {
			group.Go(func() {
				g := []*Gateway{w.Gateway, other}[n%2]
				if _, err := g.LoginBrowser(t.Context(), returning("state-1", "code-1")); err != nil {
					t.Errorf("login %d: %v", n, err)
				}
			})
		}
		group.Wait()
	})
}
