package sessiontest

import (
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

func codeKey(name string) session.CodeKey {
	key := session.CodeKey{AppID: appID}
	copy(key.Hash[:], name)
	return key
}

func wantClaim(t *testing.T, store session.Backend, key session.CodeKey, want session.Claim) *session.Reply {
	t.Helper()
	claim, reply, err := store.ClaimCode(t.Context(), key)
	if err != nil || claim != want {
		t.Errorf("ClaimCode: %v, %v; want %v", claim, err, want)
	}
	return reply
}

func codeOnce(t *testing.T, store session.Backend) {
	key := codeKey("once")
	wantClaim(t, store, key, session.ClaimGranted)
	wantClaim(t, store, key, session.ClaimPending)
	if err := store.SettleCode(t.Context(), key, session.Reply{}); err != nil {
		t.Fatal(err)
	}
	wantClaim(t, store, key, session.ClaimSettled)
}

func codeApps(t *testing.T, store session.Backend) {
	key := codeKey("apps")
	wantClaim(t, store, key, session.ClaimGranted)
	key.AppID = "wxfedcba0987654321"
	wantClaim(t, store, key, session.ClaimGranted)
}

func codeReleased(t *testing.T, store session.Backend) {
	key := codeKey("released")
	wantClaim(t, store, key, session.ClaimGranted)
	if err := store.ReleaseCode(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	wantClaim(t, store, key, session.ClaimGranted)
}

func replyKept(t *testing.T, store session.Backend) {
	key := codeKey("reply")
	wantClaim(t, store, key, session.ClaimGranted)
	want := session.Reply{Nonce: "0123456789abcdef", Body: []byte(`{"grant":{}}`)}
	if err := store.SettleCode(t.Context(), key, want); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		reply := wantClaim(t, store, key, session.ClaimSettled)
		if reply == nil || reply.Nonce != want.Nonce || string(reply.Body) != string(want.Body) {
			t.Errorf("reply %+v, want %+v", reply, want)
		}
	}
}

func replyWithoutNonce(t *testing.T, store session.Backend) {
	key := codeKey("no nonce")
	wantClaim(t, store, key, session.ClaimGranted)
	if err := store.SettleCode(t.Context(), key, session.Reply{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	if reply := wantClaim(t, store, key, session.ClaimSettled); reply != nil {
		t.Errorf("reply %+v", reply)
	}
}

func claimRace(t *testing.T, store session.Backend) {
	const callers = 16
	key := codeKey("race")
	granted := make(chan session.Claim, callers)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			claim, _, err := store.ClaimCode(t.Context(), key)
			if err != nil {
				t.Error(err)
			}
			granted <- claim
		})
	}
	group.Wait()
	close(granted)
	count := 0
	for claim := range granted {
		if claim == session.ClaimGranted {
			count++
		}
	}
	if count != 1 {
		t.Errorf("granted %d times", count)
	}
}

func replyForgotten(t *testing.T, store session.Backend) {
	key := codeKey("forgotten reply")
	wantClaim(t, store, key, session.ClaimGranted)
	if err := store.SettleCode(t.Context(), key, session.Reply{Nonce: "0123456789abcdef", Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(session.ReplyLifetime - time.Second)
	if reply := wantClaim(t, store, key, session.ClaimSettled); reply == nil {
		t.Error("forgotten too early")
	}
	time.Sleep(2 * time.Second)
	if reply := wantClaim(t, store, key, session.ClaimSettled); reply != nil {
		t.Error("kept too long")
	}
}

func codeForgotten(t *testing.T, store session.Backend) {
	key := codeKey("forgotten code")
	wantClaim(t, store, key, session.ClaimGranted)
	time.Sleep(session.CodeLifetime - time.Second)
	wantClaim(t, store, key, session.ClaimPending)
	time.Sleep(2 * time.Second)
	wantClaim(t, store, key, session.ClaimGranted)
}
