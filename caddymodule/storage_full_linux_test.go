package caddymodule_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that is full takes new files and no more bytes. That shows before the stop.
func TestStorageThatIsFullShows(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	g := newGateway(t, withAdmin, func(g *gatewayTest) {
		g.storage = disk
		// After the gateway, whose stop writes there.
		t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	})
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
	filler, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 512); err == nil; {
		_, err = filler.Write(block)
	}
	filler.Close()
	see("0", `no space left on device`)
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	see("1", `"storage":"ok"`)
}
