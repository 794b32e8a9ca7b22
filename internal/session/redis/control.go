package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

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

// readControl reads the hash. Concurrent calls share one read, with no caller's
// context but its own, and all get its answer.
func (s *Store) readControl(ctx context.Context) (*control, error) {
	read := s.flights.DoChan(s.controlName(), func() (any, error) { //nolint:contextcheck // see above
		if c := s.control.Load(); c != nil && time.Since(c.read) < followInterval/2 {
			return c, nil
		}
		var c *control
		err := s.ask(context.Background(), func(ctx context.Context, client rueidis.Client) (err error) {
			c, err = s.askControl(ctx, client)
			return err
		})
		return c, err
	})
	select {
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	case r := <-read:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*control), nil
	}
}

func (s *Store) askControl(ctx context.Context, client rueidis.Client) (*control, error) {
	start := time.Now()
	var fields map[string]string
	err := s.retryOnce(ctx, func() (err error) {
		fields, err = client.Do(ctx, client.B().Hgetall().Key(s.controlName()).Build()).AsStrMap()
		return err
	})
	if err != nil {
		return nil, err
	}
	generations := make(map[string]int64)
	var dropped []string
	for name, value := range fields {
		if id, found := strings.CutPrefix(name, droppedField); found {
			dropped = append(dropped, id)
			continue
		}
		if generations[name], err = strconv.ParseInt(value, 10, 64); err != nil {
			return nil, errForeign
		}
	}
	c, missing := s.known.merge(generations, dropped)
	c.read = start
	if len(missing) > 0 {
		s.restore(ctx, client, missing)
	}
	s.control.Store(c)
	return c, nil
}

// raise sets fields of the hash that are less than they should be.
var raise = rueidis.NewLuaScript(`
for i = 1, #ARGV, 2 do
	if tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '-1') < tonumber(ARGV[i+1]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1]) end
end
return 1`)

// restore writes decisions again that were in the hash and are not any more:
// nodes that start later must know of them.
func (s *Store) restore(ctx context.Context, client rueidis.Client, missing map[string]int64) {
	var args []string
	for field, value := range missing {
		args = append(args, field, strconv.FormatInt(value, 10))
	}
	_ = raise.Exec(ctx, client, []string{s.controlName()}, args).Error() // the next look tries again
}

// followControl reads the hash again and again until Close.
func (s *Store) followControl() {
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-ticker.C:
			if s.client.Load() == nil {
				continue // no request has needed a session yet
			}
			_, _ = s.readControl(context.Background()) // checks ask again themselves, and say so
		}
	}
}

// forgetControl makes the next look read the hash, and not wait for an answer that
// may be from before.
func (s *Store) forgetControl() {
	s.flights.Forget(s.controlName())
	s.control.Store(nil)
}

// generationSeen makes checks read the hash again if a change has read a newer
// generation there than they know: what the change dropped as ended must not pass
// as live a moment later.
func (s *Store) generationSeen(field string, generation int64) {
	if generation > s.known.generation(field) {
		s.known.endedApp(field, generation)
		s.forgetControl()
	}
}

// raiseGeneration sets a field to a number, or to more if that is not more than it is.
var raiseGeneration = rueidis.NewLuaScript(`
local now, new = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0'), tonumber(ARGV[2])
if new <= now then new = now + 1 end
local text = string.format('%.0f', new)
redis.call('HSET', KEYS[1], ARGV[1], text)
return text`)

// EndApp implements session.Operations: it begins a new generation. Its number is
// the time, in microseconds, so that it is higher than all before even if Redis
// has lost those.
func (s *Store) EndApp(ctx context.Context, appID string) (ended int, err error) {
	err = s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		count, err := s.count(ctx, client, appID)
		if err != nil {
			return err
		}
		field := s.appField(appID)
		least := max(s.known.generation(field)+1, time.Now().UnixMicro())
		generation, err := raiseGeneration.Exec(ctx, client, []string{s.controlName()}, []string{field, strconv.FormatInt(least, 10)}).AsInt64()
		if err != nil {
			return err
		}
		s.known.endedApp(field, generation)
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
		_, err = s.askControl(ctx, client)
		return err
	})
}

// DroppedKeys implements session.Operations.
func (s *Store) DroppedKeys() []string {
	return s.known.droppedKeys()
}

// Check implements session.Operations.
func (s *Store) Check(ctx context.Context) error { return s.Connect(ctx) }
