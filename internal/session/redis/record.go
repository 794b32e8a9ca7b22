package redis

import (
	"slices"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

// record is all there is about a user, as sealed JSON in one key.
type record struct {
	// Version grows with every change, also over a deletion.
	Version int64 `json:"v"`
	// OpenID of the user, for lists: the key has only its hash.
	OpenID     string `json:"o,omitempty"`
	UnionID    string `json:"u,omitempty"`
	SessionKey string `json:"k,omitempty"`
	// Previous is the session key before, and Replaced when it was replaced, in Unix
	// seconds.
	Previous string `json:"p,omitempty"`
	Replaced int64  `json:"r,omitempty"`
	// UserID is the application's name for the user.
	UserID   string        `json:"n,omitempty"`
	Sessions []liveSession `json:"s"` // oldest first
	// DeniedUntil, in Unix seconds: no session begins before.
	DeniedUntil int64 `json:"d,omitempty"`
	// Kept, in Unix seconds: so long nodes may remember a denial that this record
	// takes back, so it must not be gone before.
	Kept int64 `json:"l,omitempty"`
	// forgotten: nothing of it stays in Redis.
	forgotten bool
}

type liveSession struct {
	ID   string `json:"i"`
	Ends int64  `json:"e"` // Unix seconds
	// Began, in Unix seconds; 0 in records of older nodes.
	Began int64 `json:"b,omitempty"`
	// Generation of the app when it began: older ones were ended.
	Generation int64 `json:"g,omitempty"`
	// Kind says how it began.
	Kind session.Kind `json:"w,omitempty"`
}

// live returns the session if it has not ended by now.
func (r *record) live(id string, generation int64, now time.Time) (session.Session, bool) {
	for _, live := range r.Sessions {
		if live.ID == id {
			return session.Session{UnionID: r.UnionID, UserID: r.UserID, Ends: time.Unix(live.Ends, 0)}, !live.expired(generation, now)
		}
	}
	return session.Session{}, false
}

func (l *liveSession) expired(generation int64, now time.Time) bool {
	return !now.Before(time.Unix(l.Ends, 0)) || l.Generation < generation
}

// prune drops what has ended.
func (r *record) prune(generation int64, now time.Time) {
	r.Sessions = slices.DeleteFunc(r.Sessions, func(live liveSession) bool { return live.expired(generation, now) })
	if !r.denied(now) {
		r.DeniedUntil = 0
	}
	if now.Sub(time.Unix(r.Replaced, 0)) >= session.PreviousKeyLifetime {
		r.Previous, r.Replaced = "", 0
	}
	if !time.Unix(r.Kept, 0).After(now) {
		r.Kept = 0
	}
}

func (r *record) denied(now time.Time) bool { return time.Unix(r.DeniedUntil, 0).After(now) }

// linger is how much longer a record is kept than anything in it lasts, so that
// the next one has a higher version also if another node writes it, whose clock is
// behind.
const linger = time.Minute

// lifetime is how long the record is needed.
func (r *record) lifetime(now time.Time) time.Duration {
	last := max(r.DeniedUntil, r.Kept, now.Unix())
	for _, live := range r.Sessions {
		last = max(last, live.Ends)
	}
	return time.Unix(last, 0).Add(linger).Sub(now)
}

// clone returns a copy that can be changed.
func (r *record) clone() *record {
	c := *r
	c.Sessions = slices.Clone(r.Sessions)
	return &c
}

// operatorView is what operators see of the record.
func (r *record) operatorView() (out session.Record) {
	if r.DeniedUntil != 0 {
		out.DeniedUntil = time.Unix(r.DeniedUntil, 0)
	}
	for _, live := range r.Sessions {
		out.UnionID, out.UserID = r.UnionID, r.UserID
		out.Sessions = append(out.Sessions, session.Live{ID: live.ID, Began: time.Unix(live.Began, 0), Ends: time.Unix(live.Ends, 0), Kind: live.Kind})
	}
	return out
}

func (r *record) ids() []string {
	ids := make([]string, len(r.Sessions))
	for i, live := range r.Sessions {
		ids[i] = live.ID
	}
	return ids
}

// setSessionKey makes key the newest one; none changes nothing.
func (r *record) setSessionKey(key secret.String, now time.Time) {
	if key.IsZero() || r.SessionKey == key.Reveal() {
		return
	}
	r.Previous, r.Replaced = r.SessionKey, now.Unix()
	if r.Previous == "" {
		r.Replaced = 0
	}
	r.SessionKey = key.Reveal()
}
