package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
)

const (
	maxMembers = 10_000
	// sessionLifetime of a session_key; WeChat does not say how long it is.
	sessionLifetime = 72 * time.Hour
)

// A member is a user in an app.
type member struct {
	appID, name, openID string

	mu    sync.Mutex
	key   string // the session_key
	kept  map[string]string
	coins coins
}

// members are those who have logged in, by app and openid.
type members struct{ table *bounded.Table[*member] }

func newMembers() members { return members{bounded.New[*member](maxMembers, sessionLifetime)} }

// login gives the user a new session_key.
func (m members) login(appID, name string) string {
	openID := openID(appID, name)
	found, _ := m.table.GetOrAdd(appID+" "+openID, func() *member { return &member{appID: appID, name: name, openID: openID} })
	m.table.Extend(appID+" "+openID, sessionLifetime)
	return found.renewKey()
}

// find returns a member who has logged in.
func (m members) find(appID, openID string) (*member, bool) { return m.table.Get(appID + " " + openID) }

func (m *member) renewKey() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.key = newSessionKey()
	return m.key
}

func (m *member) sessionKey() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.key
}

// hasSigned reports whether signature is the user's of message ("用户登录态签名").
func (m *member) hasSigned(message []byte, signature string) bool {
	return hmac.Equal([]byte(sign(m.sessionKey(), message)), []byte(signature))
}

// sign is the HMAC-SHA-256 of a message in hex; the key is its text.
func sign(key string, message []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(message)
	return hex.EncodeToString(mac.Sum(nil))
}
