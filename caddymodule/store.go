package caddymodule

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

func init() {
	caddy.RegisterModule(MemoryStore{})
}

// storeModule is a module of the namespace wechat.stores.
type storeModule interface {
	caddy.Module
	// sessions returns the open store; Provision opened it.
	sessions() session.Store
	// start is called when the configuration is taken into use.
	start()
	// grace is how old a token may be to pass while the store cannot tell.
	grace() time.Duration
}

func (a *App) openStore(ctx caddy.Context) error {
	if a.StoreRaw == nil {
		a.StoreRaw = json.RawMessage(`{"module":"memory"}`)
	}
	module, err := ctx.LoadModule(a, "StoreRaw")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	store, ok := module.(storeModule)
	if !ok {
		return fmt.Errorf("store: module %T is not a session store", module)
	}
	a.store = store
	return nil
}

// MemoryStore keeps sessions in this process. They survive every change of the
// configuration, and are lost when the process is killed.
type MemoryStore struct {
	// How many sessions there can be. With one more, the oldest ends; its user
	// logs in again without noticing. A session takes about 400 bytes.
	// Default: 1000000
	MaxSessions int `json:"max_sessions,omitempty"`

	store *memory.Store
}

// CaddyModule returns the Caddy module information.
func (MemoryStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "wechat.stores.memory", New: func() caddy.Module { return new(MemoryStore) }}
}

const (
	memoryKey     = "memory"
	sweepInterval = time.Minute
)

type pooledMemory struct{ *memory.Store }

func (p pooledMemory) Destruct() error { return p.Close() }

// Provision opens the store, which is one for the whole process.
func (m *MemoryStore) Provision(caddy.Context) error {
	setDefault(&m.MaxSessions, memory.DefaultMaxSessions)
	if m.MaxSessions < 1 {
		return fmt.Errorf("max_sessions: has to be at least 1%s", position("max_sessions", ""))
	}
	value, _, err := pool.LoadOrNew(memoryKey, func() (caddy.Destructor, error) {
		return pooledMemory{memory.New(m.MaxSessions, sweepInterval)}, nil
	})
	if err != nil {
		return fmt.Errorf("opening memory store: %w", err)
	}
	m.store = value.(pooledMemory).Store
	return nil
}

// Cleanup releases the store, also after Provision stopped half-way.
func (m *MemoryStore) Cleanup() error {
	if m.store == nil {
		return nil
	}
	_, err := pool.Delete(memoryKey)
	return err
}

func (m *MemoryStore) sessions() session.Store { return m.store }

// start applies the bound only now: a configuration that is refused after
// Provision must not end sessions.
func (m *MemoryStore) start() { m.store.SetMaxSessions(m.MaxSessions) }

func (m *MemoryStore) grace() time.Duration { return 0 }

// Interface guards
var (
	_ caddy.Provisioner  = (*MemoryStore)(nil)
	_ caddy.CleanerUpper = (*MemoryStore)(nil)
	_ storeModule        = (*MemoryStore)(nil)
)
