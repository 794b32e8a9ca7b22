package api

import "testing"

// Every refusal of wechat_api says something and has a status.
func TestAPIRefusalsAreComplete(t *testing.T) {
	for _, r := range apiRefusals {
		if r.Err == nil || r.Status < 400 || r.Code == "" || apiRefusal(r.Err).Message == "" {
			t.Errorf("%+v", r)
		}
	}
}
