package memory

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// User implements session.Operations.
func (s *Store) User(_ context.Context, appID, openID string) (session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.known(appID, openID)
	if place == 0 {
		return session.Record{}, nil
	}
	return s.record(place, time.Now()), nil
}

// record is what is known about the user at a place. The caller holds mu.
func (s *Store) record(place uint32, now time.Time) (record session.Record) {
	u := s.users.At(place)
	if u.denied(now) {
		record.DeniedUntil = time.Unix(u.deniedUntil, 0)
	}
	for at := u.oldest; at != 0; at = s.lives.At(at).nextOfUser {
		if l := s.lives.At(at); !s.over(l, now) {
			record.UnionID, record.UserID = s.textOf(place, unionIDText), s.textOf(place, userIDText)
			record.Sessions = append(record.Sessions, session.Live{
				ID: l.id.String(), Began: time.Unix(int64(l.began), 0), Ends: time.Unix(0, l.ends), Kind: kindOf(l.kind),
			})
		}
	}
	return record
}

// Deny implements session.Operations.
func (s *Store) Deny(_ context.Context, appID, openID string, until time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return 0, errFrozen
	}
	now := time.Now()
	if !until.After(now) {
		if place := s.known(appID, openID); place != 0 {
			s.users.At(place).deniedUntil = 0
			delete(s.denied, place)
			s.forget(place, now)
		}
		return 0, nil
	}
	place := s.user(appID, openID)
	s.users.At(place).deniedUntil = untilSecond(until) // first, so that endAllOf does not forget it
	s.denied[place] = struct{}{}
	return s.endAllOf(place), nil
}

// SetUserID implements session.Operations.
func (s *Store) SetUserID(_ context.Context, appID, openID, userID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return errFrozen
	}
	place := s.loggedIn(appID, openID)
	if place == 0 {
		return session.ErrNotFound
	}
	s.rename(place, s.textOf(place, unionIDText), userID)
	return nil
}

// loggedIn returns the place of a user with a live session, 0 if there is none. The
// caller holds mu.
func (s *Store) loggedIn(appID, openID string) uint32 {
	place := s.known(appID, openID)
	if place == 0 || len(s.record(place, time.Now()).Sessions) == 0 {
		return 0
	}
	return place
}

// EndApp implements session.Operations.
func (s *Store) EndApp(_ context.Context, appID string) (ended int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return 0, errFrozen
	}
	now := time.Now()
	for next := s.oldest; next != 0; {
		place := next
		l := s.lives.At(place)
		next = l.newer
		if (*s.apps.Load())[s.users.At(l.user).app].id != appID {
			continue
		}
		if !s.over(l, now) {
			ended++
		}
		s.end(place)
	}
	return ended, nil
}

// Count implements session.Operations.
func (s *Store) Count(_ context.Context, appID string) (session.Count, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, app := range *s.apps.Load() {
		if app.id == appID {
			return session.Count{Sessions: app.sessions, Users: app.users}, nil
		}
	}
	return session.Count{}, nil
}

// DropKey implements session.Operations.
func (s *Store) DropKey(_ context.Context, keyID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return errFrozen
	}
	known := *s.dropped.Load()
	if slices.Contains(known, keyID) {
		return nil
	}
	more := append(slices.Clone(known), keyID)
	s.dropped.Store(&more)
	return nil
}

// DroppedKeys implements session.Operations.
func (s *Store) DroppedKeys() []string { return *s.dropped.Load() }

// Check implements session.Operations: memory is always there.
func (s *Store) Check(context.Context) error { return nil }
