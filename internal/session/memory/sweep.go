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
			place := next
			l := s.lives.At(place)
			next = l.newer
			if s.over(l, now) {
				s.end(place)
			}
		}
		if next != 0 {
			next = s.breathe(next)
		}
	}
}

// breathe lets logins pass, and returns where to go on: nowhere if the session
// has ended meanwhile; the next sweep sees the rest.
func (s *Store) breathe(next uint32) uint32 {
	id := s.lives.At(next).id
	s.mu.Unlock()
	s.mu.Lock()
	if s.place(&id) != next {
		return 0
	}
	return next
}

// endDenials forgets users that are neither denied any more nor logged in.
func (s *Store) endDenials() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for place := range s.denied {
		if !s.users.At(place).denied(now) {
			delete(s.denied, place)
			s.users.At(place).deniedUntil = 0
			s.forget(place, now)
		}
	}
}
