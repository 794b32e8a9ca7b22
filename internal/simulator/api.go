package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const maxBody = 64 << 10

// ServeHTTP answers WeChat's API and the control routes below /simulator/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/sns/jscode2session":
		s.api(w, r, http.MethodGet, s.code2Session)
	case "/cgi-bin/stable_token":
		s.api(w, r, http.MethodPost, s.stableToken)
	case "/cgi-bin/message/custom/send":
		s.api(w, r, http.MethodPost, s.send)
	case "/simulator/code":
		s.control(w, r, http.MethodPost, s.newCode)
	case "/simulator/users":
		s.control(w, r, http.MethodPost, s.newUser)
	case "/simulator/answer":
		s.control(w, r, http.MethodPost, s.newScript)
	case "/simulator/state":
		s.control(w, r, http.MethodGet, func(*http.Request) (any, error) { return s.State(), nil })
	default:
		http.NotFound(w, r)
	}
}

// api answers as WeChat does: errors in a 200, JSON as text/plain.
func (s *Server) api(w http.ResponseWriter, r *http.Request, method string, answer func(*http.Request) (map[string]any, int)) {
	errcode, delay := s.next(r.URL.Path)
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	if method == http.MethodPost && r.ContentLength < 0 {
		http.Error(w, "chunked bodies are refused", http.StatusPreconditionFailed)
		return
	}
	var fields map[string]any
	switch {
	case errcode != 0:
	case r.Method != method:
		errcode = map[string]int{http.MethodGet: 43001, http.MethodPost: 43002}[method]
	default:
		fields, errcode = answer(r)
	}
	if errcode != 0 {
		fields = map[string]any{"errcode": errcode, "errmsg": errmsg(errcode)}
	}
	w.Header().Set("Content-Type", "text/plain")
	_ = json.NewEncoder(w).Encode(fields) // a client that left is no error of ours
}

func (s *Server) code2Session(r *http.Request) (map[string]any, int) {
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
	errcode, user := s.exchange(q.Get("appid"), q.Get("js_code"))
	if errcode != 0 {
		return nil, errcode
	}
	fields := map[string]any{"openid": id("openid", q.Get("appid"), user.Name), "session_key": newSessionKey()}
	if user.UnionID {
		fields["unionid"] = id("unionid", user.Name)
	}
	return fields, 0
}

func (s *Server) stableToken(r *http.Request) (map[string]any, int) {
	var form struct {
		GrantType    string `json:"grant_type"`
		AppID        string `json:"appid"`
		Secret       string `json:"secret"`
		ForceRefresh bool   `json:"force_refresh"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(&form); err != nil {
		return nil, 47001
	}
	if errcode := s.checkApp(form.AppID, form.Secret); errcode != 0 {
		return nil, errcode
	}
	if form.GrantType != "client_credential" {
		return nil, 40002
	}
	return map[string]any{
		"access_token": s.accessToken(form.AppID, form.ForceRefresh),
		"expires_in":   int(tokenLifetime / time.Second),
	}, 0
}

// send stands for every call that needs an access_token.
func (s *Server) send(r *http.Request) (map[string]any, int) {
	if _, live := s.tokens.Get(r.URL.Query().Get("access_token")); !live {
		return nil, 40001
	}
	return map[string]any{"errcode": 0, "errmsg": "ok"}, 0
}

var errmsgs = map[int]string{
	-1: "system error", 40001: "invalid credential, access_token is invalid or not latest", 40002: "invalid grant_type",
	40013: "invalid appid", 40029: "invalid code", 40125: "invalid appsecret", 40163: "code been used",
	40164: "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist", 40226: "code blocked", 40243: "AppSecret frozen",
	41002: "appid missing", 41004: "appsecret missing", 41008: "missing code", 43001: "require GET method", 43002: "require POST method",
	45009: "reach max api daily quota limit", 45011: "api minute-quota reach limit, mustslower, retry next minute", 47001: "data format error",
}

func errmsg(errcode int) string {
	text, known := errmsgs[errcode]
	if !known {
		text = "simulated error"
	}
	return fmt.Sprintf("%s, rid: %08x-%s-%s", text, time.Now().Unix(), randomHex(4), randomHex(4))
}

// control answers the routes that people steer the simulator by.
func (s *Server) control(w http.ResponseWriter, r *http.Request, method string, do func(*http.Request) (any, error)) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != method {
		w.Header().Set("Allow", method)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	answer, err := do(r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(answer) // a client that left is no error of ours
}

// newCode takes user and appid from the query, so that curl needs no body.
func (s *Server) newCode(r *http.Request) (any, error) {
	q := r.URL.Query()
	text, err := s.Login(q.Get("appid"), q.Get("user"))
	if err != nil {
		return nil, err
	}
	return map[string]string{"code": text}, nil
}

func (s *Server) newUser(r *http.Request) (any, error) {
	var u User
	if err := decode(r, &u); err != nil {
		return nil, err
	}
	if err := s.AddUser(u); err != nil {
		return nil, err
	}
	return s.Users(), nil
}

func (s *Server) newScript(r *http.Request) (any, error) {
	var script Script
	if err := decode(r, &script); err != nil {
		return nil, err
	}
	s.SetScript(script)
	return s.State(), nil
}

func decode(r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("reading body: %w", err)
	}
	return nil
}
