package memory

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/caddy-wechat/gateway/internal/session"
)

// What is kept of sessions and users has a fixed size and no pointer in it: the
// garbage collector walks over what it finds pointers to, and a million logins
// would cost every request more than the gateway itself does. The figures are
// in docs/performance.md.

// sessionID is a session's id, filled up with zeros.
type sessionID [session.MaxIDBytes]byte

func toSessionID(id string) (key sessionID, ok bool) {
	return key, copy(key[:], id) == len(id) && id != ""
}

func (id *sessionID) String() string {
	n := len(id)
	for n > 0 && id[n-1] == 0 {
		n--
	}
	return string(id[:n])
}

// userKey is the hash of an app and a user of it.
type userKey [16]byte

func toUserKey(account uint16, openID string) userKey {
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint16(nil, account))
	h.Write([]byte(openID))
	return userKey(h.Sum(nil)[:16])
}

// liveSession is one session: all that lookups need, as a rule, in the 64 bytes of a
// cache line.
type liveSession struct {
	id       sessionID
	kind     uint8  // see kindNumber
	owner    uint64 // hash of account, user and what lookups return of the user
	ends     int64  // Unix nanoseconds
	deadline uint32 // the same by the monotonic clock, in seconds since Store.started
	user     uint32 // slot of the user
	began    uint32 // Unix seconds
	// All sessions by age, for the bound, and those of the user.
	older, newer uint32
	nextOfUser   uint32 // younger
}

// user is the record of one user.
type user struct {
	openID      text
	unionID     text
	account     uint16
	sessions    uint16 // at most session.MaxPerUser
	oldest      uint32
	deniedUntil int64 // Unix seconds
	sessionKey  text
	userID      text
	key         userKey
}

// kindNumber is the index of a kind in [session.Kinds] plus one; 0 for any other.
func kindNumber(kind session.Kind) uint8 {
	return uint8(slices.Index(session.Kinds, kind) + 1) //nolint:gosec // there are few
}

func kindOf(number uint8) session.Kind {
	if number == 0 || int(number) > len(session.Kinds) {
		return ""
	}
	return session.Kinds[number-1]
}

// text is a short string without a pointer. Everything that WeChat gives is shorter than
// 31 bytes so far; longer texts are in Store.long.
type text struct {
	length uint8 // longText: see Store.long
	bytes  [31]byte
}

const longText = 255

// set keeps s if it is short enough.
func (t *text) set(s string) bool {
	if len(s) > len(t.bytes) {
		t.length = longText
		return false
	}
	t.length = uint8(copy(t.bytes[:], s)) //nolint:gosec // at most 31
	return true
}

// textKey names a long text: by its slot in memory, which is the user's.
type textKey struct {
	user uint32
	kind textKind
}

type textKind uint8

const (
	openIDText textKind = iota
	unionIDText
	sessionKeyText
	userIDText
)

func (u *user) text(kind textKind) *text {
	return [...]*text{&u.openID, &u.unionID, &u.sessionKey, &u.userID}[kind]
}

// textOf returns a text of a user as a string of its own.
func (s *Store) textOf(slot uint32, kind textKind) string {
	t := s.users.At(slot).text(kind)
	if t.length != longText {
		return string(t.bytes[:t.length])
	}
	long, _ := s.long.Load(textKey{slot, kind})
	value, _ := long.(string)
	return value
}

// textIs compares without making a string.
func (s *Store) textIs(slot uint32, kind textKind, value string) bool {
	t := s.users.At(slot).text(kind)
	if t.length != longText {
		return string(t.bytes[:t.length]) == value
	}
	return s.textOf(slot, kind) == value
}

func (s *Store) setText(slot uint32, kind textKind, value string) {
	key := textKey{slot, kind}
	if s.users.At(slot).text(kind).set(value) {
		s.long.Delete(key)
		return
	}
	s.long.Store(key, value)
}
