// Command caddy is Caddy with its standard modules, this module and the
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-wechat/gateway/caddymodule"
	_ "github.com/caddy-wechat/gateway/caddymodule/simulator"
)

func main() {
	caddycmd.Main()
}
