package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
)

const (
	maxMembers = 10_000
	// sessionLifetime of a session_key; WeChat does not say how long it is.
	sessionLifetime = 72 * time.Hour
	// maxSignedBody of a call that its user signs.
	maxSignedBody = 1 << 20
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

func openID(appID, name string) string { return id("openid", appID, name) }

// login gives the user a new session_key.
func (m members) login(appID, name string) string {
	openID := openID(appID, name)
	found, _ := m.table.GetOrAdd(appID+" "+openID, func() *member { return &member{appID: appID, name: name, openID: openID} })
	m.table.Extend(appID+" "+openID, sessionLifetime)
	return found.renewKey()
}

// find returns somebody who has logged in.
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

// serveMembers answers what is about one user; false if the path is not.
func (s *Site) serveMembers(w http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/wxa/checksession":
		s.api(w, r, http.MethodGet, s.signed(s.checkSession))
	case "/wxa/resetusersessionkey":
		s.api(w, r, http.MethodGet, s.signed(s.resetSessionKey))
	case "/wxa/set_user_storage":
		s.api(w, r, http.MethodPost, s.signed(setStorage))
	case "/wxa/remove_user_storage":
		s.api(w, r, http.MethodPost, s.signed(removeStorage))
	case "/wxa/business/getuserphonenumber":
		s.api(w, r, http.MethodPost, s.phoneNumber)
	case "/xpay/query_user_balance":
		s.api(w, r, http.MethodPost, s.paid(queryBalance))
	case "/xpay/currency_pay":
		s.api(w, r, http.MethodPost, s.paid(payCoins))
	case "/xpay/query_order":
		s.api(w, r, http.MethodPost, s.paid(queryOrder))
	case "/simulator/phone-code":
		s.control(w, r, http.MethodPost, s.newPhoneCode)
	case "/simulator/encrypted-data":
		s.control(w, r, http.MethodPost, s.newEncryptedData)
	case "/simulator/payment":
		s.control(w, r, http.MethodPost, s.pay)
	case "/simulator/storage":
		s.control(w, r, http.MethodGet, s.showStorage)
	default:
		return false
	}
	return true
}

// signed hands a call that a user has signed to answer, with its body.
func (s *Site) signed(answer func(*member, []byte) (map[string]any, int)) func(*http.Request) (map[string]any, int) {
	return func(r *http.Request) (map[string]any, int) {
		q := r.URL.Query()
		appID, live := s.Server.tokens.app(q.Get("access_token"))
		if !live {
			return nil, 40001
		}
		body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxSignedBody))
		if err != nil {
			return nil, 47001
		}
		m, found := s.Server.members.find(appID, q.Get("openid"))
		switch {
		case !found:
			return nil, 87007
		case q.Get("sig_method") != "hmac_sha256":
			return nil, 87008
		case !m.hasSigned(body, q.Get("signature")):
			return nil, 87009
		}
		return answer(m, body)
	}
}

func (s *Site) checkSession(*member, []byte) (map[string]any, int) { return ok(), 0 }

func (s *Site) resetSessionKey(m *member, _ []byte) (map[string]any, int) {
	fields := ok()
	fields["openid"], fields["session_key"] = m.openID, m.renewKey()
	return fields, 0
}

func ok() map[string]any { return map[string]any{"errcode": 0, "errmsg": "ok"} }

var errNobody = errors.New("nobody of that name has logged in to that app")

// whom returns the member that a control route names. Without an appid it is the
// only app of the site.
func (s *Site) whom(appID, name string) (*member, error) {
	if appID == "" && len(s.Apps) == 1 {
		for appID = range s.Apps {
		}
	}
	if !IsAppID(appID) {
		return nil, fmt.Errorf("%w; this simulator needs one here", ErrApp)
	}
	m, found := s.Server.members.find(appID, openID(appID, name))
	if !found {
		return nil, errNobody
	}
	return m, nil
}
