package redis

import (
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// judgeOutage turns the error of a check that began then into what is known: that
// the session has ended, that Redis is down, or neither.
func (s *Store) judgeOutage(query *session.Query, err error, began time.Time) error {
	if !isOutage(err) || s.answered.Load() > began.UnixNano() {
		return err // others get answers
	}
	live, known := s.lastSeen(query)
	switch {
	case known && !live:
		return session.ErrNotFound
	case !known:
		return fmt.Errorf("%w; %w", err, errUnsure)
	}
	return awayError{err}
}

// awayError is an ErrAway that says why in the words of its cause.
type awayError struct{ error }

func (e awayError) Unwrap() error        { return e.error }
func (e awayError) Is(target error) bool { return target == session.ErrAway }

// lastSeen says from memory whether a session is live, unless something that this
// node knows may have ended it.
func (s *Store) lastSeen(query *session.Query) (live, known bool) {
	if s.known.hasEnded(query.Ref) {
		return false, true
	}
	if !s.known.hasFollowed() {
		return false, false
	}
	now := query.At()
	m := s.memo(query.Ref)
	if time.Unix(s.known.user(m.hash).denied, 0).After(now) || s.known.mayHaveEnded(query.Ref, query.Issued) {
		return false, false
	}
	generation, newest := s.known.generation(s.appField(query.AppID)), s.known.user(m.hash)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.decoded != nil && m.decoded.Version == newest.version {
		for _, entry := range m.decoded.Sessions {
			if entry.ID == query.SessionID {
				return !entry.expired(generation, now), true
			}
		}
		// The version of a record is when it was written, in microseconds. What is
		// not in it has ended, or has begun since.
		if written := time.UnixMicro(newest.version); newest.version > 0 && !query.Issued.After(written.Add(time.Second+skew)) {
			return false, false
		}
	}
	// The number of a generation is when it began, in microseconds; older versions
	// counted from 1.
	cut := max(time.UnixMicro(generation).Unix(), newest.cut)
	switch {
	case cut == 0:
		return true, true
	case query.Issued.IsZero():
		return false, false
	case query.Issued.Before(time.Unix(cut, 0).Add(-skew)):
		return false, true
	case query.Issued.Before(time.Unix(cut+1, 0).Add(skew)):
		return false, false
	}
	return true, true
}
