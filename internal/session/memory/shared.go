package memory

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// shared is what gateways share beside sessions. There is one gateway here, so it
// shares with itself alone. The names are the gateway's own, and few.
type shared struct {
	mu     sync.Mutex
	values map[string]sharedValue
	turns  map[string]time.Time // their ends
}

type sharedValue struct {
	value []byte
	ends  time.Time
}

// LoadShared implements session.Vault.
func (s *shared) LoadShared(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, found := s.values[name]
	if !found {
		return nil, nil
	}
	if !time.Now().Before(stored.ends) {
		delete(s.values, name)
		return nil, nil
	}
	return bytes.Clone(stored.value), nil
}

// SaveShared implements session.Vault.
func (s *shared) SaveShared(_ context.Context, name string, value []byte, lifetime time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = make(map[string]sharedValue)
	}
	s.values[name] = sharedValue{bytes.Clone(value), time.Now().Add(lifetime)}
	return nil
}

// ForgetShared implements session.Vault.
func (s *shared) ForgetShared(ctx context.Context, name string, refused func(value []byte) bool) error {
	value, err := s.LoadShared(ctx, name)
	if err != nil || value == nil || !refused(value) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Equal(s.values[name].value, value) {
		delete(s.values, name)
	}
	return nil
}

// TakeTurn implements session.Vault.
func (s *shared) TakeTurn(_ context.Context, name string, turn time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.turns[name]) {
		return false, nil
	}
	if s.turns == nil {
		s.turns = make(map[string]time.Time)
	}
	s.turns[name] = now.Add(turn)
	return true, nil
}

// EndTurn implements session.Vault.
func (s *shared) EndTurn(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.turns, name)
	return nil
}
