package wechat

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/secret"
)

func TestStableTokenOfAnApp(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	client := serve(t, fake)
	for i, force := range []bool{false, false, true} {
		token, err := client.StableToken(t.Context(), account, force)
		want := wechattest.AccessToken(appID, i/2)
		if err != nil || token.Value.Reveal() != want || token.ExpiresIn != 2*time.Hour {
			t.Errorf("call %d: %q for %s, %v; want %q", i, token.Value.Reveal(), token.ExpiresIn, err, want)
		}
		if text := fmt.Sprintf("%v %+v %#v", token, token, token); strings.Contains(text, want) {
			t.Errorf("the token shows itself: %s", text)
		}
		form := fake.TokenForms()[i]
		if form.AppID != appID || form.Secret != theSecret || form.GrantType != "client_credential" || form.ForceRefresh == nil ||
			*form.ForceRefresh != force {
			t.Errorf("form %+v, want force_refresh %v", form, force)
		}
	}
}

// WeChat answers 412 to a body whose length it is not told. The secret stays out
// of the URL, which others log.
func TestStableTokenRequestIsNotChunked(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength <= 0 || len(r.TransferEncoding) > 0 || r.URL.RawQuery != "" || r.Method != http.MethodPost {
			t.Errorf("%s %s with %d bytes, %v", r.Method, r.RequestURI, r.ContentLength, r.TransferEncoding)
		}
		fake.ServeHTTP(w, r)
	}))
	for range 3 {
		if _, err := client.StableToken(t.Context(), account, false); err != nil {
			t.Error(err)
		}
	}
}

func TestStableTokenErrcodes(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	client := serve(t, fake)
	for code, want := range map[int]error{
		-1: provider.ErrUnavailable, 40002: provider.ErrMisconfigured, 40013: provider.ErrMisconfigured, 40125: provider.ErrMisconfigured, 40164: provider.ErrMisconfigured,
		40243: provider.ErrMisconfigured, 45009: provider.ErrQuota, 45011: provider.ErrRateLimited, 50002: provider.ErrMisconfigured, 50007: provider.ErrMisconfigured,
		89503: provider.ErrMisconfigured, 99999: provider.ErrBadAnswer,
	} {
		fake.Next(wechattest.Errcode(code))
		_, err := client.StableToken(t.Context(), account, false)
		wantOutcome(t, fmt.Sprint(code), err, want)
		if api, ok := errors.AsType[*APIError](err); !ok || api.Code != code || api.RID == "" {
			t.Errorf("%d: APIError %+v", code, api)
		}
	}
	for name, other := range map[string]provider.Account{
		"another app":    {ID: "wxfedcba0987654321", Secret: secret.New(theSecret)},
		"another secret": {ID: appID, Secret: secret.New("wrong")},
	} {
		_, err := client.StableToken(t.Context(), other, false)
		wantOutcome(t, name, err, provider.ErrMisconfigured)
	}
}

func TestStableTokenAnswersThatCannotBeUsed(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	client := serve(t, fake)
	long := strings.Repeat("a", maxAccessToken+1)
	for _, body := range []string{
		``, `null`, `[]`, `{}`, `{"access_token":"abc"}`, `{"expires_in":7200}`,
		`{"access_token":"","expires_in":7200}`, `{"access_token":null,"expires_in":7200}`, `{"access_token":["abc"],"expires_in":7200}`,
		`{"access_token":"a b","expires_in":7200}`, `{"access_token":"a\nb","expires_in":7200}`, `{"access_token":"é","expires_in":7200}`,
		`{"access_token":"` + long + `","expires_in":7200}`,
		`{"access_token":"abc","expires_in":0}`, `{"access_token":"abc","expires_in":-1}`, `{"access_token":"abc","expires_in":"2h"}`, `{"access_token":"abc","expires_in":null}`,
		`{"access_token":"abc","expires_in":1e9}`, `{"access_token":"abc","expires_in":9999999}`,
		`{"access_token":"abc","access_token":"def","expires_in":7200}`, `{"access_token":"abc","expires_in":7200}{}`,
		strings.Repeat(" ", 64<<10+1),
	} {
		fake.Next(wechattest.Answer{Body: body})
		token, err := client.StableToken(t.Context(), account, false)
		wantOutcome(t, shown(body), err, provider.ErrBadAnswer)
		if !token.Value.IsZero() || token.ExpiresIn != 0 {
			t.Errorf("%s: a token with an error", shown(body))
		}
	}
	fake.Next(wechattest.Answer{Status: http.StatusPreconditionFailed})
	_, err := client.StableToken(t.Context(), account, false)
	wantOutcome(t, "412", err, provider.ErrBadAnswer)
}

// Relays in front of WeChat write strings for numbers and a byte order mark.
func TestStableTokenThatARelayDresses(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	fake.Next(wechattest.Answer{Body: "\xef\xbb\xbf" + `{"errcode":"0","errmsg":null,"access_token":"abc","expires_in":"7200"}`})
	token, err := serve(t, fake).StableToken(t.Context(), account, false)
	if err != nil || token.Value.Reveal() != "abc" || token.ExpiresIn != 2*time.Hour {
		t.Errorf("%+v, %v", token, err)
	}
}

func shown(body string) string { return body[:min(len(body), 60)] }

func TestStableTokenFailsOverOnConnectErrorsOnly(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + ln.Addr().String()
	ln.Close()
	fake := wechattest.New(appID, theSecret)
	second := httptest.NewServer(fake)
	t.Cleanup(second.Close)
	if _, err := newClient(t, 5*time.Second, nobody, second.URL).StableToken(t.Context(), account, false); err != nil {
		t.Errorf("the first base is not there: %v", err)
	}
	_, err = newClient(t, 5*time.Second, nobody).StableToken(t.Context(), account, false)
	wantOutcome(t, "nobody there", err, provider.ErrUnavailable)
	if !errors.Is(err, provider.ErrNotSent) {
		t.Errorf("nobody there: %v does not count as not sent", err)
	}
	var asked atomic.Int32
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(hangsUp.Close)
	calls := len(fake.TokenForms())
	_, err = newClient(t, 5*time.Second, hangsUp.URL, second.URL).StableToken(t.Context(), account, true)
	wantOutcome(t, "hung up", err, provider.ErrUnavailable)
	if asked.Load() != 1 || len(fake.TokenForms()) != calls {
		t.Errorf("asked %d times, and the next base %d times, after the request had left", asked.Load(), len(fake.TokenForms())-calls)
	}
	fake.Hold()
	_, err = newClient(t, time.Second, second.URL).StableToken(t.Context(), account, false)
	wantOutcome(t, "no answer", err, provider.ErrTimeout)
}
