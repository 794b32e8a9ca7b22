package caddymodule_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"
)

func init() { caddy.RegisterModule(smallDisk{}) }

// diskFull says whether the small disk has room for bytes.
var diskFull atomic.Bool

// smallDisk is storage on a disk that may be full: it takes new files and no more bytes.
type smallDisk struct {
	Root string `json:"root"`
}

func (smallDisk) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.small_disk", New: func() caddy.Module { return new(smallDisk) }}
}

func (s *smallDisk) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&s.Root) {
		return d.ArgErr()
	}
	return nil
}

func (s *smallDisk) CertMagicStorage() (certmagic.Storage, error) {
	return fullStorage{&certmagic.FileStorage{Path: s.Root}}, nil
}

type fullStorage struct{ *certmagic.FileStorage }

func (s fullStorage) Store(ctx context.Context, key string, value []byte) error {
	if diskFull.Load() && len(value) > 0 {
		return syscall.ENOSPC
	}
	return s.FileStorage.Store(ctx, key, value)
}

// A disk that is full takes new files and no more bytes. That shows before the stop.
func TestStorageThatIsFullShows(t *testing.T) {
	g := newGateway(t, withAdmin, func(g *gatewayTest) { g.storageModule = "small_disk" })
	t.Cleanup(func() { diskFull.Store(false) })
	app := activeApp(t)
	see := func(up, text string) {
		t.Helper()
		app.ProbeStorage(t.Context())
		if _, body := g.operate(http.MethodGet, "/wechat/ready", ""); !strings.Contains(body, text) {
			t.Errorf("ready: %s, want %s", body, text)
		}
		if got := g.metric("caddy_wechat_auth_storage_up"); got != up {
			t.Errorf("storage_up is %q, want %q", got, up)
		}
	}
	see("1", `"storage":"ok"`)
	diskFull.Store(true)
	see("0", syscall.ENOSPC.Error())
	diskFull.Store(false)
	see("1", `"storage":"ok"`)
}
