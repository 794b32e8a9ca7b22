package openapi

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestErrcodeIsFoundAndTheAnswerStaysWhole(t *testing.T) {
	long := `{"errcode":40001,"errmsg":"` + strings.Repeat("x", maxPeeked) + `"}`
	for name, tc := range map[string]struct {
		kind, body string
		want       int
	}{
		"an error":            {"application/json; encoding=utf-8", `{"errcode":40001,"errmsg":"x"}`, 40001},
		"as text":             {"text/plain", `{ "errcode" : -1 }`, -1},
		"success":             {"application/json", `{"errcode":0,"errmsg":"ok"}`, 0},
		"no errcode":          {"application/json", `{"list":[]}`, 0},
		"below":               {"application/json", `{"data":{"errcode":40001}}`, 0},
		"in a text":           {"application/json", `{"text":"\"errcode\":40001"}`, 0},
		"below, then on top":  {"application/json", `{"data":{"errcode":0},"errcode":42001}`, 42001},
		"not an object":       {"application/json", `["errcode",40001]`, 0},
		"no JSON":             {"application/json", `"errcode":40001`, 0},
		"an image":            {"image/jpeg", `{"errcode":40001}`, 0},
		"longer than errors":  {"application/json", long, 0},
		"a string for number": {"application/json", `{"errcode":"40001"}`, 40001},
		"a byte order mark":   {"application/json", "\xef\xbb\xbf" + `{"errcode":40001}`, 40001},
		"null":                {"application/json", `{"errcode":null}`, 0},
		"empty":               {"application/json", ``, 0},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &http.Response{Header: http.Header{"Content-Type": {tc.kind}}, Body: io.NopCloser(strings.NewReader(tc.body)), ContentLength: -1}
			if got := peekErrcode(resp); got != tc.want {
				t.Errorf("errcode %d, want %d", got, tc.want)
			}
			if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != tc.body {
				t.Errorf("the answer became %q, %v", rest, err)
			}
		})
	}
	broken := &http.Response{Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(io.MultiReader(strings.NewReader(`{"err`), failing{io.ErrUnexpectedEOF})), ContentLength: -1}
	if got := peekErrcode(broken); got != 0 {
		t.Errorf("errcode %d of half an answer", got)
	}
	if rest, err := io.ReadAll(broken.Body); string(rest) != `{"err` || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half an answer became %q, %v", rest, err)
	}
}

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
