package doctor

import (
	"context"
	"errors"
	"strings"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// TokenSource asks WeChat for an account's access_token.
type TokenSource interface {
	StableToken(ctx context.Context, account provider.Account, force bool) (wechat.AccessToken, error)
}

// CheckCredentials is the kind of [Credentials]' findings.
const CheckCredentials = "credentials"

// console is where operators change what WeChat knows about their app.
const console = "mp.weixin.qq.com, 开发管理, 开发设置 (development settings)"

// remedies say what an errcode of stable_token means and what to do about it
// ("获取稳定版接口调用凭据", the global errcode list).
var remedies = map[int][2]string{
	-1: {"WeChat is busy", "run this again in a minute"},
	40001: {
		"the AppSecret is not this account's",
		"put the AppSecret of this app, from " + console + ", where the configuration's placeholder points",
	},
	40013: {
		"WeChat does not know this AppID",
		"copy the AppID from " + console + " into `app <appid> <secret>`: lower case, no spaces",
	},
	40125: {
		"the AppSecret is wrong, or was reset in the console since",
		"put the AppSecret of this app, from " + console + ", where the configuration's placeholder points; it is shown only when it is reset",
	},
	40164: {"the app's IP whitelist does not have this machine", ""}, // see whitelist
	40243: {"the AppSecret is frozen", "unfreeze it at " + console},
	45009: {
		"the account's quota for this call is used up",
		"wait until the day is over in Beijing, or raise or clear the quota in the console; find out who else calls WeChat for this app",
	},
	45011: {"WeChat is called too often for this app", "wait a minute and run this again; find out who else calls WeChat for this app"},
	48001: {"the account may not use this API", "see the app's permissions in the console"},
	48004: {"WeChat has forbidden the account this API", "see the notices in the console"},
	50002: {"the account is frozen, restricted or cancelled", "see the notices in the console, and appeal there"},
	50004: {"the account may not ask for tokens", "see the notices in the console"},
	50007: {"the account is frozen", "see the notices in the console, and appeal there"},
	61024: {"this AppID belongs to a third-party platform, not to a Mini Program", "use the AppID of the Mini Program itself"},
	89501: {"calls from this IP address wait for the administrator's confirmation", "have the app's administrator confirm the message that WeChat sent to him"},
	89503: {"calls from this IP address need the administrator's confirmation", "have the app's administrator confirm the message that WeChat sent to him"},
	89506: {"the administrator refused this IP address twice", "wait 24 hours, then have him confirm"},
	89507: {"the administrator refused this IP address", "wait an hour, then have him confirm"},
}

// Credentials asks WeChat whether it accepts the AppID and its secret. It
// spends no login code and replaces no token.
func Credentials(ctx context.Context, source TokenSource, account provider.Account) Finding {
	_, err := source.StableToken(ctx, account, false)
	return credentials(account, err)
}

// credentials says what the outcome of a call means for AppID and secret.
func credentials(account provider.Account, err error) Finding {
	f := Finding{Check: CheckCredentials, Subject: account.ID, Status: Fail}
	api, isAPI := errors.AsType[*wechat.APIError](err)
	switch {
	case err == nil:
		f.Status, f.Message = OK, wording.Textf("WeChat accepts AppID and AppSecret")
	case isAPI && api.Code == 40164:
		f.Message, f.Action = whitelist(api.IPs)
	case isAPI:
		remedy, found := remedies[api.Code]
		if !found {
			remedy = [2]string{"WeChat refuses, for a reason that is not known here", "look the errcode up in WeChat's documentation, or give the rid to its support"}
		}
		f.Message, f.Action = wording.Textf(remedy[0]), wording.Textf(remedy[1])
	case errors.Is(err, provider.ErrNotSent):
		f.Message, f.Action = wording.Textf("WeChat cannot be reached"), wording.Textf("see the lines about the connection")
	case errors.Is(err, provider.ErrTimeout):
		f.Message, f.Action = wording.Textf("WeChat did not answer within api_timeout"), wording.Textf("run this again; if it stays so, look for a firewall or proxy that swallows the traffic, or raise api_timeout")
	case errors.Is(err, provider.ErrUnavailable):
		f.Message, f.Action = wording.Textf("the connection broke before WeChat's answer"), wording.Textf("run this again; if it stays so, look for a firewall or proxy in between")
	case errors.Is(err, context.Canceled):
		f.Status, f.Message = Skip, wording.Textf("interrupted")
	default:
		f.Message = wording.Textf("what answers is not WeChat's API: %v", err)
		f.Action = wording.Textf("check `api` and `api_proxy`, and look for a firewall or login page in between")
	}
	switch {
	case isAPI && api.RID != "":
		f.Message = wording.Textf("%s (errcode %d, rid %s)", f.Message, api.Code, api.RID)
	case isAPI:
		f.Message = wording.Textf("%s (errcode %d)", f.Message, api.Code)
	}
	return f
}

// whitelist names the addresses that WeChat saw, which behind NAT this machine
// does not know itself.
func whitelist(ips []string) (message, action wording.Text) {
	message = wording.Textf(remedies[40164][0])
	if len(ips) == 0 {
		return message, wording.Textf("enter the address from which this machine reaches the internet at " + console + ", IP白名单 (IP whitelist)")
	}
	seen := strings.Join(ips, ", ")
	return wording.Textf("%s; WeChat sees it as %s", message, seen),
		wording.Textf("enter %s at "+console+", IP白名单 (IP whitelist); if the address changes, send calls through a fixed one with api_proxy", seen)
}
