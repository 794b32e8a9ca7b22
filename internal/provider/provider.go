// Package provider says what a platform has to do so that its users can log in,
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
}

// Proof is what a client brings.
type Proof struct {
	// Code was handed to the client by the platform, and works once.
	Code string
}

// User is who a proof belongs to.
type User struct {
	// OpenID of the user in this account.
	OpenID string
	// UnionID across the accounts of one owner; empty unless the platform tells.
	UnionID string
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
