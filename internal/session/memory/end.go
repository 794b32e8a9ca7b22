package memory

import (
	"context"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// end removes a session everywhere, and its user with the last one. The caller
// holds mu.
func (s *Store) end(slot uint32) {
	l := s.unpublish(slot)
	if l.older != 0 {
		s.sessions.At(l.older).newer = l.newer
	} else {
		s.oldest = l.newer
	}
	if l.newer != 0 {
		s.sessions.At(l.newer).older = l.older
	} else {
		s.newest = l.older
	}
	u := s.users.At(l.user)
	link := &u.oldest
	for *link != slot {
		link = &s.sessions.At(*link).nextOfUser
	}
	*link = l.nextOfUser
	s.count--
	u.sessions--
	account := (*s.accounts.Load())[u.account]
	account.sessions--
	if u.sessions == 0 {
		account.users--
		s.forget(l.user, time.Now())
	}
}

// endBeyondCap ends sessions of a user, the oldest first, until there are no more than
// the cap. Expired sessions that no sweep has removed yet do not count. The caller
// holds mu.
func (s *Store) endBeyondCap(u *user, limit int, now time.Time) {
	if int(u.sessions) <= limit {
		return
	}
	for slot := u.oldest; slot != 0; {
		next := s.sessions.At(slot).nextOfUser
		if s.expired(s.sessions.At(slot), now) {
			s.end(slot)
		}
		slot = next
	}
	for int(u.sessions) > limit {
		s.end(u.oldest)
	}
}

func (s *Store) endBeyond() {
	for s.count > s.maxSessions {
		s.end(s.oldest)
	}
}

// Ended implements [session.Store].
func (s *Store) Ended() (count uint64, known bool) { return s.ended.Load(), true }

// Delete implements [session.Store].
func (s *Store) Delete(_ context.Context, ref session.Ref) error {
	id, ok := toSessionID(ref.SessionID)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return errFrozen
	}
	if slot := s.slotOf(&id); slot != 0 && s.belongs(s.sessions.At(slot).user, ref) {
		s.end(slot)
	}
	return nil
}

// DeleteUser implements [session.Store].
func (s *Store) DeleteUser(_ context.Context, appID, openID string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return 0, errFrozen
	}
	return s.endAllOf(s.findUser(appID, openID)), nil
}

// endAllOf ends the sessions of a user. The caller holds mu.
func (s *Store) endAllOf(slot uint32) (ended int) {
	if slot == 0 {
		return 0
	}
	now := time.Now()
	for n := s.users.At(slot).sessions; n > 0; n-- {
		oldest := s.users.At(slot).oldest
		if !s.expired(s.sessions.At(oldest), now) {
			ended++
		}
		s.end(oldest)
	}
	return ended
}
