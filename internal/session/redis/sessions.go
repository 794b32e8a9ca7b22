package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/caddy-wechat/gateway/internal/session"
)

// Get implements [session.Store]. A record that was read before and that nobody
// has changed comes from memory.
func (s *Store) Get(ctx context.Context, query session.Query) (session.Session, error) {
	if err := ctx.Err(); err != nil {
		return session.Session{}, unavailable(err)
	}
	limited := withLazyTimeout(s.options.Timeout)
	defer limited.end()                                 //nolint:contextcheck // it has its own
	found, err := s.get(limited, query.Ref, query.At()) //nolint:contextcheck // others wait for the same answer
	switch {
	case err == nil:
		return found, nil
	case errors.Is(err, session.ErrNotFound):
		s.known.end(query.Ref)
		return session.Session{}, err
	}
	return s.remembered(query.Ref), s.judgeOutage(&query, err, limited.deadline.Add(-s.options.Timeout))
}

// remembered is what this node knew of a session when it read it last.
func (s *Store) remembered(ref session.Ref) session.Session {
	m, ok := s.memos.Get(ref.SessionID)
	if !ok || m.ref != ref {
		return session.Session{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.decoded == nil {
		return session.Session{}
	}
	found, _ := m.decoded.live(ref.SessionID, 0, time.Time{})
	found.Remembered = !found.Ends.IsZero()
	return found
}

func (s *Store) get(ctx context.Context, ref session.Ref, now time.Time) (session.Session, error) {
	client, err := s.connected() //nolint:contextcheck // a connection is everybody's
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
	raw, err := s.cached(ctx, client, m.user)
	if err != nil {
		return session.Session{}, unavailable(err)
	}
	if found, ok, err := s.findCached(m, raw, generation, now); err != nil || ok {
		return found, unavailable(err)
	}
	// The cached record may be from before a login on another node, or a change
	// of our own whose news are still on their way. Before saying no, ask.
	floor := s.known.user(m.hash)
	err = s.retryOnce(ctx, func() (err error) {
		raw, err = text(client.Do(ctx, client.B().Get().Key(m.key).Build()))
		return err
	})
	if err != nil {
		return session.Session{}, unavailable(err)
	}
	s.answered.Store(time.Now().UnixNano())
	r, err := s.decode(m.key, raw)
	if err != nil {
		return session.Session{}, unavailable(err)
	}
	r = s.known.accept(m.hash, floor, r)
	m.mu.Lock()
	s.replace(m.user, ref, raw, r)
	m.mu.Unlock()
	if found, ok := r.live(ref.SessionID, generation, time.Now()); ok {
		return found, nil
	}
	return session.Session{}, session.ErrNotFound
}

// findCached finds the session in a cached record, unless the record is older than
// what this node knows.
func (s *Store) findCached(m *memo, raw string, generation int64, now time.Time) (session.Session, bool, error) {
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
		if !s.replace(m.user, m.ref, raw, r) {
			return session.Session{}, false, nil
		}
	}
	if known := s.known.user(m.hash); known.gone || m.decoded.Version < known.version {
		return session.Session{}, false, nil
	}
	found, ok := m.decoded.live(m.ref.SessionID, generation, now)
	return found, ok, nil
}

// replace makes r what this node knows of the user, unless it knows something
// newer. Sessions that are not there any more have ended. The caller holds mu.
func (s *Store) replace(u *user, ref session.Ref, raw string, r *record) bool {
	if u.decoded != nil && r.Version < u.decoded.Version {
		return false
	}
	if u.decoded != nil {
		s.endedBetween(ref, u.decoded, r)
	}
	u.raw, u.decoded = raw, r
	s.known.recordSeen(u.hash, r)
	return true
}

// endedBetween remembers the sessions of one record that the next has not, and
// returns how many there are.
func (s *Store) endedBetween(ref session.Ref, before, after *record) (ended int) {
	left := after.ids()
	for _, live := range before.Sessions {
		if !slices.Contains(left, live.ID) {
			s.known.end(session.Ref{AppID: ref.AppID, OpenID: ref.OpenID, SessionID: live.ID})
			ended++
		}
	}
	return ended
}

// Put implements [session.Store].
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
		if login.UserID != "" {
			r.UserID = login.UserID
		}
		r.setSessionKey(login.SessionKey, now)
		r.Sessions = append(r.Sessions, liveSession{login.SessionID, login.Ends.Unix(), now.Unix(), generation, login.Kind})
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

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, ref session.Ref) error {
	_, err := s.change(ctx, ref.AppID, ref.OpenID, func(r *record, _ int64) bool {
		before := len(r.Sessions)
		r.Sessions = slices.DeleteFunc(r.Sessions, func(live liveSession) bool { return live.ID == ref.SessionID })
		return len(r.Sessions) != before
	})
	if err == nil {
		s.known.end(ref) // also if another node had ended it
	}
	return err
}

// DeleteUser implements [session.Store].
func (s *Store) DeleteUser(ctx context.Context, appID, openID string) (int, error) {
	ended, err := s.change(ctx, appID, openID, func(r *record, _ int64) bool {
		ended := len(r.Sessions) > 0
		r.Sessions = nil
		r.forgotten = r.DeniedUntil == 0 && r.Kept == 0
		return ended
	})
	if err == nil {
		s.known.endAll(hashOf(s.name("u", appID, openID)))
	}
	return ended, err
}

// Deny implements [session.Operations].
func (s *Store) Deny(ctx context.Context, appID, openID string, until time.Time) (int, error) {
	now := time.Now()
	ended, err := s.change(ctx, appID, openID, func(r *record, _ int64) bool {
		if !until.After(now) {
			was := r.DeniedUntil != 0
			r.Kept, r.DeniedUntil = max(r.Kept, r.DeniedUntil), 0
			return was
		}
		r.DeniedUntil = until.Unix()
		r.Sessions = nil
		return true
	})
	if err == nil && until.After(now) {
		s.known.endAll(hashOf(s.name("u", appID, openID)))
	}
	return ended, err
}

// User implements [session.Operations].
func (s *Store) User(ctx context.Context, appID, openID string) (session.Record, error) {
	var out session.Record
	_, err := s.change(ctx, appID, openID, func(r *record, _ int64) bool {
		out = r.operatorView() // it has only what counts now
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

// change applies edit to the user's record, atomically over all nodes, and
// returns how many sessions that ended. edit gets the generation of the app as
// well, and reports whether it changed anything.
func (s *Store) change(ctx context.Context, appID, openID string, edit func(r *record, generation int64) bool) (ended int, err error) {
	client, err := s.connected() //nolint:contextcheck // a connection is everybody's
	if err != nil {
		return 0, err
	}
	ctx, cancel := s.detached(ctx)
	defer cancel()
	u := s.user(s.name("u", appID, openID))
	for range maxTries {
		floor := s.known.user(u.hash)
		raw, generation, err := s.readForChange(ctx, client, u.key, appID)
		if err != nil {
			return 0, unavailable(err)
		}
		found, err := s.decode(u.key, raw)
		if err != nil {
			return 0, unavailable(err)
		}
		found = s.known.accept(u.hash, floor, found)
		u.mu.Lock()
		s.replace(u, session.Ref{AppID: appID, OpenID: openID}, raw, found)
		u.mu.Unlock()
		r, now := found.clone(), time.Now()
		r.prune(generation, now)
		before := r.clone()
		if !edit(r, generation) {
			return 0, nil
		}
		r.OpenID = openID
		if len(r.Sessions) == 0 {
			r.UnionID, r.UserID = "", ""
			r.SessionKey, r.Previous, r.Replaced = "", "", 0
		}
		r.Version = max(r.Version+1, now.UnixMicro())
		sealed := ""
		if !r.forgotten {
			sealed = s.encode(u.key, r)
		}
		expiry := strconv.FormatInt(max(r.lifetime(now).Milliseconds(), 1), 10)
		written, err := compareAndSet.Exec(ctx, client, []string{u.key}, []string{raw, sealed, expiry}).AsInt64()
		if err != nil {
			return 0, unavailable(err)
		}
		if written == 1 {
			s.answered.Store(time.Now().UnixNano())
			s.recount(ctx, client, appID, u.key, before.ids(), r)
			return s.remember(u, session.Ref{AppID: appID, OpenID: openID}, sealed, before, r), nil
		}
	}
	return 0, unavailable(errContention)
}

// readForChange returns a record as it is, and the generation of its app.
func (s *Store) readForChange(ctx context.Context, client rueidis.Client, key, appID string) (raw string, generation int64, err error) {
	field := s.appField(appID)
	err = s.retryOnce(ctx, func() (err error) {
		answers := client.DoMulti(ctx, client.B().Get().Key(key).Build(),
			client.B().Hget().Key(s.controlName()).Field(field).Build())
		if raw, err = text(answers[0]); err != nil {
			return err
		}
		if generation, err = answers[1].AsInt64(); rueidis.IsRedisNil(err) {
			return nil
		}
		return err
	})
	s.generationSeen(field, generation)
	return raw, max(generation, s.known.generation(field)), err
}

// remember makes this node see its own change at once, and counts the sessions
// that it ended.
func (s *Store) remember(u *user, ref session.Ref, raw string, before, after *record) (ended int) {
	ended = s.endedBetween(ref, before, after)
	if after.forgotten {
		s.known.recordGone(u.hash, before.Version)
	} else {
		s.known.recordSeen(u.hash, after)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s.replace(u, ref, raw, after)
	return ended
}
