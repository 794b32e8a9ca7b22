package wechatapp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/internal/assertion"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/keyring"
)

// openKeys returns the configured keys, or those in Caddy's storage.
func (a *App) openKeys() (*keyring.Ring, error) {
	if len(a.SigningKeys) == 0 {
		return a.openStored(keyring.StorageKey, time.Duration(a.KeyRotation), time.Duration(a.Session.MaxLifetime))
	}
	keys := make([]key.Key, len(a.SigningKeys))
	for i, text := range a.SigningKeys {
		plain, err := option.SigningKey.Resolve(text)
		if err == nil {
			keys[i], err = key.Parse(plain.Reveal())
		}
		if err != nil {
			return nil, fmt.Errorf("signing_key: number %d: %w%s", i+1, err, option.Position("signing_key", text))
		}
		option.SigningKey.WarnIfWrittenOut(a.logger, text)
	}
	ring, err := key.NewSet(keys...)
	if err != nil {
		return nil, fmt.Errorf("signing_key: %w", err)
	}
	fixed, err := keyring.Fixed(ring)
	if err != nil {
		return nil, err
	}
	if err := fixed.LoadUserHashKey(a.ctx, a.ctx.Storage()); err != nil {
		a.logger.Warn("users get other hashes in logs than before", zap.Error(err))
	}
	return fixed, nil
}

// openStored returns the keys in Caddy's storage.
func (a *App) openStored(key string, rotation, lifetime time.Duration) (*keyring.Ring, error) {
	ctx := a.ctx
	if err := checkPermissions(ctx.Storage(), key, a.logger); err != nil {
		return nil, err
	}
	ring, err := keyring.Prepare(ctx, ctx.Storage(), keyring.Settings{StorageKey: key, Rotation: rotation, TokenLifetime: lifetime})
	if errors.Is(err, keyring.ErrDamaged) {
		return nil, fmt.Errorf("signing keys: %w; restore it from a backup, or delete it, which ends every session", err)
	} else if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	return ring, nil
}

// saveNewKeys stores the keys that loading has made: a configuration that is only
// looked at, as by `caddy validate`, leaves storage as it was.
func (a *App) saveNewKeys() {
	ctx, cancel := context.WithTimeout(a.ctx, StorageTime)
	defer cancel()
	a.keysError = a.keys.Begin(ctx)
	if own := a.assertions.ring; own != nil {
		a.keysError = errors.Join(a.keysError, own.Begin(ctx))
	}
}

func (a *App) saveUserHashKey() {
	ctx, cancel := context.WithTimeout(a.ctx, StorageTime)
	defer cancel()
	if err := a.keys.KeepUserHashKey(ctx, a.ctx.Storage()); err != nil {
		a.logger.Warn("users get other hashes in logs when signing_key changes", zap.Error(err))
	}
}

func (a *App) refreshNow(ctx context.Context) {
	err := a.keys.Refresh(ctx)
	if own := a.assertions.ring; own != nil {
		err = errors.Join(err, own.Refresh(ctx))
	}
	if ctx.Err() != nil {
		return
	}
	a.health.keysRefreshed(err)
	if err != nil {
		a.logger.Error("signing keys cannot be refreshed; the known ones stay in use", zap.Error(err))
	}
}

// followDrops makes tokens of keys that operators dropped not count here.
func (a *App) followDrops(ctx context.Context) {
	dropped := a.store.Sessions().DroppedKeys()
	if slices.Equal(dropped, a.dropped) {
		return
	}
	a.dropped = dropped
	if err := a.keys.Exclude(dropped); err != nil && len(a.SigningKeys) > 0 {
		a.logger.Error("every signing_key of this configuration was dropped by an operator; add a new one", zap.Error(err))
	}
	a.refreshNow(ctx) // the node that dropped one may have made another
	a.logger.Info("signing keys dropped by an operator do not count", zap.Strings("kids", dropped))
}

// DropKey makes tokens of a signing key not count any more: here at once, and on every
// node. If they cannot be told, it can be tried again, and is every minute.
func (a *App) DropKey(ctx context.Context, id string) error {
	if a.state.drops.Has(id) {
		return a.announceDrop(ctx, id)
	}
	err := a.keys.Drop(ctx, id)
	if own := a.assertions.ring; errors.Is(err, keyring.ErrUnknownKey) && own != nil {
		return own.Drop(ctx, id) // the other nodes follow within a minute
	}
	if err != nil {
		return err
	}
	a.state.drops.Add(id)
	if err := a.keys.Exclude([]string{id}); err != nil {
		return err
	}
	return a.announceDrop(ctx, id)
}

func (a *App) announceDrop(ctx context.Context, id string) error {
	if err := a.store.Sessions().DropKey(ctx, id); err != nil {
		return fmt.Errorf("telling the other nodes: %w", err)
	}
	a.state.drops.Remove(id)
	return a.keys.Exclude(a.store.Sessions().DroppedKeys())
}

// finishDrops tries again to tell the other nodes of keys that were dropped here.
func (a *App) finishDrops(ctx context.Context) {
	for _, id := range a.state.drops.List() {
		if err := a.announceDrop(ctx, id); err != nil {
			return // the next time
		}
	}
}

// assertionLinger is how long a key stays published after it signed last.
const assertionLinger = time.Hour

// OpenAssertionKeys opens the keys when the first site wants them.
func (a *App) OpenAssertionKeys() error {
	k := a.assertions
	k.open.Do(func() {
		if len(a.SigningKeys) > 0 {
			k.derived = a.keys.Current
		} else {
			k.ring, k.err = a.openStored(keyring.AssertionKey, time.Duration(a.KeyRotation), assertionLinger)
		}
		if k.err == nil {
			_, k.err = k.load()
		}
	})
	if k.err != nil {
		return fmt.Errorf("assertion: %w", k.err)
	}
	return nil
}

// AssertionKeys returns the keys of the moment.
func (a *App) AssertionKeys() (*assertion.Keys, error) { return a.assertions.load() }
