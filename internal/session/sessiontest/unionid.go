package sessiontest

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/caddy-wechat/gateway/internal/session"
)

// A silent login of a page (snsapi_base) tells no unionid, whether or not there is one.
func keptUnionID(t *testing.T, store session.Backend) {
	const unionID, other = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA", "uBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	for n, step := range []struct {
		unionID, want string
		keep          bool
	}{
		{"", "", true}, {unionID, unionID, true}, {"", unionID, true}, {other, other, true}, {"", other, true}, {"", "", false},
	} {
		l := login(sid(n), soon())
		l.UnionID, l.KeepUnionID = step.unionID, step.keep
		mustPut(t, store, l, 10)
		for before := range n + 1 {
			ref := login(sid(before), soon()).Ref
			if got, err := store.Get(t.Context(), Query(ref)); err != nil || got.UnionID != step.want {
				t.Errorf("login %d: session %d has unionid %q, %v; want %q", n, before, got.UnionID, err, step.want)
			}
		}
	}
}

func knownUnionID(t *testing.T, store session.Backend) {
	const older, newer = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA", "uBBBBBBBBBBBBBBBBBBBBBBBBBBB"
	want := func(ref session.Ref, unionID string) {
		t.Helper()
		for _, known := range []string{"", older, newer} {
			query := Query(ref)
			query.UnionID = known
			if got, err := store.Get(t.Context(), query); err != nil || got.UnionID != unionID {
				t.Errorf("asked with %q: %+v, %v; want unionid %q", known, got, err, unionID)
			}
		}
	}
	l := login(sid(1), soon())
	mustPut(t, store, l, 5)
	want(l.Ref, "")
	for n, unionID := range []string{older, newer} {
		again := login(sid(2+n), soon())
		again.UnionID = unionID
		mustPut(t, store, again, 5)
		want(l.Ref, unionID)
		want(again.Ref, unionID)
	}
	query := Query(session.Ref{AppID: l.AppID, OpenID: "oBBBBBBBBBBBBBBBBBBBBBBBBBBB", SessionID: l.SessionID})
	query.UnionID = newer
	if _, err := store.Get(t.Context(), query); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("another user's session: %v", err)
	}
}

// anyHint asks with hints that are wrong, old and of another session.
func anyHint(t *testing.T, store session.Backend) {
	const n = 100
	hints := []session.Hint{0, 1, 2, 63, 64, 65, 1 << 20, math.MaxUint32}
	var ended []session.Ref
	want := func(ref session.Ref, live bool) {
		t.Helper()
		for _, hint := range hints {
			query := Query(ref)
			query.Hint, query.UnionID = hint, "u"+ref.SessionID
			got, err := store.Get(t.Context(), query)
			if live && (err != nil || got.UnionID != "u"+ref.SessionID) || !live && !errors.Is(err, session.ErrNotFound) {
				t.Fatalf("session %s at %d: live should be %v, got %+v, %v", ref.SessionID, hint, live, got, err)
			}
		}
	}
	begin := func(n int) session.Ref {
		l := login(sid(n), soon())
		l.OpenID = fmt.Sprintf("o%027d", n)
		l.UnionID = "u" + l.SessionID
		mustPut(t, store, l, 5)
		got, err := store.Get(t.Context(), Query(l.Ref))
		if err != nil {
			t.Fatal(err)
		}
		hints = append(hints, got.Hint)
		return l.Ref
	}
	var live []session.Ref
	for i := range n {
		live = append(live, begin(i))
	}
	for i := range n / 2 { // their places are taken again
		if err := store.Delete(t.Context(), live[i]); err != nil {
			t.Fatal(err)
		}
		ended = append(ended, live[i])
		want(live[i], false)
	}
	for i := range n / 2 {
		live[i] = begin(n + i)
	}
	for _, ref := range live {
		want(ref, true)
	}
	for _, ref := range ended {
		want(ref, false)
	}
}

func laterUnionID(t *testing.T, store session.Backend) {
	first, second := login(sid(1), soon()), login(sid(2), soon())
	second.UnionID = "uAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	mustPut(t, store, first, 5)
	if got, err := store.Get(t.Context(), Query(first.Ref)); err != nil || got.UnionID != "" {
		t.Fatalf("before: %+v, %v", got, err)
	}
	if before, err := store.Put(t.Context(), second, 5); err != nil || before != "" {
		t.Errorf("Put: unionid before %q, %v", before, err)
	}
	if got, err := store.Get(t.Context(), Query(first.Ref)); err != nil || got.UnionID != second.UnionID {
		t.Errorf("after: %+v, %v; want unionid %s", got, err, second.UnionID)
	}
	third := login(sid(3), soon())
	if before, err := store.Put(t.Context(), third, 5); err != nil || before != second.UnionID {
		t.Errorf("Put: unionid before %q, %v; want %s", before, err, second.UnionID)
	}
}
