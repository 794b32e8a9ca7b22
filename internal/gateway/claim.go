package gateway

import (
	"context"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

const (
	// pendingPoll is how often a node looks whether another one has finished
	// exchanging the same code.
	pendingPoll            = 50 * time.Millisecond
	defaultExchangeTimeout = 5 * time.Second
)

// claim asks for the code until the answer is final.
func (g *Gateway) claim(ctx context.Context, key session.CodeKey) (session.Claim, *session.Reply, error) {
	deadline := time.Now().Add(g.pendingTime(key.AppID))
	for {
		claim, reply, err := g.Store.ClaimCode(ctx, key)
		if err != nil || claim != session.ClaimPending || time.Now().After(deadline) {
			return claim, reply, err
		}
		select {
		case <-time.After(pendingPoll):
		case <-ctx.Done():
			return claim, nil, nil
		}
	}
}

// pendingTime is how long a node waits for another one that finishes the same login.
func (g *Gateway) pendingTime(appID string) time.Duration {
	wait := g.ExchangeTimeout
	if wait <= 0 {
		wait = defaultExchangeTimeout
	}
	if g.Accounts[appID].AskUnionID {
		wait += wait // for the unionid
	}
	if g.Hook.LoginHook != nil {
		wait += g.Hook.Timeout()
	}
	return wait + time.Second
}
