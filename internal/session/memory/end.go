package memory

import (
	"context"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// end removes a session everywhere, and its user with the last one. The caller
// holds mu.
func (s *Store) end(place uint32) {
	l := s.unpublish(place)
	if l.older != 0 {
		s.lives.At(l.older).newer = l.newer
	} else {
		s.oldest = l.newer
	}
	if l.newer != 0 {
		s.lives.At(l.newer).older = l.older
	} else {
		s.newest = l.older
	}
	u := s.users.At(l.user)
	link := &u.oldest
	for *link != place {
		link = &s.lives.At(*link).nextOfUser
	}
	*link = l.nextOfUser
	s.count--
	u.sessions--
	app := (*s.apps.Load())[u.app]
	app.sessions--
	if u.sessions == 0 {
		app.users--
		s.forget(l.user, time.Now())
	}
}

// endBeyondCap ends sessions of a user, the oldest first, until there are no more than
// the cap. Those that are over, and only not swept away yet, do not count. The caller
// holds mu.
func (s *Store) endBeyondCap(u *user, limit int, now time.Time) {
	if int(u.sessions) <= limit {
		return
	}
	for place := u.oldest; place != 0; {
		next := s.lives.At(place).nextOfUser
		if s.over(s.lives.At(place), now) {
			s.end(place)
		}
		place = next
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

// Ended implements session.Store.
func (s *Store) Ended() (count uint64, known bool) { return s.ended.Load(), true }

// Delete implements session.Store.
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
	if place := s.place(&id); place != 0 && s.belongs(s.lives.At(place).user, ref) {
		s.end(place)
	}
	return nil
}

// DeleteUser implements session.Store.
func (s *Store) DeleteUser(_ context.Context, appID, openID string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return 0, errFrozen
	}
	return s.endAllOf(s.known(appID, openID)), nil
}

// endAllOf ends the sessions of a user. The caller holds mu.
func (s *Store) endAllOf(place uint32) (ended int) {
	if place == 0 {
		return 0
	}
	now := time.Now()
	for n := s.users.At(place).sessions; n > 0; n-- {
		oldest := s.users.At(place).oldest
		if !s.over(s.lives.At(oldest), now) {
			ended++
		}
		s.end(oldest)
	}
	return ended
}
