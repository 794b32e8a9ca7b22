package simulator

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const appID, secret = "wx1234567890abcdef", "0123456789abcdef"

func call(t *testing.T, s *Site, method, target, body string) map[string]any {
	t.Helper()
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body)))
	var answer map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s %s: %d %q", method, target, rec.Code, rec.Body)
	}
	return answer
}

func exchange(t *testing.T, s *Site, change ...string) map[string]any {
	t.Helper()
	q := url.Values{"appid": {appID}, "secret": {secret}, "grant_type": {"authorization_code"}}
	for i := 0; i+1 < len(change); i += 2 {
		q.Set(change[i], change[i+1])
	}
	return call(t, s, http.MethodGet, "/sns/jscode2session?"+q.Encode(), "")
}

func wantErrcode(t *testing.T, answer map[string]any, want float64) {
	t.Helper()
	if answer["errcode"] != want || !strings.Contains(answer["errmsg"].(string), "rid: ") {
		t.Errorf("answer %v, want errcode %v", answer, want)
	}
}

func newCode(t *testing.T, s *Site, user string) string {
	t.Helper()
	return call(t, s, http.MethodPost, "/simulator/code?user="+user, "")["code"].(string)
}

func TestCodesWorkOnceForFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Site{Server: New()}
		code := newCode(t, s, "alice")
		alice := exchange(t, s, "js_code", code)
		if alice["openid"] == nil || alice["unionid"] == nil || len(alice["session_key"].(string)) != 24 {
			t.Errorf("alice: %v", alice)
		}
		wantErrcode(t, exchange(t, s, "js_code", code), 40163)
		late := newCode(t, s, "bob")
		time.Sleep(CodeLifetime + time.Second)
		wantErrcode(t, exchange(t, s, "js_code", late), 40029)
		bob := exchange(t, s, "js_code", newCode(t, s, "bob"))
		if _, has := bob["unionid"]; has || bob["openid"] == alice["openid"] {
			t.Errorf("bob: %v", bob)
		}
		again := exchange(t, s, "js_code", newCode(t, s, "alice"))
		if again["openid"] != alice["openid"] || again["unionid"] != alice["unionid"] {
			t.Errorf("alice again: %v, before: %v", again, alice)
		}
		elsewhere := exchange(t, s, "js_code", newCode(t, s, "alice"), "appid", "wxfedcba0987654321")
		if elsewhere["openid"] == alice["openid"] || elsewhere["unionid"] != alice["unionid"] {
			t.Errorf("alice in another app: %v", elsewhere)
		}
	})
}

func TestBadCallsHaveWeChatsErrcodes(t *testing.T) {
	s := &Site{Server: New()}
	s.Apps = map[string]string{appID: secret}
	for want, change := range map[float64][]string{
		40013: {"appid", "wxfedcba0987654321"}, 40125: {"secret", "wrong"}, 41002: {"appid", ""}, 41004: {"secret", ""},
		40002: {"grant_type", "client_credential"}, 41008: {"js_code", ""}, 40029: {"js_code", "unknown"},
	} {
		wantErrcode(t, exchange(t, s, change...), want)
	}
	code, err := s.Server.Login("wxfedcba0987654321", "alice")
	if err != nil {
		t.Fatal(err)
	}
	wantErrcode(t, exchange(t, s, "js_code", code), 40029)
	wantErrcode(t, call(t, s, http.MethodPost, "/sns/jscode2session", ""), 43001)
}

func TestScriptMakesEveryErrcode(t *testing.T) {
	s := &Site{Server: New()}
	for _, errcode := range []float64{-1, 45011, 45009, 40226, 99999} {
		body, err := json.Marshal(map[string]any{"errcode": errcode, "times": 1})
		if err != nil {
			t.Fatal(err)
		}
		call(t, s, http.MethodPost, "/simulator/answer", string(body))
		code := newCode(t, s, "alice")
		wantErrcode(t, exchange(t, s, "js_code", code), errcode)
		if answer := exchange(t, s, "js_code", code); answer["openid"] == nil {
			t.Errorf("after one answer: %v", answer)
		}
	}
	if n := s.Server.State().Calls["/sns/jscode2session"]; n != 10 {
		t.Errorf("%d calls counted", n)
	}
}

func TestUsersCanBeAdded(t *testing.T) {
	s := &Site{Server: New()}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/simulator/users", strings.NewReader(`{"name":"carol","unionid":true}`)))
	if rec.Code != http.StatusOK || exchange(t, s, "js_code", newCode(t, s, "carol"))["unionid"] == nil {
		t.Errorf("carol: %d %s", rec.Code, rec.Body)
	}
	for _, name := range []string{"", " ", " a", "a\tb", "a\u2028b", "a\u00adb", "a\xff", strings.Repeat("x", 33)} {
		if err := s.Server.AddUser(User{Name: name}); !errors.Is(err, ErrUser) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"小明", "Zoë O'Neil", "يوسف", strings.Repeat("字", 32)} {
		if err := s.Server.AddUser(User{Name: name}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := s.Server.Login(appID, "nobody"); !errors.Is(err, ErrUser) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := s.Server.Login("nonsense", "alice"); !errors.Is(err, ErrApp) {
		t.Errorf("nonsense: %v", err)
	}
}

func TestAccessTokenIsStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Site{Server: New()}
		get := func(force string) string {
			t.Helper()
			answer := call(t, s, http.MethodPost, "/cgi-bin/stable_token",
				`{"grant_type":"client_credential","appid":"`+appID+`","secret":"`+secret+`","force_refresh":`+force+`}`)
			return answer["access_token"].(string)
		}
		first := get("false")
		if get("false") != first {
			t.Error("another token without need")
		}
		send := "/cgi-bin/message/custom/send?access_token="
		if answer := call(t, s, http.MethodPost, send+first, "{}"); answer["errcode"] != 0.0 {
			t.Errorf("send: %v", answer)
		}
		second := get("true")
		wantErrcode(t, call(t, s, http.MethodPost, send+first, "{}"), 40001)
		time.Sleep(tokenLifetime - overlap)
		third := get("false")
		if third == second {
			t.Error("no new token shortly before the end")
		}
		for _, text := range []string{second, third} {
			if answer := call(t, s, http.MethodPost, send+text, "{}"); answer["errcode"] != 0.0 {
				t.Errorf("send in the overlap: %v", answer)
			}
		}
		time.Sleep(overlap + time.Second)
		wantErrcode(t, call(t, s, http.MethodPost, send+second, "{}"), 40001)
		wantErrcode(t, call(t, s, http.MethodGet, send+third, ""), 43002)
	})
}

func TestOldTokenAPIReplacesItsOwnTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Site{Server: New()}
		get := "/cgi-bin/token?grant_type=client_credential&appid=" + appID + "&secret=" + secret
		send := "/cgi-bin/message/custom/send?access_token="
		stable, _ := s.Server.tokens.stable(appID, false)
		first := call(t, s, http.MethodGet, get, "")["access_token"].(string)
		second := call(t, s, http.MethodGet, get, "")["access_token"].(string)
		time.Sleep(overlap + time.Second)
		wantErrcode(t, call(t, s, http.MethodPost, send+first, "{}"), 40001)
		for _, text := range []string{second, stable} {
			if answer := call(t, s, http.MethodPost, send+text, "{}"); answer["errcode"] != 0.0 {
				t.Errorf("send: %v", answer)
			}
		}
		wantErrcode(t, call(t, s, http.MethodGet, strings.Replace(get, "client_", "", 1), ""), 40002)
		wantErrcode(t, call(t, s, http.MethodPost, get, ""), 43001)
	})
}

func TestChunkedBodiesAreRefused(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/cgi-bin/stable_token", strings.NewReader("{}"))
	r.ContentLength = -1
	rec := httptest.NewRecorder()
	(&Site{Server: New()}).ServeHTTP(rec, r)
	if rec.Code != http.StatusPreconditionFailed {
		t.Errorf("status %d, want 412", rec.Code)
	}
}
