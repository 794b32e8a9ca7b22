package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/redis/rueidis"

	"github.com/caddy-wechat/gateway/internal/session"
)

var (
	errClosed = errors.New("the store is closed")
	// errUnsure says why a session cannot be taken for live although Redis is away:
	// this node knows something that may have ended it.
	errUnsure = errors.New("what this node knows may have ended the session")
)

// retryOnce runs a read, or what can be done twice, and once more if its connection was
// cut: that alone does not mean that Redis is away.
func (s *Store) retryOnce(ctx context.Context, read func() error) error {
	err := read()
	if err != nil && isOutage(err) && !isTimeout(err) && ctx.Err() == nil {
		err = read()
	}
	return err
}

func isTimeout(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// repliesOfNobody are errors that a server gives which has no data to tell from.
var repliesOfNobody = []string{"LOADING", "MASTERDOWN", "CLUSTERDOWN"}

// isOutage reports whether an error says that Redis cannot be reached. An answer
// that cannot be used is none.
func isOutage(err error) bool {
	if reply, ok := errors.AsType[*rueidis.RedisError](err); ok {
		kind, _, _ := strings.Cut(reply.Error(), " ")
		return slices.Contains(repliesOfNobody, kind)
	}
	for _, ours := range []error{errForeign, errClosed, errContention, errTooLong, rueidis.ErrClosing, rueidis.ErrNoCache, rueidis.ErrDoCacheAborted, context.Canceled} {
		if errors.Is(err, ours) {
			return false
		}
	}
	return !rueidis.IsParseErr(err)
}

// judgeOutage turns the error of a check that began then into what is known: that
// the session is over, that Redis is away, or neither.
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
		for _, one := range m.decoded.Sessions {
			if one.ID == query.SessionID {
				return !one.over(generation, now), true
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

// unavailable says that the store cannot tell, and why.
func unavailable(err error) error {
	if err == nil || errors.Is(err, session.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: redis: %w", session.ErrUnavailable, brief{err})
}

// brief is an error whose text is cut to what helps. What a server says about a
// command that it does not know repeats the command, a password in it included.
type brief struct{ error }

// maxReason is as much as there is to say about a reason.
const maxReason = 200

func (b brief) Error() string {
	reason, _, _ := strings.Cut(b.error.Error(), "\n")
	reason, _, _ = strings.Cut(reason, ", with args beginning with")
	for _, h := range hints {
		if strings.HasPrefix(reason, h.reply) {
			return h.reply + ": " + h.text
		}
	}
	reason = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, reason)
	return reason[:min(len(reason), maxReason)]
}

func (b brief) Unwrap() error { return b.error }

// hints say what to do about what servers answer at length, by how it begins.
var hints = []struct{ reply, text string }{
	{"WRONGPASS", "Redis refuses `username` and `password`"},
	{"NOAUTH", "Redis asks for a password: set `password`"},
	{"ERR DB index is out of range", "Redis has no database of this number: see `db`"},
	{"MISCONF", "Redis cannot save its data to disk, so it accepts no writes"},
	{"OOM", "Redis is full: raise its maxmemory"},
	{"READONLY", "this is a replica, so it accepts no writes: name the master"},
}
