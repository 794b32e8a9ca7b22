package memory

import (
	"hash/maphash"

	"github.com/caddy-wechat/gateway/internal/session"
)

func (s *Store) hash(id *sessionID) uint64 { return maphash.Bytes(s.seed, id[:]) }

// hashAt is the hash of the session at a place.
func (s *Store) hashAt(place uint32) uint64 { return s.hash(&s.lives.At(place).id) }

// shardNumber uses other bits of the hash than the index in the shard. It is also
// the remainder of the places that sessions of the shard have, so that looking at
// a place takes the lock of one shard, whatever was there before.
func shardNumber(hash uint64) uint32 { return uint32(hash >> 20 % shards) }

func (s *Store) shardOf(hash uint64) *shard { return &s.index[shardNumber(hash)] }

// find returns the place of a session, 0 if there is none. The caller holds the
// lock of the shard, or mu.
func (s *Store) find(shard *shard, hash uint64, id *sessionID) uint32 {
	return shard.places.Find(hash, func(place uint32) bool { return s.lives.At(place).id == *id })
}

// isAt reports whether the session is at a place, which may be any number. The
// caller holds the lock of the shard. A session that has ended is nowhere: its
// place is empty before that lock is free.
func (s *Store) isAt(place, shard uint32, id *sessionID) bool {
	return place%shards == shard && s.lives.Reaches(place) && s.lives.At(place).id == *id
}

func (s *Store) belongs(place uint32, ref session.Ref) bool {
	return (*s.apps.Load())[s.users.At(place).app].id == ref.AppID && s.textIs(place, openIDText, ref.OpenID)
}

// lockSessionsOf runs change while no lookup sees the user. The caller holds mu.
func (s *Store) lockSessionsOf(u *user, change func()) {
	var held [shards]bool
	for place := u.oldest; place != 0; place = s.lives.At(place).nextOfUser {
		held[place%shards] = true
	}
	for i := range held {
		if held[i] {
			s.index[i].Lock()
			defer s.index[i].Unlock()
		}
	}
	change()
}

// publish puts a session where lookups find it, and returns its place. The caller
// holds mu.
func (s *Store) publish(l live) uint32 {
	hash := s.hash(&l.id)
	shard := s.shardOf(hash)
	place := s.lives.TakeFrom(&shard.own, shardNumber(hash), shards)
	shard.Lock()
	defer shard.Unlock()
	*s.lives.At(place) = l
	shard.places.Add(hash, place, s.hashAt)
	return place
}

// unpublish makes lookups not find a session any more and returns what it was;
// none is looking at it afterwards. The caller holds mu.
func (s *Store) unpublish(place uint32) live {
	hash := s.hashAt(place)
	shard := s.shardOf(hash)
	shard.Lock()
	defer shard.Unlock()
	l := *s.lives.At(place)
	shard.places.Remove(hash, place, s.hashAt)
	s.ended.Add(1)
	s.lives.GiveTo(&shard.own, place)
	return l
}

// place returns where a session is. The caller holds mu: nobody changes the index
// meanwhile, so it can be read.
func (s *Store) place(id *sessionID) uint32 {
	hash := s.hash(id)
	return s.find(s.shardOf(hash), hash, id)
}
