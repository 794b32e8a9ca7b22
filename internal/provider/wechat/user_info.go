package wechat

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/secret"
)

// UserInfo returns the unionid of a user of an official account ("获取用户基本信息",
// cgi-bin/user/info). WeChat tells it of followers only; it is empty for others.
// accessToken is the account's. The errors are those of Code2Session, and one that
// [RefusesToken] about it.
func (c *Client) UserInfo(ctx context.Context, accessToken secret.String, openID string) (unionID string, err error) {
	body, err := c.Ask(ctx, transport.Call{
		Method: http.MethodGet, Path: "/cgi-bin/user/info",
		Query:  url.Values{"access_token": {accessToken.Reveal()}, "openid": {openID}, "lang": {"zh_CN"}},
		Hidden: []string{accessToken.Reveal(), openID},
	})
	if err != nil {
		return "", err
	}
	a, err := parseAnswer(body)
	if err != nil {
		return "", err
	}
	about, unionID, err := a.identifiers()
	if err != nil {
		return "", err
	}
	if about != openID {
		return "", fmt.Errorf("%w: it is about another user", provider.ErrBadAnswer)
	}
	return unionID, nil
}
