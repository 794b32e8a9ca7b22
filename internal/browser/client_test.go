package browser

import "testing"

// User-Agents as real clients send them. The last two of a Mini Program are spelled
// as iOS and developer tools do.
func TestClientIsWhatTheUserAgentSays(t *testing.T) {
	const (
		androidWeChat = "Mozilla/5.0 (Linux; Android 14; 23127PN0CC Build/UKQ1.230804.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.188 Mobile Safari/537.36 XWEB/1260059 MMWEBSDK/20240501 MMWEBID/2507 MicroMessenger/8.0.50.2700(0x2800323E) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64"
		iPhoneWeChat  = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.50(0x18003237) NetType/WIFI Language/zh_CN"
		windowsWeChat = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Safari/537.36 NetType/WIFI MicroMessenger/7.0.20.1781(0x6700143B) WindowsWechat(0x63090c11) XWEB/11275 Flue"
		macWeChat     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) NetType/WIFI MicroMessenger/6.8.0(0x16080000) MacWechat/3.8.8(0x13080812) XWEB/1227 Flue"
	)
	for userAgent, want := range map[string]Client{
		androidWeChat: WeChat,
		iPhoneWeChat:  WeChat,
		windowsWeChat: WeChat,
		macWeChat:     WeChat,
		androidWeChat + " miniProgram/wx1234567890abcdef":                                                                                         WebView,
		windowsWeChat + " MiniProgramEnv/Windows WindowsWechat/WMPF":                                                                              WebView,
		iPhoneWeChat + " MiniProgram":                                                                                                             WebView,
		"Mozilla/5.0 wechatdevtools/1.06 MicroMessenger/8.0.5 miniprogram":                                                                        WebView,
		"Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Mobile Safari/537.36 wxwork/4.1.22 MicroMessenger/7.0.1 Language/zh":                  Outside,
		"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/108 Safari/537.36 wxwork/4.1.22 (MicroMessenger/6.2) WindowsWechat":              Outside,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1": Outside,
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36":                         Outside,
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36":                                Outside, // a tablet
		"Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1":               Outside,
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36":                         Desktop,
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15":                   Desktop,
		"Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0":                                                                  Desktop,
		"curl/8.5.0":             Desktop,
		"":                       Desktop,
		"miniProgram/wx12345678": Desktop, // not without MicroMessenger
	} {
		if got := ClientOf(userAgent); got != want {
			t.Errorf("%q is %d, want %d", userAgent, got, want)
		}
	}
}

func TestMiniProgramOfAWebView(t *testing.T) {
	for userAgent, want := range map[string]string{
		"MicroMessenger/8.0.50 miniProgram/wx1234567890abcdef":     "wx1234567890abcdef",
		"MicroMessenger/8.0.50 miniprogram/wx1234567890abcdef x/1": "wx1234567890abcdef",
		"MicroMessenger/8.0.50 miniProgram":                        "",
		"MicroMessenger/8.0.50 MiniProgramEnv/Windows":             "",
		"MicroMessenger/8.0.50 miniProgram/":                       "",
		"MicroMessenger/8.0.50 miniProgram/8.0":                    "",
	} {
		if got := MiniProgram(userAgent); got != want {
			t.Errorf("%q is of %q, want %q", userAgent, got, want)
		}
	}
}

// A web-view is never sent to another account's consent page (B19).
func TestB19WayForEveryBrowser(t *testing.T) {
	all := Methods{InWeChat: "official", Elsewhere: "website", Scan: "mini"}
	for _, test := range []struct {
		methods Methods
		client  Client
		method  Method
		account string
	}{
		{all, WebView, GoBack, ""},
		{Methods{}, WebView, GoBack, ""},
		{all, WeChat, ByRedirect, "official"},
		{Methods{Elsewhere: "website", Scan: "mini"}, WeChat, OpenElsewhere, ""},
		{all, Outside, OpenInWeChat, ""},
		{Methods{Elsewhere: "website"}, Outside, OpenInWeChat, ""},
		{all, Desktop, ByRedirect, "website"},
		{Methods{InWeChat: "official", Scan: "mini"}, Desktop, ByScan, "mini"},
		{Methods{InWeChat: "official"}, Desktop, OpenInWeChat, ""},
	} {
		if way, account := test.methods.For(test.client); way != test.method || account != test.account {
			t.Errorf("%+v, client %d: way %d to %q, want %d to %q", test.methods, test.client, way, account, test.method, test.account)
		}
	}
}
