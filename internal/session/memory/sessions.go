package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// Get implements session.Store.
func (s *Store) Get(_ context.Context, query session.Query) (session.Session, error) {
	id, ok := toSessionID(query.SessionID)
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	hash := s.hash(&id)
	shard := s.shardOf(hash)
	shard.RLock()
	defer shard.RUnlock()
	place := uint32(query.Hint)
	if !s.isAt(place, shardNumber(hash), &id) {
		if place = s.find(shard, hash, &id); place == 0 {
			return session.Session{}, session.ErrNotFound
		}
	}
	l := s.lives.At(place)
	if s.over(l, query.At()) {
		return session.Session{}, session.ErrNotFound
	}
	unionID, userID := query.UnionID, ""
	if l.whose != s.whose(query.AppID, query.OpenID, unionID, userID) {
		// Another UnionID since then, a name of the application's, or another user.
		unionID, userID = s.textOf(l.user, unionIDText), s.textOf(l.user, userIDText)
		if l.whose != s.whose(query.AppID, query.OpenID, unionID, userID) {
			return session.Session{}, session.ErrNotFound
		}
	}
	return session.Session{UnionID: unionID, UserID: userID, Ends: time.Unix(0, l.ends), Hint: session.Hint(place)}, nil
}

// Put implements session.Store.
func (s *Store) Put(_ context.Context, login session.Login, maxPerUser int) (string, error) {
	return s.put(login, time.Now(), maxPerUser)
}

func (s *Store) put(login session.Login, began time.Time, maxPerUser int) (before string, err error) {
	id, ok := toSessionID(login.SessionID)
	if !ok {
		return "", fmt.Errorf("session id of %d bytes, at most %d are possible", len(login.SessionID), session.MaxIDBytes)
	}
	now := time.Now()
	if !login.Ends.After(now) {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return "", errFrozen
	}
	if place := s.place(&id); place != 0 {
		s.end(place)
	}
	place := s.user(login.AppID, login.OpenID)
	u := s.users.At(place)
	if u.denied(now) {
		return "", session.ErrDenied
	}
	before = s.textOf(place, unionIDText)
	if login.KeepUnionID && login.UnionID == "" {
		login.UnionID = before
	}
	if login.UserID == "" {
		login.UserID = s.textOf(place, userIDText)
	}
	whose := s.rename(place, login.UnionID, login.UserID)
	s.setSessionKey(place, login.SessionKey)
	s.begin(place, live{
		id: id, kind: kindNumber(login.Kind), whose: whose, user: place, ends: nanoseconds(login.Ends), deadline: s.deadline(login.Ends, now),
		began: seconds(began.Unix()),
	})
	s.endBeyondCap(u, min(max(maxPerUser, 1), session.MaxPerUser), now)
	s.endBeyond()
	return before, nil
}

// begin adds a session of a user. The caller holds mu.
func (s *Store) begin(userPlace uint32, l live) {
	u := s.users.At(userPlace)
	l.older = s.newest
	place := s.publish(l)
	if s.newest != 0 {
		s.lives.At(s.newest).newer = place
	} else {
		s.oldest = place
	}
	s.newest = place
	last := &u.oldest
	for *last != 0 {
		last = &s.lives.At(*last).nextOfUser
	}
	*last = place
	s.count++
	u.sessions++
	app := (*s.apps.Load())[u.app]
	app.sessions++
	if u.sessions == 1 {
		app.users++
	}
}
