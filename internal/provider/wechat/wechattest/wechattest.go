// Package wechattest is a fake of WeChat's server API for tests: a plain
// [http.Handler] with single-use codes, scripted failures and a record of what
// it was asked.
package wechattest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
)

// Server answers GET /sns/jscode2session, GET /sns/oauth2/access_token and POST
// /cgi-bin/stable_token. The zero value is not usable; call [New]. It is safe for concurrent use.
type Server struct {
	mu      sync.Mutex
	secrets map[string]string
	codes   map[string]User
	used    map[string]bool
	script  []Answer
	always  *Answer
	queries []url.Values
	forms   []TokenForm
	hold    chan struct{}
	// unionIDs of followers by openid, see AddFollower.
	unionIDs  map[string]string
	userInfos int
	codeForms []CodeForm
}

// User is who a code belongs to. SessionKey defaults to a valid one.
type User struct {
	AppID, OpenID, UnionID, SessionKey string
	// Scope of an OAuth login; none is told if it is empty. Snapshot makes it that
	// of an invented user.
	Scope    string
	Snapshot bool
}

// Answer is sent instead of the usual one.
type Answer struct {
	// Status defaults to 200, ContentType to text/plain, as WeChat's do.
	Status      int
	ContentType string
	Body        string
	// Handler, if set, answers by itself.
	Handler http.HandlerFunc
}

// New returns a fake that knows the app with this secret.
func New(appID, secret string) *Server {
	return &Server{secrets: map[string]string{appID: secret}, codes: make(map[string]User), used: make(map[string]bool)}
}

// SessionKey is the base64 of 16 bytes that logins get by default.
var SessionKey = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))

// AddApp makes another app known.
func (s *Server) AddApp(appID, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[appID] = secret
}

// AddCode makes a code good for one login.
func (s *Server) AddCode(code string, user User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user.SessionKey == "" {
		user.SessionKey = SessionKey
	}
	s.codes[code] = user
}

// Errcode is the answer that carries an errcode.
func Errcode(code int) Answer {
	return Answer{Body: fmt.Sprintf(`{"errcode":%d,"errmsg":"scripted, rid: 6700abcd-12345678-9abcdef0"}`, code)}
}

// Next scripts the answers to the next calls, one each.
func (s *Server) Next(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, answers...)
}

// Always scripts the answer to every call until it is called with nil.
func (s *Server) Always(answer *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = answer
}

// Hold makes calls wait until release is called or their client leaves.
func (s *Server) Hold() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hold := make(chan struct{})
	s.hold = hold
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hold = nil
		close(hold)
	})
}

// Queries returns the query of every call so far.
func (s *Server) Queries() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values(nil), s.queries...)
}

// Calls is how many login codes were sent.
func (s *Server) Calls() int { return len(s.Queries()) }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var record func()
	var usual func() Answer
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/sns/jscode2session":
		query := r.URL.Query()
		record = func() { s.queries = append(s.queries, query) }
		usual = func() Answer { return s.exchange(query) }
	case r.Method == http.MethodGet && r.URL.Path == "/sns/oauth2/access_token":
		query := r.URL.Query()
		record = func() { s.queries = append(s.queries, query) }
		usual = func() Answer { return s.oauth2(query) }
	case r.Method == http.MethodGet && r.URL.Path == "/cgi-bin/user/info":
		query := r.URL.Query()
		record = func() { s.userInfos++ }
		usual = func() Answer { return s.userInfo(query) }
	case r.Method == http.MethodPost && r.URL.Path == "/wxa/getwxacodeunlimit":
		form, problem := readForm[CodeForm](r)
		record = func() { s.codeForms = append(s.codeForms, form) }
		usual = func() Answer { return codePicture(r.URL.Query().Get("access_token"), form, problem) }
	case r.Method == http.MethodPost && r.URL.Path == "/cgi-bin/stable_token":
		form, problem := readForm[TokenForm](r)
		record = func() { s.forms = append(s.forms, form) }
		usual = func() Answer { return s.stableToken(form, problem) }
	default:
		http.NotFound(w, r)
		return
	}
	answer, hold := s.answer(record, usual)
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	if answer.Handler != nil {
		answer.Handler(w, r)
		return
	}
	contentType, status := answer.ContentType, answer.Status
	if contentType == "" {
		contentType = "text/plain"
	}
	if status == 0 {
		status = http.StatusOK
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(answer.Body))
}

// answer returns what the script says, or else the usual answer.
func (s *Server) answer(record func(), usual func() Answer) (Answer, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record()
	if len(s.script) > 0 {
		answer := s.script[0]
		s.script = s.script[1:]
		return answer, s.hold
	}
	if s.always != nil {
		return *s.always, s.hold
	}
	return usual(), s.hold
}

func (s *Server) exchange(query url.Values) Answer {
	user, problem := s.spend(query, "js_code")
	if problem != nil {
		return *problem
	}
	return asJSON(map[string]any{"openid": user.OpenID, "session_key": user.SessionKey}, user.UnionID)
}

// spend returns the user of a code, and the answer if there is none.
func (s *Server) spend(query url.Values, param string) (User, *Answer) {
	code := query.Get(param)
	secret, found := s.secrets[query.Get("appid")]
	user, good := s.codes[code]
	errcode := 0
	switch {
	case query.Get("grant_type") != "authorization_code":
		errcode = 40002
	case !found:
		errcode = 40013
	case secret != query.Get("secret"):
		errcode = 40125
	case code == "":
		errcode = 41008
	case s.used[code]:
		errcode = 40163
	case !good || user.AppID != "" && user.AppID != query.Get("appid"):
		errcode = 40029
	default:
		s.used[code] = true
		return user, nil
	}
	answer := Errcode(errcode)
	return User{}, &answer
}

// readForm reads the body of a call. It is as strict as WeChat: 412 for a body whose
// length is not announced, 47001 for one that is not JSON.
func readForm[F any](r *http.Request) (form F, problem *Answer) {
	if r.ContentLength < 0 || len(r.TransferEncoding) > 0 {
		return form, &Answer{Status: http.StatusPreconditionFailed}
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&form); err != nil || r.Header.Get("Content-Type") != "application/json" {
		answer := Errcode(47001)
		return form, &answer
	}
	return form, nil
}

func asJSON(fields map[string]any, unionID string) Answer {
	if unionID != "" {
		fields["unionid"] = unionID
	}
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err) // strings and integers always encode
	}
	return Answer{Body: string(body)}
}
