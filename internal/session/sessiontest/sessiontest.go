// Package sessiontest is the contract that every session store passes.
package sessiontest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
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

func appsAreApart(t *testing.T, store session.Backend) {
	one, two := login(sid(1), soon()), login(sid(2), soon())
	two.AppID = "wxfedcba0987654321"
	mustPut(t, store, one, 1)
	mustPut(t, store, two, 1)
	wantLive(t, store, one.Ref, true)
	wantLive(t, store, two.Ref, true)
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
// [time.Sleep] lets time pass for the store, such as a testing/synctest bubble.
var Timed = []Check{
	{"session ends", sessionEnds},
	{"session that is over is never put", overAlready},
	{"reply is forgotten", replyForgotten},
	{"code is forgotten", codeForgotten},
	{"denial ends", denialEnds},
	{"who was denied shares nothing with others", denialFreesOnce},
}

func sessionEnds(t *testing.T, store session.Backend) {
	// Not on a full minute, or a sweep may remove it before the test asks.
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
