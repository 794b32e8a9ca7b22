package sessiontest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// leaving is the context of a caller who leaves as soon as the store has checked it.
type leaving struct {
	context.Context
	once sync.Once
	gone chan struct{}
}

func newLeaving(t *testing.T) *leaving {
	return &leaving{Context: t.Context(), gone: make(chan struct{})}
}

func (l *leaving) leave() { l.once.Do(func() { close(l.gone) }) }

// Done implements [context.Context]. It is closed for every waiting goroutine.
func (l *leaving) Done() <-chan struct{} {
	l.leave()
	return l.gone
}

// Err implements [context.Context]: the first call finds the caller there.
func (l *leaving) Err() error {
	select {
	case <-l.gone:
		return context.Canceled
	default:
		l.leave()
		return nil
	}
}

// Value implements [context.Context]. A context made from this one does not find what is
// above, and so waits for Done.
func (l *leaving) Value(any) any { return nil }

// changesFinish begins every kind of change for a caller who leaves. Whether or not he
// is told, it is done.
func changesFinish(t *testing.T, store session.Backend) {
	l := login(sid(1), soon())
	put := func(id string) session.Ref {
		t.Helper()
		l := login(id, soon())
		mustPut(t, store, l, 50)
		wantLive(t, store, l.Ref, true)
		return l.Ref
	}
	key := codeKey("leaving")
	for _, change := range []struct {
		name   string
		start  func(ctx context.Context) error
		before func()
		done   func() bool
	}{
		{"logout", func(ctx context.Context) error { return store.Delete(ctx, l.Ref) }, func() { put(sid(1)) }, func() bool { return isOver(t, store, l.Ref) }},
		{"end of a user", func(ctx context.Context) error {
			_, err := store.DeleteUser(ctx, appID, openID)
			return err
		}, func() { put(sid(2)) }, func() bool { return isOver(t, store, login(sid(2), soon()).Ref) }},
		{"end of an app", func(ctx context.Context) error {
			_, err := store.EndApp(ctx, appID)
			return err
		}, func() { put(sid(3)) }, func() bool { return isOver(t, store, login(sid(3), soon()).Ref) }},
		{"denial", func(ctx context.Context) error {
			_, err := store.Deny(ctx, appID, openID, soon())
			return err
		}, func() { put(sid(4)) }, func() bool {
			record, err := store.User(t.Context(), appID, openID)
			return err == nil && !record.DeniedUntil.IsZero() && isOver(t, store, login(sid(4), soon()).Ref)
		}},
		{"allowing again", func(ctx context.Context) error {
			_, err := store.Deny(ctx, appID, openID, time.Time{})
			return err
		}, func() {}, func() bool {
			record, err := store.User(t.Context(), appID, openID)
			return err == nil && record.DeniedUntil.IsZero()
		}},
		{"drop of a key", func(ctx context.Context) error { return store.DropKey(ctx, "0123456789abcdef") }, func() {}, func() bool {
			return len(store.DroppedKeys()) == 1
		}},
		{"claim of a code", func(ctx context.Context) error {
			_, _, err := store.ClaimCode(ctx, key)
			return err
		}, func() {}, func() bool {
			claim, _, err := store.ClaimCode(t.Context(), key)
			return err == nil && claim == session.ClaimPending
		}},
		{"settling of a code", func(ctx context.Context) error { return store.SettleCode(ctx, key, session.Reply{}) }, func() {}, func() bool {
			claim, _, err := store.ClaimCode(t.Context(), key)
			return err == nil && claim == session.ClaimSettled
		}},
		{"release of a code", func(ctx context.Context) error { return store.ReleaseCode(ctx, key) }, func() {}, func() bool {
			claim, _, err := store.ClaimCode(t.Context(), key)
			return err == nil && claim == session.ClaimGranted
		}},
	} {
		change.before()
		err := change.start(newLeaving(t))
		if err != nil && !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s: %v", change.name, err)
		}
		if !change.done() {
			t.Errorf("%s whose caller has left (%v) is not done", change.name, err)
		}
	}
}

func isOver(t *testing.T, store session.Backend, ref session.Ref) bool {
	t.Helper()
	_, err := store.Get(t.Context(), Query(ref))
	return errors.Is(err, session.ErrNotFound)
}

// othersGetAnAnswer asks for one session many times at once, when no cache has it, and
// some of the callers leave: the others get a true answer.
func othersGetAnAnswer(t *testing.T, store session.Backend) {
	for n := range 30 {
		l := login(sid(n), soon())
		lives := n%2 == 0
		mustPut(t, store, l, 50)
		if !lives {
			if err := store.Delete(t.Context(), l.Ref); err != nil {
				t.Fatal(err)
			}
		}
		var group sync.WaitGroup
		begin := make(chan struct{})
		for caller := range 8 {
			group.Go(func() {
				<-begin
				if caller%4 == 0 {
					_, _ = store.Get(newLeaving(t), Query(l.Ref)) // the result reaches no caller
					return
				}
				if _, err := store.Get(t.Context(), Query(l.Ref)); lives && err != nil || !lives && !errors.Is(err, session.ErrNotFound) {
					t.Errorf("session %d, live %t, while another caller leaves: %v", n, lives, err)
				}
			})
		}
		close(begin)
		group.Wait()
	}
}
