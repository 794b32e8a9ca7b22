package urlpath

import (
	"net/url"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/b/": true, "/a.b/c..d": true, "/a%20b": true, "/%E4%BD%A0": true,
		"/a%2Bb": true, "/~u/@x:y,z=1&2!$'()*+": true, "/...": true, "/a%7Cb": true,
		"": false, "a": false, "*": false, "//a": false, "/a//b": false, "/./a": false, "/a/..": false,
		"/public/..;/x": false, "/public/;/../x": false, "/public/%252e%252e/x": false,
		"/public/..%5cx": false, "/x/../health": false, `/a\b`: false, "/a;v=1": false,
		"/a%2fb": false, "/a%2Fb": false, "/%2e": false, "/%41": false, "/a%7e": false, "/%5f": false,
		"/%00": false, "/a%0d": false, "/a%": false, "/a%4": false, "/a%zz": false,
		// Characters that become separators where a server normalises: full-width and
		// small ones, leaders, fractions, the Greek question mark, best fits.
		"/public/%ef%bc%8e%ef%bc%8e/api/me": false, "/public/..%ef%bc%8fapi/me": false, "/public/%e2%80%a5/x": false, "/%e2%80%a4": false, "/%e2%80%a6": false,
		"/a%ef%bc%bcb": false, "/a%ef%bc%9bb": false, "/a%ef%bc%852e": false, "/a%ef%b9%92": false, "/a%ef%b9%a8b": false, "/a%ef%b9%aab": false, "/%ef%b8%b0": false,
		"/a%cd%beb": false, "/a%e2%84%80b": false, "/a%e2%88%95b": false, "/a%e2%81%84b": false, "/a%e2%88%96b": false, "/a%c2%a5b": false, "/a%c2%bcb": false,
		"/a%ef%bc%9fb": false, "/a%ef%bc%83b": false, "/a%e3%80%80": false, "/a%c2%a0": false,
		"/%e6%96%87%e4%bb%b6%ef%bc%88%ef%bc%91%ef%bc%89": true, "/%ef%bc%a1": true, "/caf%c3%a9": true, "/%e3%80%82": true, "/%f0%9f%98%80": true,
		"/%ff": false, "/%c0%ae": false, "/\xe4": false, "/a b": false, "/a\tb": false, "/a%3Fb": false, "/a%23b": false,
	} {
		if got := Canonical(path); got != want {
			t.Errorf("Canonical(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestFoldReadsLookAlikesAsOne(t *testing.T) {
	for _, path := range []string{
		"/wechat/login", "/wechat/login/", "/WeChat/Login", "//wechat//login", "/wechat/./login", "/x/../wechat/login",
		"/wechat;a=b/login;jsessionid=1", "/wechat%2flogin", "/wechat%252flogin", `/wechat\login`, "/wechat%5Clogin",
		"/wechat/login%20", "/wechat/login%2f", "/wechat/%6cogin", "/wechat/login%00.png", "/wechat/login;", "/wechat/%2e/login",
		"/wechat/login%09", "/wechat/x/..%2flogin",
		"/wechat%ef%bc%8flogin", "/%ef%bd%97echat/login", "/x/%e2%80%a5/wechat/login", "/wechat/%ef%bd%8cogin", "/wechat%e2%88%95login", "/wechat%c2%a5login", "/wechat/login%e3%80%80", "/wechat%ef%bc%852flogin",
	} {
		if got := Fold(path); got != "/wechat/login" {
			t.Errorf("Fold(%q) = %q", path, got)
		}
	}
	for path, want := range map[string]string{"/": "/", "": "/", "/a": "/a", "/../..": "/", "/a/...": "/a/...", "/wechat/loginx": "/wechat/loginx"} {
		if got := Fold(path); got != want {
			t.Errorf("Fold(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestPattern(t *testing.T) {
	for text, paths := range map[string]map[string]bool{
		"/health":   {"/health": true, "/health/": false, "/healthz": false, "/Health": false, "/health/x": false},
		"/static/*": {"/static/a": true, "/static/": true, "/static/a/b": true, "/static": false, "/staticx": false, "/STATIC/a": false},
	} {
		pattern, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		if pattern.String() != text {
			t.Errorf("String() = %q, want %q", pattern, text)
		}
		for path, want := range paths {
			if got := pattern.Match(path); got != want {
				t.Errorf("%q matches %q: %v, want %v", text, path, got, want)
			}
		}
	}
	for _, text := range []string{"", "health", "*", "*.png", "/a*", "/a/*/b", "/a/../b", "//", "/a//*", "/a;b", "/%2e/*"} {
		if _, err := ParsePattern(text); err == nil {
			t.Errorf("ParsePattern(%q) accepted it", text)
		}
	}
}

func TestPatternCovers(t *testing.T) {
	for text, want := range map[string]bool{
		"/*": true, "/wechat/*": true, "/WECHAT/*": true, "/wechat/login": true, "/Wechat/login": true, "/wechat/login/": true,
		"/wechat2/*": false, "/static/*": false, "/wechat/login/*": true, "/": false,
	} {
		pattern, err := ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := pattern.Covers("/wechat/login"); got != want {
			t.Errorf("%q covers: %v, want %v", text, got, want)
		}
	}
}

// A canonical path has one reading: no server that decodes, lower-cases
// nothing and resolves dots finds another page in it.
func FuzzCanonicalHasOneReading(f *testing.F) {
	for _, seed := range []string{"/a/b", "/%41", "/a/../b", "/a%2fb", "/%e4%bd%a0", "/a;b", "/%ef%bc%8e%ef%bc%8e/a", "/%ef%bc%a1", "/e%cc%81"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if !Canonical(raw) {
			return
		}
		once, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatalf("%q does not decode: %v", raw, err)
		}
		twice, err := url.PathUnescape(once)
		if err != nil || twice != once {
			t.Fatalf("%q decodes twice", raw)
		}
		if strings.Count(once, "/") != strings.Count(raw, "/") {
			t.Fatalf("%q hides a separator", raw)
		}
		if folded, want := Fold(raw), plainForm(strings.ToLower(strings.TrimSuffix(plainForm(once), "/"))); !strings.ContainsAny(once, " \u00a0") &&
			folded != want && want != "" {
			t.Fatalf("Fold(%q) = %q, want %q", raw, folded, want)
		}
	})
}

// Folding is the end of the road: a fold folds to itself.
func FuzzFoldIsIdempotentForPlainPaths(f *testing.F) {
	f.Add("/Wechat/%6cogin/;x/..")
	f.Add("Y\u030a")
	f.Fuzz(func(t *testing.T, raw string) {
		folded := Fold(raw)
		if strings.ContainsAny(folded, "%") {
			return // more rounds of escaping than any server decodes
		}
		if again := Fold(folded); again != folded {
			t.Fatalf("Fold(%q) = %q, folded again %q", raw, folded, again)
		}
	})
}

func TestBelow(t *testing.T) {
	for path, want := range map[string]bool{
		"/wechat/login": true, "/wechat/": true, "/WECHAT/x": true, "//wechat/x": true, "/wechat;a/x": true, "/wechat%2fx": true,
		"/wechat//": true, "/wechat/.": true, "/a/../wechat/x": true, "/Wechat/%78": true, "/wechat/..;/x": true,
		"/wechat": false, "/wechatx/login": false, "/": false, "/app/wechat/login": false, "/Wechat": false, "/%77echat": true, "/wechat%2f": true, "/wechat/../x": true,
	} {
		if got := Below(path, "/wechat"); got != want {
			t.Errorf("Below(%q) = %v, want %v", path, got, want)
		}
	}
}

// BenchmarkBelow is what a request of the app pays to be told from a gateway route,
// beside what it would pay if every path were folded.
func BenchmarkBelow(b *testing.B) {
	const path = "/api/v2/orders/20260131-0042/items"
	b.Run("below", func(b *testing.B) {
		for b.Loop() {
			if Below(path, "/wechat") {
				b.Fatal("below")
			}
		}
	})
	b.Run("folded", func(b *testing.B) {
		for b.Loop() {
			if isBelow(Fold(path), "/wechat") {
				b.Fatal("below")
			}
		}
	})
}
