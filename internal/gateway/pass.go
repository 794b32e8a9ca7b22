package gateway

import (
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/session"
)

// Pass says who may pass, and until when.
type Pass struct {
	User            identity.User
	issued, expires time.Time
	keyID           string
	hint            session.Hint // session.Query.Hint
}

// pass is what a good token is with its live session.
func (k *knownToken) pass(live session.Session) Pass {
	p := Pass{User: k.User, issued: k.IssuedAt, expires: k.Expires, keyID: k.KeyID, hint: live.Hint}
	p.User.UnionID, p.User.UserID = live.UnionID, live.UserID
	return p
}

func ref(u identity.User) session.Ref {
	return session.Ref{AppID: u.AppID, OpenID: u.OpenID, SessionID: u.SessionID}
}
