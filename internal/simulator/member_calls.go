package simulator

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxSignedBody of a call that its user signs.
const maxSignedBody = 1 << 20

// signed hands a call that a user has signed to answer, with its body.
func (s *Site) signed(answer func(*member, []byte) (map[string]any, int)) func(*http.Request) (map[string]any, int) {
	return func(r *http.Request) (map[string]any, int) {
		q := r.URL.Query()
		appID, live := s.Server.tokens.appOf(q.Get("access_token"))
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

var errNobody = errors.New("no user of that name has logged in to that app")

// findMember returns the member that a control route names. Without an appid it is the
// only app of the site.
func (s *Site) findMember(appID, name string) (*member, error) {
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
