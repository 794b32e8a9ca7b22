package caddymodule

import (
	_ "github.com/caddy-wechat/gateway/caddymodule/api"       // the handler `wechat_api`
	_ "github.com/caddy-wechat/gateway/caddymodule/auth"      // the handler `wechat_auth`
	_ "github.com/caddy-wechat/gateway/caddymodule/gctuning"  // the garbage collector, while a gateway runs
	_ "github.com/caddy-wechat/gateway/caddymodule/operate"   // admin endpoints and commands
	_ "github.com/caddy-wechat/gateway/caddymodule/stores"    // the session stores `memory` and `redis`
	_ "github.com/caddy-wechat/gateway/caddymodule/survey"    // what is checked about all sites together
	_ "github.com/caddy-wechat/gateway/caddymodule/wechatapp" // the app `wechat` and the matcher `wechat_ready`
)
