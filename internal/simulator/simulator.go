// Package simulator plays WeChat's server API for people without an account:
// single-use codes that expire, test users with and without a unionid, and
// every errcode on demand. It is no part of a production gateway.
package simulator

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
)

// Errors of the control functions.
var (
	// ErrUser: a user's name is not 1 to 32 of A-Z a-z 0-9 _ -, or unknown, or
	// there are too many users.
	ErrUser = errors.New("no such user, or not a name for one")
	// ErrApp: not an AppID.
	ErrApp = errors.New("not an AppID: wx and 16 hex digits")
)

const (
	// CodeLifetime is how long a code is good ("小程序登录": five minutes).
	CodeLifetime = 5 * time.Minute

	maxCodes  = 100_000
	maxTokens = 1_000
	maxUsers  = 1_000
	// tokenLifetime of an access_token ("获取稳定版接口调用凭据").
	tokenLifetime = 2 * time.Hour
)

// User is a test user.
type User struct {
	Name string `json:"name"`
	// UnionID says whether logins of the user have a unionid.
	UnionID bool `json:"unionid"`
}

// Server is a simulated WeChat. It is safe for concurrent use.
type Server struct {
	codes  *bounded.Table[*code]
	tokens *bounded.Table[string] // access_token → appid

	mu      sync.Mutex
	users   []User
	secrets map[string]string // appid → secret; empty: any is accepted
	current map[string]string // appid → its access_token
	script  Script
	calls   map[string]int
}

type code struct {
	mu    sync.Mutex
	appID string
	user  User
	used  bool
}

// Script makes the next answers errors.
type Script struct {
	// Errcode of the answers; 0 is none.
	Errcode int `json:"errcode"`
	// Times is how many answers; 0 is all until the next script.
	Times int `json:"times"`
	// DelayMS delays every answer by so many milliseconds, up to a minute.
	DelayMS int `json:"delay_ms"`
}

// New returns a simulator with two users: alice, who has a unionid, and bob,
// who has none.
func New() *Server {
	return &Server{
		codes:   bounded.New[*code](maxCodes, CodeLifetime),
		tokens:  bounded.New[string](maxTokens, tokenLifetime),
		users:   []User{{"alice", true}, {"bob", false}},
		secrets: make(map[string]string),
		current: make(map[string]string),
		calls:   make(map[string]int),
	}
}

// SetApps names the apps and their secrets that are accepted. With none, every
// well-formed AppID is, with any secret.
func (s *Server) SetApps(secrets map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = secrets
}

var (
	appIDPattern = regexp.MustCompile(`^wx[0-9a-f]{16}$`)
	namePattern  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
)

// AddUser adds a user or changes the one of that name.
func (s *Server) AddUser(u User) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.users, func(other User) bool { return other.Name == u.Name })
	switch {
	case !namePattern.MatchString(u.Name), i < 0 && len(s.users) >= maxUsers:
		return ErrUser
	case i < 0:
		s.users = append(s.users, u)
	default:
		s.users[i] = u
	}
	return nil
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
	if appID != "" && !appIDPattern.MatchString(appID) {
		return "", ErrApp
	}
	i := slices.IndexFunc(s.Users(), func(u User) bool { return u.Name == name })
	if i < 0 {
		return "", ErrUser
	}
	user := s.Users()[i]
	text := randomHex(16)
	s.codes.GetOrAdd(text, func() *code { return &code{appID: appID, user: user} })
	return text, nil
}

// SetScript replaces the script.
func (s *Server) SetScript(script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	script.DelayMS = min(max(script.DelayMS, 0), 60_000)
	s.script = script
}

// State is what the simulator did so far and will do next.
type State struct {
	Users  []User         `json:"users"`
	Script Script         `json:"answer"`
	Calls  map[string]int `json:"calls"` // by path
}

// State returns the state.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{Users: slices.Clone(s.users), Script: s.script, Calls: maps.Clone(s.calls)}
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

// checkApp returns the errcode for an app and its secret.
func (s *Server) checkApp(appID, secret string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, listed := s.secrets[appID]
	switch {
	case appID == "":
		return 41002
	case secret == "":
		return 41004
	case len(s.secrets) > 0 && !listed, len(s.secrets) == 0 && !appIDPattern.MatchString(appID):
		return 40013
	case listed && known != secret:
		return 40125
	}
	return 0
}

// exchange answers code2session: an errcode, or the user of the code.
func (s *Server) exchange(appID, text string) (errcode int, user User) {
	c, found := s.codes.Get(text)
	if !found {
		return 40029, User{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.appID != "" && c.appID != appID:
		return 40029, User{}
	case c.used:
		return 40163, User{}
	}
	c.used = true
	return 0, c.user
}

// accessToken returns the app's access_token and what is left of it, as
// stable_token does: the same one until it is forced or over.
func (s *Server) accessToken(appID string, force bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text := s.current[appID]; text != "" && !force {
		if _, live := s.tokens.Get(text); live {
			return text
		}
	}
	s.tokens.Delete(s.current[appID])
	text := randomHex(64)
	s.tokens.GetOrAdd(text, func() string { return appID })
	s.current[appID] = text
	return text
}

// id makes an openid (per user and app) or a unionid (per user) of WeChat's
// form.
func id(parts ...string) string {
	sum := sha256.Sum256(fmt.Append(nil, parts))
	return "o" + base64.RawURLEncoding.EncodeToString(sum[:])[:27]
}

func newSessionKey() string {
	raw := make([]byte, 16)
	rand.Read(raw) // never fails since Go 1.24
	return base64.StdEncoding.EncodeToString(raw)
}

func randomHex(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // never fails since Go 1.24
	return hex.EncodeToString(raw)
}
