package answer

import (
	"fmt"
	"testing"

	"github.com/caddy-wechat/gateway/internal/gateway"
)

func TestSentencesForClients(t *testing.T) {
	for text, want := range map[string]string{
		"appid is needed":       "Appid is needed.",
		"AppID is missing":      "AppID is missing.",
		"50 characters at most": "50 characters at most.",
		"ärger":                 "Ärger.",
		"":                      "The request is not valid.",
	} {
		err := gateway.ErrInvalidRequest
		if text != "" {
			err = fmt.Errorf("%w: %s", gateway.ErrInvalidRequest, text)
		}
		if got := For(err).Message; got != want && text != "" {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := sentence("invalid request: "); got == "" {
		t.Error("no sentence")
	}
}

// Every refusal says something and has a status.
func TestRefusalsAreComplete(t *testing.T) {
	for _, r := range Refusals {
		got := For(r.Err)
		if r.Err == nil || r.Status < 400 || r.Code == "" || got.Message == "" {
			t.Errorf("%+v", r)
		}
	}
}
