package wechatapp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// kinds are the kinds of accounts: what the calls for their users are called in
// metrics and spans, whether they have an access_token, and who knows their users.
var kinds = map[provider.Kind]struct {
	endpoint    string
	accessToken bool
	provider    func(client *wechat.Client, authorizeBase string) provider.Provider
}{
	provider.MiniProgram: {endpointCode2Session, true, func(c *wechat.Client, _ string) provider.Provider {
		return wechat.MiniProgram{Client: c}
	}},
	provider.OfficialAccount: {endpointOAuth2, true, func(c *wechat.Client, base string) provider.Provider {
		return wechat.OfficialAccount{Client: c, AuthorizeBase: base}
	}},
	provider.Website: {endpointOAuth2, false, func(c *wechat.Client, base string) provider.Provider {
		return wechat.Website{Client: c, AuthorizeBase: base}
	}},
	provider.Mobile: {endpointOAuth2, false, func(c *wechat.Client, _ string) provider.Provider {
		return wechat.Mobile{Client: c}
	}},
}

// checkKind refuses what is no kind. Empty is the default.
func checkKind(kind provider.Kind) error {
	if _, found := kinds[kind]; found || kind == "" {
		return nil
	}
	if option.MayBeShown(string(kind)) {
		return fmt.Errorf("kind %q is not one of: %s", kind, strings.Join(kindNames(), " "))
	}
	return fmt.Errorf("the kind behind the secret is not one of: %s", strings.Join(kindNames(), " "))
}

func kindNames() (names []string) {
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		names = append(names, string(kind))
	}
	return names
}

// providers is the [provider.Provider] of all accounts: each kind has its own. It
// measures and traces their calls.
type providers struct {
	byKind  map[provider.Kind]provider.Provider
	metrics *metrics
}

func newProviders(client *wechat.Client, authorizeBase string, accounts map[string]provider.Account, m *metrics) providers {
	p := providers{make(map[provider.Kind]provider.Provider, len(kinds)), m}
	for kind, k := range kinds {
		p.byKind[kind] = k.provider(client, authorizeBase)
	}
	for id, account := range accounts { // so that rates are right from the first call on
		if len(accounts) <= manyApps {
			m.wechatTime.WithLabelValues(kinds[account.Kind].endpoint, id)
		}
	}
	return p
}

var errNoProvider = errors.New("account of an unknown kind")

// Exchange implements [provider.Provider].
func (p providers) Exchange(ctx context.Context, a provider.Account, proof provider.Proof) (user provider.User, err error) {
	exchanger, found := p.byKind[a.Kind]
	if !found {
		return user, fmt.Errorf("%w: %w", provider.ErrMisconfigured, errNoProvider)
	}
	err = p.metrics.observe(ctx, kinds[a.Kind].endpoint, a.ID, func(ctx context.Context) error {
		user, err = exchanger.Exchange(ctx, a, proof)
		return err
	})
	return user, err
}

// redirecter returns the provider of accounts whose logins begin in a browser.
func (p providers) redirecter(kind provider.Kind) (provider.Redirecter, bool) {
	r, ok := p.byKind[kind].(provider.Redirecter)
	return r, ok
}

// HasAccessToken reports whether WeChat gives accounts of a kind an access_token.
func HasAccessToken(kind provider.Kind) bool { return kinds[kind].accessToken }
