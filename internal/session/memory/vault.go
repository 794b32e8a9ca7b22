package memory

import (
	"context"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

// maxPreviousKeys bounds the keys that were replaced lately: the oldest give way, and
// what was encrypted with them is stale then.
const maxPreviousKeys = 1 << 16

// setSessionKey makes key the newest one of a user; none changes nothing. The caller
// holds mu.
func (s *Store) setSessionKey(slot uint32, key secret.String) {
	previous := s.textOf(slot, sessionKeyText)
	if key.IsZero() || previous == key.Reveal() {
		return
	}
	user := s.users.At(slot).key
	s.previous.Delete(string(user[:]))
	if previous != "" {
		s.previous.GetOrAdd(string(user[:]), func() secret.String { return secret.New(previous) })
	}
	s.setText(slot, sessionKeyText, key.Reveal())
}

// SessionKeys implements [session.Vault].
func (s *Store) SessionKeys(_ context.Context, appID, openID string) (keys session.Keys, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.loggedIn(appID, openID)
	if slot == 0 || s.textIs(slot, sessionKeyText, "") {
		return keys, session.ErrNotFound
	}
	user := s.users.At(slot).key
	keys.Newest = secret.New(s.textOf(slot, sessionKeyText))
	keys.Previous, _ = s.previous.Get(string(user[:]))
	return keys, nil
}

// ReplaceSessionKey implements [session.Vault].
func (s *Store) ReplaceSessionKey(_ context.Context, appID, openID string, key secret.String) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		return errFrozen
	}
	slot := s.loggedIn(appID, openID)
	if slot == 0 {
		return session.ErrNotFound
	}
	s.setSessionKey(slot, key)
	return nil
}
