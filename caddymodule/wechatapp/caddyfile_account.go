package wechatapp

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/provider"
)

// unmarshalAccount reads one account:
//
//	app <appid> <secret> [mini_program | official_account | website | mobile] {
//		unionid followers
//	}
func (a *App) unmarshalAccount(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return d.Err("app: needs an AppID and a secret: app <appid> {env.WECHAT_SECRET}")
	}
	m := &Account{AppID: args[0], Secret: args[1]}
	switch {
	case m.AppID == "":
		return d.Err("app: the AppID is empty")
	case option.CheckAppIDText(m.AppID) != nil:
		return d.Errf("app: the AppID %v", option.CheckAppIDText(m.AppID))
	case m.Secret == "":
		return d.Errf("app %s: the secret is empty", m.AppID)
	case option.AppSecret.CheckText(m.Secret) != nil:
		return d.Errf("app %s: the secret %v", m.AppID, option.AppSecret.CheckText(m.Secret))
	}
	for _, other := range a.Apps {
		if other.AppID == m.AppID {
			return d.Errf("app %s is configured twice", m.AppID)
		}
	}
	if len(args) == 3 {
		if m.Kind = provider.Kind(args[2]); m.Kind == "" {
			return d.Errf("app %s: the kind is empty", m.AppID)
		}
	}
	option.RememberPosition(d, "app", m.AppID)
	if err := m.unmarshalBlock(d); err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return d.Errf("app %s: %v", m.AppID, err)
	}
	a.Apps = append(a.Apps, m)
	return nil
}

func (m *Account) unmarshalBlock(d *caddyfile.Dispenser) error {
	once := make(option.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d); err != nil {
			return err
		}
		switch d.Val() {
		case "unionid":
			if err := option.String(d, &m.UnionID); err != nil {
				return err
			}
		default:
			return option.Unknown(d, "app "+m.AppID, "unionid")
		}
	}
	return nil
}
