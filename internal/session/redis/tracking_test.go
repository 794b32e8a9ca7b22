package redis

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

// rented are servers as they are rented: something is always missing.
var rented = map[string][]string{
	"no CLIENT":           {"--rename-command", "CLIENT", ""},
	"no HELLO":            {"--rename-command", "HELLO", ""},
	"neither":             {"--rename-command", "CLIENT", "", "--rename-command", "HELLO", ""},
	"nor CLUSTER or INFO": {"--rename-command", "CLIENT", "", "--rename-command", "HELLO", "", "--rename-command", "CLUSTER", "", "--rename-command", "INFO", ""},
}

func TestRentedRedisKeepsTheContract(t *testing.T) {
	for name, args := range rented {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, args...)
			store := connect(t, options(server.Addr))
			reason := store.Untracked()
			store.Close() // it would restore below what one check ended and the next has flushed
			if reason == nil {
				t.Fatal("it is not found out")
			}
			for _, text := range []string{redistest.Password, "\n", "DisableCache"} {
				if strings.Contains(reason.Error(), text) {
					t.Errorf("%q is in the reason: %v", text, reason)
				}
			}
			if name != "neither" { // the others are as that one, once connected
				wantGet(t, connect(t, options(server.Addr)), mustPut(t, connect(t, options(server.Addr)), "session-00000000000001"), nil)
				return
			}
			for _, check := range sessiontest.Checks {
				t.Run(check.Name, func(t *testing.T) {
					server.Do("FLUSHALL")
					check.Run(t, connect(t, options(server.Addr)))
					wantExpiry(t, server)
				})
			}
		})
	}
}

// A check asks Redis once in a moment, and a logout still reaches the other node
// within a second.
func TestCopiesLiveForAMoment(t *testing.T) {
	server := redistest.Start(t)
	o := options(server.Addr)
	o.NoClientCache = true
	here, there := connect(t, o), connect(t, o)
	if reason := here.Untracked(); reason != nil {
		t.Errorf("nothing is to be found out: %v", reason)
	}
	ref := mustPut(t, here, "session-00000000000001")
	start := time.Now()
	wantGet(t, there, ref, nil)
	before := gets(server)
	for range 1000 {
		wantGet(t, there, ref, nil)
	}
	if after := gets(server); after != before && time.Since(start) < copyTime {
		t.Errorf("a thousand checks: GET was called %s times before and %s after", before, after)
	}
	if err := here.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	wantGet(t, here, ref, session.ErrNotFound)
	ended := time.Now()
	until(t, "the other node knows of the logout", func() bool {
		asked := time.Now()
		_, err := there.Get(t.Context(), sessiontest.Query(ref))
		if age := asked.Sub(ended); err == nil && age > copyTime {
			t.Errorf("a copy counts that is at least %s old", age)
		}
		return errors.Is(err, session.ErrNotFound)
	})
	wantGet(t, there, mustPut(t, here, "session-00000000000002"), nil) // a login is known at once
}

// A proxy that says yes to CLIENT TRACKING and passes no news on.
func TestSilentProxyIsFoundOut(t *testing.T) {
	server := redistest.Start(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go silentProxy(conn, server.Addr)
		}
	}()
	if reason := connect(t, options(listener.Addr().String())).Untracked(); !errors.Is(reason, errUntold) {
		t.Errorf("it is believed to tell what changed: %v", reason)
	}
}

// silentProxy passes everything on but what the server sends unasked: lines of
// the protocol beginning with ">".
func silentProxy(conn net.Conn, to string) {
	defer conn.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, conn)
	}()
	answers := bufio.NewReader(server)
	for {
		line, err := answers.ReadString('\n')
		if err != nil {
			return
		}
		if line[0] != '>' {
			fmt.Fprint(conn, line)
			continue
		}
		// >2 $10 invalidate *1 $n key
		for range 5 {
			if _, err := answers.ReadString('\n'); err != nil {
				return
			}
		}
	}
}

// A Redis that is full lets nobody in, and whoever is logged in goes on, also at a node
// that has not seen him yet. A session that ends meanwhile does not.
func TestFullRedisKeepsWhoIsLoggedIn(t *testing.T) {
	server := redistest.Start(t)
	here, there := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	old, over := mustPut(t, here, "session-00000000000001"), mustPut(t, here, "session-00000000000003")
	server.Do("CONFIG", "SET", "maxmemory", "1")
	if err := putError(t, here); !errors.Is(err, session.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Fatalf("Put: %v", err)
	}
	for _, ref := range []session.Ref{old, over} {
		wantGet(t, here, ref, nil)
		wantGet(t, there, ref, nil)
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	if err := here.Delete(t.Context(), over); err != nil {
		t.Fatal(err)
	}
	server.Do("CONFIG", "SET", "maxmemory", "1")
	until(t, "the other node knows of the logout", func() bool {
		_, err := there.Get(t.Context(), sessiontest.Query(over))
		return errors.Is(err, session.ErrNotFound)
	})
	wantGet(t, here, over, session.ErrNotFound)
	wantGet(t, there, old, nil)
}
