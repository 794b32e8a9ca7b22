package sessiontest

import (
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// codePeeked peeks at a code before, during and after a claim.
func codePeeked(t *testing.T, store session.Backend) {
	key := session.CodeKey{AppID: appID, Hash: [32]byte{1, 2, 3}}
	want := func(what string, claim session.Claim, body string) {
		t.Helper()
		for range 2 {
			got, reply, err := store.PeekCode(t.Context(), key)
			if err != nil || got != claim || (reply != nil) != (body != "") || reply != nil && string(reply.Body) != body {
				t.Errorf("%s: %d, %v, %v", what, got, reply, err)
			}
		}
	}
	want("unknown", session.ClaimGranted, "")
	if claim, _, err := store.ClaimCode(t.Context(), key); claim != session.ClaimGranted || err != nil {
		t.Fatalf("looking has taken it: %d, %v", claim, err)
	}
	want("claimed", session.ClaimPending, "")
	if err := store.ReleaseCode(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	want("released", session.ClaimGranted, "")
	if _, _, err := store.ClaimCode(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := store.SettleCode(t.Context(), key, session.Reply{Nonce: "n", Body: []byte("reply"), Keep: 2 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	want("settled", session.ClaimSettled, "reply")
	if claim, _, err := store.ClaimCode(t.Context(), key); claim != session.ClaimSettled || err != nil {
		t.Errorf("claimed after that: %d, %v", claim, err)
	}
}
