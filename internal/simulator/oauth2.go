package simulator

import (
	"net/http"
	"time"
)

// oauth2 answers sns/oauth2/access_token ("换取用户授权凭证 snsAccessToken"). Codes that
// were made without a page are those of mobile apps.
func (s *Site) oauth2(r *http.Request) (map[string]any, int) {
	q := r.URL.Query()
	if errcode := s.checkApp(q.Get("appid"), q.Get("secret")); errcode != 0 {
		return nil, errcode
	}
	switch {
	case q.Get("grant_type") != "authorization_code":
		return nil, 40002
	case q.Get("code") == "":
		return nil, 41008
	}
	errcode, user, g := s.Server.exchangeOAuth2(q.Get("appid"), q.Get("code"))
	if g.delay > 0 {
		select {
		case <-time.After(g.delay):
		case <-r.Context().Done():
		}
	}
	if errcode != 0 {
		return nil, errcode
	}
	fields := map[string]any{
		"access_token": randomHex(32), "expires_in": 7200, "refresh_token": randomHex(32),
		"openid": id("openid", q.Get("appid"), user.Name), "scope": g.scope,
	}
	if g.snapshot {
		fields["is_snapshotuser"] = 1
		fields["openid"] = id("snapshot", randomHex(8))
		return fields, 0
	}
	if user.UnionID && g.scope != scopeBase {
		fields["unionid"] = id("unionid", user.Name)
	}
	return fields, 0
}

// exchangeOAuth2 uses up a code.
func (s *Server) exchangeOAuth2(appID, text string) (errcode int, user User, g grant) {
	c, found := s.codes.Get(text)
	if !found {
		return 40029, User{}, grant{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g = grant{scope: scopeUserInfo}
	if c.grant != nil {
		g = *c.grant
	}
	switch {
	case c.appID != "" && c.appID != appID:
		return 40029, User{}, grant{}
	case c.used:
		return 40163, User{}, grant{}
	}
	c.used = true
	return g.errcode, c.user, g
}
