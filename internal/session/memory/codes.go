package memory

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/bounded"
	"github.com/caddy-wechat/gateway/internal/session"
)

// maxCodes bounds the codes remembered for one app, to about 20 MiB. WeChat
// itself refuses a code that fell out of the table and comes again.
const maxCodes = 1 << 16

// codes implements [session.Once].
type codes struct {
	began    time.Time
	mu       sync.RWMutex
	accounts map[string]*bounded.Table[*code]
}

type code struct {
	mu      sync.Mutex
	settled time.Time // zero while pending
	reply   *session.Reply
}

func newCodes() *codes {
	// Tickets say in milliseconds when they were made.
	return &codes{began: time.Now().Truncate(time.Millisecond), accounts: make(map[string]*bounded.Table[*code])}
}

func (c *codes) table(appID string) *bounded.Table[*code] {
	c.mu.RLock()
	table := c.accounts[appID]
	c.mu.RUnlock()
	if table != nil {
		return table
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accounts[appID] == nil {
		c.accounts[appID] = bounded.New[*code](maxCodes, session.CodeLifetime)
	}
	return c.accounts[appID]
}

// ClaimCode implements [session.Once].
func (c *codes) ClaimCode(_ context.Context, key session.CodeKey) (session.Claim, *session.Reply, error) {
	entry, added := c.table(key.AppID).GetOrAdd(string(key.Hash[:]), func() *code { return new(code) })
	if added {
		return session.ClaimGranted, nil, nil
	}
	claim, reply := entry.claim()
	return claim, reply, nil
}

// PeekCode implements [session.Once].
func (c *codes) PeekCode(_ context.Context, key session.CodeKey) (session.Claim, *session.Reply, error) {
	entry, found := c.table(key.AppID).Get(string(key.Hash[:]))
	if !found {
		return session.ClaimGranted, nil, nil
	}
	claim, reply := entry.claim()
	return claim, reply, nil
}

// claim tells how far the login is that claimed the code.
func (e *code) claim() (session.Claim, *session.Reply) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.settled.IsZero() {
		return session.ClaimPending, nil
	}
	if e.reply != nil && time.Since(e.settled) >= e.reply.Kept() {
		e.reply = nil
	}
	return session.ClaimSettled, e.reply
}

// SettleCode implements [session.Once].
func (c *codes) SettleCode(_ context.Context, key session.CodeKey, reply session.Reply) error {
	table := c.table(key.AppID)
	entry, _ := table.GetOrAdd(string(key.Hash[:]), func() *code { return new(code) })
	// Its end is counted from now on, however long the exchange took.
	table.Extend(string(key.Hash[:]), session.CodeLifetime)
	entry.mu.Lock()
	defer entry.mu.Unlock()
	entry.settled = time.Now()
	if reply.Nonce != "" {
		entry.reply = &reply
	}
	return nil
}

// ReleaseCode implements [session.Once].
func (c *codes) ReleaseCode(_ context.Context, key session.CodeKey) error {
	c.table(key.AppID).Delete(string(key.Hash[:]))
	return nil
}

// ClaimsSince implements [session.Once]: no snapshot has codes, and a table that is full
// forgets the oldest.
func (c *codes) ClaimsSince(appID string) time.Time {
	if full := c.table(appID).CompleteSince(); full.After(c.began) {
		return full
	}
	return c.began
}
