package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/session"
)

// sweepInterval is how often open streams are checked.
const sweepInterval = time.Second

// watch checks streams for the whole process. It is two goroutines however many
// streams there are, begun with the first: one for what tokens tell and one for what
// the store tells, which may take its time.
type watch struct {
	streams *streams

	mu        sync.Mutex
	stop      chan struct{} // nil: not started
	closed    bool
	started   sync.Once
	judges    []*Gateway
	requested []userRef // to be checked without waiting for the sweep
	wake      chan struct{}
}

// start begins the sweeps, once.
func (w *watch) start() { w.started.Do(w.startLoops) }

func (w *watch) startLoops() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.stop = make(chan struct{})
	go w.tokens(w.stop)
	go w.sessions(w.stop)
}

// Close ends what [State] does in the background, and with it the streams that are still
// open: nothing watches them any more.
func (s *State) Close() {
	s.streams.watch.end()
	s.streams.promote()
	var cut []cutting
	s.streams.mu.Lock()
	for _, user := range s.streams.users {
		for _, watched := range user.sessions {
			cut = watched.appendAll(cut, ErrSessionEnded)
		}
	}
	s.streams.mu.Unlock()
	cutAll(cut)
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil && !w.closed {
		close(w.stop)
	}
	w.closed = true
}

// OpenStreams is how many streams are watched now.
func (s *State) OpenStreams() (n int) {
	s.streams.promote()
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	for _, user := range s.streams.users {
		for _, watched := range user.sessions {
			for stream := watched.first; stream != nil; stream = stream.next {
				n++
			}
		}
	}
	return n
}

// JudgeStreams makes the [Gateway], and so its store and keys, the one that decides which
// streams may stay open, those begun under other configurations included. Undo it
// before the store closes; the one before decides then, if it still does.
func (g *Gateway) JudgeStreams() (undo func()) {
	w := &g.State.streams.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.judges = append(w.judges, g)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.judges = slices.DeleteFunc(w.judges, func(other *Gateway) bool { return other == g })
	}
}

// judge returns the [Gateway] that decides, nil for none.
func (w *watch) judge() *Gateway {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.judges) == 0 {
		return nil
	}
	return w.judges[len(w.judges)-1]
}

// maxAsked bounds the users that are asked about at once; for more, all are.
const maxAsked = 1 << 10

// recheck checks the streams of a user at once; without an openid, all streams.
func (s *State) recheck(appID, openID string) {
	w := &s.streams.watch
	user := userRef{appID, openID}
	if openID != "" {
		s.streams.mu.Lock()
		_, watched := s.streams.users[user]
		s.streams.mu.Unlock()
		if !watched {
			return // or too young: the next sweep sees it
		}
	}
	w.mu.Lock()
	if slices.Contains(w.requested, user) {
		// A recheck is pending already.
	} else if len(w.requested) < maxAsked {
		w.requested = append(w.requested, user)
	} else {
		w.requested[0] = userRef{}
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// tokens cuts streams whose token does not count any more.
func (w *watch) tokens(stop <-chan struct{}) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	var last seen
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			last = w.sweepTokens(last)
		}
	}
}

// seen is what the last sweep of all tokens has left to do.
type seen struct {
	earliest time.Time // when the next token expires; zero for none
	ring     *key.Set
	cut      bool // there are streams that are cut and not done yet
}

// idle reports whether nothing can have happened to a token since.
func (n *seen) idle(now time.Time, ring *key.Set) bool {
	return !n.cut && n.ring == ring && (n.earliest.IsZero() || now.Before(n.earliest))
}

func (w *watch) sweepTokens(last seen) (next seen) {
	w.streams.promote()
	now := time.Now()
	if judge := w.judge(); judge != nil {
		next.ring = judge.Keys()
	}
	var cut []cutting
	w.streams.mu.Lock()
	if !w.streams.unseen && last.idle(now, next.ring) {
		w.streams.mu.Unlock()
		return last
	}
	w.streams.unseen = false
	for _, user := range w.streams.users {
		for _, watched := range user.sessions {
			for s := watched.first; s != nil; s = s.next {
				reason := s.problem(now, next.ring)
				if reason == nil {
					reason = s.WasCut() // and is not done yet: again
				}
				if reason != nil {
					cut = append(cut, cutting{s, reason})
				}
				if next.earliest.IsZero() || s.pass.expires.Before(next.earliest) {
					next.earliest = s.pass.expires
				}
			}
		}
	}
	w.streams.mu.Unlock()
	next.cut = len(cut) > 0
	cutAll(cut)
	return next
}

// sessions cuts streams whose session has ended.
func (w *watch) sessions(stop <-chan struct{}) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	var last sweepState
	var buffer []*watchedSession
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			buffer = w.sessionsDue(buffer[:0], &last)
		case <-w.wake:
			buffer = w.sessionsOf(buffer[:0], w.takeRequested())
		}
		w.sweepSessions(buffer, &last)
		clear(buffer) // nothing is kept alive by it
	}
}

// sweepState is what the store said when all sessions were last checked.
type sweepState struct {
	judge *Gateway
	ended uint64
	knows bool // the store has told
}

// sessionsDue returns the sessions to check: all, or the new ones if none of the others can
// have ended.
func (w *watch) sessionsDue(sessions []*watchedSession, last *sweepState) []*watchedSession {
	now := sweepState{judge: w.judge()}
	if now.judge != nil {
		now.ended, now.knows = now.judge.Store.Ended()
	}
	w.streams.promote()
	w.streams.mu.Lock()
	defer w.streams.mu.Unlock()
	fresh := w.streams.newSessions
	w.streams.newSessions = nil
	for _, watched := range fresh {
		watched.isNew = false
	}
	if now.knows && now == *last {
		sessions = append(sessions, fresh...)
	} else {
		for _, user := range w.streams.users {
			sessions = append(sessions, user.sessions...)
		}
	}
	*last = now
	return sessions
}

// sessionsOf returns the sessions of users; one without an openid stands for all.
func (w *watch) sessionsOf(sessions []*watchedSession, users []userRef) []*watchedSession {
	w.streams.promote()
	w.streams.mu.Lock()
	defer w.streams.mu.Unlock()
	if slices.ContainsFunc(users, func(user userRef) bool { return user.openID == "" }) {
		for _, user := range w.streams.users {
			sessions = append(sessions, user.sessions...)
		}
		return sessions
	}
	for _, user := range users {
		if of := w.streams.users[user]; of != nil {
			sessions = append(sessions, of.sessions...)
		}
	}
	return sessions
}

func (w *watch) takeRequested() []userRef {
	w.mu.Lock()
	defer w.mu.Unlock()
	users := w.requested
	w.requested = nil
	return users
}

// sweepSessions checks sessions. If the store cannot tell about one of them, the next
// sweep checks all again.
func (w *watch) sweepSessions(sessions []*watchedSession, last *sweepState) {
	judge := w.judge()
	if judge == nil || len(sessions) == 0 {
		return
	}
	// A store that asks over the network is asked by many at once.
	const chunk, workers = 256, 16
	size := max(chunk, (len(sessions)+workers-1)/workers)
	var failed atomic.Bool
	var wait sync.WaitGroup
	for part := range slices.Chunk(sessions, size) {
		wait.Go(func() {
			if err := w.check(judge, part); err != nil {
				failed.Store(true)
			}
		})
	}
	wait.Wait()
	if failed.Load() {
		*last = sweepState{}
	}
}

// check cuts the streams of sessions that have ended. One about which the store cannot
// tell, as one whose record is damaged, keeps none of the others open; only a store that
// is down, or too slow, is not asked any further. The error is the last of the store's.
func (w *watch) check(judge *Gateway, sessions []*watchedSession) (failed error) {
	now := time.Now()
	for _, watched := range sessions {
		reason, err := judge.sessionProblem(watched, now)
		if err != nil {
			if failed = err; errors.Is(err, session.ErrAway) || time.Since(now) > sweepInterval {
				break
			}
			continue
		}
		if reason == nil {
			continue
		}
		var cut []cutting
		w.streams.mu.Lock()
		cut = watched.appendAll(cut, reason)
		w.streams.mu.Unlock()
		cutAll(cut)
		// They are cut again until they are done. Said after the cut: a sweep between
		// the two would find nothing to do.
		w.streams.mu.Lock()
		w.streams.unseen = true
		w.streams.mu.Unlock()
	}
	return failed
}

// sessionProblem is why the streams of a session cannot go on. The error means that
// the store cannot tell.
func (g *Gateway) sessionProblem(watched *watchedSession, now time.Time) (reason, err error) {
	if _, found := g.Accounts[watched.ref.AppID]; !found {
		return ErrLoginRequired, nil
	}
	live, err := g.Store.Get(context.Background(), session.Query{Ref: watched.ref, Now: now, Issued: watched.issued, Hint: watched.hint})
	switch {
	case err == nil:
		watched.hint = live.Hint
		return nil, nil //nolint:nilnil // no problem
	case errors.Is(err, session.ErrNotFound):
		return ErrSessionEnded, nil
	}
	return nil, err
}

// cutting is a stream and why it ends.
type cutting struct {
	stream *Stream
	reason error
}

// appendAll appends the streams of a session. The caller holds streams.mu.
func (ws *watchedSession) appendAll(cut []cutting, reason error) []cutting {
	for s := ws.first; s != nil; s = s.next {
		cut = append(cut, cutting{s, reason})
	}
	return cut
}

// cutAll cuts many streams a few at a time.
func cutAll(cut []cutting) {
	const chunk, workers = 256, 8
	size := max(chunk, (len(cut)+workers-1)/workers)
	var wait sync.WaitGroup
	for part := range slices.Chunk(cut, size) {
		wait.Go(func() {
			for _, c := range part {
				c.stream.cut(c.reason)
			}
		})
	}
	wait.Wait()
}
