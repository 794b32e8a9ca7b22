package stores

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/session/redis"
)

// redisLinger is how long a store goes on after its configuration: Caddy does not
// wait for the requests that are on their way when it replaces a configuration, and
// they are looked up, log in and log out by the old one. With the same settings
// the next configuration has the same store.
const redisLinger = 5 * time.Minute

// pooledRedis is a connected store.
type pooledRedis struct{ *redis.Store }

func (p pooledRedis) Destruct() error { return p.Close() }

// pooledKnown is what this process has seen of one Redis; it survives reloads that
// do not change where that is.
type pooledKnown struct{ *redis.Known }

func (pooledKnown) Destruct() error { return nil }

// acquire returns the store with these options.
func (s *RedisStore) acquire(options redis.Options) (*redis.Store, error) {
	key := fmt.Sprintf("redis known %q %q %d %q %x", options.Addresses, options.SentinelMaster, options.DB, options.KeyPrefix, options.NameKey)
	known, _, err := opened.LoadOrNew(key, func() (caddy.Destructor, error) { return pooledKnown{redis.NewKnown()}, nil })
	if err != nil {
		return nil, err
	}
	s.pooled = append(s.pooled, key)
	options.Known = known.(pooledKnown).Known
	if key, err = s.poolKey(options); err != nil {
		return nil, err
	}
	store, _, err := opened.LoadOrNew(key, func() (caddy.Destructor, error) {
		store, err := redis.New(options)
		return pooledRedis{store}, err
	})
	if err != nil {
		return nil, err
	}
	s.pooled = append(s.pooled, key)
	return store.(pooledRedis).Store, nil
}

// poolKey names all that makes one store another, by a hash.
func (s *RedisStore) poolKey(options redis.Options) (string, error) {
	settings, err := json.Marshal(s) //nolint:gosec // it is hashed
	if err != nil {
		return "", fmt.Errorf("encoding settings: %w", err)
	}
	hash := sha256.New()
	for _, part := range [][]byte{settings, []byte(options.Password.Reveal()), options.NameKey, options.ValueKey, s.TLS.authorities()} {
		hash.Write(fmt.Appendf(nil, "%d:", len(part)))
		hash.Write(part)
	}
	return "redis store " + hex.EncodeToString(hash.Sum(nil)), nil
}

// authorities is what the file has that the certificates are checked with; a file
// that cannot be read has been refused before.
func (t *RedisTLS) authorities() []byte {
	if t == nil || t.CA == "" {
		return nil
	}
	pem, _ := os.ReadFile(t.CA)
	return pem
}

// Cleanup releases the store, also after Open stopped half-way.
func (s *RedisStore) Cleanup() error {
	release := func() (err error) {
		for _, key := range s.pooled {
			_, released := opened.Delete(key)
			err = errors.Join(err, released)
		}
		return err
	}
	s.undoTakeover()
	if caddy.Exiting() || s.store == nil {
		return release()
	}
	time.AfterFunc(redisLinger, func() { _ = release() })
	return nil
}

// undoTakeover lets the memory of the configuration before count again if that one goes
// on.
func (s *RedisStore) undoTakeover() {
	ctx, cancel := context.WithTimeout(context.Background(), wechatapp.StorageTime)
	defer cancel()
	if err := s.takeover.undo(ctx, s.env.Storage); err != nil {
		s.env.Logger.Warn("storage cannot be told that sessions are in memory still; they will not be kept at the next stop", zap.Error(err))
	}
}

// warnUntracked says once that Redis does not tell what changed.
func (s *RedisStore) warnUntracked() {
	if reason := s.store.Untracked(); reason != nil && !s.warned {
		s.warned = true
		s.env.Logger.Warn("this Redis does not tell what changed, so sessions are looked up about once a second each; `client_cache off` in store redis says that it is meant so",
			zap.Error(reason))
	}
}
