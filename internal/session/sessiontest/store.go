package sessiontest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

const (
	appID  = "wx1234567890abcdef"
	openID = "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

func login(id string, ends time.Time) session.Login {
	return session.Login{
		Ref:        session.Ref{AppID: appID, OpenID: openID, SessionID: id},
		SessionKey: secret.New("MDEyMzQ1Njc4OWFiY2RlZg=="), Ends: ends,
	}
}

func sid(n int) string { return fmt.Sprintf("session-%014d", n) }

func soon() time.Time { return time.Now().Truncate(time.Second).Add(time.Hour) }

func mustPut(t *testing.T, store session.Backend, l session.Login, limit int) {
	t.Helper()
	if _, err := store.Put(t.Context(), l, limit); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// Query asks for a session now, without knowing a UnionID.
func Query(ref session.Ref) session.Query { return session.Query{Ref: ref, Now: time.Now()} }

func wantLive(t *testing.T, store session.Backend, ref session.Ref, live bool) {
	t.Helper()
	_, err := store.Get(t.Context(), Query(ref))
	if _, without := store.Get(t.Context(), session.Query{Ref: ref}); (without == nil) != (err == nil) {
		t.Errorf("session %s: %v, and without a time %v", ref.SessionID, err, without)
	}
	if live && err != nil || !live && !errors.Is(err, session.ErrNotFound) {
		t.Errorf("session %s: live should be %v, got %v", ref.SessionID, live, err)
	}
}
