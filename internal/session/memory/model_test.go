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

// F1: random operations beside a plain map. After each, every slot has one owner,
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

func reopen(t *testing.T, previous *Store) *Store {
	t.Helper()
	data, err := previous.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := previous.Close(); err != nil {
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
	accounts := *s.accounts.Load()
	type count struct{ sessions, users int }
	counts := make([]count, len(accounts))
	sessionsOfUsers := 0
	for key, slot := range s.byUser {
		u := s.users.At(slot)
		switch _, denied := s.denied[slot]; {
		case !s.users.Taken(slot):
			return fmt.Errorf("user at %d, which is free", slot)
		case u.key != key:
			return fmt.Errorf("user at %d is another", slot)
		case u.sessions == 0 && !denied:
			return fmt.Errorf("user at %d is neither logged in nor denied", slot)
		case u.deniedUntil != 0 && !denied:
			return fmt.Errorf("user at %d is denied, and no sweep will see it", slot)
		}
		n := 0
		for at := u.oldest; at != 0; at = s.sessions.At(at).nextOfUser {
			if n++; n > int(u.sessions) {
				return fmt.Errorf("user at %d has more than %d sessions", slot, u.sessions)
			}
			if l := s.sessions.At(at); l.user != slot || !s.sessions.Taken(at) || s.slotOf(&l.id) != at {
				return fmt.Errorf("session at %d of the user at %d is another's, free or not found", at, slot)
			}
		}
		if n != int(u.sessions) {
			return fmt.Errorf("user at %d has %d sessions, counted %d", slot, n, u.sessions)
		}
		sessionsOfUsers += n
		counts[u.account].sessions += n
		counts[u.account].users += min(n, 1)
	}
	for slot := range s.denied {
		if !s.users.Taken(slot) || s.byUser[s.users.At(slot).key] != slot {
			return fmt.Errorf("the denied user at %d is not there", slot)
		}
	}
	for n, account := range accounts {
		if got := (count{account.sessions, account.users}); got != counts[n] {
			return fmt.Errorf("app %s counts %+v, has %+v", account.id, got, counts[n])
		}
	}
	byAge, indexed := 0, 0
	previous := uint32(0)
	for at := s.oldest; at != 0; at = s.sessions.At(at).newer {
		if byAge++; byAge > s.count || s.sessions.At(at).older != previous {
			return errors.New("the list by age is torn")
		}
		previous = at
	}
	for i := range s.index {
		indexed += s.index[i].slots.Len()
	}
	if previous != s.newest || byAge != s.count || indexed != s.count || sessionsOfUsers != s.count {
		return fmt.Errorf("%d sessions by age, %d in the index, %d of users, counted %d", byAge, indexed, sessionsOfUsers, s.count)
	}
	if got := s.users.Len(); got != len(s.byUser) {
		return fmt.Errorf("%d slots of users are taken, by %d", got, len(s.byUser))
	}
	if got := s.sessions.Len(); got != s.count {
		return fmt.Errorf("%d slots of sessions are taken, by %d", got, s.count)
	}
	var err error
	s.long.Range(func(key, _ any) bool {
		if slot := key.(textKey).user; !s.users.Taken(slot) || s.users.At(slot).text(key.(textKey).kind).length != longText {
			err = fmt.Errorf("a long text of the user at %d, who has none", slot)
		}
		return err == nil
	})
	return err
}
