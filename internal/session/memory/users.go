package memory

import (
	"hash/maphash"
	"math"
	"slices"
	"time"
)

// ownerHash is a hash of an app, a user of it and what else lookups return of the user,
// under keys of this process whose results never leave it.
func (s *Store) ownerHash(appID, openID, unionID, userID string) uint64 {
	const odd, alsoOdd, oddToo = 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9
	sum := maphash.String(s.seed, appID)*odd + maphash.String(s.userSeed, openID)*alsoOdd + maphash.String(s.unionSeed, unionID)
	if userID != "" {
		sum += maphash.String(s.userIDSeed, userID) * oddToo
	}
	return sum
}

// setUserNames changes what lookups return of a user in all sessions, and returns the hash
// that they have then. The caller holds mu.
func (s *Store) setUserNames(slot uint32, unionID, userID string) (owner uint64) {
	u := s.users.At(slot)
	owner = s.ownerHash((*s.accounts.Load())[u.account].id, s.textOf(slot, openIDText), unionID, userID)
	if s.textIs(slot, unionIDText, unionID) && s.textIs(slot, userIDText, userID) {
		return owner
	}
	s.lockSessionsOf(u, func() {
		s.setText(slot, unionIDText, unionID)
		s.setText(slot, userIDText, userID)
		for other := u.oldest; other != 0; other = s.sessions.At(other).nextOfUser {
			s.sessions.At(other).owner = owner
		}
	})
	return owner
}

// addUser returns the slot of a user, a new one if there is none. The caller
// holds mu.
func (s *Store) addUser(appID, openID string) uint32 {
	number := s.accountNumber(appID)
	key := toUserKey(number, openID)
	slot := s.byUser[key]
	if slot == 0 {
		slot = s.users.Take()
		u := s.users.At(slot)
		u.key, u.account = key, number
		s.setText(slot, openIDText, openID)
		s.byUser[key] = slot
	}
	return slot
}

// findUser returns the slot of a user, 0 if there is none. The caller holds mu.
func (s *Store) findUser(appID, openID string) uint32 {
	for number, account := range *s.accounts.Load() {
		if account.id == appID {
			return s.byUser[toUserKey(uint16(number), openID)]
		}
	}
	return 0
}

// accountNumber returns the number of an account. There are as many as configurations
// have named since the process began. The caller holds mu.
func (s *Store) accountNumber(appID string) uint16 {
	accounts := *s.accounts.Load()
	for number, account := range accounts {
		if account.id == appID {
			return uint16(number)
		}
	}
	if len(accounts) > math.MaxUint16 {
		panic("memory: more than 65,536 accounts")
	}
	grown := append(slices.Clip(accounts), &account{id: appID})
	s.accounts.Store(&grown)
	return uint16(len(accounts)) //nolint:gosec // see above
}

// forget removes a user without a session or a denial. The caller
// holds mu.
func (s *Store) forget(slot uint32, now time.Time) {
	u := s.users.At(slot)
	if u.sessions > 0 || u.denied(now) {
		return
	}
	// A slot is in a table only while its user is: an entry left behind would
	// belong to the next user in the slot.
	for _, kind := range []textKind{openIDText, unionIDText, sessionKeyText, userIDText} {
		s.long.Delete(textKey{slot, kind})
	}
	s.previous.Delete(string(u.key[:]))
	delete(s.denied, slot)
	delete(s.byUser, u.key)
	s.users.Give(slot)
}
