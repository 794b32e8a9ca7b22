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
func (e *examination) checkStore(ctx context.Context) []doctor.Finding {
	one := func(f doctor.Finding) []doctor.Finding { return []doctor.Finding{f} }
	switch {
	case e.storeError != nil:
		return one(doctor.Failf(checkStore, "", storeAction, "%v", e.storeError))
	case e.app == nil || e.app.store == nil:
		return one(doctor.Skipf(checkStore, "", "not tested, because the configuration does not load"))
	}
	name := e.app.store.CaddyModule().ID.Name()
	p, ok := e.app.store.(prober)
	if !ok {
		return one(doctor.Skipf(checkStore, name, "this store has no test"))
	}
	if err := p.probe(ctx, e.storage); err != nil {
		return one(doctor.Failf(checkStore, name, storeAction, "%v", err))
	}
	return one(doctor.OKf(checkStore, name, "it can be reached and written to"))
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
func (e *examination) checkKeys(ctx context.Context) []doctor.Finding {
	one := func(f doctor.Finding) []doctor.Finding { return []doctor.Finding{f} }
	configured := len(e.settings.SigningKeys) > 0
	switch {
	case e.keysError != nil:
		return one(doctor.Failf(checkKeys, "", "correct what the message names", "%v", e.keysError))
	case configured && (e.app == nil || e.app.keys == nil):
		return one(doctor.Skipf(checkKeys, "", "not tested, because the configuration does not load"))
	case configured:
		ring := e.app.keys.Current()
		return one(doctor.OKf(checkKeys, "", "%s by signing_key; %s signs", count(len(ring.IDs()), "key"), ring.Signer().ID()))
	case e.storage == nil:
		return one(doctor.Skipf(checkKeys, "", "not tested, because Caddy's storage cannot be opened"))
	}
	keys, err := keyring.Describe(ctx, e.storage)
	findings := describeKeys(keys, err, time.Duration(e.settings.KeyRotation), time.Now())
	if name, mode, err := permissions(e.storage, keyring.StorageKey); err == nil && mode&0o070 != 0 {
		findings = append(findings, doctor.Warnf(checkKeys, name, "chmod 600 it, unless only the gateway's user is in the group, as with fsGroup of Kubernetes",
			"its mode is %04o, so its group can read the signing keys", mode))
	}
	return findings
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
