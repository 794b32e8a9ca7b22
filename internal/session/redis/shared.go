package redis

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

// Small secrets that gateways share beside sessions, and whose turn it is to
// fetch them.

func (s *Store) sharedNames(name string) (value, turn string) {
	return s.name("t", name), s.name("l", name)
}

// LoadShared implements session.Vault.
func (s *Store) LoadShared(ctx context.Context, name string) (value []byte, err error) {
	err = s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		value, _, err = s.loadShared(ctx, client, name)
		return err
	})
	return value, err
}

func (s *Store) loadShared(ctx context.Context, client rueidis.Client, name string) (value []byte, sealed string, err error) {
	key, _ := s.sharedNames(name)
	sealed, err = text(client.Do(ctx, client.B().Get().Key(key).Build()))
	if err != nil || sealed == "" {
		return nil, "", err
	}
	if value, err = s.box.Open([]byte(sealed), key); err != nil {
		return nil, "", errForeign
	}
	return value, sealed, nil
}

// SaveShared implements session.Vault.
func (s *Store) SaveShared(ctx context.Context, name string, value []byte, lifetime time.Duration) error {
	return s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		key, _ := s.sharedNames(name)
		return client.Do(ctx, client.B().Set().Key(key).Value(string(s.box.Seal(value, key))).
			PxMilliseconds(max(lifetime, time.Second).Milliseconds()).Build()).Error()
	})
}

// ForgetShared implements session.Vault.
func (s *Store) ForgetShared(ctx context.Context, name string, refused func(value []byte) bool) error {
	return s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		value, sealed, err := s.loadShared(ctx, client, name)
		if err != nil || value == nil || !refused(value) {
			return err
		}
		key, _ := s.sharedNames(name)
		return compareAndSet.Exec(ctx, client, []string{key}, []string{sealed, "", "0"}).Error()
	})
}

// TakeTurn implements session.Vault.
func (s *Store) TakeTurn(ctx context.Context, name string, turn time.Duration) (mine bool, err error) {
	err = s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		_, key := s.sharedNames(name)
		err := client.Do(ctx, client.B().Set().Key(key).Value("1").Nx().PxMilliseconds(turn.Milliseconds()).Build()).Error()
		mine = err == nil
		if rueidis.IsRedisNil(err) {
			return nil
		}
		return err
	})
	return mine, err
}

// EndTurn implements session.Vault.
func (s *Store) EndTurn(ctx context.Context, name string) error {
	return s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		_, key := s.sharedNames(name)
		return client.Do(ctx, client.B().Del().Key(key).Build()).Error()
	})
}
