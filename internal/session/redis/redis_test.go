package redis

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

func options(addresses ...string) Options {
	return Options{
		Addresses: addresses, Password: secret.New(redistest.Password), KeyPrefix: "test:", Timeout: 2 * time.Second,
		NameKey: bytes.Repeat([]byte{1}, 32), ValueKey: bytes.Repeat([]byte{2}, 32),
	}
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	store, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func connect(t *testing.T, o Options) *Store {
	t.Helper()
	store := open(t, o)
	if err := store.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// For sessiontest.Timed see TestTimedRules.
func TestContract(t *testing.T) {
	server := redistest.Start(t)
	for _, check := range sessiontest.Checks {
		t.Run(check.Name, func(t *testing.T) {
			server.Do("FLUSHALL")
			check.Run(t, connect(t, options(server.Addr)))
			wantExpiry(t, server)
		})
	}
}

// wantExpiry checks that nothing is kept for ever, but for what operators have
// decided.
func wantExpiry(t *testing.T, server *redistest.Server) {
	t.Helper()
	for key := range strings.SplitSeq(server.Do("KEYS", "*"), "\n") {
		if key == "" || key == "test:control" {
			continue
		}
		if ttl, err := strconv.Atoi(server.Do("PTTL", key)); err != nil || ttl == -1 {
			t.Errorf("%s never expires (%d, %v)", key, ttl, err)
		}
	}
}

func login(id string) session.Login {
	return session.Login{
		Ref:        session.Ref{AppID: "wx1234567890abcdef", OpenID: "oAAAAAAAAAAAAAAAAAAAAAAAAAAA", SessionID: id},
		UnionID:    "uAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		SessionKey: secret.New("MDEyMzQ1Njc4OWFiY2RlZg=="), Ends: time.Now().Truncate(time.Second).Add(time.Hour),
	}
}

func mustPut(t *testing.T, store *Store, id string) session.Ref {
	t.Helper()
	l := login(id)
	if _, err := store.Put(t.Context(), l, 5); err != nil {
		t.Fatal(err)
	}
	return l.Ref
}

func wantGet(t *testing.T, store *Store, ref session.Ref, want error) {
	t.Helper()
	if _, err := store.Get(t.Context(), sessiontest.Query(ref)); !errors.Is(err, want) {
		t.Errorf("Get: %v, want %v", err, want)
	}
}

// until waits for news that travel between processes.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	// How soon is not asked here: a loaded machine takes its time.
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Errorf("never: %s", what)
}

func TestLogoutReachesOtherNodes(t *testing.T) {
	server := redistest.Start(t)
	one, two := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	ref := mustPut(t, one, "session-00000000000001")
	wantGet(t, two, ref, nil) // the login is known at once
	wantGet(t, two, ref, nil)
	second := mustPut(t, one, "session-00000000000002")
	wantGet(t, two, second, nil)
	if err := one.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	wantGet(t, one, ref, session.ErrNotFound)
	until(t, "the other node knows of the logout", func() bool {
		_, err := two.Get(t.Context(), sessiontest.Query(ref))
		return errors.Is(err, session.ErrNotFound)
	})
	wantGet(t, two, second, nil)
	if ended, err := two.DeleteUser(t.Context(), ref.AppID, ref.OpenID); ended != 1 || err != nil {
		t.Errorf("DeleteUser: %d, %v", ended, err)
	}
	until(t, "the first node knows of the end", func() bool {
		_, err := one.Get(t.Context(), sessiontest.Query(second))
		return errors.Is(err, session.ErrNotFound)
	})
}

var getCalls = regexp.MustCompile(`cmdstat_get:calls=(\d+)`)

func gets(server *redistest.Server) string {
	if m := getCalls.FindStringSubmatch(server.Do("INFO", "commandstats")); m != nil {
		return m[1]
	}
	return "0"
}

// Redis itself counts what it is asked.
func TestWarmCheckMakesNoRoundTrip(t *testing.T) {
	server := redistest.Start(t)
	store := connect(t, options(server.Addr))
	ref := mustPut(t, store, "session-00000000000001")
	until(t, "a check does not ask Redis", func() bool {
		wantGet(t, store, ref, nil)
		before := gets(server)
		wantGet(t, store, ref, nil)
		return gets(server) == before
	})
	before := gets(server)
	for range 1000 {
		wantGet(t, store, ref, nil)
	}
	if after := gets(server); after != before {
		t.Errorf("a thousand warm checks: GET was called %s times before and %s after", before, after)
	}
}

// V3: whoever reads Redis learns of no user.
func TestRedisShowsNobody(t *testing.T) {
	server := redistest.Start(t)
	store := connect(t, options(server.Addr))
	l := login("session-00000000000001")
	mustPut(t, store, l.SessionID)
	key := session.CodeKey{AppID: l.AppID}
	copy(key.Hash[:], "the code")
	if _, _, err := store.ClaimCode(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := store.SettleCode(t.Context(), key, session.Reply{Nonce: "0123456789abcdef", Body: []byte("the token")}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.EndApp(t.Context(), "wxfedcba0987654321"); err != nil {
		t.Fatal(err)
	}
	all := ""
	read := map[string][]string{"string": {"GET"}, "zset": {"ZRANGE", "0", "-1"}, "hash": {"HGETALL"}}
	for name := range strings.SplitSeq(strings.TrimSpace(server.Do("KEYS", "*")), "\n") {
		command := read[server.Do("TYPE", name)]
		if command == nil {
			t.Fatalf("%s is a %s", name, server.Do("TYPE", name))
		}
		all += name + "\n" + server.Do(append([]string{command[0], name}, command[1:]...)...) + "\n"
	}
	for _, hidden := range []string{l.AppID, "wxfedcba0987654321", l.OpenID, l.UnionID, l.SessionID, l.SessionKey.Reveal(), "the code", "the token", "0123456789abcdef"} {
		if strings.Contains(all, hidden) {
			t.Errorf("%q is in Redis:\n%s", hidden, all)
		}
	}
	wantExpiry(t, server)
}

func TestOutageIsNoAnswerAndPasses(t *testing.T) {
	server := redistest.Start(t)
	store := connect(t, options(server.Addr))
	ref := mustPut(t, store, "session-00000000000001")
	server.Kill()
	until(t, "the outage is noticed", func() bool {
		_, err := store.Get(t.Context(), sessiontest.Query(ref))
		return errors.Is(err, session.ErrUnavailable)
	})
	for name, err := range map[string]error{
		"Put": putError(t, store), "Delete": store.Delete(t.Context(), ref),
		"ReleaseCode": store.ReleaseCode(t.Context(), session.CodeKey{AppID: "wx"}),
	} {
		if !errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server.Run()
	until(t, "it works again", func() bool { _, err := store.Put(t.Context(), login("session-00000000000003"), 5); return err == nil })
	// Redis came back empty: what the local copy knew is not believed.
	wantGet(t, store, ref, session.ErrNotFound)
	wantGet(t, store, login("session-00000000000003").Ref, nil)
}

func putError(t *testing.T, store *Store) error {
	t.Helper()
	_, err := store.Put(t.Context(), login("session-00000000000002"), 5)
	return err
}

func TestHangingRedisIsGivenUp(t *testing.T) {
	server := redistest.Start(t)
	o := options(server.Addr)
	o.Timeout = 200 * time.Millisecond
	store := connect(t, o)
	server.Pause()
	defer server.Resume()
	wantGet(t, store, login("session-00000000000001").Ref, session.ErrUnavailable)
}

func TestFirstConnectionMayComeLater(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	store := open(t, options(server.Addr))
	if err := store.Connect(t.Context()); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("Connect: %v", err)
	}
	wantGet(t, store, login("session-00000000000001").Ref, session.ErrUnavailable)
	server.Run()
	until(t, "it connects by itself", func() bool { _, err := store.Put(t.Context(), login("session-00000000000001"), 5); return err == nil })
}

func TestMistakesAreNamed(t *testing.T) {
	server := redistest.Start(t)
	for name, tc := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"wrong password": {func(o *Options) { o.Password = secret.New("wrong") }, "WRONGPASS"},
		"no password":    {func(o *Options) { o.Password = secret.String{} }, "NOAUTH"},
		"wrong user":     {func(o *Options) { o.Username = "nobody" }, "WRONGPASS"},
		"wrong database": {func(o *Options) { o.DB = 99 }, "DB index"},
		"nobody there":   {func(o *Options) { o.Addresses = []string{"127.0.0.1:1"} }, "refused"},
	} {
		o := options(server.Addr)
		tc.change(&o)
		err := open(t, o).Connect(t.Context())
		if !errors.Is(err, session.ErrUnavailable) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), redistest.Password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Options{ValueKey: make([]byte, 32)}); err == nil {
		t.Error("no address is accepted")
	}
}

// Somebody else's data under our keys, or ours under another key: nobody gets in.
func TestForeignDataIsNoSession(t *testing.T) {
	server := redistest.Start(t)
	store := connect(t, options(server.Addr))
	ref := mustPut(t, store, "session-00000000000001")
	name := store.name("u", ref.AppID, ref.OpenID)
	for _, value := range []string{"hello", `{"s":[{"i":"session-00000000000001","e":9999999999}]}`, strings.Repeat("x", 300)} {
		server.Do("SET", name, value, "PX", "60000")
		until(t, "the foreign value is seen", func() bool {
			_, err := store.Get(t.Context(), sessiontest.Query(ref))
			return errors.Is(err, session.ErrUnavailable)
		})
	}
	server.Do("DEL", name)
	mustPut(t, store, ref.SessionID)
	o := options(server.Addr)
	o.ValueKey = bytes.Repeat([]byte{3}, 32)
	wantGet(t, connect(t, o), ref, session.ErrUnavailable)
	// A record moved to another user's key does not open there.
	other := session.Ref{AppID: ref.AppID, OpenID: "oBBBBBBBBBBBBBBBBBBBBBBBBBBB", SessionID: ref.SessionID}
	server.Do("RENAME", name, store.name("u", other.AppID, other.OpenID))
	wantGet(t, store, other, session.ErrUnavailable)
}

func TestClusterAndSentinel(t *testing.T) {
	t.Run("cluster", func(t *testing.T) {
		var addresses []string
		for _, node := range redistest.Cluster(t) {
			addresses = append(addresses, node.Addr)
		}
		store := connect(t, options(addresses...))
		for n := range 30 { // all nodes get some
			l := login(fmt.Sprintf("session-%014d", n))
			l.OpenID = fmt.Sprintf("o%027d", n)
			if _, err := store.Put(t.Context(), l, 5); err != nil {
				t.Fatal(err)
			}
			wantGet(t, store, l.Ref, nil)
			if err := store.Delete(t.Context(), l.Ref); err != nil {
				t.Fatal(err)
			}
			wantGet(t, store, l.Ref, session.ErrNotFound)
		}
		key := session.CodeKey{AppID: "wx"}
		if claim, _, err := store.ClaimCode(t.Context(), key); err != nil || claim != session.ClaimGranted {
			t.Errorf("%v, %v", claim, err)
		}
		if err := store.SettleCode(t.Context(), key, session.Reply{Nonce: "0123456789abcdef"}); err != nil {
			t.Error(err)
		}
	})
	t.Run("sentinel", func(t *testing.T) {
		sentinel := redistest.Sentinel(t, redistest.Start(t))
		o := options(sentinel.Addr)
		o.SentinelMaster = "main"
		store := connect(t, o)
		wantGet(t, store, mustPut(t, store, "session-00000000000001"), nil)
	})
}

func BenchmarkWarmGet(b *testing.B) {
	server := redistest.Start(b)
	store, err := New(options(server.Addr))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	l := login("session-00000000000001")
	if _, err := store.Put(b.Context(), l, 5); err != nil {
		b.Fatal(err)
	}
	b.Run("one after another", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := store.Get(b.Context(), sessiontest.Query(l.Ref)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := store.Get(b.Context(), sessiontest.Query(l.Ref)); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// Records that cannot be read hide nobody else from an operator, and are counted: each
// may be that of somebody who is logged in.
func TestDamagedRecordHidesNobodyElse(t *testing.T) {
	server := redistest.Start(t)
	store := connect(t, options(server.Addr))
	ref := mustPut(t, store, "session-00000000000001")
	other := login("session-00000000000002")
	other.OpenID = "oBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	if _, err := store.Put(t.Context(), other, 5); err != nil {
		t.Fatal(err)
	}
	key := store.name("u", ref.AppID, ref.OpenID)
	elsewhere := options(server.Addr)
	elsewhere.ValueKey = bytes.Repeat([]byte{3}, 32)
	foreign := connect(t, elsewhere).encode(key, &record{OpenID: ref.OpenID, Sessions: []liveSession{{ID: ref.SessionID, Ends: time.Now().Add(time.Hour).Unix()}}})
	nameless := store.encode(key, &record{Sessions: []liveSession{{ID: ref.SessionID, Ends: time.Now().Add(time.Hour).Unix()}}})
	over := store.encode(key, &record{OpenID: ref.OpenID, Sessions: []liveSession{{ID: ref.SessionID, Ends: 1}}})
	for what, tc := range map[string]struct {
		write      []string
		unreadable int
	}{
		"no record of ours": {[]string{"SET", key, "hello"}, 1},
		"another key's":     {[]string{"SET", key, foreign}, 1},
		"of nobody":         {[]string{"SET", key, nameless}, 1},
		"no string":         {[]string{"LPUSH", key, "hello"}, 1},
		"gone":              {[]string{"DEL", key}, 0},
		"ended":             {[]string{"SET", key, over}, 0},
	} {
		server.Do("DEL", key)
		server.Do(tc.write...)
		page, err := store.List(t.Context(), ref.AppID, "", 10)
		if err != nil || page.Next != "" || len(page.Users) != 1 || page.Users[0].OpenID != other.OpenID || page.Unreadable != tc.unreadable {
			t.Errorf("%s: listed %d, next %q, %d unreadable, %v", what, len(page.Users), page.Next, page.Unreadable, err)
		}
	}
}
