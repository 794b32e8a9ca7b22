package stores

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
)

const probeKey = "wechat/doctor.probe"

// Probe writes to Caddy's storage, where sessions are kept over a restart, and
// takes it away again.
func (m *MemoryStore) Probe(ctx context.Context) (err error) {
	storage := m.env.Storage
	ctx, cancel := context.WithTimeout(ctx, wechatapp.StorageTime)
	defer cancel()
	if files, ok := storage.(*certmagic.FileStorage); ok {
		folder := filepath.Dir(files.Filename(probeKey))
		defer removeEmpty(folder, wechatapp.NearestFolder(folder))
	}
	value := []byte(rand.Text())
	if err := storage.Store(ctx, probeKey, value); err != nil {
		return fmt.Errorf("writing to Caddy's storage: %w", err)
	}
	defer func() {
		if deleteErr := storage.Delete(ctx, probeKey); deleteErr != nil && err == nil {
			err = fmt.Errorf("deleting from Caddy's storage: %w", deleteErr)
		}
	}()
	switch read, err := storage.Load(ctx, probeKey); {
	case err != nil:
		return fmt.Errorf("reading from Caddy's storage: %w", err)
	case !bytes.Equal(read, value):
		return errors.New("reading from Caddy's storage: it is not what was written")
	}
	return nil
}

// removeEmpty removes the folders that the probe made, up to the one that was
// there before.
func removeEmpty(folder, existing string) {
	for folder != existing && len(folder) > len(existing) {
		if os.Remove(folder) != nil {
			return
		}
		folder = filepath.Dir(folder)
	}
}
