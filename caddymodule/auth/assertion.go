package auth

import (
	"fmt"
	"net/textproto"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/assertion"
	"github.com/caddy-wechat/gateway/internal/identity"
)

// Assertion is a signed statement about the user, for apps that verify instead of
// trusting the network: a JWT (EdDSA with Ed25519) with `iss` (`caddy-wechat`),
// `aud`, `sub` (the openid), `appid`, `unionid` if there is one, `iat` and `exp`.
// Its `typ` is `wxgw-assertion+jwt`. The public keys are at `{prefix}/jwks.json`.
type Assertion struct {
	// The header that carries it to the app.
	Header string `json:"header,omitempty"`

	// The `aud`: a name for the app behind this site. Apps that check it cannot be
	// sent what was made for another one.
	// Default: the AppID of the user's Mini Program
	Audience string `json:"audience,omitempty"`

	// How long an assertion is good, 5s to 60s. One is used for half of that time.
	// Default: `60s`
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	minter *assertion.Minter
}

func (a *Assertion) provision() error {
	if a == nil {
		return nil
	}
	if err := identity.CheckHeaderName(a.Header); err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	a.Header = textproto.CanonicalMIMEHeaderKey(a.Header)
	option.SetDefault(&a.Lifetime, caddy.Duration(assertion.MaxLifetime))
	if err := option.AssertionLifetimeBounds.Check("assertion: lifetime", time.Duration(a.Lifetime)); err != nil {
		return err
	}
	var err error
	if a.minter, err = assertion.NewMinter(a.Audience, time.Duration(a.Lifetime)); err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	return nil
}

// names lists the header to protect, if there is one.
func (a *Assertion) names() []string {
	if a == nil {
		return nil
	}
	return []string{a.Header}
}

// unmarshalCaddyfile sets up the assertion from its option:
//
//	assertion <header> {
//		audience <name>
//		lifetime <duration>
//	}
func (a *Assertion) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := option.String(d, &a.Header); err != nil {
		return err
	}
	if err := identity.CheckHeaderName(a.Header); err != nil {
		return d.WrapErr(err)
	}
	once := make(option.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d); err != nil {
			return err
		}
		switch d.Val() {
		case "audience":
			if err := option.String(d, &a.Audience); err != nil {
				return err
			}
		case "lifetime":
			if err := option.Duration(d, &a.Lifetime, option.AssertionLifetimeBounds); err != nil {
				return err
			}
		default:
			return option.Unknown(d, "assertion", "audience", "lifetime")
		}
	}
	return nil
}
