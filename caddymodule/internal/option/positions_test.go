package option

import (
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

const (
	testAppID     = "wx1234567890abcdef"
	testAppSecret = "0123456789abcdef0123456789abcdef"
)

func TestPositionsAreOfPlaceholders(t *testing.T) {
	d := caddyfile.NewTestDispenser("x")
	for text, kept := range map[string]bool{"{env.X}": true, testAppID: true, testAppSecret: false, "http://u:{env.X}pw@h": false, "{env.X}tail": false, "": false} {
		RememberPosition(d, "test", text)
		if (Position("test", text) != "") != kept {
			t.Errorf("%q: kept should be %v", text, kept)
		}
	}
}
