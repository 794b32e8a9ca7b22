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

	"github.com/caddy-wechat/gateway/internal/provider/wechat/wechattest"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
)

func init() { caddy.RegisterModule(smallDisk{}) }

// diskFull says whether the small disk has room for bytes, ownerFull whether it has for
// the name of a store that begins.
var diskFull, ownerFull atomic.Bool

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
	if (diskFull.Load() || ownerFull.Load() && key == "wechat/sessions.owner") && len(value) > 0 {
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

// F5: the disk is full at the moment at which another store begins, so that storage does
// not tell what memory held is out of date. It must not count later all the same.
func TestF5AnotherStoreThatBeginsOnAFullDisk(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv("WECHAT_TEST_REDIS", redistest.Password)
	t.Cleanup(func() { ownerFull.Store(false) })
	inMemory := "signing_key " + testKey
	for name, stop := range map[string]bool{"stop and start": true, "reload": false} {
		for _, next := range []string{redisGlobal(server, ""), inMemory} {
			if next == inMemory && !stop {
				continue // the same store goes on
			}
			t.Run(name, func(t *testing.T) {
				g := newGateway(t, withGlobal(inMemory), withAdmin, func(g *gatewayTest) { g.storageModule = "small_disk" })
				live, denied := g.login(userA), g.login(wechattest.User{OpenID: openIDB})
				ownerFull.Store(true)
				g.use(next, stop)
				ownerFull.Store(false)
				if status, body := g.operate(http.MethodPost, "/wechat/users/deny",
					`{"appid":"`+testApp+`","openid":"`+openIDB+`","until":"2999-01-01T00:00:00Z"}`); status != http.StatusOK {
					t.Fatalf("deny: %d %s", status, body)
				}
				g.use(inMemory, stop)
				g.wantToken(live, "session_ended", http.StatusUnauthorized)
				g.wantToken(denied, "session_ended", http.StatusUnauthorized)
			})
		}
	}
}
