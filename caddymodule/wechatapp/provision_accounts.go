package wechatapp

import (
	"fmt"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// resolveApps turns the configured apps and placeholders into what the core
// works with.
func (a *App) resolveApps() error {
	a.accounts = make(map[string]provider.Account, len(a.Apps))
	for _, m := range a.Apps {
		id, err := m.ResolveID()
		if err != nil {
			return err
		}
		if _, taken := a.accounts[id]; taken {
			return fmt.Errorf("app %s is configured twice%s", id, option.Position("app", m.AppID))
		}
		secret, err := option.AppSecret.Resolve(m.Secret)
		if err != nil {
			return fmt.Errorf("app %s: the secret %w%s", id, err, option.Position("app", m.AppID))
		}
		option.AppSecret.WarnIfWrittenOut(a.logger, m.Secret, zap.String("app", id))
		if option.OddAppSecret(secret) {
			a.logger.Warn("the AppSecret is not 32 hex digits, as WeChat makes them; check whether it was copied whole", zap.String("app", id))
		}
		if err := m.check(); err != nil {
			return fmt.Errorf("app %s: %w%s", id, err, option.Position("app", m.AppID))
		}
		a.accounts[id] = provider.Account{ID: id, Secret: secret, Kind: m.KindOrDefault(), AskUnionID: m.UnionID == unionIDOfFollowers}
		a.order = append(a.order, id)
	}
	return nil
}

// kinds are the kinds of the accounts, by AppID.
func (a *App) kinds() map[string]string {
	kinds := make(map[string]string, len(a.accounts))
	for id, account := range a.accounts {
		kinds[id] = string(account.Kind)
	}
	return kinds
}
