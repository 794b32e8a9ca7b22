// Package wechat makes users of WeChat known to the gateway: it exchanges login
// codes and fetches access_tokens. It trusts nothing that comes back.
package wechat

import (
	"github.com/caddy-wechat/gateway/internal/provider/transport"
)

// DefaultBases are WeChat's general host and the one for when it cannot be
// reached ("接口域名说明").
var DefaultBases = []string{"https://api.weixin.qq.com", "https://api2.weixin.qq.com"}

// Client calls WeChat's server API. It is safe for concurrent use.
type Client struct{ *transport.Client }

// New returns a [Client], or an error that names the setting which is wrong.
func New(o transport.Options) (*Client, error) {
	c, err := transport.New(o)
	if err != nil {
		return nil, err
	}
	return &Client{c}, nil
}
