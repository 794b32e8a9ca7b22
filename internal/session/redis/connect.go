package redis

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

// connected returns the client, and connects if that has not succeeded before.
func (s *Store) connected() (rueidis.Client, error) {
	if client := s.client.Load(); client != nil {
		return *client, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if client := s.client.Load(); client != nil {
		return *client, nil
	}
	if s.closed {
		return nil, unavailable(errClosed)
	}
	if s.cause != nil && time.Since(s.tried) < reconnectPause {
		return nil, s.cause
	}
	client, err := s.dial()
	s.tried, s.cause = time.Now(), unavailable(err)
	if err != nil {
		return nil, s.cause
	}
	s.client.Store(&client)
	return client, nil
}

// ask runs a call with the client, for the configured time at most. Its error says
// that the store cannot tell.
func (s *Store) ask(ctx context.Context, call func(ctx context.Context, client rueidis.Client) error) error {
	client, err := s.connected() //nolint:contextcheck // a connection is everybody's
	if err != nil {
		return err
	}
	ctx, cancel := s.detached(ctx)
	defer cancel()
	if err := call(ctx, client); err != nil {
		return unavailable(err)
	}
	s.answered.Store(time.Now().UnixNano())
	return nil
}

// Close closes the connections. The store cannot be used any more.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		close(s.done)
	}
	s.closed = true
	if client := s.client.Load(); client != nil {
		(*client).Close()
	}
	return nil
}
