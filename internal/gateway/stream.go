package gateway

import (
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/session"
)

// Stream is an answer to a user that may still be open when its session ends or
// its token expires. Package gateway cuts it then, see [Gateway.Watch].
type Stream struct {
	pass   *Pass
	cutter Cutter

	shard      *openShard
	next, prev *Stream         // in the shard while young, then in the session
	session    *watchedSession // nil while young; set under the shard's lock

	mu     sync.Mutex
	done   bool
	reason error
}

// A Cutter ends an answer that is open. Cut must not block for long; it is called
// again every second until the stream is done, because whoever writes the answer may
// undo what it does.
type Cutter interface{ Cut() }

// Watch cuts the stream when the token of the pass expires, when its key does not
// count any more, or when its session has ended, on this node or another one. The leeway
// of clocks is for new requests and not for what is open. A store that cannot tell
// ends nothing. The caller calls Done when the answer is finished.
//
// Most answers are finished before the next sweep and cost two short locks. The pass
// must stay as it is until then.
func (g *Gateway) Watch(s *Stream, pass *Pass, cutter Cutter) {
	s.pass, s.cutter = pass, cutter
	g.State.streams.add(s)
}

// Done ends the watch. It returns why the stream was cut, as Authenticate would for
// the same token, or nil if it was not. When it has returned, Cut is not called any
// more and does not run.
func (s *Stream) Done() (cut error) {
	s.mu.Lock()
	wasDone := s.done
	s.done = true
	cut = s.reason
	s.mu.Unlock()
	if !wasDone && s.shard != nil {
		s.shard.streams.remove(s)
	}
	return cut
}

// WasCut returns what Done will, as far as it is known now.
func (s *Stream) WasCut() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// cut ends the stream for a reason, the first of which counts.
func (s *Stream) cut(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return
	}
	if s.reason == nil {
		s.reason = reason
	}
	s.cutter.Cut()
}

// problem is why a stream cannot go on, as far as its token tells.
func (s *Stream) problem(now time.Time, ring *key.Set) error {
	switch {
	case !now.Before(s.pass.expires):
		return ErrSessionExpired
	case ring != nil && !ring.Has(s.pass.keyID):
		return ErrLoginRequired
	}
	return nil
}

// streams are all that are open in this process. Those that no sweep has seen yet are
// in lists of their own, many so that requests do not wait for each other.
type streams struct {
	young [openShards]openShard

	// mu guards the rest. It is taken after the lock of a shard.
	mu    sync.Mutex
	users map[userRef]*watchedUser
	// What no sweep has checked yet: the token of a stream, and sessions.
	unseen      bool
	newSessions []*watchedSession

	watch watch
}

const openShards = 16

type openShard struct {
	sync.Mutex
	streams *streams
	first   *Stream
	_       [64]byte // the next one is on another cache line
}

// userRef names a user.
type userRef struct{ appID, openID string }

// watchedUser is a user who has streams that a sweep has seen.
type watchedUser struct{ sessions []*watchedSession }

// watchedSession is one of his sessions: one call of the store is enough for all
// streams of it.
type watchedSession struct {
	ref    session.Ref
	issued time.Time
	hint   session.Hint
	isNew  bool // among streams.newSessions
	first  *Stream
}

func newStreams() *streams {
	s := &streams{users: make(map[userRef]*watchedUser)}
	for i := range s.young {
		s.young[i].streams = s
	}
	s.watch.streams = s
	s.watch.wake = make(chan struct{}, 1)
	return s
}

// add puts a stream among the young ones.
func (s *streams) add(stream *Stream) {
	s.watch.start()
	// Session ids are random.
	id := stream.pass.User.SessionID
	shard := &s.young[id[len(id)-1]%openShards]
	stream.shard = shard
	shard.Lock()
	push(&shard.first, stream)
	shard.Unlock()
}

func push(first **Stream, s *Stream) {
	s.next, s.prev = *first, nil
	if s.next != nil {
		s.next.prev = s
	}
	*first = s
}

func unlink(first **Stream, s *Stream) {
	if s.prev == nil {
		*first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.next, s.prev = nil, nil
}

func (s *streams) remove(stream *Stream) {
	stream.shard.Lock()
	watched := stream.session
	if watched == nil {
		unlink(&stream.shard.first, stream)
	}
	stream.shard.Unlock()
	if watched == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	unlink(&watched.first, stream)
	if watched.first == nil {
		s.forget(watched)
	}
}

// forget removes a session without streams. The caller holds mu.
func (s *streams) forget(watched *watchedSession) {
	user := userRef{watched.ref.AppID, watched.ref.OpenID}
	of := s.users[user]
	for i, other := range of.sessions {
		if other == watched {
			last := len(of.sessions) - 1
			of.sessions[i], of.sessions[last] = of.sessions[last], nil
			of.sessions = of.sessions[:last]
			break
		}
	}
	if len(of.sessions) == 0 {
		delete(s.users, user)
	}
}

// promote puts young streams where lookups find them.
func (s *streams) promote() {
	for i := range s.young {
		shard := &s.young[i]
		shard.Lock()
		for stream := shard.first; stream != nil; stream = shard.first {
			unlink(&shard.first, stream)
			s.mu.Lock()
			stream.session = s.watched(stream.pass)
			push(&stream.session.first, stream)
			s.unseen = true
			if !stream.session.isNew {
				stream.session.isNew = true
				s.newSessions = append(s.newSessions, stream.session)
			}
			s.mu.Unlock()
		}
		shard.Unlock()
	}
}

// watched returns the session of a pass, a new one if it is the first stream of it.
// The caller holds mu.
func (s *streams) watched(pass *Pass) *watchedSession {
	user := userRef{pass.User.AppID, pass.User.OpenID}
	of := s.users[user]
	if of == nil {
		of = new(watchedUser)
		s.users[user] = of
	}
	for _, watched := range of.sessions {
		if watched.ref.SessionID == pass.User.SessionID {
			return watched
		}
	}
	watched := &watchedSession{ref: ref(pass.User), issued: pass.issued, hint: pass.hint}
	of.sessions = append(of.sessions, watched)
	return watched
}
