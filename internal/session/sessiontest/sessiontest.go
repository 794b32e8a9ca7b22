// Package sessiontest is the contract that every session store passes.
package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

const (
	appID  = "wx1234567890abcdef"
	openID = "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// Check is one rule of the contract.
type Check struct {
	Name string
	Run  func(t *testing.T, store session.Backend)
}

// Checks are all rules that need no clock.
var Checks = []Check{
	{"put then get", putThenGet},
	{"unknown is not found", unknownIsNotFound},
	{"ref must fit as a whole", refMustFit},
	{"delete ends one", deleteEndsOne},
	{"delete is idempotent", deleteTwice},
	{"delete user ends all", deleteUserEndsAll},
	{"cap ends the oldest first", capEndsOldest},
	{"later unionid reaches live sessions", laterUnionID},
	{"login that cannot carry a unionid takes none away", keptUnionID},
	{"what the caller knows of the unionid is no answer", knownUnionID},
	{"the application's name for a user is in all sessions", userID},
	{"a user without a session has no name", userIDEnds},
	{"session keys are the newest and the one before", sessionKeys},
	{"a login without a session key takes none away", keptSessionKey},
	{"sessions know how they began", kinds},
	{"any hint is good", anyHint},
	{"secrets are shared by name", sharedSecrets},
	{"one has the turn", turns},
	{"users of two apps are two", appsAreApart},
	{"code is granted once", codeOnce},
	{"code of two apps is two", codeApps},
	{"released code can be claimed again", codeReleased},
	{"reply is kept for its nonce", replyKept},
	{"reply without nonce is not kept", replyWithoutNonce},
	{"many claim one code at once", claimRace},
	{"looking at a code takes nothing", codePeeked},
	{"concurrent use", concurrentUse},
	{"user lists live sessions", userLists},
	{"denied user has no session", denyEnds},
	{"allowed user can log in again", denyThenAllow},
	{"end of an app ends all of it", endApp},
	{"count follows logins and logouts", countFollows},
	{"dropped key is remembered", dropKey},
	{"session with a long name", longNames},
	{"sessions of a user at the cap", atTheCap},
	{"times far away", farTimes},
	{"a change that has begun finishes", changesFinish},
	{"who leaves takes nobody along", othersGetAnAnswer},
	{"list has every user with live sessions once", listPages},
	{"list goes on where its page ended", listGoesOn},
}

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

func putThenGet(t *testing.T, store session.Backend) {
	l := login(sid(1), soon())
	l.UnionID = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	mustPut(t, store, l, 5)
	got, err := store.Get(t.Context(), Query(l.Ref))
	if err != nil || got.UnionID != l.UnionID || !got.Ends.Equal(l.Ends) {
		t.Errorf("got %+v, %v; want unionid %s until %s", got, err, l.UnionID, l.Ends)
	}
}

func unknownIsNotFound(t *testing.T, store session.Backend) {
	wantLive(t, store, login(sid(1), soon()).Ref, false)
}

func refMustFit(t *testing.T, store session.Backend) {
	l := login(sid(1), soon())
	mustPut(t, store, l, 5)
	for _, ref := range []session.Ref{
		{AppID: "wxfedcba0987654321", OpenID: l.OpenID, SessionID: l.SessionID},
		{AppID: l.AppID, OpenID: "oBBBBBBBBBBBBBBBBBBBBBBBBBBB", SessionID: l.SessionID},
		{AppID: l.AppID, OpenID: l.OpenID, SessionID: sid(2)},
		{AppID: l.AppID + l.OpenID[:1], OpenID: l.OpenID[1:], SessionID: l.SessionID},
	} {
		wantLive(t, store, ref, false)
		if err := store.Delete(t.Context(), ref); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	wantLive(t, store, l.Ref, true)
}

func deleteEndsOne(t *testing.T, store session.Backend) {
	one, two := login(sid(1), soon()), login(sid(2), soon())
	mustPut(t, store, one, 5)
	mustPut(t, store, two, 5)
	wantLive(t, store, one.Ref, true) // and so in any cache
	if err := store.Delete(t.Context(), one.Ref); err != nil {
		t.Fatal(err)
	}
	wantLive(t, store, one.Ref, false)
	wantLive(t, store, two.Ref, true)
}

func deleteTwice(t *testing.T, store session.Backend) {
	l := login(sid(1), soon())
	mustPut(t, store, l, 5)
	for range 2 {
		if err := store.Delete(t.Context(), l.Ref); err != nil {
			t.Fatal(err)
		}
		wantLive(t, store, l.Ref, false)
	}
}

func deleteUserEndsAll(t *testing.T, store session.Backend) {
	other := login(sid(9), soon())
	other.OpenID = "oBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	mustPut(t, store, other, 5)
	for n := range 3 {
		mustPut(t, store, login(sid(n), soon()), 5)
	}
	ended, err := store.DeleteUser(t.Context(), appID, openID)
	if err != nil || ended != 3 {
		t.Errorf("DeleteUser: %d, %v; want 3", ended, err)
	}
	for n := range 3 {
		wantLive(t, store, login(sid(n), soon()).Ref, false)
	}
	wantLive(t, store, other.Ref, true)
	if ended, err := store.DeleteUser(t.Context(), appID, openID); err != nil || ended != 0 {
		t.Errorf("DeleteUser again: %d, %v; want 0", ended, err)
	}
}

func capEndsOldest(t *testing.T, store session.Backend) {
	for n := range 4 {
		mustPut(t, store, login(sid(n), soon()), 2)
	}
	for n := range 4 {
		wantLive(t, store, login(sid(n), soon()).Ref, n >= 2)
	}
}

// A silent login of a page (snsapi_base) tells no unionid, whether or not there is one.
func keptUnionID(t *testing.T, store session.Backend) {
	const unionID, other = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA", "uBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	for n, step := range []struct {
		unionID, want string
		keep          bool
	}{
		{"", "", true}, {unionID, unionID, true}, {"", unionID, true}, {other, other, true}, {"", other, true}, {"", "", false},
	} {
		l := login(sid(n), soon())
		l.UnionID, l.KeepUnionID = step.unionID, step.keep
		mustPut(t, store, l, 10)
		for before := range n + 1 {
			ref := login(sid(before), soon()).Ref
			if got, err := store.Get(t.Context(), Query(ref)); err != nil || got.UnionID != step.want {
				t.Errorf("login %d: session %d has unionid %q, %v; want %q", n, before, got.UnionID, err, step.want)
			}
		}
	}
}

func knownUnionID(t *testing.T, store session.Backend) {
	const older, newer = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA", "uBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	want := func(ref session.Ref, unionID string) {
		t.Helper()
		for _, known := range []string{"", older, newer} {
			query := Query(ref)
			query.UnionID = known
			if got, err := store.Get(t.Context(), query); err != nil || got.UnionID != unionID {
				t.Errorf("asked with %q: %+v, %v; want unionid %q", known, got, err, unionID)
			}
		}
	}
	l := login(sid(1), soon())
	mustPut(t, store, l, 5)
	want(l.Ref, "")
	for n, unionID := range []string{older, newer} {
		again := login(sid(2+n), soon())
		again.UnionID = unionID
		mustPut(t, store, again, 5)
		want(l.Ref, unionID)
		want(again.Ref, unionID)
	}
	query := Query(session.Ref{AppID: l.AppID, OpenID: "oBBBBBBBBBBBBBBBBBBBBBBBBBBB", SessionID: l.SessionID})
	query.UnionID = newer
	if _, err := store.Get(t.Context(), query); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("another user's session: %v", err)
	}
}

// anyHint asks with hints that are wrong, old and somebody else's.
func anyHint(t *testing.T, store session.Backend) {
	const n = 100
	hints := []session.Hint{0, 1, 2, 63, 64, 65, 1 << 20, math.MaxUint32}
	var ended []session.Ref
	want := func(ref session.Ref, live bool) {
		t.Helper()
		for _, hint := range hints {
			query := Query(ref)
			query.Hint, query.UnionID = hint, "u"+ref.SessionID
			got, err := store.Get(t.Context(), query)
			if live && (err != nil || got.UnionID != "u"+ref.SessionID) || !live && !errors.Is(err, session.ErrNotFound) {
				t.Fatalf("session %s at %d: live should be %v, got %+v, %v", ref.SessionID, hint, live, got, err)
			}
		}
	}
	begin := func(n int) session.Ref {
		l := login(sid(n), soon())
		l.OpenID = fmt.Sprintf("o%027d", n)
		l.UnionID = "u" + l.SessionID
		mustPut(t, store, l, 5)
		got, err := store.Get(t.Context(), Query(l.Ref))
		if err != nil {
			t.Fatal(err)
		}
		hints = append(hints, got.Hint)
		return l.Ref
	}
	var live []session.Ref
	for i := range n {
		live = append(live, begin(i))
	}
	for i := range n / 2 { // their places are taken again
		if err := store.Delete(t.Context(), live[i]); err != nil {
			t.Fatal(err)
		}
		ended = append(ended, live[i])
		want(live[i], false)
	}
	for i := range n / 2 {
		live[i] = begin(n + i)
	}
	for _, ref := range live {
		want(ref, true)
	}
	for _, ref := range ended {
		want(ref, false)
	}
}

func laterUnionID(t *testing.T, store session.Backend) {
	first, second := login(sid(1), soon()), login(sid(2), soon())
	second.UnionID = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	mustPut(t, store, first, 5)
	if got, err := store.Get(t.Context(), Query(first.Ref)); err != nil || got.UnionID != "" {
		t.Fatalf("before: %+v, %v", got, err)
	}
	if before, err := store.Put(t.Context(), second, 5); err != nil || before != "" {
		t.Errorf("Put: unionid before %q, %v", before, err)
	}
	if got, err := store.Get(t.Context(), Query(first.Ref)); err != nil || got.UnionID != second.UnionID {
		t.Errorf("after: %+v, %v; want unionid %s", got, err, second.UnionID)
	}
	third := login(sid(3), soon())
	if before, err := store.Put(t.Context(), third, 5); err != nil || before != second.UnionID {
		t.Errorf("Put: unionid before %q, %v; want %s", before, err, second.UnionID)
	}
}

func appsAreApart(t *testing.T, store session.Backend) {
	one, two := login(sid(1), soon()), login(sid(2), soon())
	two.AppID = "wxfedcba0987654321"
	mustPut(t, store, one, 1)
	mustPut(t, store, two, 1)
	wantLive(t, store, one.Ref, true)
	wantLive(t, store, two.Ref, true)
}

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

func concurrentUse(t *testing.T, store session.Backend) {
	const workers, rounds = 8, 50
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			ctx := context.WithoutCancel(t.Context())
			for n := range rounds {
				l := login(sid(w*rounds+n), soon())
				l.OpenID = "o" + strings.Repeat(string(rune('A'+w%3)), 27)
				if _, err := store.Put(ctx, l, 3); err != nil {
					t.Error(err)
				}
				query := Query(l.Ref)
				for hint := range session.Hint(3 * 64) { // where others are at work
					query.Hint = hint
					if _, err := store.Get(ctx, query); err != nil && !errors.Is(err, session.ErrNotFound) {
						t.Error(err)
					}
				}
				switch n % 10 {
				case 3:
					if err := store.Delete(ctx, l.Ref); err != nil {
						t.Error(err)
					}
				case 7:
					if _, err := store.DeleteUser(ctx, l.AppID, l.OpenID); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
}

// Timed are the rules about time. run must call each in a world where
// time.Sleep lets time pass for the store, such as a testing/synctest bubble.
var Timed = []Check{
	{"session ends", sessionEnds},
	{"session that is over is never put", overAlready},
	{"reply is forgotten", replyForgotten},
	{"code is forgotten", codeForgotten},
	{"denial ends", denialEnds},
	{"who was denied shares nothing with others", denialFreesOnce},
}

func sessionEnds(t *testing.T, store session.Backend) {
	// Not on a full minute: nobody may have swept it away when it is asked for.
	short, long := login(sid(1), soon().Add(30*time.Second)), login(sid(2), soon().Add(time.Hour))
	mustPut(t, store, short, 5)
	mustPut(t, store, long, 5)
	time.Sleep(time.Until(short.Ends) - time.Second)
	wantLive(t, store, short.Ref, true)
	time.Sleep(2 * time.Second)
	wantLive(t, store, short.Ref, false)
	wantLive(t, store, long.Ref, true)
	time.Sleep(time.Hour)
	wantLive(t, store, long.Ref, false)
	if ended, err := store.DeleteUser(t.Context(), appID, openID); err != nil || ended != 0 {
		t.Errorf("DeleteUser after the end: %d, %v", ended, err)
	}
}

func overAlready(t *testing.T, store session.Backend) {
	l := login(sid(1), time.Now().Add(-time.Second))
	mustPut(t, store, l, 5)
	wantLive(t, store, l.Ref, false)
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
