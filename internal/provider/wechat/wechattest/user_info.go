package wechattest

import (
	"net/url"
	"strings"
)

// AddFollower makes a user follow the official accounts, which then know the
// unionid.
func (s *Server) AddFollower(openID, unionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unionIDs == nil {
		s.unionIDs = make(map[string]string)
	}
	s.unionIDs[openID] = unionID
}

// UserInfos is how many users the fake was asked about.
func (s *Server) UserInfos() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.userInfos
}

func (s *Server) userInfo(query url.Values) Answer {
	if !strings.HasPrefix(query.Get("access_token"), "access_token_of_") {
		return Errcode(40001)
	}
	openID := query.Get("openid")
	unionID, follows := s.unionIDs[openID]
	if !follows {
		return asJSON(map[string]any{"subscribe": 0, "openid": openID}, "")
	}
	return asJSON(map[string]any{"subscribe": 1, "openid": openID, "language": "zh_CN"}, unionID)
}
