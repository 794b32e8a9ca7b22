package simulator

import (
	"encoding/json"
	"net/http"
	"time"
)

func (s *Site) code2Session(r *http.Request) (map[string]any, int) {
	q := r.URL.Query()
	if errcode := s.checkApp(q.Get("appid"), q.Get("secret")); errcode != 0 {
		return nil, errcode
	}
	switch {
	case q.Get("grant_type") != "authorization_code":
		return nil, 40002
	case q.Get("js_code") == "":
		return nil, 41008
	}
	errcode, user := s.Server.exchange(q.Get("appid"), q.Get("js_code"))
	if errcode != 0 {
		return nil, errcode
	}
	fields := map[string]any{"openid": openID(q.Get("appid"), user.Name), "session_key": s.Server.members.login(q.Get("appid"), user.Name)}
	if user.UnionID {
		fields["unionid"] = id("unionid", user.Name)
	}
	return fields, 0
}

// exchange answers code2session: an errcode, or the user of the code.
func (s *Server) exchange(appID, text string) (errcode int, user User) {
	c, found := s.codes.Get(text)
	if !found {
		return s.exchangeForeign(text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.appID != "" && c.appID != appID, c.grant != nil:
		return 40029, User{}
	case c.used:
		return 40163, User{}
	}
	c.used = true
	return 0, c.user
}

func (s *Site) stableToken(r *http.Request) (map[string]any, int) {
	var form struct {
		GrantType    string `json:"grant_type"`
		AppID        string `json:"appid"`
		Secret       string `json:"secret"`
		ForceRefresh bool   `json:"force_refresh"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(&form); err != nil {
		return nil, 47001
	}
	if errcode := s.checkTokenCall(form.AppID, form.Secret, form.GrantType); errcode != 0 {
		return nil, errcode
	}
	return tokenAnswer(s.Server.tokens.stable(form.AppID, form.ForceRefresh)), 0
}

func (s *Site) token(r *http.Request) (map[string]any, int) {
	q := r.URL.Query()
	if errcode := s.checkTokenCall(q.Get("appid"), q.Get("secret"), q.Get("grant_type")); errcode != 0 {
		return nil, errcode
	}
	return tokenAnswer(s.Server.tokens.next(q.Get("appid"))), 0
}

func tokenAnswer(text string, left time.Duration) map[string]any {
	return map[string]any{"access_token": text, "expires_in": int(left / time.Second)}
}

// send stands for every call that needs an access_token.
func (s *Site) send(r *http.Request) (map[string]any, int) {
	if _, live := s.Server.tokens.appOf(r.URL.Query().Get("access_token")); !live {
		return nil, 40001
	}
	return map[string]any{"errcode": 0, "errmsg": "ok"}, 0
}

func (s *Site) checkTokenCall(appID, secret, grantType string) int {
	if errcode := s.checkApp(appID, secret); errcode != 0 {
		return errcode
	}
	if grantType != "client_credential" {
		return 40002
	}
	return 0
}

// checkApp returns the errcode for an app and its secret.
func (s *Site) checkApp(appID, secret string) int {
	known, listed := s.Apps[appID]
	switch {
	case appID == "":
		return 41002
	case secret == "":
		return 41004
	case len(s.Apps) > 0 && !listed, len(s.Apps) == 0 && !IsAppID(appID):
		return 40013
	case listed && known != secret:
		return 40125
	}
	return 0
}
