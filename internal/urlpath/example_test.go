package urlpath_test

import (
	"fmt"

	"github.com/caddy-wechat/gateway/internal/urlpath"
)

// One server decodes, another merges slashes or resolves dots: all of these may be the
// same path to an app.
func ExampleFold() {
	for _, raw := range []string{"/WeChat/login", "/wechat//login", "/x/../wechat/login", "/%77echat/login"} {
		fmt.Println(urlpath.Fold(raw))
	}
	// Output:
	// /wechat/login
	// /wechat/login
	// /wechat/login
	// /wechat/login
}

// A prefix covers what any server could take for it.
func ExampleBelow() {
	fmt.Println(urlpath.Below("/wechat/%6cogin", "/wechat"))
	fmt.Println(urlpath.Below("/x/..%2fwechat/login", "/wechat"))
	fmt.Println(urlpath.Below("/wechatty/login", "/wechat"))
	// Output:
	// true
	// true
	// false
}

// A public pattern is the other way round: it is matched only with a path that every
// server reads alike.
func ExamplePattern_Match() {
	public, err := urlpath.ParsePattern("/assets/*")
	if err != nil {
		panic(err)
	}
	for _, raw := range []string{"/assets/logo.png", "/assets/../admin", "/assets/%2e%2e/admin"} {
		fmt.Println(urlpath.Canonical(raw) && public.Match(raw))
	}
	// Output:
	// true
	// false
	// false
}
