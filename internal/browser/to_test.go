package browser

import (
	"strings"
	"testing"
	"unicode"

	"github.com/caddy-wechat/gateway/internal/urlpath"
)

const testPrefix = "/wechat"

// An attacker puts the address of his own page into a login link: the user logs
// in at the shop and lands with the attacker, who asks for a password (B2).
func TestB2PlacesStayOnTheSite(t *testing.T) {
	long := strings.Repeat("x", MaxTo)
	for to, want := range map[string]string{
		"":                              "/",
		"/":                             "/",
		"/orders":                       "/orders",
		"/orders/7?tab=2#top":           "/orders/7?tab=2#top",
		"/app?x=1#/page/2?y=2":          "/app?x=1#/page/2?y=2",
		"/a//b":                         "/a//b",
		"/%E8%AE%A2%E5%8D%95":           "/%E8%AE%A2%E5%8D%95",
		"/订单?q=书":                       "/%E8%AE%A2%E5%8D%95?q=%E4%B9%A6",
		"/%B6%A9":                       "/%B6%A9", // another encoding than UTF-8
		"/a?next=//evil.example":        "/a?next=//evil.example",
		"/a?x=%0d%0aSet-Cookie:%20a=b":  "/a?x=%0d%0aSet-Cookie:%20a=b",
		"/a?x=a b\"<>":                  "/a?x=a%20b%22%3C%3E",
		"/wechat":                       "/wechat",
		"/wechatty/x":                   "/wechatty/x",
		"/a?" + long:                    "/a",
		"/a?" + long + "#frag":          "/a#frag",
		"/" + long:                      "/",
		"/" + strings.Repeat("订", 100):  "/", // 901 bytes once escaped
		"//evil.example":                "/",
		"///evil.example":               "/",
		`/\evil.example`:                "/",
		`\\evil.example`:                "/",
		"https://evil.example/":         "/",
		"https:/evil.example":           "/",
		"javascript:alert(1)":           "/",
		"orders":                        "/",
		"?x":                            "/",
		"#x":                            "/",
		" /orders":                      "/",
		"/or ders":                      "/",
		"/or%20ders":                    "/",
		"/\t/evil.example":              "/",
		"/\n/evil.example":              "/",
		"/\x00":                         "/",
		"/\x7f":                         "/",
		"/\u0085x":                      "/",
		"/a?\r\nSet-Cookie: a=b":        "/",
		"/a#\r\nSet-Cookie: a=b":        "/",
		"/%2Fevil.example":              "/",
		"/%2fevil.example":              "/",
		"/%5Cevil.example":              "/",
		"/%252Fevil.example":            "/",
		"/%255cevil.example":            "/",
		"/%09/evil.example":             "/",
		"/%2509/evil.example":           "/",
		"/%0d%0aSet-Cookie:a=b":         "/",
		"/.//evil.example":              "/",
		"/..//evil.example":             "/",
		"/./..//evil.example":           "/",
		"/%2e//evil.example":            "/",
		"/%252e%252e//evil.example":     "/",
		`/..\/evil.example`:             "/",
		"/wechat/logout":                "/",
		"/wechat/":                      "/",
		"/WeChat/authorize?to=/":        "/",
		"/x/../wechat/callback?code=1":  "/",
		"/%77echat/enter":               "/",
		"/wechat%2Flogout":              "/",
		`/wechat\logout`:                "/",
		"/;a/wechat/authorize":          "/",
		"/wechat/authorize?to=/wechat/": "/",
	} {
		if got := To(to, testPrefix); got != want {
			t.Errorf("To(%q) = %q, want %q", to, got, want)
		}
	}
}

// Whatever comes out is a path of the site, not below the prefix, fit for a
// header, and the same when it is asked about again.
func FuzzTo(f *testing.F) {
	for _, seed := range []string{"/orders?x#y", "//evil", `/\evil`, "/%2F/evil", "/./%2e/..//e", "/订单", "/%B6 %zz", "/wechat/%2e%2e/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, to string) {
		got := To(to, testPrefix)
		if got == "" || got[0] != '/' || len(got) > MaxTo || len(got) > 1 && (got[1] == '/' || got[1] == '\\') {
			t.Fatalf("To(%q) = %q", to, got)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > unicode.MaxASCII || r == 0x7f }) {
			t.Fatalf("To(%q) = %q, which does not fit in a header", to, got)
		}
		path, _, _ := split(got)
		if urlpath.Below(path, testPrefix) {
			t.Fatalf("To(%q) = %q, a gateway route", to, got)
		}
		if again := To(got, testPrefix); again != got {
			t.Fatalf("To(%q) = %q, and To of that is %q", to, got, again)
		}
	})
}
