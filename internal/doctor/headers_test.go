package doctor

import (
	"net/http"
	"strings"
	"testing"
)

func forgery() Forgery {
	return Forgery{Marker: "forged-0", True: http.Header{"X-Openid": {"o-true"}, "X-Appid": {"wx-true"}, "X-Member": {"u-true"}}}
}

func TestForgeriesHaveManySpellings(t *testing.T) {
	h := make(http.Header)
	f := forgery()
	f.AddTo(h)
	for _, spelling := range []string{"X-Openid", "x-openid", "X-OPENID", "X_Openid", "x_openid", "X.Openid", "X-Unionid", "x_wx_openid", "X-Member", "x_member"} {
		if len(h[spelling]) != 2 || !strings.HasPrefix(h[spelling][0], f.Marker) {
			t.Errorf("%s: %q", spelling, h[spelling])
		}
	}
	f.Erase(h)
	for name := range f.True {
		if !strings.Contains(h.Get("Connection"), name) {
			t.Errorf("%s is not to be erased: %s", name, h.Get("Connection"))
		}
	}
}

func TestJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		change        func(http.Header)
		authenticated bool
		want          string
	}{
		"as it should be":         {func(http.Header) {}, true, ""},
		"other headers":           {func(h http.Header) { h["X-Other"] = []string{"a", "b"} }, true, ""},
		"nobody, as it should be": {func(h http.Header) { clear(h) }, false, ""},
		"nobody has an openid":    {func(http.Header) {}, false, "without a login"},
		"missing":                 {func(h http.Header) { delete(h, "X-Openid") }, true, "does not get X-Openid"},
		"twice":                   {func(h http.Header) { h["X-Openid"] = []string{"o-true", "o-true"} }, true, "X-Openid 2 times"},
		"another value":           {func(h http.Header) { h["X-Openid"] = []string{"o-other"} }, true, "another value"},
		"empty":                   {func(h http.Header) { h["X-Openid"] = []string{""} }, true, "another value"},
		"an alias":                {func(h http.Header) { h["X_Openid"] = []string{"o-true"} }, true, "read as X-Openid"},
		"forged":                  {func(h http.Header) { h["X-Openid"] = []string{"forged-0-1"} }, true, "as the client sent it"},
		"forged beside":           {func(h http.Header) { h["X-Wx-Openid"] = []string{"forged-0-4"} }, true, "as the client sent it"},
		"forged as nobody":        {func(h http.Header) { clear(h); h["X.Unionid"] = []string{"forged-0-2"} }, false, "as the client sent it"},
		"copied elsewhere":        {func(h http.Header) { h["Remote-User"] = []string{"user=forged-0-3"} }, true, "as the client sent it"},
	} {
		f := forgery()
		got := f.True.Clone()
		tc.change(got)
		problem := f.Judge(got, tc.authenticated)
		if problem.IsZero() != (tc.want == "") || !strings.Contains(problem.String(), tc.want) {
			t.Errorf("%s: %q, want %q", name, problem, tc.want)
		}
		if strings.Contains(problem.String(), "-true") || strings.Contains(problem.String(), f.Marker) {
			t.Errorf("%s: an identifier is in: %s", name, problem)
		}
	}
}
