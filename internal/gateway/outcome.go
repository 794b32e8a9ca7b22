package gateway

import (
	"crypto/subtle"
	"encoding/json"
	"errors"

	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/session"
)

// outcome is an answer as kept for the client that lost it.
type outcome struct {
	Grant   *Grant `json:"grant,omitempty"`
	Refusal string `json:"refusal,omitempty"`
	// Message of the login hook, with its refusal.
	Message string `json:"message,omitempty"`
}

// refusals are the answers of WeChat that can be given again, by a name that
// nodes of different versions agree on.
var refusals = map[string]error{
	"code_rejected": provider.ErrCodeRejected,
	"code_used":     provider.ErrCodeUsed,
	"user_blocked":  provider.ErrUserBlocked,
	"rate_limited":  provider.ErrRateLimited,
	"quota":         provider.ErrQuota,
	"unavailable":   provider.ErrUnavailable,
	"timeout":       provider.ErrTimeout,
	"misconfigured": provider.ErrMisconfigured,
	"bad_answer":    provider.ErrBadAnswer,
	"denied":        ErrUserDenied,
	"snapshot":      provider.ErrSnapshotUser,
	notAllowed:      loginhook.ErrNotAllowed,
	"hook_answer":   loginhook.ErrBadAnswer,
	"hook_paused":   loginhook.ErrPaused,
	"hook_timeout":  loginhook.ErrTimeout,
}

const notAllowed = "not_allowed"

func encodeOutcome(grant Grant, err error) []byte {
	kept := outcome{Grant: &grant}
	if err != nil {
		kept = outcome{}
		for name, refusal := range refusals {
			if errors.Is(err, refusal) {
				kept.Refusal = name
			}
		}
		if no, ok := errors.AsType[*loginhook.Refusal](err); ok {
			kept.Message = no.Message
		}
	}
	body, err := json.Marshal(kept)
	if err != nil {
		panic(err) // strings and integers always encode
	}
	return body
}

// replay answers a code that was seen before.
func replay(reply *session.Reply, nonce string) (Grant, error) {
	if reply == nil || nonce == "" || subtle.ConstantTimeCompare([]byte(reply.Nonce), []byte(nonce)) != 1 {
		return Grant{}, ErrCodeUsed
	}
	var kept outcome
	if err := json.Unmarshal(reply.Body, &kept); err != nil {
		return Grant{}, ErrCodeUsed
	}
	if kept.Grant != nil {
		return *kept.Grant, nil
	}
	if kept.Refusal == notAllowed {
		return Grant{}, &loginhook.Refusal{Message: kept.Message}
	}
	if refusal, found := refusals[kept.Refusal]; found {
		return Grant{}, refusal
	}
	return Grant{}, ErrCodeUsed
}
