package simulator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func control(t *testing.T, s *Site, method, target, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, r)
	return rec
}

func TestControlRefusesWhatItDoesNotUnderstand(t *testing.T) {
	const curl = "application/x-www-form-urlencoded"
	for name, tc := range map[string]struct {
		method, target, contentType, body string
		want                              int
	}{
		"code by query":      {"POST", "/simulator/code?user=bob", "", "", 200},
		"code by body":       {"POST", "/simulator/code", "application/json", `{"appid":"wx1234567890abcdef","user":"bob"}`, 200},
		"as curl sends it":   {"POST", "/simulator/code", curl, `{"user":"bob"}`, 200},
		"code by GET":        {"GET", "/simulator/code?user=bob", "", "", 405},
		"a form of a page":   {"POST", "/simulator/code", "text/plain", `{"user":"bob"}`, 400},
		"an unknown key":     {"POST", "/simulator/code", curl, `{"user":"bob","name":"bob"}`, 400},
		"two values":         {"POST", "/simulator/code", curl, `{"user":"bob"}{}`, 400},
		"nobody":             {"POST", "/simulator/code?user=nobody", "", "", 400},
		"not an AppID":       {"POST", "/simulator/code?user=bob&appid=wx", "", "", 400},
		"times below zero":   {"POST", "/simulator/answer", curl, `{"errcode":-1,"times":-1}`, 400},
		"a delay of an hour": {"POST", "/simulator/answer", curl, `{"delay_ms":3600000}`, 400},
		"a big body":         {"POST", "/simulator/users", curl, `{"name":"` + strings.Repeat("x", maxBody) + `"}`, 400},
		"no gateway":         {"POST", "/simulator/gateway", curl, `{"method":"GET","path":"/"}`, 400},
		"nothing there":      {"GET", "/simulator/other", "", "", 404},
	} {
		s := &Site{Server: New()}
		rec := control(t, s, tc.method, tc.target, tc.contentType, tc.body)
		if rec.Code != tc.want {
			t.Errorf("%s: %d %s, want %d", name, rec.Code, rec.Body, tc.want)
		}
		if got := rec.Header().Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: other pages may read it: %q", name, got)
		}
	}
}

func TestResetBringsBackTheFirstState(t *testing.T) {
	s := &Site{Server: New(), Apps: map[string]string{appID: secret}}
	first := control(t, s, "GET", "/simulator/state", "", "").Body.String()
	control(t, s, "POST", "/simulator/users", "", `{"name":"alice","unionid":false}`)
	control(t, s, "POST", "/simulator/users", "", `{"name":"carol","unionid":true}`)
	control(t, s, "POST", "/simulator/answer", "", `{"errcode":45009}`)
	exchange(t, s)
	changed := control(t, s, "GET", "/simulator/state", "", "").Body.String()
	for _, want := range []string{`"carol"`, `"errcode":45009`, `"/sns/jscode2session":1`, `{"name":"alice","unionid":false}`, `"apps":["` + appID + `"]`} {
		if !strings.Contains(changed, want) {
			t.Errorf("state %s lacks %s", changed, want)
		}
	}
	if strings.Contains(changed, secret) {
		t.Errorf("state %s shows a secret", changed)
	}
	if got := control(t, s, "POST", "/simulator/reset", "", "").Body.String(); got != first {
		t.Errorf("after reset %s, want %s", got, first)
	}
}

// The page counts them.
func TestStateListsNoAppsAsNone(t *testing.T) {
	got := control(t, &Site{Server: New()}, "GET", "/simulator/state", "", "").Body.String()
	if !strings.Contains(got, `"apps":[]`) {
		t.Errorf("state %s", got)
	}
}

func TestAnswersAreDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Site{Server: New()}
		control(t, s, "POST", "/simulator/answer", "", `{"delay_ms":1500}`)
		start := time.Now()
		exchange(t, s)
		if got := time.Since(start); got != 1500*time.Millisecond {
			t.Errorf("answered after %s", got)
		}
	})
}

func TestAUserKeepsAUnionIDOnlyWhenTold(t *testing.T) {
	s := &Site{Server: New()}
	if control(t, s, http.MethodPost, "/simulator/users", "", `{"name":"alice","unionid":false}`).Code != 200 {
		t.Fatal("alice cannot be changed")
	}
	if answer := exchange(t, s, "js_code", newCode(t, s, "alice")); answer["unionid"] != nil {
		t.Errorf("alice still has a unionid: %v", answer)
	}
}
