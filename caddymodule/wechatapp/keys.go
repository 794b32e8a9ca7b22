package wechatapp

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
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
