package wechatapp

import (
	"cmp"
	"fmt"

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

// KindOrDefault is the configured one or the default.
func (m *Account) KindOrDefault() provider.Kind { return cmp.Or(m.Kind, provider.MiniProgram) }

// unionIDOfFollowers is the one value of unionid.
const unionIDOfFollowers = "followers"

// check validates combinations of settings.
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
