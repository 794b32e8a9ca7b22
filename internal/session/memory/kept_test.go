package memory

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

// The file was written by an earlier version; its sessions go on after an upgrade.
func TestSnapshotOfBeforeIsRead(t *testing.T) {
	data, err := os.ReadFile("testdata/snapshot-1.gob")
	if err != nil {
		t.Fatal(err)
	}
	s := New(1000, time.Minute)
	defer s.Close()
	if n, err := s.Restore(data); err != nil || n != 2 {
		t.Fatalf("%d sessions, %v", n, err)
	}
	ends := time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC)
	ref := session.Ref{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", SessionID: "AAAAAAAAAAAAAAAAAAAAAA"}
	got, err := s.Get(t.Context(), sessiontest.Query(ref))
	if err != nil || got.UnionID != "uAAAAAAAAAAAAAAAAAAAAAAAAAAA" || !got.Ends.Equal(ends) {
		t.Errorf("%+v, %v", got, err)
	}
	if keys, err := s.SessionKeys(t.Context(), ref.AppID, ref.OpenID); err != nil || keys.Newest.Reveal() != "MDEyMzQ1Njc4OWFiY2RlZg==" {
		t.Errorf("session key: %v", err)
	}
	record, err := s.User(t.Context(), ref.AppID, "oBBBBBBBBBBBBBBBBBBBBBBBBBBB")
	if err != nil || !record.DeniedUntil.Equal(ends) {
		t.Errorf("denied until %v, %v", record.DeniedUntil, err)
	}
	ref.OpenID = "oBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	if _, err := s.Put(t.Context(), session.Login{Ref: ref, Ends: ends}, 5); !errors.Is(err, session.ErrDenied) {
		t.Errorf("login of a denied user: %v", err)
	}
	if dropped := s.DroppedKeys(); len(dropped) != 1 || dropped[0] != "0123456789abcdef" {
		t.Errorf("dropped keys %v", dropped)
	}
}
