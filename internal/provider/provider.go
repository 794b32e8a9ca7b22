// Package provider says what a platform must do so that its users can log in,
// and what can happen to them on the way. The core knows this package and no
// platform; those are in packages below it.
package provider

import (
	"context"

	"github.com/caddy-wechat/gateway/internal/secret"
)

// Account is what an operator has at a platform: users log in to it.
type Account struct {
	// ID names the account, at the platform and everywhere in the gateway.
	ID     string
	Secret secret.String
	// Kind is how users come to it. It says which Provider to ask.
	Kind Kind
	// AskUnionID says that the platform is asked for the UnionID of a user whose
	// login does not tell one.
	AskUnionID bool
}

// Kind is a kind of account.
type Kind string

// The kinds of accounts.
const (
	MiniProgram     Kind = "mini_program" // and mini games
	OfficialAccount Kind = "official_account"
	Website         Kind = "website"
	Mobile          Kind = "mobile"
)

// Proof is what a client brings.
type Proof struct {
	// Code was handed to the client by the platform, and works once.
	Code string
	// Scope is what the user was asked to agree to, in the platform's words; empty
	// if the gateway did not ask.
	Scope string
}

// User is who a proof belongs to.
type User struct {
	// OpenID of the user in this account.
	OpenID string
	// UnionID across the accounts of one owner; empty unless the platform tells.
	UnionID string
	// Silent says that this login could not tell a UnionID. Without one the user
	// keeps the one of before.
	Silent bool
	// SessionKey signs and decrypts the user's data, if this kind of account has
	// such a key. It never leaves the gateway.
	SessionKey secret.String
}

// A Provider exchanges the proof that a client brings for the user it belongs to.
type Provider interface {
	// Exchange sends the proof once. Its error matches exactly one outcome of
	// this package, and [ErrNotSent] in addition while the proof is still good.
	// When ctx is cancelled it is the error of ctx.
	Exchange(ctx context.Context, a Account, p Proof) (User, error)
}

// A Redirecter is a [Provider] whose logins begin in a browser.
type Redirecter interface {
	Provider
	// AuthorizeURL is where the browser goes to log in. The platform sends it back
	// to callback, an absolute URL, with state and a code for Exchange. scope is
	// the one of the [Proof] then; empty for the platform's least.
	AuthorizeURL(a Account, scope, state, callback string) string
}

// Code is what a code of a Mini Program opens.
type Code struct {
	// Scene is what the page is told, at most 32 characters.
	Scene string
	// Page of the Mini Program, without a slash before it.
	Page string
	// Version is release, trial or develop.
	Version string
}
