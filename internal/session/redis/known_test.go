package redis

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

// F5: whoever can write to Redis writes an old record back, as a replica that lags
// and a restored backup do. A node that has seen a newer one does not go back.
func TestF5OldRecordsBringNothingBack(t *testing.T) {
	server := redistest.Start(t)
	here, there := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	ref := mustPut(t, here, "session-00000000000001")
	key := here.name("u", ref.AppID, ref.OpenID)
	value := func() string { return server.Do("GET", key) }
	write := func(old string) { server.Do("SET", key, old, "PX", "3600000") }
	wantGet(t, there, ref, nil)

	live := value()
	if err := here.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	until(t, "the other node knows of the logout", func() bool {
		_, err := there.Get(t.Context(), sessiontest.Query(ref))
		return errors.Is(err, session.ErrNotFound)
	})
	write(live)
	for range 20 {
		wantGet(t, here, ref, session.ErrNotFound)
		wantGet(t, there, ref, session.ErrNotFound)
	}
	// The next login is not disturbed by it, and takes nothing of it over.
	second := mustPut(t, there, "session-00000000000002")
	wantGet(t, here, second, nil)
	wantGet(t, there, second, nil)
	wantGet(t, connect(t, options(server.Addr)), ref, session.ErrNotFound)

	// A record that is not there any more is newer than all before it.
	live = value()
	server.Do("DEL", key)
	until(t, "it is gone", func() bool {
		_, err := here.Get(t.Context(), sessiontest.Query(second))
		return errors.Is(err, session.ErrNotFound)
	})
	write(live)
	for range 20 {
		wantGet(t, here, second, session.ErrNotFound)
	}
}

// F5: a denial that is taken out of Redis still counts where it is known, and one
// that an operator takes back does not, on no node.
func TestF5DenialsStay(t *testing.T) {
	server := redistest.Start(t)
	here, there := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	ref := mustPut(t, here, "session-00000000000001")
	key := here.name("u", ref.AppID, ref.OpenID)
	wantGet(t, there, ref, nil)
	before := server.Do("GET", key)
	if _, err := here.Deny(t.Context(), ref.AppID, ref.OpenID, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Put(t.Context(), login("session-00000000000002"), 5); !errors.Is(err, session.ErrDenied) {
		t.Fatalf("a denied user: %v", err)
	}
	for what, change := range map[string]func(){
		"deleted":     func() { server.Do("DEL", key) },
		"written old": func() { server.Do("SET", key, before, "PX", "3600000") },
	} {
		change()
		for _, store := range []*Store{here, there} {
			if _, err := store.Put(t.Context(), login("session-00000000000003"), 5); !errors.Is(err, session.ErrDenied) {
				t.Errorf("a denied user whose record was %s: %v", what, err)
			}
			wantGet(t, store, ref, session.ErrNotFound)
		}
	}
	if _, err := here.Deny(t.Context(), ref.AppID, ref.OpenID, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if ttl, err := strconv.Atoi(server.Do("TTL", key)); err != nil || ttl < 3500 {
		t.Errorf("a denial that was taken back is remembered for %d s, less than the denial by other nodes", ttl)
	}
	if _, err := there.Put(t.Context(), login("session-00000000000004"), 5); err != nil {
		t.Errorf("allowed again: %v", err)
	}
}

// F5: what operators decided for all nodes is written again by those who know of
// it.
func TestF5DecisionsStay(t *testing.T) {
	server := redistest.Start(t)
	here, there := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	ref := mustPut(t, here, "session-00000000000001")
	if _, err := here.EndApp(t.Context(), ref.AppID); err != nil {
		t.Fatal(err)
	}
	if err := here.DropKey(t.Context(), "0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	until(t, "the other node knows", func() bool { return len(there.DroppedKeys()) == 1 })
	old := server.Do("HGETALL", "test:control")
	server.Do("DEL", "test:control")
	for range 20 {
		wantGet(t, here, ref, session.ErrNotFound)
		wantGet(t, there, ref, session.ErrNotFound)
	}
	until(t, "the decisions are in Redis again", func() bool { return len(server.Do("HGETALL", "test:control")) == len(old) })
	fresh := connect(t, options(server.Addr))
	wantGet(t, fresh, ref, session.ErrNotFound)
	if len(fresh.DroppedKeys()) != 1 {
		t.Error("a node that starts later does not know of the dropped key")
	}
	second := mustPut(t, there, "session-00000000000002")
	wantGet(t, fresh, second, nil)
	// The end of an app is the end also of what began under a generation that
	// Redis has lost and this node never saw.
	server.Do("DEL", "test:control")
	alone := connect(t, options(server.Addr))
	if _, err := alone.EndApp(t.Context(), ref.AppID); err != nil {
		t.Fatal(err)
	}
	wantGet(t, alone, second, session.ErrNotFound)
}

// F3: what a node saw end, in whichever way, is over while Redis is away; what it
// cannot be sure of does not pass either.
func TestF3WhatIsKnownInAnOutage(t *testing.T) {
	server := redistest.Start(t)
	known := NewKnown()
	o := options(server.Addr)
	o.Known = known
	here, there := connect(t, o), connect(t, options(server.Addr))
	user := func(n int) session.Login {
		l := login("session-0000000000000" + strconv.Itoa(n))
		l.OpenID = "o" + strconv.Itoa(n) + l.OpenID[2:]
		return l
	}
	put := func(store *Store, l session.Login) session.Ref {
		t.Helper()
		if _, err := store.Put(t.Context(), l, 5); err != nil {
			t.Fatal(err)
		}
		return l.Ref
	}
	live, ended, denied := put(here, user(1)), put(here, user(2)), put(here, user(3))
	beside := user(2)
	beside.SessionID = "session-00000000000029"
	put(here, beside)
	for _, ref := range []session.Ref{live, ended, denied, beside.Ref} {
		wantGet(t, here, ref, nil)
	}
	// Another node ends one; this one sees it in the record, for another session.
	if err := there.Delete(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	until(t, "the record is read again", func() bool {
		wantGet(t, here, beside.Ref, nil)
		return known.hasEnded(ended)
	})
	if _, err := there.Deny(t.Context(), denied.AppID, denied.OpenID, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	other := denied
	other.SessionID = "session-00000000000039"
	wantGet(t, here, other, session.ErrNotFound) // so it learns of the denial
	server.Kill()
	ask := func(store *Store, ref session.Ref, issued time.Time, want error) {
		t.Helper()
		query := sessiontest.Query(ref)
		query.Issued = issued
		if _, err := store.Get(t.Context(), query); !errors.Is(err, want) ||
			!errors.Is(want, session.ErrAway) && errors.Is(err, session.ErrAway) {
			t.Errorf("Get: %v, want %v", err, want)
		}
	}
	until(t, "the outage is noticed", func() bool {
		_, err := here.Get(t.Context(), sessiontest.Query(live))
		return errors.Is(err, session.ErrAway)
	})
	after := open(t, o) // as after a reload
	unseen := login("session-00000000000099").Ref
	for _, store := range []*Store{here, after} {
		ask(store, live, time.Now(), session.ErrAway)
		ask(store, unseen, time.Now(), session.ErrAway)
		ask(store, ended, time.Now(), session.ErrNotFound)
		ask(store, other, time.Now(), session.ErrNotFound)
	}
	ask(here, denied, time.Now(), session.ErrNotFound) // its record had it no more
	other.SessionID = "session-00000000000038"
	ask(after, other, time.Now(), session.ErrUnavailable) // denied, and who knows since when
	known.endedApp(here.appField(live.AppID), time.Now().UnixMicro())
	ask(here, live, time.Now(), session.ErrNotFound)
	ask(after, unseen, time.Now(), session.ErrUnavailable)
	ask(after, unseen, time.Now().Add(-time.Minute), session.ErrNotFound)
	ask(after, unseen, time.Now().Add(time.Minute), session.ErrAway)
}

// F3: a logout that a node has confirmed stays one there in an outage, also of a session
// that another node had ended before, and that this node has never seen.
func TestF3LogoutOfWhatIsOverInAnOutage(t *testing.T) {
	server := redistest.Start(t)
	here, there := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	ref := mustPut(t, there, "session-00000000000001")
	issued := time.Now()
	for _, store := range []*Store{there, here} {
		if err := store.Delete(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	server.Kill()
	until(t, "the outage is noticed", func() bool {
		query := sessiontest.Query(ref)
		query.OpenID = "oBBBBBBBBBBBBBBBBBBBBBBBBBBB"
		_, err := here.Get(t.Context(), query)
		return errors.Is(err, session.ErrAway)
	})
	query := sessiontest.Query(ref)
	query.Issued = issued
	if _, err := here.Get(t.Context(), query); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("after its logout here: %v, want ErrNotFound", err)
	}
}

// F3: whoever ends all sessions of a user at a node ends also those that were over
// before, elsewhere, and that the node has never seen.
func TestF3EndOfAUserInAnOutage(t *testing.T) {
	server := redistest.Start(t)
	here, there := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	ref := mustPut(t, there, "session-00000000000001")
	issued := time.Now()
	if err := there.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if _, err := here.DeleteUser(t.Context(), ref.AppID, ref.OpenID); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	until(t, "the outage is noticed", func() bool {
		query := sessiontest.Query(ref)
		query.OpenID = "oBBBBBBBBBBBBBBBBBBBBBBBBBBB"
		_, err := here.Get(t.Context(), query)
		return errors.Is(err, session.ErrAway)
	})
	query := sessiontest.Query(ref)
	query.Issued = issued
	if _, err := here.Get(t.Context(), query); err == nil || errors.Is(err, session.ErrAway) {
		t.Errorf("Get: %v", err)
	}
}

// What was forgotten for lack of room passes no more than what is remembered.
func TestF3ForgottenEndsDoNotPass(t *testing.T) {
	known := NewKnown()
	ref := login("session-00000000000001").Ref
	known.end(ref)
	for n := range 2 * maxKnownEnds {
		other := ref
		other.SessionID = strconv.Itoa(n)
		known.end(other)
	}
	if known.hasEnded(ref) {
		t.Error("it is unbounded")
	}
	if !known.mayHaveEnded(ref, time.Now()) {
		t.Error("a session whose end was forgotten passes")
	}
	if known.mayHaveEnded(ref, time.Now().Add(time.Minute)) {
		t.Error("a session that began later does not pass")
	}
}

// F2: one of several callers leaves; the others get a true answer.
func TestF2CallersThatLeave(t *testing.T) {
	server := redistest.Start(t)
	network := redistest.NewProxy(t, server.Addr)
	here, far := connect(t, options(server.Addr)), connect(t, options(network.Addr))
	network.Delay(50 * time.Millisecond)
	for n := range 5 {
		ref := mustPut(t, here, "session-0000000000000"+strconv.Itoa(n))
		leaving, leave := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = far.Get(leaving, sessiontest.Query(ref))
		}()
		answers := make(chan error)
		go func() {
			_, err := far.Get(t.Context(), sessiontest.Query(ref))
			answers <- err
		}()
		leave()
		if err := <-answers; err != nil {
			t.Errorf("beside a caller that left: %v", err)
		}
		<-done
	}
}

// F3, F5: a node that starts in an outage knows neither the apps that were ended nor
// the keys that were dropped. Nothing passes there by grace until Redis was reached
// once; after that the process knows, and so does its next configuration.
func TestF3NodeThatStartsInAnOutageLetsNobodyPass(t *testing.T) {
	server := redistest.Start(t)
	there := connect(t, options(server.Addr))
	ref := mustPut(t, there, "session-00000000000001")
	if _, err := there.EndApp(t.Context(), ref.AppID); err != nil {
		t.Fatal(err)
	}
	if err := there.DropKey(t.Context(), "0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	o := options(server.Addr)
	o.Known = NewKnown()
	server.Pause()
	o.Timeout = 100 * time.Millisecond
	fresh := open(t, o)
	query := sessiontest.Query(ref)
	query.Issued = time.Now()
	unseen := query
	unseen.AppID = "wxffffffffffffffff"
	for _, query := range []session.Query{query, unseen} {
		if _, err := fresh.Get(t.Context(), query); !errors.Is(err, session.ErrUnavailable) || errors.Is(err, session.ErrAway) {
			t.Errorf("before Redis was ever reached: %v, want ErrUnavailable and no grace", err)
		}
	}
	server.Resume()
	until(t, "it reaches Redis", func() bool { return fresh.Connect(t.Context()) == nil })
	server.Kill()
	after := open(t, o)
	for _, store := range []*Store{fresh, after} {
		if _, err := store.Get(t.Context(), unseen); !errors.Is(err, session.ErrAway) {
			t.Errorf("of an app that was not ended: %v, want ErrAway", err)
		}
		if _, err := store.Get(t.Context(), query); err == nil || errors.Is(err, session.ErrAway) {
			t.Errorf("of an app that was ended: %v", err)
		}
		if len(store.DroppedKeys()) != 1 {
			t.Error("the dropped key is not known")
		}
	}
}

// F3: a session that the newest record known here does not have, although its token is
// older than the record, was ended by whoever wrote it. It does not pass by grace; one
// that may have begun since does.
func TestF3SessionThatTheRecordHasNoMoreDoesNotPass(t *testing.T) {
	server := redistest.Start(t)
	here, there := connect(t, options(server.Addr)), connect(t, options(server.Addr))
	ended, live := mustPut(t, there, "session-00000000000001"), mustPut(t, there, "session-00000000000002")
	if err := there.Delete(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	wantGet(t, here, live, nil) // the record without the first
	server.Kill()
	ask := func(ref session.Ref, issued time.Time) error {
		query := sessiontest.Query(ref)
		query.Issued = issued
		_, err := here.Get(t.Context(), query)
		return err
	}
	until(t, "the outage is noticed", func() bool { return errors.Is(ask(live, time.Now()), session.ErrAway) })
	for _, issued := range []time.Time{time.Now(), time.Now().Add(-time.Minute), {}} {
		if err := ask(ended, issued); err == nil || errors.Is(err, session.ErrAway) {
			t.Errorf("ended elsewhere, token of %s: %v", issued, err)
		}
		if err := ask(live, issued); !errors.Is(err, session.ErrAway) {
			t.Errorf("live, token of %s: %v", issued, err)
		}
	}
	if err := ask(ended, time.Now().Add(time.Minute)); !errors.Is(err, session.ErrAway) {
		t.Errorf("a session that began after the record: %v", err)
	}
}
