package gateway

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/gateway/internal/compact"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/token"
)

// verifiedTokens remembers tokens whose signature and claims were found good, by
// hash. Their end, their key and their session are checked again on every use.
//
// Every request reads it and it grows with the number of users, so nothing in
// it holds a pointer: the garbage collector need not scan it. When it is full
// the oldest entries give way. The figures are in docs/performance.md.
type verifiedTokens struct {
	shards [verifiedShards]verifiedShard
	names  interned
}

const (
	// maxVerified bounds the table, to about 160 MiB when it is full.
	maxVerified    = 1 << 20
	verifiedShards = 16
)

type verifiedShard struct {
	sync.RWMutex
	index  compact.Index
	tokens compact.Slab[verifiedToken]
	oldest uint32   // when the shard is full: the slot that is reused next
	_      [64]byte // the next one is on another cache line
}

// tokenSum is what a token is recognised by.
type tokenSum [16]byte

// verifiedToken holds the claims of a token without pointers.
type verifiedToken struct {
	sum             tokenSum
	issued, expires int64 // Unix seconds
	account, key    uint16
	// Where in texts each ends: openid, session id and unionid, one after the other.
	openID, sessionID, unionID uint8
	texts                      [shortTexts]byte
	browser                    bool
	session                    session.Hint
}

// knownToken is a verified token and what is remembered with it.
type knownToken struct {
	token.Claims
	sum  tokenSum
	hint session.Hint
}

// shortTexts is room for ids as long as WeChat gives them so far, and a bit more.
// Tokens with longer ones are verified every time.
const shortTexts = 84

func newVerifiedTokens() *verifiedTokens {
	t := new(verifiedTokens)
	t.names.all.Store(new([]string))
	return t
}

// hash is a part of the sum that is random already; the index in a shard uses
// other bits of it than the choice of the shard.
func (sum *tokenSum) hash() uint64 { return binary.LittleEndian.Uint64(sum[:8]) }

func (t *verifiedTokens) shard(hash uint64) *verifiedShard {
	return &t.shards[hash>>20%verifiedShards]
}

// find returns the slot of a token, 0 if there is none. The caller holds the lock.
func (s *verifiedShard) find(sum *tokenSum) uint32 {
	return s.index.Find(sum.hash(), func(slot uint32) bool { return s.tokens.At(slot).sum == *sum })
}

func (s *verifiedShard) hashAt(slot uint32) uint64 { return s.tokens.At(slot).sum.hash() }

// get returns a token that was added.
func (t *verifiedTokens) get(sum tokenSum) (c knownToken, ok bool) {
	shard := t.shard(sum.hash())
	shard.RLock()
	defer shard.RUnlock()
	slot := shard.find(&sum)
	if slot == 0 {
		return c, false
	}
	e := shard.tokens.At(slot)
	// One string for all three.
	all := string(e.texts[:e.unionID])
	c.User.OpenID, c.User.SessionID, c.User.UnionID = all[:e.openID], all[e.openID:e.sessionID], all[e.sessionID:]
	names := *t.names.all.Load()
	c.User.AppID, c.KeyID = names[e.account], names[e.key]
	c.IssuedAt, c.Expires = time.Unix(e.issued, 0), time.Unix(e.expires, 0)
	c.Browser = e.browser
	c.sum, c.hint = sum, e.session
	return c, true
}

// remember keeps where the store found the session of a token.
func (t *verifiedTokens) remember(sum tokenSum, hint session.Hint) {
	shard := t.shard(sum.hash())
	shard.Lock()
	defer shard.Unlock()
	if slot := shard.find(&sum); slot != 0 {
		shard.tokens.At(slot).session = hint
	}
}

// add remembers a token's claims, unless they are unusually long.
func (t *verifiedTokens) add(sum tokenSum, c token.Claims) {
	e := verifiedToken{sum: sum, issued: c.IssuedAt.Unix(), expires: c.Expires.Unix(), browser: c.Browser}
	var ok bool
	if e.account, ok = t.names.number(c.User.AppID); !ok {
		return
	}
	if e.key, ok = t.names.number(c.KeyID); !ok {
		return
	}
	if len(c.User.OpenID)+len(c.User.SessionID)+len(c.User.UnionID) > shortTexts {
		return
	}
	end := uint8(0)
	put := func(text string) uint8 {
		end += uint8(copy(e.texts[end:], text)) //nolint:gosec // at most shortTexts
		return end
	}
	e.openID, e.sessionID, e.unionID = put(c.User.OpenID), put(c.User.SessionID), put(c.User.UnionID)
	shard := t.shard(sum.hash())
	shard.Lock()
	defer shard.Unlock()
	if shard.find(&sum) == 0 {
		slot := shard.room()
		*shard.tokens.At(slot) = e
		shard.index.Add(sum.hash(), slot, shard.hashAt)
	}
}

// room returns a slot for one more token: that of the oldest if the shard is
// full. Slots are taken in order, so their numbers say which is the oldest.
func (s *verifiedShard) room() uint32 {
	const full = maxVerified / verifiedShards
	if s.index.Len() < full {
		return s.tokens.Take()
	}
	s.oldest = s.oldest%full + 1
	s.index.Remove(s.hashAt(s.oldest), s.oldest, s.hashAt)
	return s.oldest
}

// count is how many tokens are remembered.
func (t *verifiedTokens) count() (n int) {
	for i := range t.shards {
		shard := &t.shards[i]
		shard.RLock()
		n += shard.index.Len()
		shard.RUnlock()
	}
	return n
}

// interned numbers the few names that all tokens share: of apps and keys.
type interned struct {
	mu  sync.Mutex
	all atomic.Pointer[[]string]
}

// number returns the number of a name; false if there have been too many.
func (n *interned) number(name string) (uint16, bool) {
	all := *n.all.Load()
	if i := slices.Index(all, name); i >= 0 {
		return uint16(i), true //nolint:gosec // see below
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	all = *n.all.Load()
	if i := slices.Index(all, name); i >= 0 {
		return uint16(i), true //nolint:gosec // see below
	}
	if len(all) > math.MaxUint16 {
		return 0, false
	}
	grown := append(slices.Clip(all), name)
	n.all.Store(&grown)
	return uint16(len(all)), true //nolint:gosec // see above
}
