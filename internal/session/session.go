// Package session says what a login is once it exists, and what every store of
// logins must hold to.
package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-wechat/gateway/internal/secret"
)

// Errors of a [Store]. "Not there" and "could not find out" are different all the
// way up: the first is a 401, everything that is not one of these a 503.
var (
	// ErrNotFound: there is no such session; it ended or never was.
	ErrNotFound = errors.New("no such session")
	// ErrUnavailable: the store cannot tell.
	ErrUnavailable = errors.New("session store unavailable")
	// ErrAway: the store cannot be reached, and that is known: connections fail, or
	// calls run out of the store's own time, and nothing else gets an answer. It is
	// an [ErrUnavailable], too.
	ErrAway = fmt.Errorf("%w: it cannot be reached", ErrUnavailable)
	// ErrDenied: the operator has denied the user until a time that has not come.
	ErrDenied = errors.New("user is denied")
	// ErrCursor: a list cannot go on there.
	ErrCursor = errors.New("not a place where a list can go on")
)

// MaxIDBytes is the length of the longest SessionID. The gateway's own have 22.
const MaxIDBytes = 23

// Bounds of what a store is asked to keep. Settings and requests beyond them are
// refused where they come in; a store that is asked all the same keeps what is
// nearest to it.
const (
	// MaxPerUser is how many sessions a user of an app can have.
	MaxPerUser = 1000
	// MaxLifetime is how long a session can last.
	MaxLifetime = 10 * 365 * 24 * time.Hour
)

// LastTime is the last second that can be written as RFC 3339 has it. A user who
// is denied until then is denied for ever.
var LastTime = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

// Ref names one session of one user.
type Ref struct {
	AppID  string
	OpenID string
	// SessionID of at most MaxIDBytes bytes.
	SessionID string
}

// Query asks for a session, and says what its caller knows already.
type Query struct {
	Ref
	// UnionID that the user had when the caller was told last. Most often that is
	// still it, and the store need not look it up.
	UnionID string
	// Now is what the caller's clock says; one reading is enough for a request.
	// Zero: the store reads it.
	Now time.Time
	// Issued is when the token was made that the caller has; zero if unknown. While
	// a store is down it tells what the store knows to have ended by then.
	Issued time.Time
	// Hint that the store gave the last time, zero for none. Any hint is good: a
	// store looks there first, and believes nothing but what it sees.
	Hint Hint
}

// At is Now, never zero: at the zero time no session would be over.
func (q *Query) At() time.Time {
	if q.Now.IsZero() {
		return time.Now()
	}
	return q.Now
}

// Session is a live login.
type Session struct {
	// UnionID that WeChat gave at the user's newest login; empty if none.
	UnionID string
	// UserID is the application's name for the user; empty if it gave none.
	UserID string
	// Remembered says, beside ErrUnavailable, that the rest is what the store knew
	// last: for callers that go on while it is down.
	Remembered bool
	// Ends is when the session ends however often it is renewed.
	Ends time.Time
	// Hint for the next Query, zero for none.
	Hint Hint
}

// Hint tells a store where it found a session the last time. What is in it is the
// store's own business.
type Hint uint32

// Login is what WeChat told about a user, and the session that begins with it.
type Login struct {
	Ref
	// UnionID, empty if WeChat gave none.
	UnionID string
	// KeepUnionID says that this kind of login cannot carry a UnionID: without one
	// the user keeps the one of before.
	KeepUnionID bool
	// SessionKey is WeChat's key for the user's data. It replaces the one of
	// the user's earlier logins and is never returned to anybody outside. Empty:
	// this kind of login has none, and the user keeps the one of before.
	SessionKey secret.String
	// UserID is the application's name for the user. Empty: the user keeps the one
	// of before.
	UserID string
	// Kind says how the session begins.
	Kind Kind
	// Ends is when the session expires.
	Ends time.Time
}

// Kind says how a session began; operators see it.
type Kind string

// The kinds: that of the account that the user logged in to, or [Scan] for a desktop
// that a Mini Program let in.
const (
	MiniProgram     Kind = "mini_program"
	Mobile          Kind = "mobile"
	OfficialAccount Kind = "official_account"
	Website         Kind = "website"
	Scan            Kind = "scan"
)

// Kinds are all there are. Their order is that of the memory store's snapshots: new
// ones go to the end.
var Kinds = []Kind{MiniProgram, Mobile, OfficialAccount, Website, Scan}

// Store keeps one record per user (AppID and OpenID) with the newest session
// key, the newest UnionID and the live sessions. Every method is safe for
// concurrent use. What a method waits for is never cut short because of somebody
// else's context, and a change that has begun finishes whatever becomes of its own.
type Store interface {
	// Put begins a session. If the user has more than maxPerUser sessions then,
	// the oldest end first. It returns the UnionID that the user had until now,
	// empty if there was none or no session. The error is [ErrDenied] for a user
	// that Deny keeps out.
	Put(ctx context.Context, login Login, maxPerUser int) (unionID string, err error)
	// Get returns the session if it is live, else [ErrNotFound]. Any other error
	// means that the store could not tell; what it knew last may come with it, see
	// Session.Remembered.
	Get(ctx context.Context, query Query) (Session, error)
	// Delete ends a session. A missing session is no error.
	Delete(ctx context.Context, ref Ref) error
	// DeleteUser ends all sessions of a user and forgets the record, and
	// returns how many sessions ended.
	DeleteUser(ctx context.Context, appID, openID string) (int, error)

	// Ended counts the sessions that ended. While the count stays the same, every
	// session that was live is live, unless its time has come. It is not known if
	// others than this process can end sessions.
	Ended() (count uint64, known bool)
}

// Backend is all that a store of sessions does.
type Backend interface {
	Store
	Once
	Vault
	Operations
}

// Vault keeps what only the gateways may know: about users, and secrets that they
// share.
type Vault interface {
	// SessionKeys returns the keys of a user with a live session. The error is
	// [ErrNotFound] if there is none, or if the user's logins have no such key.
	SessionKeys(ctx context.Context, appID, openID string) (Keys, error)
	// ReplaceSessionKey makes key the newest one of a user with a live session, as
	// if it came with a login. The error is [ErrNotFound] if there is no session.
	ReplaceSessionKey(ctx context.Context, appID, openID string, key secret.String) error

	// LoadShared returns what SaveShared keeps under a name, nil if nothing.
	LoadShared(ctx context.Context, name string) ([]byte, error)
	// SaveShared keeps a value for a lifetime.
	SaveShared(ctx context.Context, name string, value []byte, lifetime time.Duration) error
	// ForgetShared forgets the value if refused returns true for it, unless a node has
	// replaced it meanwhile.
	ForgetShared(ctx context.Context, name string, refused func(value []byte) bool) error
	// TakeTurn reports whether the caller is the one of all gateways whose turn it
	// is, until EndTurn or for the time.
	TakeTurn(ctx context.Context, name string, turn time.Duration) (bool, error)
	// EndTurn ends the caller's turn.
	EndTurn(ctx context.Context, name string) error
}

// Keys are WeChat's keys for a user's data.
type Keys struct {
	Newest secret.String
	// Previous is the key before, for PreviousKeyLifetime after it was replaced; empty
	// if there is none. What WeChat encrypted before the last login needs it.
	Previous secret.String
}

// PreviousKeyLifetime is how long a session_key can be used after a newer one came.
const PreviousKeyLifetime = 5 * time.Minute

// Operations are what the people who run the gateway do with sessions. What one
// node does is seen by all nodes within a second.
type Operations interface {
	// User returns what is known about a user; nothing is no error.
	User(ctx context.Context, appID, openID string) (Record, error)
	// List returns users of an app with live sessions, in the store's own order:
	// first with an empty after, then with the Next of the page before, until that is
	// empty. A page has at most limit users, and limit is at most [MaxPage]; it can have
	// fewer, or none, although more follow. A user who is logged in all the time is listed,
	// or counted as unreadable; a user whose sessions change meanwhile may come twice.
	// The error is [ErrCursor] for an after that List never returned.
	List(ctx context.Context, appID, after string, limit int) (Page, error)
	// Deny ends all sessions of a user and lets none begin until the time, and
	// returns how many ended. A time that has passed allows the user again.
	Deny(ctx context.Context, appID, openID string, until time.Time) (ended int, err error)
	// SetUserID changes the application's name for a user in all live sessions, or
	// removes it if userID is empty. The error is [ErrNotFound] if there is no session.
	SetUserID(ctx context.Context, appID, openID, userID string) error
	// EndApp ends all sessions of an app and returns how many there were.
	EndApp(ctx context.Context, appID string) (ended int, err error)
	// Count returns how much there is of an app.
	Count(ctx context.Context, appID string) (Count, error)
	// DropKey remembers that tokens of the signing key with this id do not count
	// any more.
	DropKey(ctx context.Context, keyID string) error
	// DroppedKeys returns the ids that DropKey was called with, as far as this
	// node knows; it costs no round trip. The slice must not be changed.
	DroppedKeys() []string
	// Check finds out whether the store can be read and written now.
	Check(ctx context.Context) error
}

// Record is what is known about a user, without anything secret.
type Record struct {
	// UnionID, empty if WeChat gave none.
	UnionID string
	// UserID is the application's name for the user, empty if it gave none.
	UserID string
	// Sessions that are live, oldest first.
	Sessions []Live
	// DeniedUntil is zero if the user is not denied.
	DeniedUntil time.Time
}

// UserRecord says of whom a [Record] is.
type UserRecord struct {
	OpenID string
	Record
}

// Page is one of a list of users.
type Page struct {
	Users []UserRecord
	// Next is where the list goes on, empty at the end.
	Next string
	// Unreadable is how many records this part of the list has that say of nobody who
	// it is: damaged, sealed with another key, or not of this gateway.
	Unreadable int
}

// MaxPage is how many users List returns at once.
const MaxPage = 1000

// Live is one session of a [Record].
type Live struct {
	ID          string
	Began, Ends time.Time
	// Kind is empty for sessions that began before it was kept.
	Kind Kind
}

// Count is how much there is of an app.
type Count struct {
	// Sessions and Users with at least one session. Those that ended since the
	// last sweep may be counted.
	Sessions, Users int
}

// CodeKey names a login code of an app by its hash; the code itself is never
// kept.
type CodeKey struct {
	AppID string
	Hash  [32]byte
}

// Reply is the outcome of a code exchange, as kept for a client that lost it.
type Reply struct {
	// Nonce that the client chose. Empty: the reply is never given again.
	Nonce string
	// Body is opaque to the store. Stores outside this process encrypt it.
	Body []byte
	// Keep is how long the reply is kept. Zero: ReplyLifetime.
	Keep time.Duration `json:"-"`
}

// Kept is how long the reply is kept.
func (r Reply) Kept() time.Duration { return cmp.Or(r.Keep, ReplyLifetime) }

// Claim is the answer to the question who may exchange a code.
type Claim int

const (
	// ClaimGranted says that the code is new, and the caller may exchange it.
	ClaimGranted Claim = iota
	// ClaimPending says that another request is exchanging it now.
	ClaimPending
	// ClaimSettled says that it was exchanged; a reply may be there.
	ClaimSettled
)

// Once remembers which login codes were seen, so that one code makes at most
// one session and one call of WeChat, and keeps replies for a short while.
// The table of each app is bounded: its oldest entries give way.
type Once interface {
	// ClaimCode takes the code for the caller, who then calls SettleCode or
	// ReleaseCode. If another caller has it already, the claim says how far they
	// are, and for [ClaimSettled] what the reply was, if one is still kept.
	ClaimCode(ctx context.Context, key CodeKey) (Claim, *Reply, error)
	// PeekCode says what ClaimCode would, and takes nothing: [ClaimGranted] for a code
	// that nobody has.
	PeekCode(ctx context.Context, key CodeKey) (Claim, *Reply, error)
	// SettleCode marks the code as used and keeps the reply for replay.
	SettleCode(ctx context.Context, key CodeKey, reply Reply) error
	// ReleaseCode gives a claim back: the code never reached WeChat.
	ReleaseCode(ctx context.Context, key CodeKey) error
	// ClaimsSince is since when all claims of an app are remembered: what was claimed
	// before that may be granted again. Zero: for ever.
	ClaimsSince(appID string) time.Time
}

// How long codes and replies are remembered. WeChat's codes are valid for five
// minutes ("小程序登录").
const (
	CodeLifetime  = 10 * time.Minute
	ReplyLifetime = 60 * time.Second
)
