package auth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// Who told the server to wait for bodies as long as it takes still gets that, whatever
// keepWriters needs: also with a rate, which counts for nothing there.
func TestWritersAreKeptWithoutATimeout(t *testing.T) {
	off, minute := caddy.Duration(-time.Second), caddy.Duration(time.Minute)
	for name, tc := range map[string]struct {
		server *caddyhttp.Server
		kept   bool // as the operator wrote it
	}{
		"both off":           {&caddyhttp.Server{ReadIdleTimeout: off, WriteIdleTimeout: off}, false},
		"both off, a rate":   {&caddyhttp.Server{ReadIdleTimeout: off, ReadMinRate: 1 << 40, WriteIdleTimeout: off}, false},
		"reads only":         {&caddyhttp.Server{ReadIdleTimeout: off, WriteIdleTimeout: minute}, true},
		"writes only":        {&caddyhttp.Server{ReadIdleTimeout: minute, WriteIdleTimeout: off}, true},
		"Caddy's own":        {&caddyhttp.Server{}, true},
		"reads off, default": {&caddyhttp.Server{ReadIdleTimeout: off}, true},
	} {
		server := tc.server
		read, write := server.ReadIdleTimeout, server.WriteIdleTimeout
		keepWriters(caddy.Context{Context: context.WithValue(t.Context(), caddyhttp.ServerCtxKey, server)})
		if kept := server.ReadIdleTimeout == read; kept != tc.kept || server.WriteIdleTimeout != write {
			t.Errorf("%s: %v and %v", name, server.ReadIdleTimeout, server.WriteIdleTimeout)
		}
		if tc.kept {
			continue
		}
		// As Caddy's server wraps a body with it, on a client that is slower than any.
		synctest.Test(t, func(t *testing.T) {
			body, client := io.Pipe()
			conn := &deadlined{ResponseRecorder: httptest.NewRecorder()}
			reader := &caddyhttp.IdleTimeoutReader{
				ReadCloser: body, Ctrl: http.NewResponseController(conn), Logger: zap.NewNop(),
				Deadline: caddyhttp.IdleDeadline{Start: time.Now(), Timeout: time.Duration(server.ReadIdleTimeout), MinRate: server.ReadMinRate},
			}
			go func() {
				for range 30 {
					time.Sleep(24 * time.Hour)
					if !conn.read.IsZero() && !time.Now().Before(conn.read) {
						client.CloseWithError(errors.New("timed out"))
						return
					}
					_, _ = client.Write([]byte("x"))
				}
				client.Close()
			}()
			data, err := io.ReadAll(reader)
			if err != nil || string(data) != strings.Repeat("x", 30) {
				t.Errorf("%s: a byte a day for a month: %q, %v", name, data, err)
			}
		})
	}
}

// deadlined remembers the deadline that was set for reads.
type deadlined struct {
	*httptest.ResponseRecorder
	read time.Time
}

func (d *deadlined) SetReadDeadline(deadline time.Time) error {
	d.read = deadline
	return nil
}
