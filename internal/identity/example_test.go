package identity_test

import (
	"fmt"
	"net/http"

	"github.com/caddy-wechat/gateway/internal/identity"
)

// Strip comes before every decision; Inject follows for a user who may pass.
func ExampleGuard() {
	guard, err := identity.NewGuard(identity.DefaultNames())
	if err != nil {
		panic(err)
	}
	h := http.Header{
		"X-Openid":  {"oFORGED"},
		"x_unionid": {"uFORGED"}, // many servers read it as X-UnionID
		"Accept":    {"*/*"},
	}
	untrusted := func() bool { return false }
	guard.Strip(h, untrusted)
	fmt.Println(h)

	// Without a UnionID the header stays absent.
	guard.Inject(h, identity.User{AppID: "wx1234567890abcdef", OpenID: "oAlice"})
	fmt.Println(h)
	// Output:
	// map[Accept:[*/*]]
	// map[Accept:[*/*] X-Appid:[wx1234567890abcdef] X-Openid:[oAlice]]
}
