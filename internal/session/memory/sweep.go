package memory

import "time"

// sweep removes expired sessions until Close.
func (s *Store) sweep(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.endExpired()
			s.endDenials()
		}
	}
}

// endExpired walks the sessions from the oldest in steps, so that logins do not
// wait for a walk over a million.
func (s *Store) endExpired() {
	const step = 10_000
	s.mu.Lock()
	defer s.mu.Unlock()
	for next := s.oldest; next != 0; {
		now := time.Now()
		for walked := 0; next != 0 && walked < step; walked++ {
			slot := next
			l := s.sessions.At(slot)
			next = l.newer
			if s.expired(l, now) {
				s.end(slot)
			}
		}
		if next != 0 {
			next = s.letLoginsPass(next)
		}
	}
}

// letLoginsPass lets logins pass, and returns where to go on: nowhere if the session
// has ended meanwhile; the next sweep sees the rest.
func (s *Store) letLoginsPass(next uint32) uint32 {
	id := s.sessions.At(next).id
	s.mu.Unlock()
	s.mu.Lock()
	if s.slotOf(&id) != next {
		return 0
	}
	return next
}

// endDenials forgets users that are neither denied any more nor logged in.
func (s *Store) endDenials() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for slot := range s.denied {
		if !s.users.At(slot).denied(now) {
			delete(s.denied, slot)
			s.users.At(slot).deniedUntil = 0
			s.forget(slot, now)
		}
	}
}
