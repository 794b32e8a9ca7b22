package wechatapp

import (
	"cmp"
	"fmt"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// Account is one account of the WeChat platform.
type Account struct {
	// The AppID, as in the account's console: `wx` and 16 hex digits.
	AppID string `json:"appid,omitempty"`

	// The AppSecret, as a placeholder: `{env.WECHAT_SECRET}` or
	// `{file./path/to/secret}`. It is resolved when the configuration loads and
	// shown nowhere. A secret written out here works, but ends up in every copy
	// of the configuration, so it is warned about.
	Secret string `json:"secret,omitempty"`

	// What the account is: `mini_program` (mini games, too), `official_account`
	// (pages in WeChat), `website` (QR code on a desktop) or `mobile` (apps with
	// WeChat's SDK).
	// Default: `mini_program`
	Kind provider.Kind `json:"kind,omitempty"`

	// With `followers`, WeChat is asked once for the unionid of a user who has none,
	// which it tells of followers of the account. For `official_account` only.
	// Default: not asked
	UnionID string `json:"unionid,omitempty"`
}

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
			a.logger.Warn("the AppSecret is not 32 hex digits, as WeChat makes them; look whether it was copied whole", zap.String("app", id))
		}
		if err := m.check(); err != nil {
			return fmt.Errorf("app %s: %w%s", id, err, option.Position("app", m.AppID))
		}
		a.accounts[id] = provider.Account{ID: id, Secret: secret, Kind: m.KindOrDefault(), AskUnionID: m.UnionID == unionIDOfFollowers}
		a.order = append(a.order, id)
	}
	return nil
}

// KindOrDefault is the configured one or the default.
func (m *Account) KindOrDefault() provider.Kind { return cmp.Or(m.Kind, provider.MiniProgram) }

// unionIDOfFollowers is the one value of unionid.
const unionIDOfFollowers = "followers"

// check looks at what goes together.
func (m *Account) check() error {
	if err := checkKind(m.Kind); err != nil {
		return err
	}
	switch {
	case m.UnionID == "":
	case m.UnionID != unionIDOfFollowers:
		return fmt.Errorf("unionid must be %s", unionIDOfFollowers)
	case m.Kind != provider.OfficialAccount:
		return fmt.Errorf("unionid %s is for kind %s", unionIDOfFollowers, provider.OfficialAccount)
	}
	return nil
}

// ResolveID returns the AppID with its placeholder expanded.
func (m *Account) ResolveID() (string, error) { return option.ResolveAppID("app", m.AppID) }

// kinds are the kinds of the accounts, by AppID.
func (a *App) kinds() map[string]string {
	kinds := make(map[string]string, len(a.accounts))
	for id, account := range a.accounts {
		kinds[id] = string(account.Kind)
	}
	return kinds
}
