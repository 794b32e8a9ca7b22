package gateway

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-wechat/gateway/internal/bounded"
)

// State is what must survive a change of configuration beside the sessions:
// which logins are under way, who was counted by rate limits, which breakers
// are open, which tokens were verified, which answers are being written. It holds
// nothing of a configuration, but for the [Gateway] that judges streams.
type State struct {
	logins   *flights
	limits   *limits
	verified *verifiedTokens
	seeds    [2]maphash.Seed
	streams  *streams
	decrypts *bounded.Table[*rate.Limiter] // by user

	signatures *bounded.Table[seenSignature] // by address and signature
	scans      *scanState

	mu       sync.Mutex
	gates    map[string]*gate
	lifetime time.Duration
}

// NewState returns the state of a process that has not seen a request yet.
func NewState() *State {
	return &State{
		logins:   newFlights(),
		limits:   newLimits(),
		verified: newVerifiedTokens(),
		gates:    make(map[string]*gate),
		seeds:    [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		streams:  newStreams(),
		decrypts: newDecrypts(), signatures: newSeenSignatures(), scans: newScanState(),
	}
}

// tokenHash is what a verified token is recognised by: 64 bits of the whole text
// and 64 of its signature, under two random keys of this process that nobody sees
// a result of. Without the signature of a verified token, an attacker must guess
// both. SHA-256 would be half of the time that a known token takes.
func (s *State) tokenHash(text string) (sum tokenSum) {
	signature := text[strings.LastIndexByte(text, '.')+1:]
	binary.LittleEndian.PutUint64(sum[:8], maphash.String(s.seeds[0], text))
	binary.LittleEndian.PutUint64(sum[8:], maphash.String(s.seeds[1], signature))
	return sum
}

// longestLifetime records the lifetime that tokens get from now on and returns
// the longest so far: tokens minted before a reload that shortens it stay good
// until their own end.
func (s *State) longestLifetime(lifetime time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = max(s.lifetime, lifetime)
	return s.lifetime
}

// gate returns the gate of one account; accounts never share one, so that
// trouble of one does not reach another.
func (s *State) gate(appID string) *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gates[appID] == nil {
		s.gates[appID] = newGate()
	}
	return s.gates[appID]
}
