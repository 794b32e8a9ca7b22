package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// What operators decide for all nodes at once stands in one small hash: a field
// per app with its generation, which ends the sessions of older generations, and
// a field per signing key that does not count any more. Every node reads it a few
// times a second, so that a check of a session costs no round trip for it.

const (
	generationField = "g:"
	droppedField    = "k:"
	// followInterval is how often the hash is read, staleAfter when what was read
	// does not count any more and a check asks itself: nodes follow each other
	// within a second.
	followInterval = 300 * time.Millisecond
	staleAfter     = 900 * time.Millisecond
)

// control is the hash as it was read.
type control struct {
	read        time.Time
	generations map[string]int64 // by AppID's name
	dropped     []string
}

func (s *Store) controlName() string { return s.options.KeyPrefix + "control" }

// appField names the field of an app. Checks ask for it, so it is hashed once.
func (s *Store) appField(appID string) string {
	if known, ok := s.appFields.Load(appID); ok {
		return known.(string)
	}
	field := generationField + s.hash("a", appID)
	s.appFields.Store(appID, field)
	return field
}

// generation returns the generation of an app, no older than staleAfter.
func (s *Store) generation(ctx context.Context, appID string) (int64, error) {
	c := s.control.Load()
	if c == nil || time.Since(c.read) >= staleAfter {
		var err error
		if c, err = s.readControl(ctx); err != nil {
			return 0, err
		}
	}
	if len(c.generations) == 0 {
		return 0, nil // no app was ever ended
	}
	return c.generations[s.appField(appID)], nil
}

// readControl reads the hash. Of many that ask at once one does it.
func (s *Store) readControl(ctx context.Context) (*control, error) {
	client, err := s.connected()
	if err != nil {
		return nil, err
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if c := s.control.Load(); c != nil && time.Since(c.read) < followInterval/2 {
		return c, nil
	}
	start := time.Now()
	fields, err := client.Do(ctx, client.B().Hgetall().Key(s.controlName()).Build()).AsStrMap()
	if err != nil {
		return nil, unavailable(err)
	}
	c := &control{read: start, generations: make(map[string]int64)}
	for name, value := range fields {
		if id, found := strings.CutPrefix(name, droppedField); found {
			c.dropped = append(c.dropped, id)
			continue
		}
		if c.generations[name], err = strconv.ParseInt(value, 10, 64); err != nil {
			return nil, unavailable(errForeign)
		}
	}
	slices.Sort(c.dropped)
	s.control.Store(c)
	return c, nil
}

// follow reads the hash again and again until Close.
func (s *Store) follow() {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-ticker.C:
			if s.client.Load() == nil {
				continue // nobody has come for a session yet
			}
			ctx, cancel := context.WithTimeout(context.Background(), s.options.Timeout)
			_, _ = s.readControl(ctx) // checks ask again themselves, and say so
			cancel()
		}
	}
}

// forgetControl makes the next look read the hash.
func (s *Store) forgetControl() { s.control.Store(nil) }

// EndApp implements session.Operations: it begins a new generation.
func (s *Store) EndApp(ctx context.Context, appID string) (ended int, err error) {
	err = s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		count, err := s.count(ctx, client, appID)
		if err != nil {
			return err
		}
		if err := client.Do(ctx, client.B().Hincrby().Key(s.controlName()).Field(s.appField(appID)).Increment(1).Build()).Error(); err != nil {
			return err
		}
		s.forgetControl()
		ended = count.Sessions
		sessions, users := s.indexNames(appID)
		for _, key := range []string{sessions, users} {
			if err := client.Do(ctx, client.B().Del().Key(key).Build()).Error(); err != nil {
				return err
			}
		}
		return nil
	})
	return ended, err
}

// DropKey implements session.Operations.
func (s *Store) DropKey(ctx context.Context, keyID string) error {
	return s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		err := client.Do(ctx, client.B().Hset().Key(s.controlName()).FieldValue().FieldValue(droppedField+keyID, "1").Build()).Error()
		if err != nil {
			return err
		}
		s.forgetControl()
		_, err = s.readControl(ctx)
		return err
	})
}

// DroppedKeys implements session.Operations.
func (s *Store) DroppedKeys() []string {
	if c := s.control.Load(); c != nil {
		return c.dropped
	}
	return nil
}

// Check implements session.Operations.
func (s *Store) Check(ctx context.Context) error { return s.Connect(ctx) }

// errTooLong says that a session id is not one of the gateway's own.
var errTooLong = errors.New("session id is too long")
