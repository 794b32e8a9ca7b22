package caddymodule_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Every Caddyfile of the documentation, in both languages, is formatted, adapts
// without a warning and loads. Parts of a site stand in one for that, and where the
// accounts were named before, they are named again.
func TestEveryCaddyfileOfTheDocumentationLoads(t *testing.T) {
	indented := regexp.MustCompile("(?ms)^( *)```caddyfile\n(.*?)^ *```$")
	value := regexp.MustCompile(`\{(?:env|file)\.[^}]*\}`)
	appID := regexp.MustCompile(`\bwx[0-9a-f]{16}\b`)
	redis := regexp.MustCompile(`(?m)^\t\tstore redis .* \{\n`)
	count := 0
	for _, page := range documentation(t) {
		for _, m := range indented.FindAllStringSubmatch(readDoc(t, page), -1) {
			count++
			text := strings.ReplaceAll("\n"+m[2], "\n"+m[1], "\n")[1:]
			if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
				t.Errorf("%s: a Caddyfile is not formatted; formatted it is:\n%s", page, formatted)
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
				accounts := append(appID.FindAllString(text, -1), "wx1234567890abcdef")
				slices.Sort(accounts)
				options := ""
				for _, account := range slices.Compact(accounts) {
					options += "\t\tapp " + account + " {env.SECRET}\n"
				}
				text = "{\n\twechat {\n" + options + "\t}\n}\n" + text
			}
			// There is no Redis here.
			if !strings.Contains(text, "on_failure grace") {
				text = redis.ReplaceAllString(text, "${0}\t\t\ton_failure grace 1m\n")
			}
			adapted, warnings, err := adapt(string(caddyfile.Format([]byte(text))))
			if err != nil || len(warnings) > 0 {
				t.Errorf("%s: %v, warnings %v\n%s", page, err, warnings, text)
				continue
			}
			var config caddy.Config
			if err := json.Unmarshal([]byte(value.ReplaceAllString(string(adapted), testKey)), &config); err != nil {
				t.Fatal(err)
			}
			config.Admin = &caddy.AdminConfig{Disabled: true}
			config.StorageRaw = mustJSON(t, map[string]string{"module": "file_system", "root": t.TempDir()})
			if err := caddy.Validate(&config); err != nil {
				t.Errorf("%s: %v\n%s", page, err, text)
			}
		}
	}
	if count < 28 {
		t.Errorf("%d Caddyfiles found", count)
	}
}
