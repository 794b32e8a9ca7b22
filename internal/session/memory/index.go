package memory

import (
	"hash/maphash"

	"github.com/caddy-wechat/gateway/internal/session"
)

func (s *Store) hash(id *sessionID) uint64 { return maphash.Bytes(s.seed, id[:]) }

// hashAt is the hash of the session at a slot.
func (s *Store) hashAt(slot uint32) uint64 { return s.hash(&s.sessions.At(slot).id) }

// shardNumber uses other bits of the hash than the index in the shard. It is also
// the remainder of the slots of its sessions, so that reading a slot takes the
// lock of one shard, whichever session it had before.
func shardNumber(hash uint64) uint32 { return uint32(hash >> 20 % shards) }

func (s *Store) shardOf(hash uint64) *shard { return &s.index[shardNumber(hash)] }

// find returns the slot of a session, 0 if there is none. The caller holds the
// lock of the shard, or mu.
func (s *Store) find(shard *shard, hash uint64, id *sessionID) uint32 {
	return shard.slots.Find(hash, func(slot uint32) bool { return s.sessions.At(slot).id == *id })
}

// isAt reports whether the session is at a slot, which may be any number. The
// caller holds the lock of the shard. A session that has ended is nowhere: its
// slot is empty before that lock is free.
func (s *Store) isAt(slot, shard uint32, id *sessionID) bool {
	return slot%shards == shard && s.sessions.Reaches(slot) && s.sessions.At(slot).id == *id
}

func (s *Store) belongs(slot uint32, ref session.Ref) bool {
	return (*s.accounts.Load())[s.users.At(slot).account].id == ref.AppID && s.textIs(slot, openIDText, ref.OpenID)
}

// lockSessionsOf runs change while no lookup sees the user. The caller holds mu.
func (s *Store) lockSessionsOf(u *user, change func()) {
	var locked [shards]bool
	for slot := u.oldest; slot != 0; slot = s.sessions.At(slot).nextOfUser {
		locked[slot%shards] = true
	}
	for i := range locked {
		if locked[i] {
			s.index[i].Lock()
			defer s.index[i].Unlock()
		}
	}
	change()
}

// publish puts a session where lookups find it, and returns its slot. The caller
// holds mu.
func (s *Store) publish(l liveSession) uint32 {
	hash := s.hash(&l.id)
	shard := s.shardOf(hash)
	slot := s.sessions.TakeFrom(&shard.slotClass, shardNumber(hash), shards)
	shard.Lock()
	defer shard.Unlock()
	*s.sessions.At(slot) = l
	shard.slots.Add(hash, slot, s.hashAt)
	return slot
}

// unpublish hides a session from lookups and returns it; no lookup reads it
// afterwards. The caller holds mu.
func (s *Store) unpublish(slot uint32) liveSession {
	hash := s.hashAt(slot)
	shard := s.shardOf(hash)
	shard.Lock()
	defer shard.Unlock()
	l := *s.sessions.At(slot)
	shard.slots.Remove(hash, slot, s.hashAt)
	s.ended.Add(1)
	s.sessions.GiveTo(&shard.slotClass, slot)
	return l
}

// slotOf returns where a session is. The caller holds mu: nobody changes the index
// meanwhile, so it can be read.
func (s *Store) slotOf(id *sessionID) uint32 {
	hash := s.hash(id)
	return s.find(s.shardOf(hash), hash, id)
}
