package wechatapp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// StorageTime bounds a look into storage at start and stop.
const StorageTime = 30 * time.Second

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

// newStorageWatch returns nil if nothing is ever written to the storage.
func (a *App) newStorageWatch() *storageWatch {
	if !a.store.KeepsInStorage() && len(a.SigningKeys) > 0 {
		return nil
	}
	return &storageWatch{storage: a.ctx.Storage(), logger: a.logger}
}

// checkPermissions refuses keys that every user of the machine can read, and warns
// of those that a group can: Kubernetes gives a volume's files to a group at every
// mount (`fsGroup`).
func checkPermissions(storage certmagic.Storage, key string, logger *zap.Logger) error {
	name, mode, err := Permissions(storage, key)
	switch {
	case err != nil:
		return fmt.Errorf("signing keys: %w", err)
	case mode&0o007 != 0:
		return fmt.Errorf("signing keys: %s has mode %04o, so other users can read it; run: chmod 600 %s", name, mode, name)
	case mode&0o070 != 0:
		logger.Warn("the group of the file with the signing keys can read them; run chmod 600, unless only the gateway's user is in it, as with fsGroup of Kubernetes",
			zap.String("file", name), zap.String("mode", fmt.Sprintf("%04o", mode)))
	}
	return nil
}

// Permissions returns where a value of Caddy's storage is, and who may read it; a
// mode of 0 if there is none, or no such thing.
func Permissions(storage certmagic.Storage, key string) (name string, mode fs.FileMode, err error) {
	files, ok := storage.(*certmagic.FileStorage)
	if !ok || os.PathSeparator != '/' {
		return "", 0, nil
	}
	name = files.Filename(key)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return name, 0, nil
	} else if err != nil {
		return name, 0, err
	}
	return name, info.Mode().Perm(), nil
}

// NearestFolder is the folder itself or the closest one above it that exists.
func NearestFolder(folder string) string {
	for {
		if _, err := os.Stat(folder); err == nil || filepath.Dir(folder) == folder {
			return folder
		}
		folder = filepath.Dir(folder)
	}
}
