package wechattest

import (
	"fmt"
	"slices"
)

// TokenForm is the body of a call of stable_token.
type TokenForm struct {
	GrantType    string `json:"grant_type"`
	AppID        string `json:"appid"`
	Secret       string `json:"secret"`
	ForceRefresh *bool  `json:"force_refresh"`
}

// TokenLifetime is how many seconds an access_token of the fake is good.
const TokenLifetime = 7200

// AccessToken is what the fake hands out to an app, the first time and each time
// after a forced one.
func AccessToken(appID string, forced int) string {
	return fmt.Sprintf("access_token_of_%s-%d", appID, forced)
}

// TokenForms returns the body of every call of stable_token so far.
func (s *Server) TokenForms() []TokenForm {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.forms)
}

func (s *Server) stableToken(form TokenForm, problem *Answer) Answer {
	secret, found := s.secrets[form.AppID]
	switch {
	case problem != nil:
		return *problem
	case form.GrantType != "client_credential":
		return Errcode(40002)
	case !found:
		return Errcode(40013)
	case secret != form.Secret:
		return Errcode(40125)
	}
	forced := 0
	for _, earlier := range s.forms {
		if earlier.AppID == form.AppID && earlier.ForceRefresh != nil && *earlier.ForceRefresh {
			forced++
		}
	}
	return Answer{Body: fmt.Sprintf(`{"access_token":%q,"expires_in":%d}`, AccessToken(form.AppID, forced), TokenLifetime)}
}
