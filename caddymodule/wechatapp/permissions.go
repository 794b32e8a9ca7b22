package wechatapp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// StorageTime bounds a look into storage at start and stop.
const StorageTime = 30 * time.Second

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
