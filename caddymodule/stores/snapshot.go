package stores

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/seal"
)

const (
	snapshotKey = "wechat/sessions.snapshot"
	// damagedKey is where a snapshot goes that cannot be read.
	damagedKey  = "wechat/sessions.snapshot.damaged"
	snapshotUse = "session snapshot"
	// manySessions are worth to give memory back for.
	manySessions = 10_000
)

// saveSnapshot writes the sessions to storage, encrypted, unless another store has begun
// there meanwhile.
func (m *MemoryStore) saveSnapshot() {
	m.store.kept.mu.Lock()
	defer m.store.kept.mu.Unlock()
	starts := m.store.kept.starts.Load()
	ctx, cancel := context.WithTimeout(context.Background(), wechatapp.StorageTime)
	defer cancel()
	err := func() error {
		if m.key != memoryKey() { // storage may have had no room for who has begun
			return errOutOfDate
		}
		if err := m.store.stillOwns(ctx, m.env.Storage); err != nil {
			return err
		}
		m.store.Freeze() // the admin endpoint is still there, and must not end what comes back
		data, err := m.store.Snapshot()
		if err != nil {
			return err
		}
		box, err := seal.New(m.env.Key(snapshotUse))
		if err != nil {
			return err
		}
		if err := m.env.Storage.Store(ctx, snapshotKey, m.store.label(box.Seal(data, snapshotUse))); err != nil {
			return fmt.Errorf("writing to storage: %w", err)
		}
		m.store.kept.own = starts + 1
		return nil
	}()
	switch {
	case errors.Is(err, errOutOfDate):
		m.env.Logger.Info("sessions are not kept; their users log in again", zap.Error(err))
		return
	case err != nil:
		m.env.Logger.Error("sessions cannot be kept for the next start; their users log in again", zap.Error(err))
		return
	}
	sessions, _ := m.store.Len()
	m.env.Logger.Info("sessions kept for the next start", zap.Int("sessions", sessions))
}

// restoreSnapshot reads what saveSnapshot wrote, once: it is removed from storage before any
// of it counts, so that no session which ends from now on ever comes back.
func (m *MemoryStore) restoreSnapshot() {
	ctx, cancel := context.WithTimeout(context.Background(), wechatapp.StorageTime)
	defer cancel()
	sealed, err := m.store.takeOwnership(ctx, m.env.Storage)
	switch {
	case errors.Is(err, errOutOfDate):
		m.env.Logger.Info("kept sessions do not count; their users log in again", zap.Error(err))
		return
	case err != nil:
		m.env.Logger.Error("kept sessions cannot be read; their users log in again", zap.Error(err))
		return
	case sealed == nil:
		return
	}
	restored, err := m.restore(sealed)
	if err != nil {
		m.env.Logger.Warn("kept sessions cannot be read and are set aside; their users log in again",
			zap.String("storage_key", damagedKey), zap.Error(err))
		if err := m.env.Storage.Store(ctx, damagedKey, sealed); err != nil {
			m.env.Logger.Warn("setting kept sessions aside failed", zap.Error(err))
		}
		return
	}
	m.env.Logger.Info("sessions taken back", zap.Int("sessions", restored))
	if restored >= manySessions {
		debug.FreeOSMemory() // reading them took a multiple of what they take
	}
}

func (m *MemoryStore) restore(sealed []byte) (int, error) {
	box, err := seal.New(m.env.Key(snapshotUse))
	if err != nil {
		return 0, err
	}
	data, err := box.Open(sealed, snapshotUse)
	if err != nil {
		return 0, err
	}
	return m.store.Restore(data)
}

func (m *MemoryStore) dropSnapshot() {
	m.store.kept.mu.Lock()
	defer m.store.kept.mu.Unlock()
	if m.store.kept.own == m.store.kept.starts.Load()+1 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), wechatapp.StorageTime)
	defer cancel()
	if !m.env.Storage.Exists(ctx, snapshotKey) {
		return
	}
	if err := m.env.Storage.Delete(ctx, snapshotKey); err != nil {
		m.env.Logger.Warn("a snapshot of another process cannot be removed", zap.Error(err))
	}
}
