package memory

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

// F1: random operations beside a plain map. After each, every place has one owner,
// every user and session is found where it should be, and the counts are true.
func TestF1Model(t *testing.T) {
	operations := 100_000
	if testing.Short() {
		operations /= 10
	}
	const parts = 4
	for seed := range uint64(parts) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sessiontest.Model{
					Operations: operations / parts, Seed: seed, Pass: time.Sleep, Swept: time.Minute + time.Second,
					Reopen: func(store session.Backend) session.Backend { return reopen(t, store.(*Store)) },
					Bound:  func(store session.Backend, n int) { store.(*Store).SetMaxSessions(n) },
					Check:  func(store session.Backend) error { return store.(*Store).audit() },
				}.Run(t, open(t, DefaultMaxSessions))
			})
		})
	}
}

func reopen(t *testing.T, before *Store) *Store {
	t.Helper()
	data, err := before.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	after := open(t, DefaultMaxSessions)
	if _, err := after.Restore(data); err != nil {
		t.Fatal(err)
	}
	return after
}

// audit looks whether the store's own tables agree.
func (s *Store) audit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	apps := *s.apps.Load()
	type count struct{ sessions, users int }
	counts := make([]count, len(apps))
	sessionsOfUsers := 0
	for key, place := range s.byUser {
		u := s.users.At(place)
		switch _, denied := s.denied[place]; {
		case !s.users.Taken(place):
			return fmt.Errorf("user at %d, which is free", place)
		case u.key != key:
			return fmt.Errorf("user at %d is another", place)
		case u.sessions == 0 && !denied:
			return fmt.Errorf("user at %d is neither logged in nor denied", place)
		case u.deniedUntil != 0 && !denied:
			return fmt.Errorf("user at %d is denied, and no sweep will see it", place)
		}
		n := 0
		for at := u.oldest; at != 0; at = s.lives.At(at).nextOfUser {
			if n++; n > int(u.sessions) {
				return fmt.Errorf("user at %d has more than %d sessions", place, u.sessions)
			}
			if l := s.lives.At(at); l.user != place || !s.lives.Taken(at) || s.place(&l.id) != at {
				return fmt.Errorf("session at %d of the user at %d is another's, free or not found", at, place)
			}
		}
		if n != int(u.sessions) {
			return fmt.Errorf("user at %d has %d sessions, counted %d", place, n, u.sessions)
		}
		sessionsOfUsers += n
		counts[u.app].sessions += n
		counts[u.app].users += min(n, 1)
	}
	for place := range s.denied {
		if !s.users.Taken(place) || s.byUser[s.users.At(place).key] != place {
			return fmt.Errorf("the denied user at %d is not there", place)
		}
	}
	for n, app := range apps {
		if got := (count{app.sessions, app.users}); got != counts[n] {
			return fmt.Errorf("app %s counts %+v, has %+v", app.id, got, counts[n])
		}
	}
	byAge, indexed := 0, 0
	before := uint32(0)
	for at := s.oldest; at != 0; at = s.lives.At(at).newer {
		if byAge++; byAge > s.count || s.lives.At(at).older != before {
			return errors.New("the list by age is torn")
		}
		before = at
	}
	for i := range s.index {
		indexed += s.index[i].places.Len()
	}
	if before != s.newest || byAge != s.count || indexed != s.count || sessionsOfUsers != s.count {
		return fmt.Errorf("%d sessions by age, %d in the index, %d of users, counted %d", byAge, indexed, sessionsOfUsers, s.count)
	}
	if got := s.users.Len(); got != len(s.byUser) {
		return fmt.Errorf("%d places of users are taken, by %d", got, len(s.byUser))
	}
	if got := s.lives.Len(); got != s.count {
		return fmt.Errorf("%d places of sessions are taken, by %d", got, s.count)
	}
	var err error
	s.long.Range(func(key, _ any) bool {
		if place := key.(textKey).user; !s.users.Taken(place) || s.users.At(place).text(key.(textKey).kind).length != longText {
			err = fmt.Errorf("a long text of the user at %d, who has none", place)
		}
		return err == nil
	})
	return err
}
