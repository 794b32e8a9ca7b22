// Package simulator plays WeChat's server API for people without an account:
// single-use codes that expire, test users with and without a unionid, and
// every errcode on demand. It is no part of a production gateway.
package simulator

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
)

// Errors of the control functions.
var (
	// ErrApp: not an AppID.
	ErrApp = errors.New("not an AppID: wx and 16 hex digits")
	// ErrScript: a script counts or delays by less than nothing or too much.
	ErrScript = errors.New("times must be 0 to 1000000, delay_ms 0 to 60000")
)

const (
	// CodeLifetime is how long a code is good ("小程序登录": five minutes).
	CodeLifetime = 5 * time.Minute

	maxCodes = 100_000
	maxUsers = 1_000
	maxTimes = 1_000_000
	maxDelay = time.Minute
)

// Server is the state of a simulated WeChat. It is safe for concurrent use.
type Server struct {
	codes   *bounded.Table[*code]
	tokens  *tokens
	members members
	phones  *bounded.Table[*code] // of buttons that ask for a phone number

	mu     sync.Mutex
	users  []User
	script Script
	tools  string         // whom the developer tools log in as; empty: nobody
	calls  map[string]int // by path, of which there are few
	last   int            // errcode of the last answer
	drawn  *Drawn         // newest Mini Program code
}

// Script makes the next answers errors.
type Script struct {
	// Errcode of the answers; 0 for no error.
	Errcode int `json:"errcode"`
	// Times is how many answers; 0 is all until the next script.
	Times int `json:"times"`
	// DelayMS delays every answer by so many milliseconds, up to a minute,
	// until the next script.
	DelayMS int `json:"delay_ms"`
}

// New returns a simulator with two users: alice, who has a unionid, and bob,
// who has none.
func New() *Server {
	s := &Server{
		codes: bounded.New[*code](maxCodes, CodeLifetime), tokens: newTokens(),
		members: newMembers(), phones: bounded.New[*code](maxCodes, CodeLifetime),
	}
	s.reset()
	return s
}

// reset brings back the first users and forgets script and counts. Codes and
// tokens that are about stay good, and so does whom the developer tools log in as,
// if it is one of these users.
func (s *Server) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = []User{{"alice", true}, {"bob", false}}
	if _, found := s.user(s.tools); !found {
		s.tools = ""
	}
	s.script = Script{}
	s.calls = make(map[string]int)
	s.last, s.drawn = 0, nil
}

var appIDPattern = regexp.MustCompile(`^wx[0-9a-f]{16}$`)

// IsAppID reports whether text looks like an AppID.
func IsAppID(text string) bool { return appIDPattern.MatchString(text) }

// AddUser adds a user or changes the one of that name.
func (s *Server) AddUser(u User) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.users, func(other User) bool { return other.Name == u.Name })
	switch {
	case CheckName(u.Name) != nil, i < 0 && len(s.users) >= maxUsers:
		return ErrUser
	case i < 0:
		s.users = append(s.users, u)
	default:
		s.users[i] = u
	}
	return nil
}

// user finds a user. The caller holds mu.
func (s *Server) user(name string) (User, bool) {
	i := slices.IndexFunc(s.users, func(u User) bool { return u.Name == name })
	if i < 0 {
		return User{}, false
	}
	return s.users[i], true
}

// Users lists the users.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.users)
}

// Login is wx.login() in the app of a user: it returns a new code. An empty
// AppID leaves the app open until the code is exchanged.
func (s *Server) Login(appID, name string) (string, error) {
	if appID != "" && !IsAppID(appID) {
		return "", ErrApp
	}
	s.mu.Lock()
	user, found := s.user(name)
	s.mu.Unlock()
	if !found {
		return "", ErrUser
	}
	text := randomHex(16)
	s.codes.GetOrAdd(text, func() *code { return &code{appID: appID, user: user} })
	return text, nil
}

// SetScript replaces the script.
func (s *Server) SetScript(script Script) error {
	if script.Times < 0 || script.Times > maxTimes || script.DelayMS < 0 || time.Duration(script.DelayMS)*time.Millisecond > maxDelay {
		return ErrScript
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
	return nil
}

// Drawn is a Mini Program code.
type Drawn struct {
	AppID string `json:"appid"`
	Page  string `json:"page"`
	Scene string `json:"scene"`
}

// State is what the simulator did so far and will do next.
type State struct {
	Users  []User         `json:"users"`
	Script Script         `json:"answer"`
	Calls  map[string]int `json:"calls"` // by path
	// DeveloperTools is whom codes of WeChat's developer tools log in as.
	DeveloperTools string `json:"developer_tools,omitempty"`
	// LastErrcode is that of the last answer; 0 for no error.
	LastErrcode int `json:"last_errcode"`
	// Drawn is the newest Mini Program code, for a phone that has no camera.
	Drawn *Drawn `json:"drawn,omitempty"`
}

// State returns the state.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{Users: slices.Clone(s.users), Script: s.script, Calls: maps.Clone(s.calls), DeveloperTools: s.tools, LastErrcode: s.last, Drawn: s.drawn}
}

// next counts a call and takes the next step of the script.
func (s *Server) next(path string) (errcode int, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[path]++
	delay = time.Duration(s.script.DelayMS) * time.Millisecond
	errcode = s.script.Errcode
	if s.script.Times > 0 {
		if s.script.Times--; s.script.Times == 0 {
			s.script.Errcode = 0
		}
	}
	return errcode, delay
}

// answered remembers how the last call was answered.
func (s *Server) answered(errcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = errcode
}

// drew remembers a Mini Program code.
func (s *Server) drew(code Drawn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawn = &code
}
