package page

// Kind is what a page is about.
type Kind int

// The kinds of pages.
const (
	// Failed: something went wrong; the code says what.
	Failed Kind = iota
	// Busy: it went wrong for now, trying again is worth it.
	Busy
	// NotAllowed: this user, or this request, is not let in.
	NotAllowed
	// NotFound: there is no such page of the gateway.
	NotFound
	// LoginRequired: a login is needed, and the site has no automatic one.
	LoginRequired
	// OpenInWeChat: the address must be opened in WeChat.
	OpenInWeChat
	// OpenElsewhere: inside WeChat there is no way in, on a computer or in the Mini
	// Program there is.
	OpenElsewhere
	// GoBack: a web-view must be left and opened again from the Mini Program.
	GoBack
	// LoggedOut: the user has logged out.
	LoggedOut
	// NotKept: the browser forgets its logins.
	NotKept
	// Snapshot: WeChat shows a snapshot of the page.
	Snapshot
	// Refused: the user did not consent.
	Refused
	// FormLost: a form was sent after the login had ended.
	FormLost
	// Confirm: another user is logged in here; going on logs him out.
	Confirm
)

// words are a page's words in one language.
type words struct {
	Title    string
	Text     []string
	Continue string // the main link
	Other    string // the smaller link
	// NewWindow opens the main link in a window of its own, so that Back leads to
	// what the user typed.
	NewWindow bool
}

var codeHints = map[lang]string{chinese: "错误代码", english: "Code:"}

var texts = map[Kind]map[lang]words{
	Failed: {
		chinese: {Title: "登录没有完成", Text: []string{"出了点问题，暂时无法登录。如果重试后仍然如此，请把下面的代码告诉网站管理员。"}, Continue: "重试"},
		english: {Title: "The login was not completed", Text: []string{"Something went wrong. If trying again does not help, tell the site's operator the code below."}, Continue: "Try again"},
	},
	Busy: {
		chinese: {Title: "请稍后再试", Text: []string{"现在无法确认你的登录，请过一会儿再试。"}, Continue: "重试"},
		english: {Title: "Please try again later", Text: []string{"Your login cannot be checked right now. Please try again in a moment."}, Continue: "Try again"},
	},
	NotAllowed: {
		chinese: {Title: "无法访问", Text: []string{"此请求未被允许。"}, Continue: "返回首页"},
		english: {Title: "Not allowed", Text: []string{"This request is not allowed."}, Continue: "Go to the start page"},
	},
	NotFound: {
		chinese: {Title: "页面不存在", Text: []string{"这个地址没有内容。"}, Continue: "返回首页"},
		english: {Title: "Page not found", Text: []string{"There is nothing at this address."}, Continue: "Go to the start page"},
	},
	LoginRequired: {
		chinese: {Title: "请先登录", Text: []string{"登录后才能查看此页面。"}, Continue: "用微信登录"},
		english: {Title: "Please log in", Text: []string{"You need to log in to see this page."}, Continue: "Log in with WeChat"},
	},
	OpenInWeChat: {
		chinese: {Title: "请在微信中打开", Text: []string{"用微信扫描二维码，或复制下面的地址，在微信中打开。"}, Other: "改用扫码登录"},
		english: {Title: "Open this page in WeChat", Text: []string{"Scan the code with WeChat, or copy the address below and open it in WeChat."}, Other: "Log in with a QR code instead"},
	},
	OpenElsewhere: {
		chinese: {Title: "请在电脑上或小程序中打开", Text: []string{"此页面不能在微信的浏览器中登录。请在电脑浏览器中打开，或使用我们的小程序。"}},
		english: {Title: "Open this on a computer or in our Mini Program", Text: []string{"You cannot log in to this page in WeChat's browser. Open it in a browser on a computer, or use our Mini Program."}},
	},
	GoBack: {
		chinese: {Title: "请返回后重新打开", Text: []string{"请返回小程序，再次打开此页面。"}},
		english: {Title: "Go back and open this again", Text: []string{"Go back to the Mini Program and open this page again."}},
	},
	LoggedOut: {
		chinese: {Title: "已退出登录", Text: []string{"你已安全退出。"}, Continue: "重新登录"},
		english: {Title: "You are logged out", Text: []string{"You have logged out of this site."}, Continue: "Log in again"},
	},
	NotKept: {
		chinese: {Title: "登录状态没有保存", Text: []string{"登录成功了，但浏览器没有保存登录状态。请允许此网站使用 Cookie，关闭无痕模式后重试。"}, Continue: "重试"},
		english: {Title: "Your login is not kept", Text: []string{"The login worked, but your browser did not keep it. Allow cookies for this site, leave private browsing, and try again."}, Continue: "Try again"},
	},
	Snapshot: {
		chinese: {Title: "请使用完整服务", Text: []string{"你看到的是网页快照。请点击页面底部的「使用完整服务」，然后继续。"}},
		english: {Title: "Use the full service", Text: []string{"WeChat shows you a snapshot of this page. Tap 使用完整服务 (use the full service) at the bottom of the screen to go on."}},
	},
	Refused: {
		chinese: {Title: "你没有同意授权", Text: []string{"没有你的同意，就无法用微信登录。"}, Continue: "重新登录"},
		english: {Title: "You did not agree", Text: []string{"Without your consent you cannot log in with WeChat."}, Continue: "Log in again"},
	},
	FormLost: {
		chinese: {Title: "登录已失效", Text: []string{"你的登录已经结束，刚才提交的内容没有被处理。请在新窗口中登录，再回到这里返回上一页重新提交。"}, Continue: "在新窗口中登录", NewWindow: true},
		english: {Title: "Your login has ended", Text: []string{"Your login has ended; what you sent was not processed. Log in in a new window, then come back here, go back one page and send it again."}, Continue: "Log in in a new window", NewWindow: true},
	},
	Confirm: {
		chinese: {Title: "要切换用户吗？", Text: []string{"此浏览器中已登录另一位用户。继续将切换为小程序中的用户。"}, Continue: "切换用户"},
		english: {Title: "Switch to another user?", Text: []string{"Somebody else is logged in here. Going on switches to the user of the Mini Program."}, Continue: "Switch user"},
	},
}
