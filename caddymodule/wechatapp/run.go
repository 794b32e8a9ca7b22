package wechatapp

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/keyring"
)

// Start begins what goes on in the background.
func (a *App) Start() error {
	if err := a.prepared(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.ensureStarted()
	if a.keysError != nil {
		cancel()
		return fmt.Errorf("signing keys: %w", a.keysError)
	}
	endRunning, err := startWhileRunning()
	if err != nil {
		cancel()
		return err
	}
	undo := a.gateway.JudgeStreams()
	a.stop = func() { undo(); cancel(); endRunning() }
	a.keys.SetTokenLifetime(a.longestToken()) // every site is provisioned by now
	go a.refreshKeys(ctx)
	if a.storage != nil {
		go a.storage.watch(ctx)
	}
	return nil
}

// startStore starts the store: sessions of the process before come back. Caddy
// starts its apps in no particular order, so the first request may come before
// Start, and must not find nobody logged in; it calls [App.EnsureStarted].
func (a *App) startStore() {
	_ = a.prepared() // Start returns the error
	if inspectionOf(a.ctx) != nil {
		return // an inspection takes nothing out of storage
	}
	a.saveNewKeys()
	a.saveUserHashKey()
	a.store.Start()
	_ = a.keys.Exclude(a.state.drops.List()) // followDrops says if no key is left
	a.followDrops(a.ctx)
}

// Stop ends what Start began. Sessions stay: the next configuration takes them
// over.
func (a *App) Stop() error {
	a.stop()
	return nil
}

// Cleanup releases what Provision opened, also after it stopped half-way.
func (a *App) Cleanup() error {
	if a.client != nil {
		a.client.Close()
	}
	if a.hook != nil {
		a.hook.Close()
	}
	if a.state == nil {
		return nil
	}
	return releaseState()
}

// refreshKeys follows the changes that other nodes and rotation make to the
// keys in storage.
func (a *App) refreshKeys(ctx context.Context) {
	ticker := time.NewTicker(keyring.RefreshInterval)
	defer ticker.Stop()
	drops := time.NewTicker(dropInterval)
	defer drops.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			a.store.Tend()
			a.refreshNow(ctx)
			a.finishDrops(ctx)
		case <-drops.C:
			a.followDrops(ctx)
		}
	}
}

// dropInterval is how often a node looks for keys that operators dropped on
// another one; the store has them in memory.
const dropInterval = 250 * time.Millisecond
