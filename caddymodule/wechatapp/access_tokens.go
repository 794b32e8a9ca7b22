package wechatapp

import (
	"context"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// tokenOwners returns the owners of the access_tokens of all accounts.
func (a *App) tokenOwners() map[string]*credential.Owner {
	if a.owners == nil {
		a.owners = make(map[string]*credential.Owner, len(a.accounts))
		for id, account := range a.accounts {
			a.owners[id] = credential.NewOwner(a.state.tokens, account, observedTokens{a.client, a.record.metrics}, a.store.Sessions())
		}
	}
	return a.owners
}

// observedTokens measures and traces calls of stable_token.
type observedTokens struct {
	credential.Fetcher
	metrics *metrics
}

const endpointStableToken = "stable_token"

// StableToken implements [credential.Fetcher].
func (t observedTokens) StableToken(ctx context.Context, account provider.Account, force bool) (token wechat.AccessToken, err error) {
	err = t.metrics.observe(ctx, endpointStableToken, account.ID, func(ctx context.Context) error {
		token, err = t.Fetcher.StableToken(ctx, account, force)
		return err
	})
	return token, err
}
