package sessiontest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

func (m *model) deny() {
	app, openID, u := m.anyUser()
	until := time.Now().Truncate(time.Second).Add(time.Duration(2+m.random.IntN(600)) * time.Second)
	if m.random.IntN(4) == 0 {
		until = session.LastTime
	}
	m.last = fmt.Sprintf("deny %s until %s", openID, until)
	ended, err := m.store.Deny(m.t.Context(), app, openID, until)
	if want := m.end(u.sessions); err != nil || ended != want {
		m.fail("%d ended, %v; want %d", ended, err, want)
	}
	u.sessions, u.deniedUntil = nil, until
	m.checkUser(app, openID)
}

func (m *model) allow() {
	app, openID, u := m.anyUser()
	m.last = "allow " + openID
	if ended, err := m.store.Deny(m.t.Context(), app, openID, time.Time{}); err != nil || ended != 0 {
		m.fail("%d ended, %v", ended, err)
	}
	u.deniedUntil = time.Time{}
	m.checkUser(app, openID)
}

func (m *model) checkAnyUser() {
	m.last = "look"
	app, openID, _ := m.anyUser()
	m.checkUser(app, openID)
	m.count(app)
}

// lookAt compares all that there is to know about a user.
func (m *model) checkUser(app, openID string) {
	m.t.Helper()
	u := m.users[[2]string{app, openID}]
	got, err := m.store.User(m.t.Context(), app, openID)
	if err != nil {
		m.fail("%v", err)
	}
	var denied time.Time
	if u.deniedUntil.After(time.Now()) {
		denied = u.deniedUntil
	}
	want := live(u.sessions)
	if !got.DeniedUntil.Equal(denied) || len(want) > 0 && got.UnionID != u.unionID ||
		!slices.EqualFunc(got.Sessions, want, func(l session.Live, s modelSession) bool { return l.ID == s.ref.SessionID && l.Ends.Equal(s.ends) }) {
		m.fail("user %s of %s is %+v, want %+v", openID, app, got, u)
	}
	for _, s := range u.sessions {
		m.want(s.ref, s.ends.After(time.Now()), u.unionID)
	}
}

// count compares the counts: a store may still count expired sessions.
func (m *model) count(app string) {
	m.t.Helper()
	var least, most session.Count
	for key, u := range m.users {
		if key[0] != app {
			continue
		}
		least.Sessions += len(live(u.sessions))
		most.Sessions += len(u.sessions)
		least.Users += min(len(live(u.sessions)), 1)
		most.Users += min(len(u.sessions), 1)
	}
	got, err := m.store.Count(m.t.Context(), app)
	if err != nil || got.Sessions < least.Sessions || got.Sessions > most.Sessions || got.Users < least.Users || got.Users > most.Users {
		m.fail("count of %s is %+v, %v; want %+v to %+v", app, got, err, least, most)
	}
}

func (m *model) endApp() {
	app, _, _ := m.anyUser()
	m.last = "end app " + app
	want := 0
	for key, u := range m.users {
		if key[0] == app {
			want += m.end(u.sessions)
			u.sessions = nil
		}
	}
	if ended, err := m.store.EndApp(m.t.Context(), app); err != nil || ended != want {
		m.fail("%d ended, %v; want %d", ended, err, want)
	}
	m.all()
}

func (m *model) list() {
	app, _, _ := m.anyUser()
	m.last = "list " + app
	want := make(map[string][]string)
	for key, u := range m.users {
		if key[0] == app {
			for _, s := range live(u.sessions) {
				want[key[1]] = append(want[key[1]], s.ref.SessionID)
			}
		}
	}
	if got := listAll(m.t, m.store, app, 1+m.random.IntN(modelUsers), false); !maps.EqualFunc(got, want, slices.Equal[[]string]) {
		m.fail("%v, want %v", got, want)
	}
}

// all checks all users.
func (m *model) all() {
	m.t.Helper()
	for key := range m.users {
		m.checkUser(key[0], key[1])
		m.count(key[0])
	}
	for _, ref := range m.ended {
		m.want(ref, false, "")
	}
}
