package sessiontest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// Model runs random operations on a store and on plain maps beside it, and compares
// the two after each.
type Model struct {
	// Operations is how many.
	Operations int
	// Seed of the choices; a failure repeats with it.
	Seed uint64

	// What only some stores can do; nil for the others. Pass lets time pass for the
	// store, and Swept is after which time it has counted what ended by itself.
	Pass  func(d time.Duration)
	Swept time.Duration
	// Reopen stops the store and starts another one from what the first has kept.
	Reopen func(store session.Backend) session.Backend
	// Bound changes how many sessions there can be of all apps.
	Bound func(store session.Backend, sessions int)
	// Check examines the structures of the store after each operation.
	Check func(store session.Backend) error
}

const (
	modelUsers = 12 // of each app
	// modelBound is more than a model ever has.
	modelBound = 2 * modelUsers * session.MaxPerUser
)

type modelUser struct {
	unionID     string
	deniedUntil time.Time
	sessions    []modelSession // oldest first, over or not
}

type modelSession struct {
	ref   session.Ref
	ends  time.Time
	began int // order of all
}

type model struct {
	Model
	t       *testing.T
	store   session.Backend
	random  *rand.Rand
	users   map[[2]string]*modelUser
	ended   []session.Ref // some of those that must never come back
	started int
	last    string // what was done last
}

// Run compares the store with the model. The store is empty at first.
func (m Model) Run(t *testing.T, store session.Backend) {
	t.Helper()
	random := rand.New(rand.NewPCG(m.Seed, 1)) //nolint:gosec // choices that can be repeated
	run := &model{Model: m, t: t, store: store, random: random, users: make(map[[2]string]*modelUser)}
	steps := run.steps()
	for n := range m.Operations {
		step := steps[run.random.IntN(len(steps))]
		step()
		if m.Check != nil {
			if err := m.Check(run.store); err != nil {
				run.fail("%v", err)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d, operation %d: %s", m.Seed, n, run.last)
		}
	}
}

// steps are the operations, the frequent ones more than once.
func (m *model) steps() (steps []func()) {
	add := func(times int, step func()) {
		for range times {
			steps = append(steps, step)
		}
	}
	add(40, m.put)
	add(25, m.get)
	add(15, m.delete)
	add(5, m.deleteUser)
	add(5, m.deny)
	add(5, m.allow)
	add(4, m.checkAnyUser)
	add(1, m.endApp)
	add(1, m.list)
	if m.Pass != nil {
		add(8, m.pass)
	}
	if m.Reopen != nil {
		add(1, m.reopen)
	}
	if m.Bound != nil {
		add(1, m.bound)
	}
	return steps
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf(m.last+": "+format, args...)
}

func (m *model) anyUser() (app, openID string, u *modelUser) {
	app = []string{appID, "wxfedcba0987654321"}[m.random.IntN(2)]
	openID = fmt.Sprintf("o%027d", m.random.IntN(modelUsers))
	if m.random.IntN(8) == 0 {
		openID = fmt.Sprintf("o%063d", m.random.IntN(modelUsers)) // longer than any so far
	}
	key := [2]string{app, openID}
	if m.users[key] == nil {
		m.users[key] = new(modelUser)
	}
	return app, openID, m.users[key]
}

func live(sessions []modelSession) (out []modelSession) {
	now := time.Now()
	for _, s := range sessions {
		if s.ends.After(now) {
			out = append(out, s)
		}
	}
	return out
}

// end moves sessions to those that have ended, and returns how many were live.
func (m *model) end(sessions []modelSession) int {
	for _, s := range sessions {
		m.ended = append(m.ended, s.ref)
	}
	if beyond := len(m.ended) - 200; beyond > 0 {
		m.ended = slices.Delete(m.ended, 0, beyond)
	}
	return len(live(sessions))
}

// drop ends sessions one by one.
func (m *model) drop(sessions []modelSession) {
	m.end(sessions)
	for _, gone := range sessions {
		u := m.users[[2]string{gone.ref.AppID, gone.ref.OpenID}]
		u.sessions = slices.DeleteFunc(u.sessions, func(s modelSession) bool { return s.began == gone.began })
	}
}

func (m *model) put() {
	app, openID, u := m.anyUser()
	m.started++
	lifetime := time.Hour
	if m.Pass != nil {
		lifetime = time.Duration(1+m.random.IntN(3)*m.random.IntN(3000)) * time.Second
	}
	l := session.Login{
		Ref:  session.Ref{AppID: app, OpenID: openID, SessionID: fmt.Sprintf("session-%013d", m.started)},
		Ends: time.Now().Truncate(time.Second).Add(lifetime), KeepUnionID: m.random.IntN(4) == 0,
	}
	if m.random.IntN(3) > 0 {
		l.UnionID = fmt.Sprintf("u%0*d", []int{27, 63}[m.random.IntN(2)], m.random.IntN(3))
	}
	limit := 1 + m.random.IntN(5)
	m.last = fmt.Sprintf("put %+v, at most %d", l.Ref, limit)
	before, err := m.store.Put(m.t.Context(), l, limit)
	if !l.Ends.After(time.Now()) {
		return // less than a second of it was left
	}
	if u.deniedUntil.After(time.Now()) {
		if !errors.Is(err, session.ErrDenied) {
			m.fail("the user is denied until %s: %v", u.deniedUntil, err)
		}
		m.ended = append(m.ended, l.Ref)
		return
	}
	if err != nil {
		m.fail("%v", err)
	}
	if before != u.unionID && (before != "" || len(live(u.sessions)) > 0) {
		m.fail("unionid before %q, want %q", before, u.unionID)
	}
	if l.UnionID != "" || !l.KeepUnionID {
		u.unionID = l.UnionID
	} else {
		u.unionID = before
	}
	u.sessions = append(u.sessions, modelSession{l.Ref, l.Ends, m.started})
	if lives := live(u.sessions); len(lives) > limit {
		m.drop(lives[:len(lives)-limit])
	}
	m.checkUser(app, openID)
}

// get asks for sessions that live and for those that ended, also under wrong names.
func (m *model) get() {
	app, openID, u := m.anyUser()
	m.last = "get"
	for _, s := range u.sessions {
		m.want(s.ref, s.ends.After(time.Now()), u.unionID)
		for _, wrong := range []session.Ref{
			{AppID: "wx0000000000000000", OpenID: openID, SessionID: s.ref.SessionID},
			{AppID: app, OpenID: openID + "x", SessionID: s.ref.SessionID},
			{AppID: app, OpenID: openID, SessionID: s.ref.SessionID + "x"},
		} {
			m.want(wrong, false, "")
		}
	}
	if len(m.ended) > 0 {
		m.want(m.ended[m.random.IntN(len(m.ended))], false, "")
	}
}

func (m *model) want(ref session.Ref, lives bool, unionID string) {
	m.t.Helper()
	query := session.Query{Ref: ref, Now: time.Now(), Hint: session.Hint(m.random.Uint32N(4096))}
	if m.random.IntN(2) == 0 {
		query.UnionID = unionID
	}
	got, err := m.store.Get(m.t.Context(), query)
	switch {
	case lives && (err != nil || got.UnionID != unionID):
		m.fail("%+v should live, with unionid %q: %+v, %v", ref, unionID, got, err)
	case !lives && !errors.Is(err, session.ErrNotFound):
		m.fail("%+v should not live: %+v, %v", ref, got, err)
	}
}

func (m *model) delete() {
	app, openID, u := m.anyUser()
	if len(u.sessions) == 0 {
		return
	}
	i := m.random.IntN(len(u.sessions))
	ref := u.sessions[i].ref
	m.last = fmt.Sprintf("delete %+v", ref)
	wrong := ref
	wrong.OpenID = "o" + ref.OpenID
	for _, ref := range []session.Ref{wrong, ref, ref} {
		if err := m.store.Delete(m.t.Context(), ref); err != nil {
			m.fail("%v", err)
		}
		if ref == wrong {
			m.checkUser(app, openID)
		}
	}
	m.end(u.sessions[i : i+1])
	u.sessions = slices.Delete(u.sessions, i, i+1)
	m.checkUser(app, openID)
}

func (m *model) deleteUser() {
	app, openID, u := m.anyUser()
	m.last = "delete user " + openID
	ended, err := m.store.DeleteUser(m.t.Context(), app, openID)
	if want := m.end(u.sessions); err != nil || ended != want {
		m.fail("%d ended, %v; want %d", ended, err, want)
	}
	u.sessions = nil
	m.checkUser(app, openID)
}

func (m *model) pass() {
	d := time.Duration(m.random.IntN(1500)) * time.Millisecond
	if m.random.IntN(10) == 0 {
		d = time.Duration(m.random.IntN(int(time.Hour)))
	}
	m.last = "pass " + d.String()
	m.Pass(d)
	app, openID, _ := m.anyUser()
	m.checkUser(app, openID)
}

// settle lets time pass until expired sessions have been swept away.
func (m *model) settle() {
	for m.Pass != nil {
		m.Pass(m.Swept)
		recent := false
		for _, u := range m.users {
			for _, s := range u.sessions {
				sinceEnd := time.Since(s.ends)
				recent = recent || sinceEnd >= 0 && sinceEnd < m.Swept
			}
		}
		if !recent {
			break
		}
	}
	for _, u := range m.users {
		u.sessions = live(u.sessions)
	}
	m.all()
}

func (m *model) reopen() {
	m.last = "reopen"
	m.settle()
	m.store = m.Reopen(m.store)
	m.all()
}

func (m *model) bound() {
	m.settle()
	var all []modelSession
	for _, u := range m.users {
		all = append(all, u.sessions...)
	}
	slices.SortFunc(all, func(a, b modelSession) int { return a.began - b.began })
	bound := 1 + m.random.IntN(len(all)+2)
	m.last = fmt.Sprintf("bound %d", bound)
	m.Bound(m.store, bound)
	if beyond := len(all) - bound; beyond > 0 {
		m.drop(all[:beyond])
	}
	m.all()
	m.Bound(m.store, modelBound)
}
