package simulator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	back    = "http://127.0.0.1:8080/wechat/callback?to=%2Forders"
	state   = "0123456789abcdef0123456789abcdef"
	weChat  = "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50"
	desktop = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Firefox/132.0"
)

// link is one that a gateway sends browsers to, with WeChat's order of parameters.
func link(path, scope, extra string) string {
	return path + "?appid=" + appID + "&redirect_uri=" + url.QueryEscape(back) + "&response_type=code&scope=" + scope + "&state=" + state + extra
}

func browse(s *Site, method, target, agent string, form url.Values, cookies ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, cookie := range cookies {
		r.Header.Add("Cookie", cookie)
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	return rec
}

// press presses a user's button on the page behind a link.
func press(s *Site, target, agent, user, quirk string, cookies ...string) *httptest.ResponseRecorder {
	path, query, _ := strings.Cut(target, "?")
	return browse(s, http.MethodPost, confirmPath, agent, url.Values{
		"path": {path}, "query": {query}, "fragment": {"#wechat_redirect"}, "user": {user}, "quirk": {quirk},
	}, cookies...)
}

// tokenAnswer exchanges the code of a callback.
func oauthAnswer(t *testing.T, s *Site, callback string) (fields map[string]any) {
	t.Helper()
	u, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	q := url.Values{"appid": {appID}, "secret": {secret}, "code": {u.Query().Get("code")}, "grant_type": {"authorization_code"}}
	body := control(t, s, http.MethodGet, "/sns/oauth2/access_token?"+q.Encode(), "", "").Body
	if err := json.NewDecoder(body).Decode(&fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestConnectChecksLinksAsWeChatDoes(t *testing.T) {
	base, userinfo, qr := link(consentPath, "snsapi_base", "&connect_redirect=1"), link(
		consentPath, "snsapi_userinfo", "&forcePopup=true&connect_redirect=1",
	), link(qrPath, "snsapi_login", "")
	with := func(text, old, text2 string) string { return strings.Replace(text, old, text2, 1) }
	for name, tc := range map[string]struct{ target, agent, want string }{
		"silent":                     {base, weChat, ""},
		"with consent":               {userinfo, weChat, ""},
		"by QR code":                 {qr, desktop, ""},
		"QR code in English":         {qr + "&lang=en", desktop, ""},
		"outside WeChat":             {base, desktop, "open this in WeChat"},
		"another order":              {with(with(base, "&state="+state, ""), "&scope", "&state="+state+"&scope"), weChat, "in this order"},
		"sorted by name":             {consentPath + "?appid=" + appID + "&connect_redirect=1" + strings.TrimSuffix(strings.SplitN(base, appID, 2)[1], "&connect_redirect=1"), weChat, "in this order"},
		"redirect_uri not encoded":   {with(base, url.QueryEscape(back), "http://127.0.0.1:8080/?a=b&c=d"), weChat, "in this order"},
		"another parameter":          {base + "&code_challenge=x", weChat, "does not know"},
		"no scope":                   {with(base, "snsapi_base", ""), weChat, "10010"},
		"no redirect_uri":            {with(base, url.QueryEscape(back), ""), weChat, "10011"},
		"no appid":                   {with(base, appID, ""), weChat, "10012"},
		"no state":                   {with(base, state, ""), weChat, "10013"},
		"a website's scope":          {with(base, "snsapi_base", "snsapi_login"), weChat, "10005"},
		"an account's scope":         {with(qr, "snsapi_login", "snsapi_base"), desktop, "10005"},
		"no such scope":              {with(base, "snsapi_base", "snsapi_all"), weChat, "10005"},
		"an original ID":             {with(base, appID, "gh_0123456789ab"), weChat, "no account"},
		"another response_type":      {with(base, "=code", "=token"), weChat, "response_type"},
		"a dash in the state":        {with(base, state, "a-b"), weChat, "state must"},
		"a long state":               {with(base, state, strings.Repeat("a", 129)), weChat, "state must"},
		"another host":               {with(base, "127.0.0.1%3A8080", "example.com"), weChat, "10003"},
		"a script in place of a URL": {with(base, url.QueryEscape(back), "javascript%3Aalert(1)"), weChat, "10003"},
		"a user in the URL":          {with(base, "127.0.0.1%3A8080", "127.0.0.1%3A8080%40example.com"), weChat, "10003"},
	} {
		rec := browse(&Site{Server: New()}, http.MethodGet, tc.target, tc.agent, nil)
		body := rec.Body.String()
		if ok := rec.Code == 200 && strings.Contains(body, "<form"); ok != (tc.want == "") || !strings.Contains(body, tc.want) {
			t.Errorf("%s: %d %.400s, want %q", name, rec.Code, body, tc.want)
		}
		// The form is checked again: it could come from anywhere.
		if rec := press(&Site{Server: New()}, tc.target, tc.agent, "alice", ""); (rec.Code == http.StatusSeeOther) != (tc.want == "") {
			t.Errorf("%s: its form: %d", name, rec.Code)
		}
	}
}

func TestConnectReturnsToRegisteredHostsOnly(t *testing.T) {
	s := &Site{Server: New(), Domains: map[string][]string{appID: {"example.com"}}}
	for host, want := range map[string]bool{
		"https://example.com": true, "https://EXAMPLE.com": true, "https://www.example.com": false, "https://example.com:8443": false,
		"https://example.com.evil.example": false, "http://127.0.0.1:8080": false,
	} {
		target := strings.Replace(link(consentPath, "snsapi_base", ""), url.QueryEscape("http://127.0.0.1:8080"), url.QueryEscape(host), 1)
		rec := browse(s, http.MethodGet, target, weChat, nil)
		if (rec.Code == 200) != want {
			t.Errorf("%s: %d", host, rec.Code)
		}
		if policy := rec.Header().Get("Content-Security-Policy"); want &&
			!strings.Contains(strings.ToLower(policy), "form-action 'self' https://example.com;") {
			t.Errorf("%s: %s", host, policy)
		}
	}
}

func TestOnePersonHasOneUnionIDInAllWays(t *testing.T) {
	s := &Site{Server: New()}
	mini := exchange(t, s, "js_code", newCode(t, s, "alice"))
	for name, tc := range map[string]struct {
		target, agent, user string
		unionID             bool
	}{
		"silent":       {link(consentPath, "snsapi_base", ""), weChat, "alice", false},
		"with consent": {link(consentPath, "snsapi_userinfo", ""), weChat, "alice", true},
		"website":      {link(qrPath, "snsapi_login", ""), desktop, "alice", true},
		"of bob":       {link(qrPath, "snsapi_login", ""), desktop, "bob", false},
	} {
		rec := press(s, tc.target, tc.agent, tc.user, "")
		location := rec.Header().Get("Location")
		if rec.Code != http.StatusSeeOther ||
			!regexp.MustCompile(`^`+regexp.QuoteMeta(back)+`&code=[0-9a-f]{32}&state=`+state+`$`).MatchString(location) {
			t.Fatalf("%s: %d %s", name, rec.Code, location)
		}
		answer := oauthAnswer(t, s, location)
		if answer["openid"] != id("openid", appID, tc.user) || (answer["unionid"] == mini["unionid"]) != tc.unionID ||
			(answer["unionid"] != nil) != tc.unionID {
			t.Errorf("%s: %v, the Mini Program %v", name, answer, mini)
		}
		if again := oauthAnswer(t, s, location); again["errcode"] != 40163.0 {
			t.Errorf("%s: the code again: %v", name, again)
		}
	}
	// A code of one way is none of another.
	location := press(s, link(qrPath, "snsapi_login", ""), desktop, "alice", "").Header().Get("Location")
	u, _ := url.Parse(location)
	if answer := exchange(t, s, "js_code", u.Query().Get("code")); answer["errcode"] != 40029.0 {
		t.Errorf("code2session of a website's code: %v", answer)
	}
	if answer := oauthAnswer(t, s, location); answer["openid"] == nil {
		t.Errorf("it was used up: %v", answer)
	}
}

func TestQuirksOfTheField(t *testing.T) {
	official, website := link(consentPath, "snsapi_userinfo", ""), link(qrPath, "snsapi_login", "")
	location := func(s *Site, quirk string) *url.URL {
		t.Helper()
		rec := press(s, official, weChat, "alice", quirk)
		u, err := url.Parse(rec.Header().Get("Location"))
		if err != nil || rec.Code != http.StatusSeeOther {
			t.Fatalf("%s: %d %v", quirk, rec.Code, err)
		}
		return u
	}
	s := &Site{Server: New()}
	if u := location(s, "refuse"); u.Query().Has("code") || u.Query().Get("state") != state {
		t.Errorf("refuse: %s", u)
	}
	if rec := press(s, website, desktop, "alice", "refuse"); rec.Code != 200 ||
		!strings.Contains(rec.Body.String(), "sends the browser nowhere") {
		t.Errorf("refuse on a website: %d", rec.Code)
	}
	for quirk, errcode := range map[string]any{"late": 40029.0, "code_used": 40163.0, "": nil} {
		if answer := oauthAnswer(t, s, location(s, quirk).String()); answer["errcode"] != errcode {
			t.Errorf("%q: %v", quirk, answer)
		}
	}
	if u := location(s, "altered_state"); !strings.HasPrefix(u.Query().Get("state"), state) || u.Query().Get("state") == state {
		t.Errorf("altered_state: %s", u)
	}
	first, second := oauthAnswer(t, s, location(s, "snapshot").String()), oauthAnswer(t, s, location(s, "snapshot").String())
	if first["is_snapshotuser"] != 1.0 || first["unionid"] != nil || first["openid"] == second["openid"] ||
		first["openid"] == id("openid", appID, "alice") {
		t.Errorf("snapshot: %v, %v", first, second)
	}
	rec := press(s, official, weChat, "alice", "cookie_lost", "a=1; wechat_session_state_01234567=x")
	if cookies := rec.Result().Cookies(); len(cookies) != 2 || cookies[0].MaxAge >= 0 ||
		cookies[1].Name != "wechat_session_state_01234567" || cookies[1].MaxAge >= 0 {
		t.Errorf("cookie_lost: %v", cookies)
	}
	if rec := press(s, official, weChat, "alice", "nonsense"); rec.Code != http.StatusBadRequest {
		t.Errorf("no such quirk: %d", rec.Code)
	}
	if rec := browse(s, http.MethodPost, confirmPath, weChat, url.Values{"path": {consentPath}, "query": {strings.SplitN(official, "?", 2)[1]}, "user": {"alice"}}); rec.Code != http.StatusBadRequest ||
		!strings.Contains(rec.Body.String(), "#wechat_redirect") {
		t.Errorf("without the fragment: %d", rec.Code)
	}
}

func TestCallbacksAreLoadedTwiceWhileTheExchangeWaits(t *testing.T) {
	for quirk, same := range map[string]bool{"double": true, "two_codes": false} {
		synctest.Test(t, func(t *testing.T) {
			s := &Site{Server: New()}
			body := press(s, link(consentPath, "snsapi_base", ""), weChat, "alice", quirk).Body.String()
			loads := regexp.MustCompile(`data-first="([^"]+)" data-second="([^"]+)"`).FindStringSubmatch(body)
			if loads == nil || (loads[1] == loads[2]) != same {
				t.Fatalf("%s: %s", quirk, body)
			}
			start := time.Now()
			oauthAnswer(t, s, strings.ReplaceAll(loads[1], "&amp;", "&"))
			if took := time.Since(start); took != slowExchange {
				t.Errorf("%s: answered after %s", quirk, took)
			}
		})
	}
}

// Programs do what the form does.
func TestConsentByHand(t *testing.T) {
	s := &Site{Server: New()}
	good := "https://open.weixin.qq.com" + link(consentPath, "snsapi_base", "")
	for body, want := range map[string]string{
		`{"url":"` + good + `#wechat_redirect","user":"alice"}`:                       `"callbacks":["http://127.0.0.1:8080/wechat/callback?to=%2Forders\u0026code=`,
		`{"url":"` + good + `","user":"alice"}`:                                       "#wechat_redirect",
		`{"url":"` + good + `#wechat_redirect","user":"nobody"}`:                      "no such user",
		`{"url":"` + good + `#wechat_redirect","user":"alice","quirk":"cookie_lost"}`: "yourself",
		`{"url":"https://open.weixin.qq.com/#wechat_redirect","user":"alice"}`:        "no page",
	} {
		if got := control(t, s, http.MethodPost, "/simulator/consent", "application/json", body).Body.String(); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// Nothing of the link gets into the page as HTML.
func TestConnectPageIsNoWayIn(t *testing.T) {
	for _, target := range []string{
		consentPath + `?appid="><script>alert(1)</script>`,
		strings.Replace(link(consentPath, "snsapi_base", ""), "127.0.0.1", `127.0.0.1%22%3E%3Cscript%3E`, 1),
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
		r.Header.Set("User-Agent", weChat)
		rec := httptest.NewRecorder()
		(&Site{Server: New()}).ServeHTTP(rec, r)
		if strings.Contains(rec.Body.String(), "<script>") ||
			!strings.Contains(rec.Header().Get("Content-Security-Policy"), "script-src 'self';") {
			t.Errorf("%s: %v", rec.Body, rec.Header())
		}
	}
	for _, part := range []string{"connect.js", "style.css"} {
		if rec := control(t, &Site{Server: New()}, http.MethodGet, "/simulator/connect/"+part, "", ""); rec.Code != 200 || rec.Body.Len() == 0 {
			t.Errorf("%s: %d", part, rec.Code)
		}
	}
}
