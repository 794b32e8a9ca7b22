// Package gateway holds the use cases: log in with a code, authenticate a
// request, renew, log out. It knows providers, tokens and sessions, no
// platform, and nothing of HTTP servers.
package gateway

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/session"
)

// UnionIDs finds out what a login did not tell.
type UnionIDs interface {
	// UnionID returns the UnionID of a user, empty if the platform does not tell.
	UnionID(ctx context.Context, a provider.Account, openID string) (string, error)
}

// Codes draws codes that open a page of a Mini Program.
type Codes interface {
	// MiniProgramCode returns a picture.
	MiniProgramCode(ctx context.Context, appID string, code provider.Code) ([]byte, error)
}

// Config is what a [Gateway] needs. All fields but Grace, LoginLimit, UnionIDs, Codes and Observer
// are required.
type Config struct {
	// Accounts by AppID.
	Accounts map[string]provider.Account
	// TokenLifetime is how long one token is good, MaxLifetime how long a
	// session can be renewed. Whole seconds.
	TokenLifetime, MaxLifetime time.Duration
	// MaxPerUser is how many sessions a user of an app can have at once.
	MaxPerUser int
	// LoginLimit bounds logins per client address. Zero: no limit.
	LoginLimit Limit
	// Grace is how old a token may be to pass while the store is down
	// (session.ErrAway). Zero: none pass.
	Grace time.Duration

	// Provider exchanges codes, by the account's kind.
	Provider provider.Provider
	// UnionIDs, if set, is asked about users of accounts that say so.
	UnionIDs UnionIDs
	// Codes draws the codes of scans. Needed by sites that have them.
	Codes Codes
	Store session.Backend
	// Hook asks the application at each login. Optional.
	Hook Hook
	// ExchangeTimeout is how long WeChat may take to answer. Zero: 5 s.
	ExchangeTimeout time.Duration
	// Keys returns the key ring of the moment; it may change at any time.
	Keys func() *key.Set
	// State outlives the Gateway, see State.
	State *State
	// Observer, if set, is told what happens.
	Observer Observer
}

// Gateway is the use cases under one configuration. It is safe for concurrent
// use; a new configuration makes a new one on the same [State] and Store.
type Gateway struct {
	Config
	maxTokenLifetime atomic.Int64
}

// New returns a [Gateway].
func New(c Config) *Gateway {
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	g := &Gateway{Config: c}
	g.AllowLifetime(c.TokenLifetime)
	return g
}

// AllowLifetime lets tokens claim to live this long. Sites call it for the tokens
// of browsers, which live as long as their sessions.
func (g *Gateway) AllowLifetime(lifetime time.Duration) {
	g.maxTokenLifetime.Store(int64(g.State.longestLifetime(lifetime)))
}

func (g *Gateway) longestLifetime() time.Duration { return time.Duration(g.maxTokenLifetime.Load()) }

// Apps lists the AppIDs that a site accepts.
type Apps []string

// Has reports whether the site accepts the app.
func (a Apps) Has(appID string) bool { return slices.Contains(a, appID) }

// Grant is a token handed to a client.
type Grant struct {
	Token string
	// ExpiresIn is the lifetime of the token, in whole seconds.
	ExpiresIn time.Duration
	// AppID and UserHash say for whom, in a form fit for logs.
	AppID, UserHash string
	// UnionIDChanged says that WeChat gave the user another unionid than at the
	// login before, or none any more.
	UnionIDChanged bool
	// Repeated says that another request made the login, or an earlier one: the answer is
	// given once more.
	Repeated bool `json:"-"`
}
