package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// Get implements [session.Store].
func (s *Store) Get(_ context.Context, query session.Query) (session.Session, error) {
	id, ok := toSessionID(query.SessionID)
	if !ok {
		return session.Session{}, session.ErrNotFound
	}
	hash := s.hash(&id)
	shard := s.shardOf(hash)
	shard.RLock()
	defer shard.RUnlock()
	slot := uint32(query.Hint)
	if !s.isAt(slot, shardNumber(hash), &id) {
		if slot = s.find(shard, hash, &id); slot == 0 {
			return session.Session{}, session.ErrNotFound
		}
	}
	l := s.sessions.At(slot)
	if s.expired(l, query.At()) {
		return session.Session{}, session.ErrNotFound
	}
	unionID, userID := query.UnionID, ""
	if l.owner != s.ownerHash(query.AppID, query.OpenID, unionID, userID) {
		// Another UnionID since then, a name of the application's, or another user.
		unionID, userID = s.textOf(l.user, unionIDText), s.textOf(l.user, userIDText)
		if l.owner != s.ownerHash(query.AppID, query.OpenID, unionID, userID) {
			return session.Session{}, session.ErrNotFound
		}
	}
	return session.Session{UnionID: unionID, UserID: userID, Ends: time.Unix(0, l.ends), Hint: session.Hint(slot)}, nil
}

// Put implements [session.Store].
func (s *Store) Put(_ context.Context, login session.Login, maxPerUser int) (string, error) {
	return s.put(login, time.Now(), maxPerUser)
}

func (s *Store) put(login session.Login, began time.Time, maxPerUser int) (previous string, err error) {
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
	if slot := s.slotOf(&id); slot != 0 {
		s.end(slot)
	}
	slot := s.addUser(login.AppID, login.OpenID)
	u := s.users.At(slot)
	if u.denied(now) {
		return "", session.ErrDenied
	}
	previous = s.textOf(slot, unionIDText)
	if login.KeepUnionID && login.UnionID == "" {
		login.UnionID = previous
	}
	if login.UserID == "" {
		login.UserID = s.textOf(slot, userIDText)
	}
	owner := s.setUserNames(slot, login.UnionID, login.UserID)
	s.setSessionKey(slot, login.SessionKey)
	s.insert(slot, liveSession{
		id: id, kind: kindNumber(login.Kind), owner: owner, user: slot, ends: nanoseconds(login.Ends), deadline: s.deadline(login.Ends, now),
		began: seconds(began.Unix()),
	})
	s.endBeyondCap(u, min(max(maxPerUser, 1), session.MaxPerUser), now)
	s.endBeyond()
	return previous, nil
}

// insert adds a session of a user. The caller holds mu.
func (s *Store) insert(userSlot uint32, l liveSession) {
	u := s.users.At(userSlot)
	l.older = s.newest
	slot := s.publish(l)
	if s.newest != 0 {
		s.sessions.At(s.newest).newer = slot
	} else {
		s.oldest = slot
	}
	s.newest = slot
	last := &u.oldest
	for *last != 0 {
		last = &s.sessions.At(*last).nextOfUser
	}
	*last = slot
	s.count++
	u.sessions++
	account := (*s.accounts.Load())[u.account]
	account.sessions++
	if u.sessions == 1 {
		account.users++
	}
}
