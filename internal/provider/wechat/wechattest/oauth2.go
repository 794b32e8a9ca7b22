package wechattest

import "net/url"

// UserToken and RefreshToken are what the fake hands out with every OAuth login.
const (
	UserToken    = "user_access_token_of_the_fake"
	RefreshToken = "user_refresh_token_of_the_fake"
)

func (s *Server) oauth2(query url.Values) Answer {
	user, problem := s.spend(query, "code")
	if problem != nil {
		return *problem
	}
	fields := map[string]any{"access_token": UserToken, "expires_in": 7200, "refresh_token": RefreshToken, "openid": user.OpenID}
	if user.Scope != "" {
		fields["scope"] = user.Scope
	}
	if user.Snapshot {
		fields["is_snapshotuser"] = 1
	}
	return asJSON(fields, user.UnionID)
}
