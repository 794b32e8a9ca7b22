package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/redis/rueidis"

	"github.com/caddy-wechat/gateway/internal/session"
)

var (
	errClosed = errors.New("the store is closed")
	// errForeign says that a key of ours holds something else.
	errForeign = errors.New("a record cannot be read: written with another key, or by something else")
	// errTooLong says that a session id is not one of the gateway's own.
	errTooLong    = errors.New("session id is too long")
	errContention = errors.New("too many changes of one user at once")
	// errUnsure says why a session cannot be taken for live although Redis is down:
	// this node knows something that may have ended it.
	errUnsure = errors.New("what this node knows may have ended the session")
)

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
	{full, "Redis is full: raise its maxmemory"},
	{"READONLY", "this is a replica, so it accepts no writes: name the master"},
}

func isTimeout(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// full is how the answer of a server begins that has no memory left.
const full = "OOM"

func isFull(err error) bool {
	reply, ok := errors.AsType[*rueidis.RedisError](err)
	return ok && strings.HasPrefix(reply.Error(), full)
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
	for _, own := range []error{errForeign, errClosed, errContention, errTooLong, rueidis.ErrClosing, rueidis.ErrNoCache, rueidis.ErrDoCacheAborted, context.Canceled} {
		if errors.Is(err, own) {
			return false
		}
	}
	return !rueidis.IsParseErr(err)
}
