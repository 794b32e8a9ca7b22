package redis

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

// What an operator does on one node counts on the other, also for sessions that
// the other has in its memory.
func TestOperationsReachOtherNodes(t *testing.T) {
	server := redistest.Start(t)
	here, there := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	for what, act := range map[string]func(ref session.Ref) error{
		"end of a user": func(ref session.Ref) error {
			_, err := here.DeleteUser(t.Context(), ref.AppID, ref.OpenID)
			return err
		},
		"denial": func(ref session.Ref) error {
			_, err := here.Deny(t.Context(), ref.AppID, ref.OpenID, time.Now().Add(time.Hour))
			return err
		},
		"end of an app": func(ref session.Ref) error {
			_, err := here.EndApp(t.Context(), ref.AppID)
			return err
		},
	} {
		l := login("session-" + strconv.Itoa(len(what)))
		l.OpenID = "o" + strconv.Itoa(len(what)) + l.OpenID[3:]
		if _, err := there.Put(t.Context(), l, 5); err != nil {
			t.Fatal(err)
		}
		ref := l.Ref
		for range 10 {
			wantGet(t, there, ref, nil)
		}
		if err := act(ref); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		until(t, what+" reaches the other node", func() bool {
			_, err := there.Get(t.Context(), sessiontest.Query(ref))
			return errors.Is(err, session.ErrNotFound)
		})
	}
	if err := here.DropKey(t.Context(), "0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	until(t, "a dropped key reaches the other node", func() bool {
		return slices.Contains(there.DroppedKeys(), "0123456789abcdef")
	})
}

// A node that cannot learn what operators decided must not go on with what it
// knew: it cannot tell.
func TestUnknownDecisionsAreNoAnswer(t *testing.T) {
	server := redistest.Start(t)
	store := connect(t, options(server.Addr))
	ref := mustPut(t, store, "session-00000000000001")
	wantGet(t, store, ref, nil)
	server.Do("DEL", "test:control")
	server.Do("SET", "test:control", "damaged")
	until(t, "stale decisions do not count", func() bool {
		_, err := store.Get(t.Context(), sessiontest.Query(ref))
		return errors.Is(err, session.ErrUnavailable)
	})
}

// A logout says that the session is over, so it is, also if that was found out only
// then: the app was ended on another node a moment ago.
func TestLogoutOfAnAppEndedElsewhereCountsAtOnce(t *testing.T) {
	server := redistest.Start(t)
	here, there := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	for n := range 5 {
		ref := mustPut(t, there, "session-0000000000000"+strconv.Itoa(n))
		wantGet(t, there, ref, nil)
		if _, err := here.EndApp(t.Context(), ref.AppID); err != nil {
			t.Fatal(err)
		}
		if err := there.Delete(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		wantGet(t, there, ref, session.ErrNotFound)
	}
}
