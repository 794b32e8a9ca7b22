package memory

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

// ErrSnapshot says that a snapshot cannot be read.
var ErrSnapshot = errors.New("snapshot of sessions cannot be read")

const (
	snapshotVersion = 2
	// firstVersion had DeniedUntil in nanoseconds.
	firstVersion = 1
)

// snapshot is all sessions, oldest first, and what operators have decided. It
// holds session keys: seal it. Members may be added; a missing one is zero.
type snapshot struct {
	Version  int
	Users    []snapshotUser
	Sessions []snapshotSession
	Dropped  []string // ids of signing keys
}

type snapshotUser struct {
	AppID, OpenID, UnionID, SessionKey string
	DeniedUntil                        int64 // Unix seconds
	UserID                             string
}

type snapshotSession struct {
	User        int
	ID          string
	Ends, Began int64 // Unix seconds
	Kind        uint8
}

// Snapshot returns all live sessions for [Store.Restore]. What it returns is secret.
func (s *Store) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	out := snapshot{Version: snapshotVersion, Dropped: s.DroppedKeys()}
	numbers := make(map[uint32]int, len(s.byUser))
	number := func(slot uint32) int {
		n, found := numbers[slot]
		if !found {
			n = len(out.Users)
			numbers[slot] = n
			u := s.users.At(slot)
			out.Users = append(out.Users, snapshotUser{
				(*s.accounts.Load())[u.account].id, s.textOf(slot, openIDText), s.textOf(slot, unionIDText), s.textOf(slot, sessionKeyText),
				u.deniedUntil, s.textOf(slot, userIDText),
			})
		}
		return n
	}
	for slot := range s.denied {
		number(slot)
	}
	for slot := s.oldest; slot != 0; slot = s.sessions.At(slot).newer {
		if l := s.sessions.At(slot); !s.expired(l, now) {
			out.Sessions = append(out.Sessions, snapshotSession{number(l.user), l.id.String(), time.Unix(0, l.ends).Unix(), int64(l.began), l.kind})
		}
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(out); err != nil {
		return nil, fmt.Errorf("encoding sessions: %w", err)
	}
	return buf.Bytes(), nil
}

// Restore adds the sessions of a snapshot that are still live, and returns how
// many. It returns [ErrSnapshot] if data is no snapshot; the store is unchanged then.
func (s *Store) Restore(data []byte) (int, error) {
	var in snapshot
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&in); err != nil || in.Version < firstVersion || in.Version > snapshotVersion {
		return 0, ErrSnapshot
	}
	if in.Version == firstVersion {
		for i := range in.Users {
			in.Users[i].DeniedUntil /= int64(time.Second)
		}
	}
	for _, saved := range in.Sessions {
		if _, ok := toSessionID(saved.ID); !ok || saved.User < 0 || saved.User >= len(in.Users) {
			return 0, ErrSnapshot
		}
	}
	ctx := context.Background() // nothing here waits
	for _, id := range in.Dropped {
		if err := s.DropKey(ctx, id); err != nil {
			return 0, err
		}
	}
	restored := 0
	for _, saved := range in.Sessions {
		u := in.Users[saved.User]
		ends := time.Unix(saved.Ends, 0)
		if !ends.After(time.Now()) {
			continue
		}
		if _, err := s.put(session.Login{
			Ref:     session.Ref{AppID: u.AppID, OpenID: u.OpenID, SessionID: saved.ID},
			UnionID: u.UnionID, SessionKey: secret.New(u.SessionKey), UserID: u.UserID, Kind: kindOf(saved.Kind), Ends: ends,
		}, time.Unix(saved.Began, 0), session.MaxPerUser); err != nil {
			return restored, err
		}
		restored++
	}
	for _, u := range in.Users {
		if u.DeniedUntil == 0 {
			continue
		}
		if _, err := s.Deny(ctx, u.AppID, u.OpenID, time.Unix(u.DeniedUntil, 0)); err != nil {
			return restored, err
		}
	}
	return restored, nil
}
