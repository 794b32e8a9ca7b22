package memory

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

// ErrSnapshot says that a snapshot cannot be read.
var ErrSnapshot = errors.New("snapshot of sessions cannot be read")

const snapshotVersion = 1

// snapshot is all sessions, oldest first. It holds session keys: seal it.
type snapshot struct {
	Version  int
	Users    []snapshotUser
	Sessions []snapshotSession
}

type snapshotUser struct{ AppID, OpenID, UnionID, SessionKey string }

type snapshotSession struct {
	User int
	ID   string
	Ends int64 // Unix seconds
}

// Snapshot returns all live sessions for Restore. What it returns is secret.
func (s *Store) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := snapshot{Version: snapshotVersion}
	known := make(map[*user]int, len(s.users))
	for e := s.oldest; e != nil; e = e.newer {
		if e.over(time.Now(), s.started) {
			continue
		}
		n, seen := known[e.user]
		if !seen {
			n = len(out.Users)
			known[e.user] = n
			out.Users = append(out.Users, snapshotUser{e.user.key.appID, e.user.key.openID, *e.user.unionID.Load(), e.user.sessionKey.Reveal()})
		}
		out.Sessions = append(out.Sessions, snapshotSession{n, e.id, e.ends.Unix()})
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(out); err != nil {
		return nil, fmt.Errorf("encoding sessions: %w", err)
	}
	return buf.Bytes(), nil
}

// Restore adds the sessions of a snapshot that are still live, and returns how
// many. The error is ErrSnapshot if it is none; the store is unchanged then.
func (s *Store) Restore(data []byte) (int, error) {
	var in snapshot
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&in); err != nil || in.Version != snapshotVersion {
		return 0, ErrSnapshot
	}
	for _, kept := range in.Sessions {
		if kept.User < 0 || kept.User >= len(in.Users) || kept.ID == "" {
			return 0, ErrSnapshot
		}
	}
	restored := 0
	for _, kept := range in.Sessions {
		u := in.Users[kept.User]
		ends := time.Unix(kept.Ends, 0)
		if !ends.After(time.Now()) {
			continue
		}
		s.put(session.Login{
			Ref:     session.Ref{AppID: u.AppID, OpenID: u.OpenID, SessionID: kept.ID},
			UnionID: u.UnionID, SessionKey: secret.New(u.SessionKey), Ends: ends,
		}, len(in.Sessions))
		restored++
	}
	return restored, nil
}
