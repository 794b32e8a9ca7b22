package auth

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
)

// What is accepted as a login says the same to every JSON reader: one code, as
// a string, in at most 4 KiB.
func FuzzLoginBody(f *testing.F) {
	for _, seed := range []string{
		`{"code":"abc"}`, `{"code":"abc","appid":"wx1234567890abcdef","nonce":"0123456789abcdef"}`, `{"code":"a","code":"b"}`,
		`{"Code":"a","code":"b"}`, `{"code":null}`, `{"\u0063ode":"a"}`, `[]`, `{"code":"a"} {"code":"b"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/wechat/login", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		req, err := readLogin(httptest.NewRecorder(), r)
		if err != nil {
			if answer.For(err).Status >= http.StatusInternalServerError {
				t.Fatalf("%q is an error of ours: %v", body, err)
			}
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(body, &plain); err != nil || len(body) > maxLoginBody {
			t.Fatalf("accepted %q", body)
		}
		for name, got := range map[string]string{"code": req.Code, "appid": req.AppID, "nonce": req.Nonce} {
			if want, _ := plain[name].(string); got != want {
				t.Fatalf("%s is %q here and %q elsewhere, in %q", name, got, want, body)
			}
		}
	})
}
