package caddymodule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// H15: a Caddyfile can have hundreds of sites, which Caddy makes one server of. Each of
// them is followed, whichever it is.
func TestH15EverySiteOfManyIsJudged(t *testing.T) {
	const sites = 700
	var text strings.Builder
	for i := range sites {
		fmt.Fprintf(&text, "http://s%d.example {\nwechat_auth {\npublic /static/* /s%d/*\n}\nreverse_proxy localhost:%d\n}\n", i, i, 10000+i)
	}
	first := func(i int, lines string) string {
		site := fmt.Sprintf("http://s%d.example {", i)
		return strings.Replace(text.String(), site, site+"\n"+lines, 1)
	}
	if warnings, err := validateSites(t, text.String()); err != nil || len(warnings) > 0 {
		t.Errorf("nothing is wrong: %q, %v", warnings, err)
	}
	for _, i := range []int{0, sites - 1} {
		warnings, err := validateSites(t, first(i, "handle_errors {\nreverse_proxy localhost:3000\n}"))
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], uncovered) || !strings.Contains(warnings[0], fmt.Sprintf("s%d.example", i)) {
			t.Errorf("site %d reaches an app around wechat_auth: %q, %v", i, warnings, err)
		}
	}
	if _, err := validateSites(t, first(sites-1, "handle /x/* {\nwechat_auth\nreverse_proxy localhost:3000\n}")); err == nil || !strings.Contains(err.Error(), "two wechat_auth") {
		t.Errorf("two wechat_auth in the last site: %v", err)
	}
}

// What is too much to be looked at is not passed over in silence.
func TestRoutesThatAreTooManyAreTold(t *testing.T) {
	var site strings.Builder
	site.WriteString("http://*.example {\nwechat_auth\n")
	for i := range 110 {
		fmt.Fprintf(&site, "@h%d host h%d.example\nhandle /a%d/* {\nrespond @h%d hello\n}\n", i, i, i, i)
	}
	site.WriteString("reverse_proxy localhost:3000\n}")
	warnings, err := validateSites(t, site.String())
	if err != nil || !slices.ContainsFunc(warnings, func(warning string) bool { return strings.Contains(warning, "too many hosts and paths") }) {
		t.Errorf("%q, %v", warnings, err)
	}
}
