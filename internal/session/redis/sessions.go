package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-wechat/gateway/internal/session"
)

// memo is what this node knows about a session beside the cached record.
type memo struct {
	ref session.Ref
	key string // of the user's record

	mu      sync.Mutex
	raw     string  // of the record below
	decoded *record // so that a record is opened once
	written int64   // version that this node wrote; older ones are stale
}

func (s *Store) memo(ref session.Ref) *memo {
	m, ok := s.memos.Get(ref.SessionID)
	if ok && m.ref == ref {
		return m
	}
	fresh := &memo{ref: ref, key: s.name("u", ref.AppID, ref.OpenID)}
	if ok {
		return fresh // somebody else's session id with a ref that does not fit
	}
	m, _ = s.memos.GetOrAdd(ref.SessionID, func() *memo { return fresh })
	if m.ref != ref {
		return fresh
	}
	return m
}

// Get implements session.Store. A record that was read before and that nobody
// has changed comes from memory.
func (s *Store) Get(ctx context.Context, query session.Query) (session.Session, error) {
	limited := withLazyTimeout(ctx, s.options.Timeout)
	defer limited.end()                          //nolint:contextcheck // it has its own
	return s.get(limited, query.Ref, query.At()) //nolint:contextcheck // it is a child of ctx
}

func (s *Store) get(ctx context.Context, ref session.Ref, now time.Time) (session.Session, error) {
	client, err := s.connected()
	if err != nil {
		return session.Session{}, err
	}
	if len(ref.SessionID) > session.MaxIDBytes {
		return session.Session{}, session.ErrNotFound
	}
	generation, err := s.generation(ctx, ref.AppID)
	if err != nil {
		return session.Session{}, err
	}
	m := s.memo(ref)
	raw, err := text(client.DoCache(ctx, client.B().Get().Key(m.key).Cache(), cacheTime))
	if err != nil {
		return session.Session{}, unavailable(err)
	}
	if found, ok, err := s.look(m, raw, generation, now); err != nil || ok {
		return found, unavailable(err)
	}
	// The cached record may be from before a login on another node, or a change
	// of our own whose news are still on their way. Before saying no, ask.
	raw, err = text(client.Do(ctx, client.B().Get().Key(m.key).Build()))
	if err != nil {
		return session.Session{}, unavailable(err)
	}
	r, err := s.decode(m.key, raw)
	if err != nil {
		return session.Session{}, unavailable(err)
	}
	if found, ok := r.live(ref.SessionID, generation, time.Now()); ok {
		return found, nil
	}
	return session.Session{}, session.ErrNotFound
}

// look finds the session in a cached record, unless the record is older than
// what this node wrote.
func (s *Store) look(m *memo, raw string, generation int64, now time.Time) (session.Session, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if raw == "" {
		return session.Session{}, false, nil
	}
	if m.decoded == nil || m.raw != raw {
		r, err := s.decode(m.key, raw)
		if err != nil {
			return session.Session{}, false, err
		}
		m.raw, m.decoded = raw, r
	}
	if m.decoded.Version < m.written {
		return session.Session{}, false, nil
	}
	found, ok := m.decoded.live(m.ref.SessionID, generation, now)
	return found, ok, nil
}

// Put implements session.Store.
func (s *Store) Put(ctx context.Context, login session.Login, maxPerUser int) (before string, err error) {
	if len(login.SessionID) > session.MaxIDBytes {
		return "", errTooLong
	}
	now := time.Now()
	if !login.Ends.After(now) {
		return "", nil
	}
	denied := false
	_, err = s.change(ctx, login.AppID, login.OpenID, func(r *record, generation int64) bool {
		if denied = r.denied(now); denied {
			return false
		}
		before = r.UnionID
		if login.UnionID != "" || !login.KeepUnionID {
			r.UnionID = login.UnionID
		}
		r.SessionKey = login.SessionKey.Reveal()
		r.Sessions = append(r.Sessions, oneLive{login.SessionID, login.Ends.Unix(), now.Unix(), generation})
		if beyond := len(r.Sessions) - max(maxPerUser, 1); beyond > 0 {
			r.Sessions = slices.Delete(r.Sessions, 0, beyond)
		}
		return true
	})
	if denied && err == nil {
		err = session.ErrDenied
	}
	return before, err
}

// Delete implements session.Store.
func (s *Store) Delete(ctx context.Context, ref session.Ref) error {
	_, err := s.change(ctx, ref.AppID, ref.OpenID, func(r *record, _ int64) bool {
		before := len(r.Sessions)
		r.Sessions = slices.DeleteFunc(r.Sessions, func(one oneLive) bool { return one.ID == ref.SessionID })
		return len(r.Sessions) != before
	})
	return err
}

// DeleteUser implements session.Store.
func (s *Store) DeleteUser(ctx context.Context, appID, openID string) (int, error) {
	return s.change(ctx, appID, openID, func(r *record, _ int64) bool {
		ended := len(r.Sessions) > 0
		r.Sessions = nil
		return ended
	})
}

// Deny implements session.Operations.
func (s *Store) Deny(ctx context.Context, appID, openID string, until time.Time) (int, error) {
	now := time.Now()
	return s.change(ctx, appID, openID, func(r *record, _ int64) bool {
		if !until.After(now) {
			was := r.DeniedUntil != 0
			r.DeniedUntil = 0
			return was
		}
		r.DeniedUntil = until.Unix()
		r.Sessions = nil
		return true
	})
}

// User implements session.Operations.
func (s *Store) User(ctx context.Context, appID, openID string) (session.Record, error) {
	var out session.Record
	_, err := s.change(ctx, appID, openID, func(r *record, _ int64) bool {
		out = r.known() // it has only what counts now
		return false
	})
	return out, err
}

// compareAndSet writes the record back if it is still what was read.
var compareAndSet = rueidis.NewLuaScript(`
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`)

// maxTries bounds how often a change is tried while others change the same
// user: each failure means that another one succeeded.
const maxTries = 100

var errContention = errors.New("too many changes of one user at once")

// change applies edit to the user's record, atomically over all nodes, and
// returns how many sessions that ended. edit gets the generation of the app as
// well, and reports whether it changed anything.
func (s *Store) change(ctx context.Context, appID, openID string, edit func(r *record, generation int64) bool) (ended int, err error) {
	client, err := s.connected()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	key := s.name("u", appID, openID)
	for range maxTries {
		answers := client.DoMulti(ctx, client.B().Get().Key(key).Build(),
			client.B().Hget().Key(s.controlName()).Field(s.appField(appID)).Build())
		raw, err := text(answers[0])
		if err != nil {
			return 0, unavailable(err)
		}
		generation, err := answers[1].AsInt64()
		if err != nil && !rueidis.IsRedisNil(err) {
			return 0, unavailable(err)
		}
		r, err := s.decode(key, raw)
		if err != nil {
			return 0, unavailable(err)
		}
		now := time.Now()
		r.prune(generation, now)
		before := r.ids()
		if !edit(r, generation) {
			return 0, nil
		}
		r.OpenID = openID
		r.Version = max(r.Version+1, now.UnixMicro())
		sealed, expiry := "", "0"
		if lifetime := r.lifetime(now); lifetime > 0 {
			sealed, expiry = s.encode(key, r), strconv.FormatInt(max(lifetime.Milliseconds(), 1), 10)
		}
		written, err := compareAndSet.Exec(ctx, client, []string{key}, []string{raw, sealed, expiry}).AsInt64()
		if err != nil {
			return 0, unavailable(err)
		}
		if written == 1 {
			s.recount(ctx, client, appID, key, before, r)
			return s.remember(appID, openID, before, r), nil
		}
	}
	return 0, unavailable(errContention)
}

// remember makes this node see its own change at once, and counts the sessions
// that it ended.
func (s *Store) remember(appID, openID string, before []string, after *record) (ended int) {
	now := after.ids()
	for _, id := range before {
		if !slices.Contains(now, id) {
			ended++
			now = append(now, id)
		}
	}
	for _, id := range now {
		m := s.memo(session.Ref{AppID: appID, OpenID: openID, SessionID: id})
		m.mu.Lock()
		m.written = max(m.written, after.Version)
		m.mu.Unlock()
	}
	return ended
}

// text returns a value, empty if there is none.
func text(result rueidis.RedisResult) (string, error) {
	value, err := result.ToString()
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	return value, err
}
