package relay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
	"github.com/caddy-wechat/gateway/internal/secret"
)

type oneToken struct{}

func (oneToken) StableToken(context.Context, provider.Account, bool) (wechat.AccessToken, error) {
	return wechat.AccessToken{Value: secret.New("token"), ExpiresIn: time.Hour}, nil
}

// keptKey is a user whose key is replaced.
type keptKey struct{ key string }

func (*keptKey) SignFor(context.Context, string, string, []byte) (string, error) { return "00", nil }

func (k *keptKey) KeepSessionKey(_ context.Context, _, _ string, key secret.String) error {
	k.key = key.Reveal()
	return nil
}

// leaving is WeChat that has done what it was asked for when the app leaves.
type leaving struct{ leave context.CancelFunc }

func (l leaving) Relay(ctx context.Context, _ transport.Relayed) (*http.Response, error) {
	l.leave()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: -1,
		Body: io.NopCloser(strings.NewReader(`{"errcode":0,"openid":"oAAAAAAAA","session_key":"ZmVkY2JhOTg3NjU0MzIxMA=="}`)),
	}, nil
}

// F4: WeChat has replaced the key, so it is kept although the app has left.
func TestF4NewSessionKeyIsKeptWhoeverLeaves(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	user := new(keptKey)
	owner := credential.NewOwner(credential.NewTokens(), provider.Account{ID: "wx1234567890abcdef"}, oneToken{}, nil)
	p := &Proxy{
		Owners: map[string]*credential.Owner{owner.AppID(): owner}, Default: owner.AppID(), WeChat: leaving{leave},
		Users: user, Buffers: NewBuffers(), BodyTime: time.Second,
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/wxa/resetusersessionkey", http.NoBody)
	r.Header[UserHeader] = []string{"oAAAAAAAA"}
	w := httptest.NewRecorder()
	if err := p.Serve(w, r, p.NewCall(w)); err != nil {
		t.Error(err)
	}
	if user.key != "ZmVkY2JhOTg3NjU0MzIxMA==" {
		t.Errorf("kept %q", user.key)
	}
}

// F4: with no room for the answer WeChat is not asked, as it would replace a key that
// nobody could keep then.
func TestF4KeyIsNotReplacedWithoutRoomToKeepIt(t *testing.T) {
	asked := 0
	user := new(keptKey)
	owner := credential.NewOwner(credential.NewTokens(), provider.Account{ID: "wx1234567890abcdef"}, oneToken{}, nil)
	p := &Proxy{
		Owners: map[string]*credential.Owner{owner.AppID(): owner}, Default: owner.AppID(), WeChat: leaving{func() { asked++ }},
		Users: user, Buffers: NewBuffers(), BodyTime: time.Second,
	}
	others := loan{from: p.Buffers}
	if !others.takeLarge(maxLarge) {
		t.Fatal("new buffers are in use")
	}
	reset := func() error {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/wxa/resetusersessionkey", http.NoBody)
		r.Header[UserHeader] = []string{"oAAAAAAAA"}
		w := httptest.NewRecorder()
		return p.Serve(w, r, p.NewCall(w))
	}
	if err := reset(); !errors.Is(err, ErrBusy) || asked != 0 {
		t.Errorf("%v, and WeChat was asked %d times while the key that it replaced was lost", err, asked)
	}
	others.giveBack()
	if err := reset(); err != nil || asked != 1 || user.key == "" {
		t.Errorf("with room again: %v, asked %d times, kept %q", err, asked, user.key)
	}
	if left := p.Buffers.large.Load(); left != maxLarge {
		t.Errorf("%d of %d bytes are left", left, maxLarge)
	}
}

// K7: an app that signs by itself gets no session_key either.
func TestK7KeyIsResetForNamedUsersOnly(t *testing.T) {
	owner := credential.NewOwner(credential.NewTokens(), provider.Account{ID: "wx1234567890abcdef"}, oneToken{}, nil)
	p := &Proxy{
		Owners: map[string]*credential.Owner{owner.AppID(): owner}, Default: owner.AppID(), WeChat: leaving{func() {}},
		Users: new(keptKey), Buffers: NewBuffers(), BodyTime: time.Second,
	}
	for _, path := range []string{"/wxa/resetusersessionkey", "/WXA/ResetUserSessionKey/"} {
		r := httptest.NewRequestWithContext(
			t.Context(), http.MethodGet, path+"?openid=oAAAAAAAA&signature=00&sig_method=hmac_sha256", http.NoBody,
		)
		w := httptest.NewRecorder()
		if err := p.Serve(w, r, p.NewCall(w)); !errors.Is(err, ErrUserHeader) || strings.Contains(w.Body.String(), "session_key") {
			t.Errorf("%s: %v, the app gets %s", path, err, w.Body)
		}
	}
}
