package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/secret"
)

const (
	appID     = "wx1234567890abcdef"
	theSecret = "5ecret+5ecret/5ecret=5ecret0000"
)

var account = provider.Account{ID: appID, Secret: secret.New(theSecret)}

func newClient(t *testing.T, timeout time.Duration, proxy string, bases ...string) *wechat.Client {
	t.Helper()
	client, err := wechat.New(transport.Options{Bases: bases, Timeout: timeout, Proxy: proxy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// want checks a finding and that it keeps its secrets.
func want(t *testing.T, name string, f Finding, status Status, texts ...string) {
	t.Helper()
	all := f.Message.String() + " -> " + f.Action.String()
	if f.Status != status {
		t.Errorf("%s: %s, want %s: %s", name, f.Status, status, all)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("%s: %q is not in: %s", name, text, all)
		}
	}
	if f.Action.IsZero() && (status == Fail || status == Warn) {
		t.Errorf("%s: nothing is said to be done about: %s", name, all)
	}
	for _, hidden := range []string{theSecret, wechattest.AccessToken(appID, 0), "pr0xy-pass"} {
		if strings.Contains(fmt.Sprintf("%+v", f), hidden) {
			t.Errorf("%s: shows %q", name, hidden)
		}
	}
}

func TestCredentialsThatWeChatRefuses(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	client := newClient(t, 5*time.Second, "", serve(t, fake))
	want(t, "good", Credentials(t.Context(), client, account), OK, "accepts")
	if form := fake.TokenForms()[0]; form.ForceRefresh == nil || *form.ForceRefresh {
		t.Error("the token of others was replaced")
	}
	want(
		t, "another app", Credentials(t.Context(), client, provider.Account{ID: "wxfedcba0987654321", Secret: account.Secret}), Fail,
		"AppID", "40013",
	)
	want(
		t, "another secret", Credentials(t.Context(), client, provider.Account{ID: appID, Secret: secret.New("wrong")}), Fail,
		"AppSecret is wrong", "40125",
	)
	for code, texts := range map[int][]string{
		-1: {"busy"}, 40001: {"AppSecret"}, 40013: {"AppID"}, 40125: {"AppSecret", "reset"}, 40164: {"whitelist"}, 40243: {"frozen", "unfreeze"},
		45009: {"quota", "Beijing"}, 45011: {"minute"}, 48001: {"API"}, 48004: {"forbidden"}, 50002: {"frozen", "notices"}, 50004: {"tokens"},
		50007: {"frozen"}, 61024: {"third-party"}, 89501: {"administrator"}, 89503: {"administrator"}, 89506: {"24 hours"}, 89507: {"hour"},
		12345: {"not known here", "rid"},
	} {
		fake.Next(wechattest.Errcode(code))
		want(t, fmt.Sprint(code), Credentials(t.Context(), client, account), Fail, append(
			texts, fmt.Sprintf("errcode %d", code), "6700abcd-12345678-9abcdef0",
		)...)
	}
	if fake.Calls() != 0 {
		t.Error("a login code was spent")
	}
}

func TestWhitelistFindingNamesTheAddress(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	fake.Next(wechattest.Answer{Body: `{"errcode":40164,"errmsg":"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist, rid: 6700abcd-12345678-9abcdef0"}`})
	f := Credentials(t.Context(), newClient(t, 5*time.Second, "", serve(t, fake)), account)
	want(t, "40164", f, Fail, "WeChat sees it as 203.0.113.7", "enter 203.0.113.7 at", "IP白名单")
}

func TestCredentialsWithoutAnAnswer(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	url := serve(t, fake)
	client := newClient(t, 5*time.Second, "", url)
	want(
		t, "nobody there", Credentials(t.Context(), newClient(t, 5*time.Second, "", "http://127.0.0.1:1"), account), Fail,
		"cannot be reached",
	)
	fake.Next(wechattest.Answer{Body: "<html>log in to the airport's network</html>"})
	want(t, "a web page", Credentials(t.Context(), client, account), Fail, "not WeChat's API")
	fake.Next(wechattest.Answer{Handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }})
	want(t, "cut", Credentials(t.Context(), client, account), Fail, "broke")
	release := fake.Hold()
	defer release()
	want(t, "silence", Credentials(t.Context(), newClient(t, 50*time.Millisecond, "", url), account), Fail, "api_timeout")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, "interrupted", Credentials(ctx, client, account), Skip)
}
