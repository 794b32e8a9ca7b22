package page

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// The page has one script, which its policy names by hash, and nothing from outside
// gets into it.
func TestScanPageRunsItsOwnScriptOnly(t *testing.T) {
	const attack = `/x?a="><script>alert(1)</script>&b='`
	w := httptest.NewRecorder()
	s := Scan{Number: 42, Code: attack, State: attack, Again: "javascript:alert(1)"}
	if err := WriteScan(w, &http.Request{Header: http.Header{}}, s); err != nil {
		t.Fatal(err)
	}
	body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	scripts := regexp.MustCompile(`(?s)<script>(.*?)</script>`).FindAllStringSubmatch(body, -1)
	if len(scripts) != 1 || strings.Count(body, "<script") != 1 || strings.Contains(body, `href="javascript:`) {
		t.Fatalf("%d scripts:\n%s", len(scripts), body)
	}
	css := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(body)
	for name, text := range map[string]string{"script-src": scripts[0][1], "style-src": css[1]} {
		sum := sha256.Sum256([]byte(text))
		if want := name + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	for _, part := range []string{"default-src 'none'", "connect-src 'self'", "img-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy lacks %s: %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || w.Header().Get("Cache-Control") != "no-store" ||
		w.Header().Get("X-Frame-Options") != "DENY" || !strings.Contains(body, ">42<") {
		t.Errorf("%v\n%s", w.Header(), body)
	}
}

func TestScanPageIsInBothLanguages(t *testing.T) {
	for language, words := range scanTexts {
		w := httptest.NewRecorder()
		if err := WriteScan(w, &http.Request{Header: http.Header{"Accept-Language": {string(language)}}}, Scan{}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(w.Body.String(), "<h1>"+words.Title+"</h1>") {
			t.Errorf("%s:\n%s", language, w.Body)
		}
		for field, value := range reflect.ValueOf(words).Fields() {
			if value.String() == "" {
				t.Errorf("%s has no %s", language, field.Name)
			}
		}
	}
}
