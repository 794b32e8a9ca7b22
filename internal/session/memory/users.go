package memory

import (
	"hash/maphash"
	"math"
	"slices"
	"time"
)

// whose is a hash of an app, a user of it and what else lookups return of the user,
// under keys of this process that nobody sees a result of.
func (s *Store) whose(appID, openID, unionID, userID string) uint64 {
	const odd, alsoOdd, oddToo = 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9
	sum := maphash.String(s.seed, appID)*odd + maphash.String(s.userSeed, openID)*alsoOdd + maphash.String(s.unionSeed, unionID)
	if userID != "" {
		sum += maphash.String(s.userIDSeed, userID) * oddToo
	}
	return sum
}

// rename changes what lookups return of a user in all sessions, and returns the hash
// that they have then. The caller holds mu.
func (s *Store) rename(place uint32, unionID, userID string) (whose uint64) {
	u := s.users.At(place)
	whose = s.whose((*s.apps.Load())[u.app].id, s.textOf(place, openIDText), unionID, userID)
	if s.textIs(place, unionIDText, unionID) && s.textIs(place, userIDText, userID) {
		return whose
	}
	s.lockSessionsOf(u, func() {
		s.setText(place, unionIDText, unionID)
		s.setText(place, userIDText, userID)
		for other := u.oldest; other != 0; other = s.lives.At(other).nextOfUser {
			s.lives.At(other).whose = whose
		}
	})
	return whose
}

// user returns the place of a user, who need not have been there. The caller
// holds mu.
func (s *Store) user(appID, openID string) uint32 {
	number := s.appNumber(appID)
	key := toUserKey(number, openID)
	place := s.byUser[key]
	if place == 0 {
		place = s.users.Take()
		u := s.users.At(place)
		u.key, u.app = key, number
		s.setText(place, openIDText, openID)
		s.byUser[key] = place
	}
	return place
}

// known returns the place of a user, 0 if there is none. The caller holds mu.
func (s *Store) known(appID, openID string) uint32 {
	for number, app := range *s.apps.Load() {
		if app.id == appID {
			return s.byUser[toUserKey(uint16(number), openID)]
		}
	}
	return 0
}

// appNumber returns the number of an app. There are as many as configurations
// have named since the process began. The caller holds mu.
func (s *Store) appNumber(appID string) uint16 {
	apps := *s.apps.Load()
	for number, app := range apps {
		if app.id == appID {
			return uint16(number)
		}
	}
	if len(apps) > math.MaxUint16 {
		panic("memory: more than 65,536 apps")
	}
	more := append(slices.Clip(apps), &app{id: appID})
	s.apps.Store(&more)
	return uint16(len(apps)) //nolint:gosec // see above
}

// forget removes a user about whom there is nothing to know any more. The caller
// holds mu.
func (s *Store) forget(place uint32, now time.Time) {
	u := s.users.At(place)
	if u.sessions > 0 || u.denied(now) {
		return
	}
	// A place is in a table only while its user is: what stays in one when the
	// place is free would name whoever has it next.
	for _, kind := range []textKind{openIDText, unionIDText, sessionKeyText, userIDText} {
		s.long.Delete(textKey{place, kind})
	}
	s.previous.Delete(string(u.key[:]))
	delete(s.denied, place)
	delete(s.byUser, u.key)
	s.users.Give(place)
}
