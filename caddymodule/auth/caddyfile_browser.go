package auth

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/browser"
)

// unmarshalCaddyfile reads the option of wechat_auth:
//
//	browser {
//		challenge    navigate | off
//		cookie       <name>
//		lifetime     <duration>
//		in_wechat    <appid>
//		elsewhere    <appid>
//		scan         <appid> <page> [release | trial | develop]
//		trust_origin <origin>...
//	}
func (b *Browser) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := option.NoArgument(d); err != nil {
		return err
	}
	once := make(option.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d); err != nil {
			return err
		}
		if err := b.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (b *Browser) unmarshalOption(d *caddyfile.Dispenser) error {
	switch name := d.Val(); name {
	case "challenge":
		if err := option.String(d, &b.Challenge); err != nil {
			return err
		}
		if b.Challenge != challengeNavigate && b.Challenge != challengeOff {
			return d.Errf("challenge: %q must be navigate or off", b.Challenge)
		}
	case "cookie":
		if err := option.String(d, &b.Cookie); err != nil {
			return err
		}
		if _, err := browser.NewCookies(b.Cookie); err != nil {
			return d.WrapErr(err)
		}
	case "lifetime":
		return option.Duration(d, &b.Lifetime, option.BrowserLifetimeBounds)
	case "in_wechat":
		return parseAppID(d, &b.InWeChat)
	case "elsewhere":
		return parseAppID(d, &b.Elsewhere)
	case "scan":
		return b.unmarshalScan(d)
	case "trust_origin":
		b.TrustOrigin = d.RemainingArgs()
		if len(b.TrustOrigin) == 0 {
			return d.ArgErr()
		}
		if _, err := newSiteCheck(b.TrustOrigin...); err != nil {
			return d.Errf("trust_origin: %v", err)
		}
	default:
		return option.Unknown(d, "browser", "challenge", "cookie", "lifetime", "in_wechat", "elsewhere", "scan", "trust_origin")
	}
	return nil
}

func parseAppID(d *caddyfile.Dispenser, into *string) error {
	name := d.Val()
	if err := option.String(d, into); err != nil {
		return err
	}
	if option.CheckAppIDText(*into) != nil {
		return d.Errf("%s: %q is not an AppID", name, *into)
	}
	return nil
}

func (b *Browser) unmarshalScan(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 && len(args) != 3 {
		return d.ArgErr()
	}
	b.Scan = &Scan{App: args[0], Page: args[1]}
	if len(args) == 3 {
		b.Scan.Version = args[2]
	}
	if option.CheckAppIDText(b.Scan.App) != nil {
		return d.Errf("scan: %q is not an AppID", b.Scan.App)
	}
	if err := b.Scan.check(); err != nil {
		return d.Errf("scan: %v", err)
	}
	return nil
}
