package relay

import (
	"net/url"
	"testing"
)

func TestCredentialsInQueriesAreReplaced(t *testing.T) {
	for raw, want := range map[string]string{
		"":                            "access_token=T%2B",
		"a=1&b=%2f":                   "a=1&b=%2f&access_token=T%2B",
		"access_token=x&a=1":          "a=1&access_token=T%2B",
		"a=1&cloudbase_access_token":  "a=1&access_token=T%2B",
		"%61ccess_token=x&from_appid": "access_token=T%2B",
		"ACCESS_TOKEN=x&&":            "access_token=T%2B",
		"bad%zz=1&a=1":                "a=1&access_token=T%2B",
	} {
		if got := withToken(raw, "T+"); got != want {
			t.Errorf("%q becomes %q, want %q", raw, got, want)
		}
	}
}

func TestPathsAreJudged(t *testing.T) {
	some, err := NewPaths([]string{"/wxa/*", "/cgi-bin/message/custom/send"})
	if err != nil {
		t.Fatal(err)
	}
	below, err := NewPaths([]string{"/cgi-bin/*", "/cgi-bin/stable_token"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		paths Paths
		path  string
		want  verdict
		label string
	}{
		{Paths{}, "/wxa/msg_sec_check", allowed, "/wxa/msg_sec_check"},
		{Paths{}, "/anything/else", allowed, OtherPath},
		{Paths{}, "/cgi-bin/token", denied, OtherPath},
		{Paths{}, "/cgi-bin/Token/", denied, OtherPath},
		{Paths{}, "/cgi-bin/tokens", allowed, OtherPath},
		{Paths{}, "/cgi-bin/component/api_component_token", denied, OtherPath},
		{Paths{}, "/sns/oauth2/access_token", denied, OtherPath},
		{Paths{}, "/a//b", denied, OtherPath},
		{Paths{}, "/a/./b", denied, OtherPath},
		{Paths{}, "/cgi-bin%2Ftoken", denied, OtherPath},
		{Paths{}, "/_/pay/x", unsupported, OtherPath},
		{Paths{}, "/WXA/Msg_Sec_Check/", allowed, "/wxa/msg_sec_check"},
		{some, "/cgi-bin/message/custom/send/", denied, OtherPath},
		{some, "/CGI-BIN/message/custom/send", denied, OtherPath},
		{some, "/WXA/x", denied, OtherPath},
		{below, "/cgi-bin/x", allowed, "/cgi-bin/*"},
		{below, "/cgi-bin/token", denied, OtherPath},
		{below, "/cgi-bin/Token/", denied, OtherPath},
		{below, "/cgi-bin/stable_token", allowed, "/cgi-bin/stable_token"},
		{some, "/wxa/x/y", allowed, "/wxa/*"},
		{some, "/wxa", denied, OtherPath},
		{some, "/wxax", denied, OtherPath},
		{some, "/cgi-bin/message/custom/send", allowed, "/cgi-bin/message/custom/send"},
		{some, "/cgi-bin/message/custom/send/x", denied, OtherPath},
	} {
		u, err := url.ParseRequestURI(tc.path)
		if err != nil {
			t.Fatal(err)
		}
		if got, label := tc.paths.judge(u); got != tc.want || label != tc.label {
			t.Errorf("%s: %v %s, want %v %s", tc.path, got, label, tc.want, tc.label)
		}
	}
	if _, err := NewPaths([]string{"wxa"}); err == nil {
		t.Error("a pattern without a slash is accepted")
	}
}
