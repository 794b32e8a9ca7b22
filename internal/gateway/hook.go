package gateway

import (
	"context"
	"time"

	"github.com/caddy-wechat/gateway/internal/loginhook"
)

// LoginHook asks the application about a user who wants to come in. Its errors are
// those of package loginhook.
type LoginHook interface {
	Ask(ctx context.Context, login loginhook.Login) (loginhook.Verdict, error)
	// Timeout bounds a call.
	Timeout() time.Duration
}

// Hook is a login hook and what becomes of a login that it cannot judge.
type Hook struct {
	LoginHook
	// AllowOnFailure lets a user in whom the hook cannot judge, under the name that is
	// known.
	AllowOnFailure bool
}
