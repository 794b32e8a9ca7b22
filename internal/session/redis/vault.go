package redis

import (
	"context"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

// SessionKeys implements [session.Vault].
func (s *Store) SessionKeys(ctx context.Context, appID, openID string) (keys session.Keys, err error) {
	_, err = s.change(ctx, appID, openID, func(r *record, _ int64) bool {
		if len(r.Sessions) > 0 {
			keys = session.Keys{Newest: secret.New(r.SessionKey), Previous: secret.New(r.Previous)}
		}
		return false
	})
	if err == nil && keys.Newest.IsZero() {
		err = session.ErrNotFound
	}
	return keys, err
}

// ReplaceSessionKey implements [session.Vault].
func (s *Store) ReplaceSessionKey(ctx context.Context, appID, openID string, key secret.String) error {
	return s.changeLive(ctx, appID, openID, func(r *record) { r.setSessionKey(key, time.Now()) })
}

// SetUserID implements [session.Operations].
func (s *Store) SetUserID(ctx context.Context, appID, openID, userID string) error {
	return s.changeLive(ctx, appID, openID, func(r *record) { r.UserID = userID })
}

// changeLive changes the record of a user with a live session.
func (s *Store) changeLive(ctx context.Context, appID, openID string, edit func(*record)) error {
	found := false
	_, err := s.change(ctx, appID, openID, func(r *record, _ int64) bool {
		if found = len(r.Sessions) > 0; found {
			edit(r)
		}
		return found
	})
	if err == nil && !found {
		err = session.ErrNotFound
	}
	return err
}
