package wechat

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/secret"
)

const (
	appID   = "wx1234567890abcdef"
	theCode = "0a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p"
	openID  = "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	unionID = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	// A character that the query must escape, so that both spellings are
	// looked for in errors.
	theSecret = "5ecret+5ecret/5ecret=5ecret0000"
)

var account = provider.Account{ID: appID, Secret: secret.New(theSecret)}

var outcomesOfCalls = []error{
	provider.ErrCodeRejected, provider.ErrCodeUsed, provider.ErrUserBlocked, provider.ErrRateLimited, provider.ErrQuota,
	provider.ErrUnavailable, provider.ErrTimeout, provider.ErrMisconfigured, provider.ErrBadAnswer,
}

func newClient(t testing.TB, timeout time.Duration, bases ...string) *Client {
	t.Helper()
	c, err := New(transport.Options{Bases: bases, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve starts a fake and a client of it.
func serve(t testing.TB, handler http.Handler) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newClient(t, 5*time.Second, server.URL)
}

// wantOutcome checks that err is exactly one outcome and shows nothing secret.
func wantOutcome(t *testing.T, name string, err, want error) {
	t.Helper()
	for _, outcome := range outcomesOfCalls {
		if got := errors.Is(err, outcome); got != errors.Is(want, outcome) {
			t.Errorf("%s: %v: is %q: %v", name, err, outcome, got)
		}
	}
	for _, hidden := range []string{theSecret, url.QueryEscape(theSecret), theCode, "js_code", wechattest.SessionKey, openID} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), hidden) && err != nil {
			t.Errorf("%s: the error shows %q: %#v", name, hidden, err)
		}
	}
}

func TestUserOfACode(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	fake.AddCode(theCode, wechattest.User{OpenID: openID, UnionID: unionID})
	client := serve(t, fake)
	user, err := client.Code2Session(t.Context(), account, theCode)
	if err != nil || user.OpenID != openID || user.UnionID != unionID || user.SessionKey.Reveal() != wechattest.SessionKey {
		t.Errorf("user %+v, %v", user, err)
	}
	want := url.Values{"appid": {appID}, "secret": {theSecret}, "js_code": {theCode}, "grant_type": {"authorization_code"}}
	if got := fake.Queries()[0]; got.Encode() != want.Encode() {
		t.Errorf("query %v, want %v", got, want)
	}
	_, err = client.Code2Session(t.Context(), account, theCode)
	wantOutcome(t, "the same code again", err, provider.ErrCodeUsed)
}

func TestEveryErrcodeHasItsOutcome(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	client := serve(t, fake)
	for code, want := range map[int]error{
		-1: provider.ErrUnavailable, 40029: provider.ErrCodeRejected, 40163: provider.ErrCodeUsed, 41008: provider.ErrCodeRejected, 42003: provider.ErrCodeRejected,
		40226: provider.ErrUserBlocked, 45011: provider.ErrRateLimited, 45009: provider.ErrQuota,
		40013: provider.ErrMisconfigured, 40125: provider.ErrMisconfigured, 40164: provider.ErrMisconfigured, 40243: provider.ErrMisconfigured, 40002: provider.ErrMisconfigured,
		41002: provider.ErrMisconfigured, 41004: provider.ErrMisconfigured, 48004: provider.ErrMisconfigured, 50002: provider.ErrMisconfigured, 61024: provider.ErrMisconfigured,
		40001: provider.ErrMisconfigured, 89503: provider.ErrMisconfigured, 89501: provider.ErrMisconfigured, 89506: provider.ErrMisconfigured, 89507: provider.ErrMisconfigured,
		1: provider.ErrBadAnswer, 99999: provider.ErrBadAnswer,
	} {
		fake.Next(wechattest.Errcode(code))
		_, err := client.Code2Session(t.Context(), account, theCode)
		wantOutcome(t, fmt.Sprint(code), err, want)
		api, ok := errors.AsType[*APIError](err)
		if !ok || api.Code != code || api.RID != "6700abcd-12345678-9abcdef0" {
			t.Errorf("%d: APIError %+v", code, api)
		}
		if errors.Is(err, provider.ErrNotSent) {
			t.Errorf("%d: counts as not sent", code)
		}
	}
}

func TestWhitelistErrorNamesEveryAddress(t *testing.T) {
	fake := wechattest.New(appID, theSecret)
	client := serve(t, fake)
	for errmsg, want := range map[string][]string{
		"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist":    {"203.0.113.7"},
		"invalid ip 203.0.113.7 ipv6 2001:db8::7, not in whitelist":           {"203.0.113.7", "2001:db8::7"},
		"invalid ip 203.0.113.7, 203.0.113.8. Not in whitelist: 2001:db8:0::": {"203.0.113.7", "203.0.113.8", "2001:db8::"},
		"not in whitelist": nil,
		"invalid ip 10.0.0.1" + strings.Repeat(" 10.0.0.2 10.0.0.3 dead:a", 99): {"10.0.0.1", "10.0.0.2", "10.0.0.3"},
	} {
		fake.Next(wechattest.Answer{Body: fmt.Sprintf(`{"errcode":40164,"errmsg":"%s, rid: 6700abcd-12345678-9abcdef0"}`, errmsg)})
		_, err := client.Code2Session(t.Context(), account, theCode)
		api, ok := errors.AsType[*APIError](err)
		if !ok || !slices.Equal(api.IPs, want) {
			t.Errorf("%s: %+v", errmsg, api)
			continue
		}
		for _, ip := range want {
			if !strings.Contains(err.Error(), ip) {
				t.Errorf("%q does not name %s", err, ip)
			}
		}
	}
}

// Operators read the log, not WeChat's list of errcodes.
func TestErrorsSayWhatTheErrcodeMeans(t *testing.T) {
	for code := range errcodes {
		if text := newAPIError(code, "").Error(); !strings.Contains(text, Meaning(code)) || len(Meaning(code)) < 10 {
			t.Errorf("%d: %q", code, text)
		}
	}
	if text := newAPIError(99999, "").Error(); !strings.HasSuffix(text, "(errcode 99999)") {
		t.Errorf("an unknown one: %q", text)
	}
}

// Relays and mocks in front of WeChat write null, strings for numbers and a byte
// order mark.
func TestAnswersThatRelaysDress(t *testing.T) {
	const mark = "\xef\xbb\xbf"
	good := fmt.Sprintf(`"openid":%q,"session_key":%q`, openID, wechattest.SessionKey)
	fake := wechattest.New(appID, theSecret)
	client := serve(t, fake)
	for name, body := range map[string]string{
		"unionid null":           `{"unionid":null,` + good + "}",
		"errcode null":           `{"errcode":null,"errmsg":null,` + good + "}",
		"errcode as string zero": `{"errcode":"0","errmsg":"ok",` + good + "}",
		"byte order mark":        mark + "{" + good + "}",
		"all of them":            mark + `{"errcode":"0","unionid":null,"rid":null,` + good + "}",
	} {
		fake.Next(wechattest.Answer{Body: body})
		if user, err := client.Code2Session(t.Context(), account, theCode); err != nil || user.OpenID != openID || user.UnionID != "" {
			t.Errorf("%s: %+v, %v", name, user, err)
		}
	}
	for name, test := range map[string]struct {
		body string
		want error
	}{
		"errcode as string":          {`{"errcode":"40029","errmsg":"invalid code"}`, provider.ErrCodeRejected},
		"a negative one":             {`{"errcode":"-1"}`, provider.ErrUnavailable},
		"behind a byte order mark":   {mark + `{"errcode":40163,"errmsg":null}`, provider.ErrCodeUsed},
		"two byte order marks":       {mark + mark + "{" + good + "}", provider.ErrBadAnswer},
		"openid null":                {`{"openid":null,"session_key":"` + wechattest.SessionKey + `"}`, provider.ErrBadAnswer},
		"session_key null":           {`{"openid":"` + openID + `","session_key":null}`, provider.ErrBadAnswer},
		"errcode an empty string":    {`{"errcode":"",` + good + "}", provider.ErrBadAnswer},
		"errcode ok":                 {`{"errcode":"ok",` + good + "}", provider.ErrBadAnswer},
		"errcode beyond all numbers": {`{"errcode":4294967296,` + good + "}", provider.ErrBadAnswer},
		"null and a value":           {`{"unionid":null,"unionid":"` + unionID + `",` + good + "}", provider.ErrBadAnswer},
	} {
		fake.Next(wechattest.Answer{Body: test.body})
		_, err := client.Code2Session(t.Context(), account, theCode)
		wantOutcome(t, name, err, test.want)
	}
}

// W1–W4, W8: WeChat, or whoever answers in its place, is not to be trusted.
func TestHostileAnswers(t *testing.T) {
	good := fmt.Sprintf(`"openid":%q,"session_key":%q`, openID, wechattest.SessionKey)
	fake := wechattest.New(appID, theSecret)
	client := serve(t, fake)
	for name, answer := range map[string]wechattest.Answer{
		"HTML":                    {ContentType: "text/html", Body: "<html>Please log in to the Wi-Fi</html>"},
		"empty":                   {Body: ""},
		"null":                    {Body: "null"},
		"a list":                  {Body: "[{" + good + "}]"},
		"half an object":          {Body: `{"openid":"` + openID},
		"status 500":              {Status: 500, Body: "{" + good + "}"},
		"status 201":              {Status: 201, Body: "{" + good + "}"},
		"10 MB":                   {Body: `{"x":"` + strings.Repeat("x", 10<<20) + `",` + good + "}"},
		"success and error":       {Body: `{"errcode":99998,` + good + "}"},
		"errcode false":           {Body: `{"errcode":false,` + good + "}"},
		"duplicate openid":        {Body: `{"openid":"oBBBBBBBBBBBBBBBBBBBBBBBBBBB",` + good + "}"},
		"OPENID":                  {Body: strings.ReplaceAll("{"+good+"}", "openid", "OPENID")},
		"openid with newline":     {Body: strings.ReplaceAll("{"+good+"}", openID, `oAAAA\r\nX-Admin: 1`)},
		"openid with braces":      {Body: strings.ReplaceAll("{"+good+"}", openID, `{env.SECRET}`)},
		"openid too short":        {Body: strings.ReplaceAll("{"+good+"}", openID, `oA`)},
		"openid a number":         {Body: `{"openid":7,"session_key":"` + wechattest.SessionKey + `"}`},
		"openid empty":            {Body: `{"openid":"","session_key":"` + wechattest.SessionKey + `"}`},
		"no session_key":          {Body: `{"openid":"` + openID + `"}`},
		"session_key of 15 bytes": {Body: `{"openid":"` + openID + `","session_key":"MDEyMzQ1Njc4OWFiY2Rl"}`},
		"session_key not base64":  {Body: `{"openid":"` + openID + `","session_key":"!!!!!!!!!!!!!!!!!!!!!!=="}`},
		"session_key in lines":    {Body: `{"openid":"` + openID + `","session_key":"MDEyMzQ1Njc4\nOWFiY2RlZg=="}`},
		"unionid a number":        {Body: `{"unionid":7,` + good + "}"},
		"unionid with comma":      {Body: `{"unionid":"uAAAA,uBBBB",` + good + "}"},
		"two objects":             {Body: "{" + good + "}{}"},
		"redirect":                {Handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }},
		"header of 1 MB":          {Handler: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Big", strings.Repeat("x", 1<<20)) }},
		"gzip that nobody asked for": {Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("\x1f\x8b\x08\x00"))
		}},
		"body shorter than declared": {Handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{" + good + "}"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		"not HTTP": {Handler: hijack("SSH-2.0-OpenSSH_9.6\r\n\r\n")},
	} {
		fake.Next(answer)
		_, err := client.Code2Session(t.Context(), account, theCode)
		wantOutcome(t, name, err, provider.ErrBadAnswer)
	}
	for name, body := range map[string]string{
		"errcode 0":     `{"errcode":0,"errmsg":"ok",` + good + "}",
		"unionid empty": `{"unionid":"",` + good + "}",
		"more members":  `{"expires_in":7200,"nested":{"a":[1]},` + good + "}",
	} {
		fake.Next(wechattest.Answer{Body: body})
		if user, err := client.Code2Session(t.Context(), account, theCode); err != nil || user.OpenID != openID || user.UnionID != "" {
			t.Errorf("%s: %+v, %v", name, user, err)
		}
	}
}

func hijack(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, answer)
		conn.Close()
	}
}

// Whatever is accepted is fit for headers, and what decided was there once.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"openid":"` + openID + `","session_key":"` + wechattest.SessionKey + `","unionid":"` + unionID + `"}`))
	f.Add([]byte(`{"errcode":40029,"errmsg":"invalid code, rid: 6700abcd-12345678-9abcdef0"}`))
	f.Add([]byte(`{"errcode":"40029"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		user, err := parseCode2Session(body)
		if err != nil {
			if user != (provider.User{}) {
				t.Fatalf("an error with a user: %q", body)
			}
			return
		}
		if !identity.ValidID(user.OpenID) || user.UnionID != "" && !identity.ValidID(user.UnionID) || len(user.SessionKey.Reveal()) != 24 {
			t.Fatalf("accepted %q", body)
		}
	})
}

func BenchmarkCode2Session(b *testing.B) {
	body := fmt.Sprintf(`{"openid":%q,"session_key":%q}`, openID, wechattest.SessionKey)
	client := serve(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Code2Session(b.Context(), account, theCode); err != nil {
			b.Fatal(err)
		}
	}
}
