package browser

import "strings"

// Client is the kind of browser that a User-Agent names. It chooses the way in,
// never who somebody is.
type Client int

// The kinds of browsers.
const (
	// Desktop is any other browser.
	Desktop Client = iota
	// WebView is a Mini Program's: its user is logged in there already, and must
	// not become another account's user behind his back.
	WebView
	// WeChat is WeChat's own browser.
	WeChat
	// Outside is WeCom's browser, or one on a phone: the user has WeChat at hand
	// but is not in it.
	Outside
)

// phones are what User-Agents of phones and tablets have in them.
var phones = []string{"Mobi", "Android", "iPhone", "iPad", "iPod", "(Phone;"}

// ClientOf judges a User-Agent.
func ClientOf(userAgent string) Client {
	switch {
	case strings.Contains(userAgent, "MicroMessenger/") && containsFold(userAgent, "miniprogram"):
		return WebView
	case strings.Contains(userAgent, "MicroMessenger") && !containsFold(userAgent, "wxwork"):
		return WeChat
	case containsFold(userAgent, "wxwork"):
		return Outside
	}
	for _, phone := range phones {
		if strings.Contains(userAgent, phone) {
			return Outside
		}
	}
	return Desktop
}

// MiniProgram returns the AppID of the Mini Program whose web-view has this
// User-Agent, if it names one.
func MiniProgram(userAgent string) string {
	const mark = "miniprogram/"
	i := strings.Index(strings.ToLower(userAgent), mark)
	if i < 0 {
		return ""
	}
	rest := userAgent[i+len(mark):]
	end := 0
	for end < len(rest) && ('a' <= rest[end] && rest[end] <= 'z' || 'A' <= rest[end] && rest[end] <= 'Z' || '0' <= rest[end] && rest[end] <= '9') {
		end++
	}
	if appID := rest[:end]; strings.HasPrefix(appID, "wx") {
		return appID
	}
	return ""
}

// containsFold is [strings.Contains] for ASCII in any case; part is in lower case.
func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), part)
}

// Methods are the accounts that a site has for browsers, each an AppID or empty.
type Methods struct {
	// InWeChat is the official account, Elsewhere the website, Scan the Mini
	// Program that logs desktops in.
	InWeChat, Elsewhere, Scan string
}

// Method is how a browser logs in, or the page that says why it cannot.
type Method int

// The methods.
const (
	// ByRedirect sends the browser to WeChat, for the account beside it.
	ByRedirect Method = iota
	// ByScan shows the code of the Mini Program.
	ByScan
	// GoBack asks to leave the web-view and open it again.
	GoBack
	// OpenElsewhere asks for a computer, or the Mini Program.
	OpenElsewhere
	// OpenInWeChat shows the address to open in WeChat.
	OpenInWeChat
)

// For returns the method for a browser, and the account that it uses.
func (m Methods) For(c Client) (Method, string) {
	switch c {
	case WebView:
		return GoBack, ""
	case WeChat:
		if m.InWeChat == "" {
			return OpenElsewhere, ""
		}
		return ByRedirect, m.InWeChat
	case Outside:
		return OpenInWeChat, ""
	}
	switch {
	case m.Elsewhere != "":
		return ByRedirect, m.Elsewhere
	case m.Scan != "":
		return ByScan, m.Scan
	}
	return OpenInWeChat, ""
}
