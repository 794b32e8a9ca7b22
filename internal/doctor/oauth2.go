package doctor

import (
	"context"
	"errors"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// madeUpCode is a code that WeChat never issued.
const madeUpCode = "caddy-wechat-doctor"

// OAuth2 asks WeChat about an account whose users come by OAuth 2.0: it exchanges a code
// that WeChat never issued, which is the same call for all kinds. WeChat looks at AppID, secret
// and kind first, so that its "invalid code" is good news. Nothing is spent.
func OAuth2(ctx context.Context, client *wechat.Client, account provider.Account) Finding {
	_, err := wechat.Mobile{Client: client}.Exchange(ctx, account, provider.Proof{Code: madeUpCode})
	if errors.Is(err, provider.ErrCodeRejected) || errors.Is(err, provider.ErrCodeUsed) {
		err = nil
	}
	f := credentials(account, err)
	api, isAPI := errors.AsType[*wechat.APIError](err)
	switch {
	case err == nil:
		f.Message = wording.Textf("WeChat accepts AppID and AppSecret for logins of kind %s", account.Kind)
	case isAPI && (api.Code == 40013 || api.Code == 48001):
		f.Action = wording.Textf("see in WeChat's console whether the account is of kind %s, as `app` says, and copy its AppID", account.Kind)
	}
	return f
}
