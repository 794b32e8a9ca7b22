package simulator

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// page is all of its files in one text.
var page = func() (all string) {
	files, err := fs.Glob(pages, "playground/*")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		text, err := pages.ReadFile(file)
		if err != nil {
			panic(err)
		}
		all += string(text)
	}
	return all
}()

func TestPageNeedsNobodyElse(t *testing.T) {
	for _, address := range regexp.MustCompile(`(?:src|href)=["']?([^"' >]+)|(?:https?:)?//[a-z0-9.]+[.:][a-z0-9]+`).FindAllStringSubmatch(page, -1) {
		switch address[0] {
		case `src="/simulator/client.js`, `src="/simulator/playground/main.js`, `href="/simulator/playground/style.css`,
			`href="data:,`, "http://127.0.0.1:8080": // the last one is shown, not loaded
		default:
			t.Errorf("the page loads %s", address[0])
		}
	}
	if strings.Contains(page, "innerHTML") {
		t.Error("the page turns text into HTML")
	}
}

// What a gateway or an app answers is shown on the page. If a browser ran it,
// it could steer the simulator and, by the relay, the gateway.
func TestPageRunsItsOwnScriptsOnly(t *testing.T) {
	rec := control(t, &Site{Server: New()}, http.MethodGet, "/", "", "")
	policy := rec.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if html := rec.Body.String(); regexp.MustCompile(`<script>|<style|\son[a-z]+=|style=`).MatchString(html) {
		t.Error("inline code that the policy does not cover")
	}
}

func TestPageAndClientAreServed(t *testing.T) {
	for target, want := range map[string]struct{ kind, text string }{
		"/":                               {"text/html; charset=utf-8", "<!doctype html>"},
		"/simulator/":                     {"text/html; charset=utf-8", "<!doctype html>"},
		"/simulator/client.js":            {"text/javascript; charset=utf-8", "createClient"},
		"/simulator/playground/main.js":   {"text/javascript; charset=utf-8", "import"},
		"/simulator/playground/style.css": {"text/css; charset=utf-8", "--accent"},
	} {
		rec := control(t, &Site{Server: New()}, http.MethodGet, target, "", "")
		if rec.Code != 200 || rec.Header().Get("Content-Type") != want.kind || !strings.Contains(rec.Body.String(), want.text) {
			t.Errorf("%s: %d %v", target, rec.Code, rec.Header())
		}
		rec = httptest.NewRecorder()
		(&Site{Server: New()}).ServeHTTP(rec, httptest.NewRequest(http.MethodPost, target, nil))
		if rec.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", target, rec.Code)
		}
	}
}

func TestPageHasNoOtherFiles(t *testing.T) {
	for _, target := range []string{"/simulator/playground/", "/simulator/playground/index.html", "/simulator/playground/none.js", "/simulator/playground/../page.go", "/simulator/playground"} {
		if rec := control(t, &Site{Server: New()}, http.MethodGet, target, "", ""); rec.Code != http.StatusNotFound {
			t.Errorf("%s: %d", target, rec.Code)
		}
	}
}

// Both languages must say everything, or a button has no name.
func TestPageSpeaksBothLanguagesWholly(t *testing.T) {
	english, chinese, found := strings.Cut(page, "\n  zh: {")
	if !found {
		t.Fatal("no Chinese")
	}
	_, english, _ = strings.Cut(english, "\n  en: {")
	key := regexp.MustCompile(`(?:^|[{,]\s*)'?([A-Za-z_0-9-]+)'?: `)
	count := func(text string) map[string]int {
		counts := make(map[string]int)
		for _, m := range key.FindAllStringSubmatch(text, -1) {
			counts[m[1]]++
		}
		return counts
	}
	chinese, _, _ = strings.Cut(chinese, "\n}\n")
	inEnglish, inChinese := count(english), count(chinese)
	for name := range inEnglish {
		if inChinese[name] == 0 {
			t.Errorf("%s is missing in Chinese", name)
		}
	}
	for _, m := range regexp.MustCompile(`data-(?:t|label)="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if inEnglish[m[1]] == 0 || inChinese[m[1]] == 0 {
			t.Errorf("the page has no text for %s", m[1])
		}
	}
}
