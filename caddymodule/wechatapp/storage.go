package wechatapp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

const (
	// storageProbeKey is written and deleted again while the gateway runs.
	storageProbeKey = "wechat/storage.probe"
	// storageProbeInterval is how often, storageProbeTime how long one may take.
	storageProbeInterval = 15 * time.Second
	storageProbeTime     = 10 * time.Second
	// storageProbeBytes do not fit into what a full disk has left in a file's entry.
	storageProbeBytes = 16 << 10
)

var errStorageHangs = errors.New("writing to Caddy's storage does not come to an end")

// storageWatch finds out whether Caddy's storage can be written to. Without it a
// full or read-only one shows when sessions are to be kept at a stop, and then
// they are lost.
type storageWatch struct {
	storage certmagic.Storage
	logger  *zap.Logger
	probing sync.Mutex

	mu    sync.Mutex
	since time.Time // of the probe that is under way
	err   error
}

// watch probes until ctx ends. It runs in a goroutine of its own, because a storage
// on a network may hang.
func (s *storageWatch) watch(ctx context.Context) {
	ticker := time.NewTicker(storageProbeInterval)
	defer ticker.Stop()
	for {
		s.probe(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *storageWatch) probe(ctx context.Context) {
	s.probing.Lock() // one at a time, so that each change is told once
	defer s.probing.Unlock()
	s.set(time.Now(), s.state())
	probing, cancel := context.WithTimeout(ctx, storageProbeTime)
	defer cancel()
	before, err := s.state(), writeProbe(probing, s.storage)
	if ctx.Err() != nil {
		return // the configuration was replaced, and the storage perhaps closed
	}
	s.set(time.Time{}, err)
	switch {
	case err != nil && before == nil:
		s.logger.Error("Caddy's storage cannot be written to; sessions and new keys would be lost at a stop", zap.Error(err))
	case err == nil && before != nil:
		s.logger.Info("Caddy's storage can be written to again")
	}
}

func (s *storageWatch) set(since time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.err = since, err
}

// state is nil while the storage is well, or is not needed.
func (s *storageWatch) state() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.since.IsZero() && time.Since(s.since) > 2*storageProbeTime {
		return errStorageHangs
	}
	return s.err
}

// writeProbe writes something and deletes it again. Other gateways may do so at the
// same time.
func writeProbe(ctx context.Context, storage certmagic.Storage) error {
	if err := storage.Store(ctx, storageProbeKey, make([]byte, storageProbeBytes)); err != nil {
		return fmt.Errorf("writing to Caddy's storage: %w", err)
	}
	if err := storage.Delete(ctx, storageProbeKey); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting from Caddy's storage: %w", err)
	}
	return nil
}
