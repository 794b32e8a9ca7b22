package simulator

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// exchanged returns the openid or the errcode that a code gives.
func exchanged(t *testing.T, s *Site, text string) string {
	t.Helper()
	q := url.Values{"appid": {appID}, "secret": {secret}, "js_code": {text}, "grant_type": {"authorization_code"}}
	return control(t, s, http.MethodGet, "/sns/jscode2session?"+q.Encode(), "", "").Body.String()
}

// Developers press "compile" in WeChat's tools, which get their codes from WeChat, or
// without an AppID always the same one.
func TestDeveloperToolsLogInAsAChosenUser(t *testing.T) {
	const first, second = "0c1AbCdEfGhIjKlMnOpQrStUvWxYz234", "0d1AbCdEfGhIjKlMnOpQrStUvWxYz234"
	s := &Site{Server: New()}
	has := func(what, got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	alice, bob := id("openid", appID, "alice"), id("openid", appID, "bob")
	has("nobody chosen", exchanged(t, s, first), `"errcode":40029`)
	has("the mock code, nobody chosen", exchanged(t, s, mockCode), alice)
	if rec := control(t, s, "POST", "/simulator/developer-tools", "", `{"user":"bob"}`); rec.Code != 200 ||
		!strings.Contains(rec.Body.String(), `"developer_tools":"bob"`) {
		t.Errorf("choosing: %d %s", rec.Code, rec.Body)
	}
	has("bob chosen", exchanged(t, s, first), bob)
	has("the same code", exchanged(t, s, first), `"errcode":40163`)
	has("another code", exchanged(t, s, second), bob)
	for range 2 {
		has("the mock code", exchanged(t, s, mockCode), bob)
	}
	for _, text := range []string{first[1:], first + "0", "the code is another one", "../../../etc/passwd", strings.Repeat("-", 32)} {
		has(text, exchanged(t, s, text), `"errcode":40029`)
	}
	if rec := control(t, s, "POST", "/simulator/developer-tools", "", `{"user":"nobody"}`); rec.Code != 400 {
		t.Errorf("choosing nobody there is: %d %s", rec.Code, rec.Body)
	}
	control(t, s, "POST", "/simulator/reset", "", "")
	has("after a reset", exchanged(t, s, strings.ToLower(first)), bob)
	control(t, s, "POST", "/simulator/developer-tools", "", `{"user":""}`)
	has("nobody again", exchanged(t, s, strings.ToUpper(second)), `"errcode":40029`)
}

// One exhausted quota makes a gateway rest for ten minutes, which is no help to
// somebody who plays.
func TestResetWakesTheGateway(t *testing.T) {
	woken := 0
	s := &Site{Server: New(), ResetBreakers: func() { woken++ }}
	for _, call := range []struct {
		path, body string
		want       int
	}{
		{"/simulator/answer", `{"errcode":45009,"times":1}`, 0}, {"/simulator/answer", `{"errcode":0}`, 1}, {"/simulator/reset", "", 2},
	} {
		body := control(t, s, "POST", call.path, "", call.body).Body.String()
		if woken != call.want || !strings.Contains(body, `"wakes":true`) {
			t.Errorf("%s %s: woken %d times, want %d: %s", call.path, call.body, woken, call.want, body)
		}
	}
	other := control(t, &Site{Server: New()}, "POST", "/simulator/reset", "", "").Body.String()
	if strings.Contains(other, "wakes") {
		t.Errorf("it cannot wake a gateway elsewhere: %s", other)
	}
}
