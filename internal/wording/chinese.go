package wording

// consoleZH is where WeChat's settings of a Mini Program are.
const consoleZH = "微信公众平台（mp.weixin.qq.com）的“开发管理 - 开发设置”"

const consoleEN = "mp.weixin.qq.com, 开发管理, 开发设置 (development settings)"

// translation is a text in both languages. What has the same values in another order
// numbers them, as in %[2]s.
type translation struct{ english, chinese string }

// chinese has the Chinese of each English text.
var chinese = func() map[string]string {
	texts := make(map[string]string, len(coreChinese)+len(operateChinese))
	for _, list := range [][]translation{coreChinese, operateChinese} {
		for _, t := range list {
			texts[t.english] = t.chinese
		}
	}
	return texts
}()

// coreChinese are the texts of the doctor's checks that know nothing of Caddy.
var coreChinese = []translation{
	// Statuses and kinds of findings.
	{"ok", "正常"},
	{"warn", "警告"},
	{"fail", "失败"},
	{"skip", "跳过"},
	{"config", "配置"},
	{"secret", "密钥"},
	{"store", "存储"},
	{"keys", "签名密钥"},
	{"headers", "请求头"},
	{"login", "登录"},
	{"coverage", "覆盖"},
	{"running", "运行"},
	{"credentials", "凭证"},
	{"connection", "连接"},
	{"clock", "时钟"},
	{"callback", "回调"},
	{"hook", "钩子"},

	// What WeChat says of AppID and AppSecret.
	{"WeChat accepts AppID and AppSecret", "微信认可这个 AppID 和小程序密钥（AppSecret）"},
	{"WeChat is busy", "微信系统繁忙"},
	{"run this again in a minute", "过一分钟再运行一次"},
	{"the AppSecret is not this account's", "小程序密钥（AppSecret）不是这个账号的"},
	{"put the AppSecret of this app, from " + consoleEN + ", where the configuration's placeholder points", "到" + consoleZH + "查看这个账号的小程序密钥，放到配置中占位符所指的地方"},
	{"WeChat does not know this AppID", "微信不认识这个 AppID"},
	{"copy the AppID from " + consoleEN + " into `app <appid> <secret>`: lower case, no spaces", "从" + consoleZH + "复制 AppID 到 `app <appid> <secret>`：小写，不带空格"},
	{"the AppSecret is wrong, or was reset in the console since", "小程序密钥不对，或者后来在后台重置过"},
	{"put the AppSecret of this app, from " + consoleEN + ", where the configuration's placeholder points; it is shown only when it is reset", "到" + consoleZH + "取得这个账号的小程序密钥，放到配置中占位符所指的地方；密钥只在重置时显示一次"},
	{"the app's IP whitelist does not have this machine", "这台机器的出口 IP 不在 IP白名单里"},
	{"%s; WeChat sees it as %s", "%s；微信看到的 IP 是 %s"},
	{"enter the address from which this machine reaches the internet at " + consoleEN + ", IP白名单 (IP whitelist)", "把这台机器的出口 IP 填到" + consoleZH + "的 IP白名单"},
	{"enter %s at " + consoleEN + ", IP白名单 (IP whitelist); if the address changes, send calls through a fixed one with api_proxy", "把 %s 填到" + consoleZH + "的 IP白名单；出口 IP 会变的话，用 api_proxy 走固定出口"},
	{"the AppSecret is frozen", "小程序密钥已被冻结"},
	{"unfreeze it at " + consoleEN, "到" + consoleZH + "解冻"},
	{"the account's quota for this call is used up", "这个接口的当日调用额度已用完"},
	{"wait until the day is over in Beijing, or raise or clear the quota in the console; find out who else calls WeChat for this app", "等到北京时间零点，或者在后台提升或清空额度；查一查还有谁在用这个账号调用微信"},
	{"WeChat is called too often for this app", "这个账号调用微信太频繁"},
	{"wait a minute and run this again; find out who else calls WeChat for this app", "等一分钟再运行；查一查还有谁在用这个账号调用微信"},
	{"the account may not use this API", "这个账号没有该接口的权限"},
	{"see the app's permissions in the console", "到后台查看接口权限"},
	{"WeChat has forbidden the account this API", "微信封禁了这个账号的该接口"},
	{"see the notices in the console", "到后台查看通知"},
	{"the account is frozen, restricted or cancelled", "账号被冻结、受限或已注销"},
	{"see the notices in the console, and appeal there", "到后台查看通知并申诉"},
	{"the account may not ask for tokens", "这个账号无权获取 access_token"},
	{"the account is frozen", "账号已被冻结"},
	{"this AppID belongs to a third-party platform, not to a Mini Program", "这个 AppID 是第三方平台的，不是小程序的"},
	{"use the AppID of the Mini Program itself", "请用小程序自己的 AppID"},
	{"calls from this IP address wait for the administrator's confirmation", "来自这个 IP 的调用正等待管理员确认"},
	{"calls from this IP address need the administrator's confirmation", "来自这个 IP 的调用需要管理员确认"},
	{"have the app's administrator confirm the message that WeChat sent to him", "请账号管理员在微信发给他的消息里确认"},
	{"the administrator refused this IP address twice", "管理员已两次拒绝这个 IP"},
	{"wait 24 hours, then have him confirm", "24 小时后再请管理员确认"},
	{"the administrator refused this IP address", "管理员拒绝了这个 IP"},
	{"wait an hour, then have him confirm", "一小时后再请管理员确认"},
	{"WeChat refuses, for a reason that is not known here", "微信拒绝了，原因不在已知之列"},
	{"look the errcode up in WeChat's documentation, or give the rid to its support", "在微信文档里查这个 errcode，或把 rid 提供给微信客服"},
	{"%s (errcode %d, rid %s)", "%s（errcode %d，rid %s）"},
	{"%s (errcode %d)", "%s（errcode %d）"},
	{"WeChat cannot be reached", "连不上微信"},
	{"see the lines about the connection", "见“连接”各行"},
	{"WeChat did not answer within api_timeout", "微信在 api_timeout 内没有应答"},
	{"run this again; if it stays so, look for a firewall or proxy that swallows the traffic, or raise api_timeout", "再运行一次；仍然如此，就查是不是防火墙或代理吞掉了流量，或者调大 api_timeout"},
	{"the connection broke before WeChat's answer", "微信应答之前连接就断了"},
	{"run this again; if it stays so, look for a firewall or proxy in between", "再运行一次；仍然如此，就查中间的防火墙或代理"},
	{"interrupted", "已中断"},
	{"what answers is not WeChat's API: %v", "应答的不是微信接口：%v"},
	{"check `api` and `api_proxy`, and look for a firewall or login page in between", "检查 `api` 和 `api_proxy`，看看中间是不是有防火墙或上网登录页"},

	// Connections and clocks.
	{"reached, over plain http on this machine", "连上了，走本机的明文 http"},
	{"reached; its certificate is verified and good until %s", "连上了；证书已验证，有效期到 %s"},
	{"check the date of this machine; if it is right, WeChat must replace the certificate soon", "检查这台机器的日期；如果没错，就是微信快要换证书了"},
	{"the answer says no time, so the clocks cannot be compared", "应答里没有时间，没法比对时钟"},
	{"this machine and WeChat agree on the time", "这台机器与微信的时间一致"},
	{"this machine's clock is %s ahead of WeChat's", "这台机器的时钟比微信快 %s"},
	{"this machine's clock is %s behind WeChat's", "这台机器的时钟比微信慢 %s"},
	{"have the clock set by NTP (timedatectl set-ntp true)", "用 NTP 校时（timedatectl set-ntp true）"},
	{"the certificate is another host's", "证书是别的主机的"},
	{"look for a proxy or firewall that answers instead, and check `api` and /etc/hosts", "查是不是代理或防火墙在代为应答，并检查 `api` 和 /etc/hosts"},
	{"the certificate is not valid at this time", "证书此刻不在有效期内"},
	{"check the date of this machine; if it is right, something else answers instead of WeChat", "检查这台机器的日期；如果没错，就是别的东西在冒充微信应答"},
	{"this machine has no trusted certificates", "这台机器没有受信任的根证书"},
	{"install the package ca-certificates", "安装软件包 ca-certificates"},
	{"the certificate is not from an authority that this machine trusts", "证书不是这台机器信任的机构签发的"},
	{"install or update the package ca-certificates; if a firewall opens TLS connections, exempt WeChat's hosts from it", "安装或更新软件包 ca-certificates；如果防火墙会拆解 TLS，请放行微信的域名"},
	{"the proxy of api_proxy cannot be reached or refuses: %v", "api_proxy 的代理连不上或拒绝连接：%v"},
	{"check that the proxy runs and lets this machine connect to WeChat's hosts", "确认代理在运行，并允许这台机器连接微信的域名"},
	{"the name %q of the proxy, or of WeChat, cannot be resolved", "代理或微信的域名 %q 解析不了"},
	{"check `api_proxy` and DNS (/etc/resolv.conf)", "检查 `api_proxy` 和 DNS（/etc/resolv.conf）"},
	{"the name %q cannot be resolved", "域名 %q 解析不了"},
	{"check DNS (/etc/resolv.conf, in a container its network), and the spelling of `api`", "检查 DNS（/etc/resolv.conf，容器里看它的网络）以及 `api` 的拼写"},
	{"no server accepts connections there", "那里没有程序接受连接"},
	{"check `api`, and /etc/hosts; a firewall may refuse, too", "检查 `api` 和 /etc/hosts；也可能是防火墙拒绝"},
	{"there is no route to it", "没有到那里的路由"},
	{"check this machine's network; if it only has a proxy to the internet, name it in api_proxy", "检查这台机器的网络；如果只能通过代理上网，写到 api_proxy 里"},
	{"no connection within api_timeout", "api_timeout 内没有连上"},
	{"let this machine connect to port 443 of WeChat's hosts in the firewall, or name its proxy in api_proxy", "在防火墙上放行到微信域名的 443 端口，或者把代理写到 api_proxy 里"},
	{"what answers there does not speak TLS", "那里应答的不是 TLS"},
	{"check the port in `api`; a proxy or firewall may answer instead", "检查 `api` 的端口；也可能是代理或防火墙在代为应答"},
	{"TLS cannot be agreed on: %v", "TLS 协商不成：%v"},
	{"look for a firewall or proxy in between", "查中间的防火墙或代理"},
	{"the connection is cut", "连接被切断"},
	{"the proxy of api_proxy refuses, or cannot reach WeChat: %v", "api_proxy 的代理拒绝，或它连不上微信：%v"},
	{"check the proxy's rules, user and password", "检查代理的规则、用户名和密码"},
	{"check this machine's network", "检查这台机器的网络"},
	{"%v", "%v"},

	// Identity headers.
	{"the app gets %s as the client sent it, so anybody can be anybody", "应用收到的 %s 就是客户端发来的，谁都可以冒充任何人"},
	{"the app gets %s, which many servers read as %s", "应用收到 %s，很多服务器会把它当成 %s"},
	{"the app gets %s on a request without a login", "没有登录的请求，应用也收到了 %s"},
	{"the app does not get %s", "应用没有收到 %s"},
	{"the app gets %s %d times", "应用收到了 %s 共 %d 次"},
	{"the app gets %s with another value than the user's", "应用收到的 %s 不是该用户的值"},
}
