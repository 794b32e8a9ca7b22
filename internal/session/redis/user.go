package redis

import (
	"hash/fnv"
	"sync"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
)

// memo is where this node finds a session's record, so that names are not hashed
// for every request.
type memo struct {
	ref session.Ref
	*user
}

// user is the record of a user as this node saw it last.
type user struct {
	key  string
	hash uint64 // of key, for Known

	mu      sync.Mutex
	raw     string  // of the record below
	decoded *record // so that a record is opened once
	copied  localCopy
}

func (s *Store) memo(ref session.Ref) *memo {
	m, ok := s.memos.Get(ref.SessionID)
	if ok && m.ref == ref {
		return m
	}
	fresh := &memo{ref: ref, user: s.user(s.name("u", ref.AppID, ref.OpenID))}
	if ok {
		return fresh // another user's session id with a ref that does not match
	}
	m, _ = s.memos.GetOrAdd(ref.SessionID, func() *memo { return fresh })
	if m.ref != ref {
		return fresh
	}
	return m
}

func (s *Store) user(key string) *user {
	u, _ := s.users.GetOrAdd(key, func() *user { return &user{key: key, hash: hashOf(key)} })
	return u
}

// hashOf takes bits of a key's name, which is a hash itself.
func hashOf(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return h.Sum64()
}

// localCopy is a record as it was read.
type localCopy struct {
	raw  string
	read time.Time // when the reading began
}
