package option

import "testing"

func TestNearestOption(t *testing.T) {
	options := []string{"app", "prefix", "public", "optional", "headers", "header", "assertion", "token", "forward_token"}
	for given, want := range map[string]string{
		"prefx": "prefix", "pubic": "public", "option": "optional", "heders": "headers", "tokens": "token", "forwardtoken": "forward_token", "apps": "app",
		"nonsense": "", "reverse_proxy": "", "x": "",
	} {
		if got := nearestOf(given, options); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
