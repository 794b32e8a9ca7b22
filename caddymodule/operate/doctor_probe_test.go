package operate

import (
	"net/http"
	"strings"
	"testing"
)

func TestProbesKeepWhatChangesHeaders(t *testing.T) {
	apps := newProbes()
	t.Cleanup(apps.close)
	changed, err := apps.replaceApps(t.Context(), []byte(`{"apps":{"http":{"n":12345678901234567890,"servers":{"a":{"routes":[{"handle":[{"handler":"subroute","routes":[
		{"handle":[{"handler":"reverse_proxy","transport":{"protocol":"fastcgi"},"dynamic_upstreams":{},"headers":{"request":{"delete":["X"]}},"rewrite":{"uri":"/x"}}]}]}]}]}}},
		"wechat":{"handler":"reverse_proxy"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	text := string(changed)
	for _, want := range []string{
		`"delete":["X"]`, `"rewrite":{"uri":"/x"}`, `"upstreams":[{"dial":"` + apps.listeners[0].Addr().String(),
		"12345678901234567890", `"wechat":{"handler":"reverse_proxy"}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if len(apps.listeners) != 1 || strings.Contains(text, "fastcgi") || strings.Contains(text, "dynamic") {
		t.Errorf("%d probes: %s", len(apps.listeners), text)
	}
	addr := apps.listeners[0].Addr().String()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-A", "b")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := apps.take(addr); got.Get("X-A") != "b" || apps.take(addr) != nil {
		t.Errorf("got %v", got)
	}
}
