package wechatapp

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/keyring"
)

// prober is a store that can find out whether it can be written to.
type prober interface {
	probe(ctx context.Context, storage certmagic.Storage) error
}

// checkStore finds out whether sessions can be kept.
func (i *inspection) checkStore(ctx context.Context) doctor.Finding {
	f := doctor.Finding{Check: checkStore, Status: doctor.Fail}
	switch {
	case i.storeError != nil:
		f.Message, f.Action = i.storeError.Error(), storeAction
		return f
	case i.app == nil || i.app.store == nil:
		f.Status, f.Message = doctor.Skip, "not tested, because the configuration does not load"
		return f
	}
	f.Subject = i.app.store.CaddyModule().ID.Name()
	p, ok := i.app.store.(prober)
	if !ok {
		f.Status, f.Message = doctor.Skip, "this store has no test"
		return f
	}
	err := p.probe(ctx, i.storage)
	switch {
	case err != nil:
		f.Message, f.Action = err.Error(), storeAction
	default:
		f.Status, f.Message = doctor.OK, "it can be reached and written to"
	}
	return f
}

const storeAction = "see that the server or folder exists, that this machine and user may write to it, and that user and password are right"

// probe connects and writes.
func (s *RedisStore) probe(ctx context.Context, _ certmagic.Storage) error {
	if err := s.store.Connect(ctx); err != nil {
		return fmt.Errorf("cannot be used: %w", err)
	}
	return nil
}

const probeKey = "wechat/doctor.probe"

// probe writes to Caddy's storage, where sessions are kept over a restart, and
// takes it away again.
func (m *MemoryStore) probe(ctx context.Context, storage certmagic.Storage) (err error) {
	ctx, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
	if files, ok := storage.(*certmagic.FileStorage); ok {
		folder := filepath.Dir(files.Filename(probeKey))
		defer removeEmpty(folder, nearest(folder))
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

// nearest is the folder itself or the closest one above it that exists.
func nearest(folder string) string {
	for {
		if _, err := os.Stat(folder); err == nil || filepath.Dir(folder) == folder {
			return folder
		}
		folder = filepath.Dir(folder)
	}
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

// checkKeys says which keys there are.
func (i *inspection) checkKeys(ctx context.Context, settings *App) []doctor.Finding {
	f := doctor.Finding{Check: checkKeys, Status: doctor.OK}
	switch {
	case i.keysError != nil:
		f.Status, f.Message, f.Action = doctor.Fail, i.keysError.Error(), "correct what the message names"
	case len(settings.SigningKeys) > 0 && (i.app == nil || i.app.keys == nil):
		f.Status, f.Message = doctor.Skip, "not tested, because the configuration does not load"
	case len(settings.SigningKeys) > 0:
		ring := i.app.keys.Current()
		f.Message = fmt.Sprintf("%s by signing_key; %s signs", count(len(ring.IDs()), "key"), ring.Signer().ID())
	case i.storage == nil:
		f.Status, f.Message = doctor.Skip, "not tested, because Caddy's storage cannot be opened"
	default:
		keys, err := keyring.Describe(ctx, i.storage)
		findings := describeKeys(keys, err, time.Duration(settings.KeyRotation), time.Now())
		if name, mode, err := permissions(i.storage, keyring.StorageKey); err == nil && mode&0o070 != 0 {
			findings = append(findings, doctor.Finding{
				Check: checkKeys, Subject: name, Status: doctor.Warn, Message: fmt.Sprintf("its mode is %04o, so its group can read the signing keys", mode),
				Action: "chmod 600 it, unless only the gateway's user is in the group, as with fsGroup of Kubernetes",
			})
		}
		return findings
	}
	return []doctor.Finding{f}
}

// describeKeys is about keys in Caddy's storage.
func describeKeys(keys []keyring.KeyInfo, err error, rotation time.Duration, now time.Time) []doctor.Finding {
	f := doctor.Finding{Check: checkKeys, Status: doctor.OK}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Status, f.Message = doctor.Warn, "there are no keys in Caddy's storage yet; the first start makes one"
		f.Action = "if the gateway has run before, run this command as the user and with the environment of the service"
		return []doctor.Finding{f}
	case err != nil:
		f.Status, f.Message = doctor.Fail, err.Error()
		f.Action = "restore the file from a backup, or let the service's user read it; without it every session ends"
		return []doctor.Finding{f}
	}
	for _, key := range keys {
		if !key.Signing {
			continue
		}
		age := now.Sub(key.Signs)
		f.Message = fmt.Sprintf("%s in Caddy's storage; %s signs, made %s ago", count(len(keys), "key"), key.ID, days(now.Sub(key.Made)))
		if rotation > 0 && age > 2*rotation {
			f.Status = doctor.Warn
			f.Message += fmt.Sprintf(", although key_rotation is %s", days(rotation))
			f.Action = "see that the gateway runs, with this storage, and may write to it; its log says why a key cannot be replaced"
		}
	}
	return []doctor.Finding{f}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// days rounds a duration to what people say.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
