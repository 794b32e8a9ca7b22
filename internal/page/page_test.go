package page

import (
	"crypto/sha256"
	"encoding/base64"
	htmltext "html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

const lastKind = Confirm

func render(t testing.TB, p Page, languages ...string) string {
	t.Helper()
	body, err := Render(p, languages)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestEveryPageIsInBothLanguages(t *testing.T) {
	for kind := Failed; kind <= lastKind; kind++ {
		for _, language := range []string{"zh-CN,zh;q=0.9", "en"} {
			p := Page{Kind: kind, Code: "some_code"}
			html := render(t, p, language)
			words := texts[kind][english]
			if language != "en" {
				words = texts[kind][chinese]
			}
			if words.Title == "" || len(words.Text) == 0 || !strings.Contains(html, "<h1>"+words.Title+"</h1>") ||
				!strings.Contains(html, htmltext.EscapeString(words.Text[0])) {
				t.Errorf("kind %d in %s has not its words:\n%s", kind, language, html)
			}
			if !strings.Contains(html, "<code>some_code</code>") {
				t.Errorf("kind %d does not show its code", kind)
			}
		}
	}
}

func TestLanguageIsTheClients(t *testing.T) {
	for header, want := range map[string]lang{
		"": english, "zh-CN": chinese, "zh": chinese, "ZH-hant-TW": chinese, "en-US,en;q=0.9,zh-CN;q=0.8": english, "zh-CN,zh;q=0.9,en;q=0.8": chinese,
		"fr,zh;q=0.5,en;q=0.4": chinese, "fr": english, "en;q=0.1, zh;q=0.2": chinese, "zh;q=0": english, "zh;q=x,en": english, "*": english,
	} {
		if got := language([]string{header}); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	if got := language([]string{"fr", "zh"}); got != chinese {
		t.Errorf("two headers: %s", got)
	}
}

// What an attacker gets into a page, through its address or an app's message, is
// text and stays text; no script runs, nothing is loaded, nobody frames the page
// (B7).
func TestB7PagesAreInert(t *testing.T) {
	const attack = `"><script>alert(1)</script><img src=x onerror=alert(1)>'&`
	for kind := Failed; kind <= lastKind; kind++ {
		html := render(
			t,
			Page{
				Kind: kind, Code: attack, Continue: "/x?" + attack, Other: "/y?" + attack, Address: "https://example.com/" + attack,
				Message: attack, Confirm: attack,
			},
		)
		for _, forbidden := range []string{"<script", "<img", "javascript:"} {
			if strings.Contains(html, forbidden) {
				t.Errorf("kind %d: the page has %s:\n%s", kind, forbidden, html)
			}
		}
	}
	html := render(t, Page{Kind: Failed, Continue: "javascript:alert(1)", Other: "javascript:alert(1)"})
	if strings.Contains(html, `href="javascript:`) {
		t.Errorf("a script as a link:\n%s", html)
	}

	w := httptest.NewRecorder()
	if err := Write(w, &http.Request{Header: http.Header{}}, http.StatusForbidden, Page{Kind: Refused, Code: "consent_refused"}); err != nil {
		t.Fatal(err)
	}
	policy := w.Header().Get("Content-Security-Policy")
	css := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(w.Body.String())
	if css == nil {
		t.Fatal("no style")
	}
	sum := sha256.Sum256([]byte(css[1]))
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy lacks %s: %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") || strings.Contains(w.Body.String(), " style=") {
		t.Errorf("policy %q", policy)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Content-Type": "text/html; charset=utf-8",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if w.Code != http.StatusForbidden {
		t.Errorf("status %d", w.Code)
	}
}

func TestLinksAndForms(t *testing.T) {
	html := render(t, Page{Kind: FormLost, Continue: "/wechat/authorize?to=%2Fa&x=1"})
	if !strings.Contains(html, `<a class="button" href="/wechat/authorize?to=%2Fa&amp;x=1" target="_blank" rel="noopener">`) {
		t.Errorf("no link to a new window:\n%s", html)
	}
	html = render(t, Page{Kind: Confirm, Continue: "/wechat/enter", Confirm: "abc"})
	if !strings.Contains(html, `<form method="post" action="/wechat/enter"><input type="hidden" name="t" value="abc"><button>`) {
		t.Errorf("no form:\n%s", html)
	}
	if html = render(t, Page{Kind: GoBack}); strings.Contains(html, "<a ") || strings.Contains(html, "<form") ||
		strings.Contains(html, "<code>") {
		t.Errorf("links out of nowhere:\n%s", html)
	}
}

func TestQRCodeOfAnAddress(t *testing.T) {
	html := render(t, Page{Kind: OpenInWeChat, Address: "https://example.com/orders?x=1"})
	if !strings.Contains(html, "<svg") || !strings.Contains(html, `<path d="M4 4h7v1h-7z`) ||
		!strings.Contains(html, "https://example.com/orders?x=1</p>") {
		t.Errorf("no code of the address:\n%s", html)
	}
	long := render(t, Page{Kind: OpenInWeChat, Address: "https://example.com/" + strings.Repeat("x", 4000)})
	if strings.Contains(long, "<svg") || !strings.Contains(long, "xxxx</p>") {
		t.Error("an address too long for a code is not shown as text")
	}
}

func BenchmarkRender(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Render(Page{Kind: LoggedOut, Continue: "/wechat/authorize"}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
