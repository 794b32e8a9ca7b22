package caddymodule

import (
	_ "github.com/caddy-wechat/gateway/caddymodule/wechatapp" // the app `wechat`, its handlers, stores, admin endpoints and commands
)
