package browser_test

import (
	"fmt"

	"github.com/caddy-wechat/gateway/internal/browser"
)

// The User-Agent and the accounts of a site decide how a browser logs in.
func ExampleMethods_For() {
	site := browser.Methods{InWeChat: "wxofficial", Elsewhere: "wxwebsite"}
	for _, userAgent := range []string{
		"Mozilla/5.0 (Linux; Android 15) MicroMessenger/8.0.50",
		"Mozilla/5.0 (Linux; Android 15) MicroMessenger/8.0.50 miniProgram/wx1234567890abcdef",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/130.0.0.0",
	} {
		method, account := site.For(browser.ClientOf(userAgent))
		fmt.Printf("%t %q\n", method == browser.ByRedirect, account)
	}
	// Output:
	// true "wxofficial"
	// false ""
	// true "wxwebsite"
}
