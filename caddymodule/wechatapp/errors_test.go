package wechatapp

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
		if got := refusalFor(err).message; got != want && text != "" {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := sentence("invalid request: "); got == "" {
		t.Error("no sentence")
	}
}

// Every refusal says something and has a status.
func TestRefusalsAreComplete(t *testing.T) {
	for _, r := range append(refusals, apiRefusals...) {
		got := refusalFor(r.err)
		if r.err == nil || r.status < 400 || r.code == "" || got.message == "" {
			t.Errorf("%+v", r)
		}
	}
}
