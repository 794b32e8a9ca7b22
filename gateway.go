// Package gateway is the module by its own name, for xcaddy: importing it
// registers what [github.com/caddy-wechat/gateway/caddymodule] registers.
package gateway

import (
	_ "github.com/caddy-wechat/gateway/caddymodule" // every Caddy module
)
