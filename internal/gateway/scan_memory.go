package gateway

import (
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
)

const (
	// maxPictures bounds the codes that a node keeps for pages that are loaded again, to
	// about 30 MiB.
	maxPictures = 256
	// maxPolls bounds the desktops whose pace is watched, to a few MiB.
	maxPolls = 1 << 14
	// pollPace is a second, less what requests are late by.
	pollPace = 950 * time.Millisecond
	// maxDraws is how many codes of an app are drawn in drawWindow. WeChat allows 5,000.
	maxDraws   = 1000
	drawWindow = time.Minute
)

// scanState is what a process remembers about scans.
type scanState struct {
	pictures *bounded.Table[[]byte]    // by scene
	polls    *bounded.Table[*lastPoll] // by scene

	mu    sync.Mutex
	draws map[string]*drawLimit // by AppID
}

func newScanState() *scanState {
	return &scanState{
		pictures: bounded.New[[]byte](maxPictures, ScanLifetime),
		polls:    bounded.New[*lastPoll](maxPolls, ScanLifetime),
		draws:    make(map[string]*drawLimit),
	}
}

type lastPoll struct {
	mu sync.Mutex
	at time.Time
}

// tooSoon is how long a desktop must wait; zero lets it ask.
func (s *scanState) tooSoon(scene string, now time.Time) time.Duration {
	poll, _ := s.polls.GetOrAdd(scene, func() *lastPoll { return new(lastPoll) })
	poll.mu.Lock()
	defer poll.mu.Unlock()
	if since := now.Sub(poll.at); since >= 0 && since < pollPace {
		return pollPace - since
	}
	poll.at = now
	return 0
}

// drawLimit remembers when the last maxDraws codes of an app were drawn.
type drawLimit struct {
	last [maxDraws]int64 // Unix milliseconds
	next int
}

// allowDraw counts one more code of an app, or returns how long to wait.
func (s *scanState) allowDraw(appID string, now time.Time) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.draws[appID]
	if d == nil {
		d = new(drawLimit)
		s.draws[appID] = d
	}
	if since := now.Sub(time.UnixMilli(d.last[d.next])); since >= 0 && since < drawWindow {
		return drawWindow - since
	}
	d.last[d.next] = now.UnixMilli()
	d.next = (d.next + 1) % maxDraws
	return 0
}
