package operate

// helpInChinese is the help of each command, by what is typed after the program.
var helpInChinese = map[string]struct{ short, long string }{
	"wechat": {"管理微信登录", `
供网关运维人员使用的命令。doctor 检查一份配置；其他命令通过管理接口与运行中的 Caddy
交互。用户一律从标准输入读取，绝不作为参数：参数会被同一台机器上的其他用户看到，
也会留在命令历史里。`},
	"wechat doctor": {"查出登录失败的原因，并说明怎么办", `
检查一份配置以及它所依赖的一切，每项结果一行：配置能否加载；每个小程序密钥
（AppSecret）是否就位；微信是否认可 AppID、密钥和出口 IP；能否连上微信的服务器、
证书是谁的、时钟准不准；会话存储能否使用；用哪些密钥签名；每个站点后面的应用收到
的身份请求头是否真实、有没有伪造的混进去；客户端能否访问网关的路由；有没有路由绕过
wechat_auth；以及用这份配置运行着的网关是否暂停了登录。

请用服务的用户和环境变量运行。可以在服务运行时执行：不会打开配置里的监听端口、
日志文件和管理接口，不消耗登录 code，不生成密钥，为测试存储写入的数据会删除。请求头
测试的请求只发到它自己的监听端口，不会发给你的应用。其他模块会像 caddy validate 那样
加载。

没有失败（可以有警告）时退出码为 0，有失败为 1，用法不对或配置读不了为 2。`},
	"wechat status": {"以 JSON 显示账号、会话、熔断器、存储和密钥", ""},
	"wechat drop-key": {"让某个签名密钥签发的令牌全部作废", `
让某个签名密钥签发的所有令牌在所有节点上作废，并显示剩下的密钥。会话仍然有效，
但用户要重新登录，这一步用户没有感觉。配置里写了 signing_key 的话，请把那里的密钥
也删掉。`},
	"wechat sessions": {"查看和结束会话，禁止用户登录", `
查看和结束会话，禁止用户登录。用户的 openid 从标准输入读取：

	echo <openid> | caddy wechat sessions list --app <appid>
	caddy wechat sessions list --app <appid> < /dev/null
	caddy wechat sessions list --app <appid> --user-hash <hash>
	echo <openid> | caddy wechat sessions end --app <appid>
	echo <openid> | caddy wechat sessions deny --app <appid> --for 24h
	echo <openid> | caddy wechat sessions set --app <appid> --user-id 42
	caddy wechat sessions end --app <appid> --everybody`},
	"wechat sessions list": {"列出某个用户的会话，或所有已登录用户的会话", `
列出标准输入给出的 openid 的会话，或者用 --user-hash 按日志里的哈希查找。两者都没有
时，分页列出所有已登录的用户；结果里的 "after" 用来取下一页。`},
	"wechat sessions end":   {"结束一个会话、一个用户的所有会话或一个账号的所有会话", ""},
	"wechat sessions deny":  {"结束用户的会话，并在一段时间内禁止登录", ""},
	"wechat sessions set":   {"修改用户在业务应用里的编号，对所有有效会话立即生效", ""},
	"wechat sessions allow": {"允许被禁止的用户重新登录", ""},
	"wechat token": {"解释标准输入里的令牌", `
解释标准输入里的令牌：是否有效，是谁的，由哪个密钥签发。带着它的请求能通过时退出码
为 0。没有列出该账号的站点仍会拒绝它。`},
}

// flagsInChinese is what each flag does; a name means the same to all commands.
var flagsInChinese = map[string]string{
	"address":   "管理接口的地址；用默认地址或配置里写了就不用给",
	"adapter":   "配置的适配器名",
	"after":     "从哪里开始取下一页：填上一页给出的值；不读标准输入",
	"app":       "账号的 AppID",
	"config":    "配置文件（默认：当前目录的 Caddyfile）",
	"everybody": "结束该账号的所有会话；不读标准输入",
	"for":       "多久，例如 24h",
	"help":      "显示帮助",
	"json":      "以 JSON 输出",
	"lang":      "使用的语言，en 或 zh；不给则看系统语言环境",
	"limit":     "每页多少个用户，1 到 1000；不读标准输入",
	"offline":   "不调用微信",
	"session":   "要结束的会话，写列表里显示的那个；不给则结束该用户的所有会话",
	"until":     "到什么时候，例如 2026-12-31T23:59:59Z",
	"user-hash": "用日志里的哈希指定用户；不读标准输入",
	"user-id":   "编号，最多 64 个字符：A-Z a-z 0-9 . _ : @ -；为空则删除",
}
