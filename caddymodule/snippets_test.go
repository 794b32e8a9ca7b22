package caddymodule_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

var (
	placeholder = regexp.MustCompile(`\{(?:env|file)\.[^}]*\}`)
	anyAppID    = regexp.MustCompile(`\bwx[0-9a-f]{16}\b`)
	redisBlock  = regexp.MustCompile(`(?m)^\t\tstore redis .* \{\n`)
)

// checkCaddyfile wants a Caddyfile that is formatted, adapts without a warning and
// loads. Parts of a site stand in one for that, and where the accounts were named
// before, they are named again.
func checkCaddyfile(t *testing.T, b block) {
	text := b.text
	if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
		t.Errorf("%v is not formatted; formatted it is:\n%s", b, formatted)
	}
	if first, _, _ := strings.Cut(text, "\n"); strings.HasPrefix(first, "@") || strings.HasPrefix(first, "log ") {
		text = "example.com {\n" + text + "}\n"
	}
	if strings.HasPrefix(text, "{") {
		// A fragment of the options names no account.
		if !strings.Contains(text, "\twechat {") {
			text = strings.Replace(text, "{\n", "{\n\twechat {\n\t\tapp wx1234567890abcdef {env.SECRET}\n\t}\n", 1)
		}
	} else {
		accounts := append(anyAppID.FindAllString(text, -1), "wx1234567890abcdef")
		slices.Sort(accounts)
		options := ""
		for _, account := range slices.Compact(accounts) {
			options += "\t\tapp " + account + " {env.SECRET}\n"
		}
		text = "{\n\twechat {\n" + options + "\t}\n}\n" + text
	}
	// There is no Redis here.
	if !strings.Contains(text, "on_failure grace") {
		text = redisBlock.ReplaceAllString(text, "${0}\t\t\ton_failure grace 1m\n")
	}
	adapted, warnings, err := adapt(string(caddyfile.Format([]byte(text))))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v: %v, warnings %v\n%s", b, err, warnings, text)
	}
	provisions(t, b, adapted)
}
