package stores

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

func init() {
	caddy.RegisterModule(MemoryStore{})
}

// MemoryStore keeps sessions in this process. They survive every change of the
// configuration, and a graceful stop, at which they are written to Caddy's
// storage, encrypted. They are lost when the process is killed.
type MemoryStore struct {
	// How many sessions there can be, 1 to 2147483647. With one more, the oldest ends; its user
	// logs in again without noticing. A lower number counts a minute after a change of the
	// configuration. A session takes about 400 bytes.
	// Default: 1000000
	MaxSessions int `json:"max_sessions,omitempty"`

	env     wechatapp.StoreEnv
	store   pooledMemory
	key     string // of the store in the pool
	started bool
}

// CaddyModule returns the Caddy module information.
func (MemoryStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "wechat.stores.memory", New: func() caddy.Module { return new(MemoryStore) }}
}

// opened holds the stores of this process, which outlive a change of configuration.
// Nothing in it points to a logger, a context or a setting of the one that made it.
var opened = caddy.NewUsagePool()

const sweepInterval = time.Minute

// pooledMemory is the store of this process, and whether it has taken back what
// the process before it kept.
type pooledMemory struct {
	*memory.Store
	owner
	takenBack *sync.Once
	kept      *kept
}

// kept says whether the snapshot in storage is this store's own, and makes those wait
// for each other who write one and who remove one: a configuration that ends can still
// be about to look after its store.
type kept struct {
	starts atomic.Uint64 // of configurations; not under mu, which is held while storage is slow

	mu  sync.Mutex
	own uint64 // starts+1 when this store wrote the snapshot; 0: it has written none
}

func (p pooledMemory) Destruct() error { return p.Close() }

// Open opens the store, which is one for the whole process.
func (m *MemoryStore) Open(env wechatapp.StoreEnv) error {
	m.env = env
	option.SetDefault(&m.MaxSessions, memory.DefaultMaxSessions)
	if err := option.MaxSessionsBounds.Check("max_sessions", m.MaxSessions); err != nil {
		return err
	}
	key := memoryKey()
	value, _, err := opened.LoadOrNew(key, func() (caddy.Destructor, error) {
		return pooledMemory{memory.New(m.MaxSessions, sweepInterval), newOwner(), new(sync.Once), new(kept)}, nil
	})
	if err != nil {
		return fmt.Errorf("opening memory store: %w", err)
	}
	m.key = key
	m.store = value.(pooledMemory)
	return nil
}

// Cleanup releases the store. The last configuration to do so keeps the
// sessions for the next start: sites serve no request any more by then, and the
// admin endpoint changes nothing.
func (m *MemoryStore) Cleanup() error {
	if m.store.Store == nil {
		return nil
	}
	if refs, _ := opened.References(m.key); refs == 1 && m.started {
		m.saveSnapshot()
	}
	_, err := opened.Delete(m.key)
	return err
}

// Sessions implements [Store].
func (m *MemoryStore) Sessions() session.Backend { return m.store }

// Start raises the bound if need be. A lower one ends sessions, so it waits for Tend: a
// configuration that cannot start after all must not have ended any.
func (m *MemoryStore) Start() {
	m.started = true
	// Should the last configuration have ended while this one began.
	m.store.Thaw()
	m.store.kept.starts.Add(1) // the snapshot in storage is one of before
	m.store.RaiseMaxSessions(m.MaxSessions)
	m.store.takenBack.Do(m.restoreSnapshot)
}

// Tend applies the bound, and removes a snapshot that another process has written since:
// it is older than what is known here, and must not come back at the next start.
func (m *MemoryStore) Tend() {
	m.store.SetMaxSessions(m.MaxSessions)
	m.dropSnapshot()
}

// Grace implements [Store].
func (m *MemoryStore) Grace() time.Duration { return 0 }

// UnmarshalCaddyfile sets up the store from its line in the global option:
//
//	store memory {
//		max_sessions <number>
//	}
func (m *MemoryStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if err := option.NoArgument(d); err != nil {
		return err
	}
	once := make(option.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d); err != nil {
			return err
		}
		switch d.Val() {
		case "max_sessions":
			if err := option.Number(d, &m.MaxSessions, option.MaxSessionsBounds); err != nil {
				return err
			}
		default:
			return option.Unknown(d, "store memory", "max_sessions")
		}
	}
	return nil
}

// KeepsInStorage implements [Store].
func (m *MemoryStore) KeepsInStorage() bool { return true }

// Interface guards
var (
	_ caddy.CleanerUpper    = (*MemoryStore)(nil)
	_ caddyfile.Unmarshaler = (*MemoryStore)(nil)
	_ wechatapp.Store       = (*MemoryStore)(nil)
)
