package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/strictjson"
)

// UserHeader names the user in whose name a call is signed.
const UserHeader = "X-Wechat-Openid"

// ErrUserHeader says that the header with the user comes twice, under another
// spelling, or names nobody.
var ErrUserHeader = errors.New("X-WeChat-OpenID must name one user, once")

// ErrSignedTooLarge says that a body that must be signed is longer than [MaxSigned].
var ErrSignedTooLarge = errors.New("body too large to be signed")

const (
	// resetPath gives the user a new session_key, and answers with it ("重置登录态").
	resetPath = "/wxa/resetusersessionkey"
	// MaxSigned is the longest body that is signed for a user.
	MaxSigned = 1 << 20
	// maxSignedAnswer is the longest answer to such a call.
	maxSignedAnswer = 256 << 10
	maxAnswerDepth  = 64
	// signedTime bounds such a call, the answer included.
	signedTime = 30 * time.Second
)

// Users sign in the name of users, whose keys they hold.
type Users interface {
	// SignFor returns the user's signature of a message (WeChat: "用户登录态签名").
	SignFor(ctx context.Context, appID, openID string, message []byte) (string, error)
	// KeepSessionKey keeps a new key of the user.
	KeepSessionKey(ctx context.Context, appID, openID string, key secret.String) error
}

// userOf returns the user that a call names, empty if none.
func userOf(h http.Header) (openID string, err error) {
	const folded = "x-wechat-openid"
	for name, values := range h {
		if len(name) != len(folded) || identity.Fold(name) != folded {
			continue
		}
		if name != UserHeader || len(values) != 1 || openID != "" || !identity.ValidID(values[0]) {
			return "", ErrUserHeader
		}
		openID = values[0]
	}
	return openID, nil
}

// dropUser removes the header, which is between the app and the gateway only.
func dropUser(h http.Header) { delete(h, UserHeader) }

// signed returns the query with the user's signature of the body in place of whatever
// the caller says there.
func (t *trip) signed(ctx context.Context) (string, error) {
	message := bytes.Join(t.body.kept, nil)
	if t.in.Method == http.MethodGet {
		message = nil
	}
	signature, err := t.proxy.Users.SignFor(ctx, t.owner.AppID(), t.openID, message)
	if err != nil {
		return "", err
	}
	var kept []string
	for pair := range strings.SplitSeq(t.in.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		decoded, err := url.QueryUnescape(name)
		if err != nil || decoded == "openid" || decoded == "signature" || decoded == "sig_method" || pair == "" {
			continue
		}
		kept = append(kept, pair)
	}
	kept = append(kept, "openid="+url.QueryEscape(t.openID), "signature="+signature, "sig_method=hmac_sha256")
	return strings.Join(kept, "&"), nil
}

// takeSessionKey keeps a new session_key of an answer, and takes it out. An answer that
// may hide one is refused: it must reach nobody. The room for it was taken before WeChat
// was asked, see Serve.
func (t *trip) takeSessionKey(ctx context.Context, answered answer) (answer, error) {
	data, err := io.ReadAll(io.LimitReader(answered.Body, maxSignedAnswer+1))
	_ = answered.Body.Close()
	if err != nil || len(data) > maxSignedAnswer {
		return answer{}, fmt.Errorf("%w: too long, or it ends early", provider.ErrBadAnswer)
	}
	members, err := strictjson.Object(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), maxAnswerDepth)
	if err == nil && members["session_key"] != nil {
		text, ok := strictjson.String(members["session_key"])
		if !ok || !wechat.IsSessionKey(text) {
			return answer{}, fmt.Errorf("%w: its session_key is invalid", provider.ErrBadAnswer)
		}
		if err := t.proxy.Users.KeepSessionKey(ctx, t.owner.AppID(), t.openID, secret.New(text)); err != nil {
			return answer{}, err
		}
		delete(members, "session_key")
		if data, err = json.Marshal(members); err != nil || bytes.Contains(data, []byte(text)) {
			return answer{}, fmt.Errorf("%w: it repeats the session_key", provider.ErrBadAnswer)
		}
	}
	if hidesSessionKey(data) {
		return answer{}, fmt.Errorf("%w: it has a session_key where none belongs", provider.ErrBadAnswer)
	}
	answered.Body = io.NopCloser(bytes.NewReader(data))
	answered.ContentLength = int64(len(data))
	answered.Header["Content-Length"] = []string{strconv.Itoa(len(data))}
	return answered, nil
}

// hidesSessionKey looks for a member of that name anywhere, in any case and with any
// escapes: Go's and other readers match names loosely.
func hidesSessionKey(data []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if text, ok := token.(string); ok && strings.EqualFold(text, "session_key") {
			return true
		}
	}
	return bytes.Contains(bytes.ToLower(data), []byte("session_key"))
}
