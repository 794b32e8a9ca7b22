package redis

import (
	"strconv"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

// The rules of sessiontest.Timed need a clock that leaps, which a Redis beside the
// test does not have. What a leap would show is looked at in its two halves: how
// long Redis keeps a key, and what a record is worth at a time.
func TestTimedRules(t *testing.T) {
	server := redistest.Start(t)
	store := connect(t, options(server.Addr))
	for _, check := range sessiontest.Timed {
		if check.Name == "session that is over is never put" { // it lets no time pass
			check.Run(t, store)
		}
	}
	key := session.CodeKey{AppID: "wx1234567890abcdef", Hash: [32]byte{1}}
	stateName, replyName := store.codeNames(key)
	kept := func(what, name string, want time.Duration) {
		t.Helper()
		ms, err := strconv.Atoi(server.Do("PTTL", name))
		if left := time.Duration(ms) * time.Millisecond; err != nil || left > want || left < want-30*time.Second {
			t.Errorf("%s is kept for %s (%v), want %s", what, left, err, want)
		}
	}
	if claim, _, err := store.ClaimCode(t.Context(), key); err != nil || claim != session.ClaimGranted {
		t.Fatal(claim, err)
	}
	kept("a code", stateName, session.CodeLifetime)
	if err := store.SettleCode(t.Context(), key, session.Reply{Nonce: "0123456789abcdef", Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	kept("a code that is settled", stateName, session.CodeLifetime+time.Second)
	kept("a reply", replyName, session.ReplyLifetime)
	server.Do("DEL", replyName) // as its end does
	if claim, reply, err := store.ClaimCode(t.Context(), key); err != nil || claim != session.ClaimSettled || reply != nil {
		t.Errorf("without its reply: %v, %v, %v", claim, reply, err)
	}

	now := time.Unix(2_000_000_000, 0)
	r := &record{
		Sessions:    []liveSession{{ID: "short", Ends: now.Add(30 * time.Second).Unix()}, {ID: "long", Ends: now.Add(time.Hour).Unix()}},
		DeniedUntil: now.Add(time.Minute).Unix(),
	}
	for _, at := range []struct {
		after       time.Duration
		short, long bool
		denied      bool
	}{
		{29 * time.Second, true, true, true},
		{30 * time.Second, false, true, true},
		{time.Minute, false, true, false},
		{time.Hour, false, false, false},
	} {
		later := now.Add(at.after)
		_, short := r.live("short", 0, later)
		_, long := r.live("long", 0, later)
		if short != at.short || long != at.long || r.denied(later) != at.denied {
			t.Errorf("after %s: %v, %v, denied %v", at.after, short, long, r.denied(later))
		}
		pruned := r.clone()
		pruned.prune(0, later)
		want := 0
		for _, live := range []bool{at.short, at.long} {
			if live {
				want++
			}
		}
		if len(pruned.Sessions) != want || (pruned.DeniedUntil != 0) != at.denied {
			t.Errorf("after %s there is left %+v", at.after, pruned)
		}
	}
	if got, want := r.lifetime(now), time.Hour+linger; got != want {
		t.Errorf("the record is kept for %s, want %s", got, want)
	}
}
