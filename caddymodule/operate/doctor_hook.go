package operate

import (
	"context"
	"net/http"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// checkHook sends the login hook a request that it must refuse: one that is unsigned
// and names no user. Without a hook there are no findings.
func (e *examination) checkHook(ctx context.Context) []doctor.Finding {
	if e.settings.OnLogin == nil {
		return nil
	}
	return []doctor.Finding{e.askHook(ctx, e.settings.OnLogin)}
}

func (e *examination) askHook(ctx context.Context, settings *wechatapp.LoginHook) doctor.Finding {
	hook, err := settings.Open()
	if err != nil {
		return doctor.Failf(checkHook, "", wording.Textf("correct what the message names"), "on_login: %v", err)
	}
	defer hook.Close()
	if e.offline {
		return doctor.Skipf(checkHook, "", "not asked, because of --offline")
	}
	switch status, err := hook.Probe(ctx); {
	case err != nil:
		action := wording.Textf("start the application, or correct the URL of on_login; while it does not answer, nobody can log in")
		if settings.AllowsOnFailure() {
			action = wording.Textf("start the application, or correct the URL of on_login; while it does not answer, users come in under the names that are known")
		}
		return doctor.Failf(checkHook, "", action, "%v", err)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return doctor.OKf(checkHook, "", "the application answers, and refuses what the gateway has not signed")
	case status < http.StatusMultipleChoices:
		return doctor.Failf(checkHook, "", wording.Textf("check X-WeChat-Signature first, as docs/login-hook.md shows, and answer 401 if it is wrong"),
			"the application answers %d to a request with a wrong signature: whoever reaches it can ask it, or make users", status)
	default:
		return doctor.Warnf(checkHook, "", wording.Textf("check whether the URL of on_login is the application's, and whether it answers 401 to a wrong signature"),
			"the application answers %d to a request with a wrong signature", status)
	}
}
