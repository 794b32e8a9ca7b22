package memory

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// User implements [session.Operations].
func (s *Store) User(_ context.Context, appID, openID string) (session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.findUser(appID, openID)
	if slot == 0 {
		return session.Record{}, nil
	}
	return s.record(slot, time.Now()), nil
}

// record is what is known about the user at a slot. The caller holds mu.
func (s *Store) record(slot uint32, now time.Time) (record session.Record) {
	u := s.users.At(slot)
	if u.denied(now) {
		record.DeniedUntil = time.Unix(u.deniedUntil, 0)
	}
	for at := u.oldest; at != 0; at = s.sessions.At(at).nextOfUser {
		if l := s.sessions.At(at); !s.expired(l, now) {
			record.UnionID, record.UserID = s.textOf(slot, unionIDText), s.textOf(slot, userIDText)
			record.Sessions = append(record.Sessions, session.Live{
				ID: l.id.String(), Began: time.Unix(int64(l.began), 0), Ends: time.Unix(0, l.ends), Kind: kindOf(l.kind),
			})
		}
	}
	return record
}

// Deny implements [session.Operations].
func (s *Store) Deny(_ context.Context, appID, openID string, until time.Time) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return 0, errFrozen
	}
	now := time.Now()
	if !until.After(now) {
		if slot := s.findUser(appID, openID); slot != 0 {
			s.users.At(slot).deniedUntil = 0
			delete(s.denied, slot)
			s.forget(slot, now)
		}
		return 0, nil
	}
	slot := s.addUser(appID, openID)
	s.users.At(slot).deniedUntil = untilSecond(until) // first, so that endAllOf does not forget it
	s.denied[slot] = struct{}{}
	return s.endAllOf(slot), nil
}

// SetUserID implements [session.Operations].
func (s *Store) SetUserID(_ context.Context, appID, openID, userID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return errFrozen
	}
	slot := s.loggedIn(appID, openID)
	if slot == 0 {
		return session.ErrNotFound
	}
	s.setUserNames(slot, s.textOf(slot, unionIDText), userID)
	return nil
}

// loggedIn returns the slot of a user with a live session, 0 if there is none. The
// caller holds mu.
func (s *Store) loggedIn(appID, openID string) uint32 {
	slot := s.findUser(appID, openID)
	if slot == 0 || len(s.record(slot, time.Now()).Sessions) == 0 {
		return 0
	}
	return slot
}

// EndApp implements [session.Operations].
func (s *Store) EndApp(_ context.Context, appID string) (ended int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return 0, errFrozen
	}
	now := time.Now()
	for next := s.oldest; next != 0; {
		slot := next
		l := s.sessions.At(slot)
		next = l.newer
		if (*s.accounts.Load())[s.users.At(l.user).account].id != appID {
			continue
		}
		if !s.expired(l, now) {
			ended++
		}
		s.end(slot)
	}
	return ended, nil
}

// Count implements [session.Operations].
func (s *Store) Count(_ context.Context, appID string) (session.Count, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, account := range *s.accounts.Load() {
		if account.id == appID {
			return session.Count{Sessions: account.sessions, Users: account.users}, nil
		}
	}
	return session.Count{}, nil
}

// DropKey implements [session.Operations].
func (s *Store) DropKey(_ context.Context, keyID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return errFrozen
	}
	dropped := *s.dropped.Load()
	if slices.Contains(dropped, keyID) {
		return nil
	}
	grown := append(slices.Clone(dropped), keyID)
	s.dropped.Store(&grown)
	return nil
}

// DroppedKeys implements [session.Operations].
func (s *Store) DroppedKeys() []string { return *s.dropped.Load() }

// Check implements [session.Operations]: memory is always there.
func (s *Store) Check(context.Context) error { return nil }
