package browser

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/ticket"
	"github.com/caddy-wechat/gateway/internal/token"
)

const (
	// StateLifetime is how long a login in a browser may take.
	StateLifetime = 10 * time.Minute
	// UsedLifetime is how long the state of a finished login is remembered, for
	// browsers that load the callback again.
	UsedLifetime = 60 * time.Second
	// MaxStates is how many logins a browser can have under way.
	MaxStates = 4

	stateBytes   = 16
	stateInName  = 8 // characters of a state in its cookie's name
	stateVersion = "1"
	// clockLeeway is how far the clocks of nodes may be apart.
	clockLeeway = token.Leeway
)

// State is a login that is under way in a browser, as its cookie says.
type State struct {
	// ID is what WeChat carries from authorize to callback: 32 hex digits.
	ID string
	// AppID of the account that the login is for; what the callback's address
	// says about it counts for nothing.
	AppID string
	// Scope that was asked for.
	Scope string
	// To is where the browser goes afterwards.
	To string
	// Made and Used are when the login began and ended, in whole seconds.
	// Used is zero before.
	Made, Used time.Time
}

var errState = errors.New("not a state of this browser")

// NewState begins a login.
func NewState(appID, scope, to string, now time.Time) State {
	var id [stateBytes]byte
	rand.Read(id[:]) // never fails since Go 1.24
	return State{ID: hex.EncodeToString(id[:]), AppID: appID, Scope: scope, To: to, Made: now.Truncate(time.Second)}
}

// UsedAt returns the state of a login that ended at a time.
func (s State) UsedAt(now time.Time) State {
	if s.Used.IsZero() {
		s.Used = now.Truncate(time.Second)
	}
	return s
}

// IsState reports whether a text has the form of a state's ID.
func IsState(id string) bool {
	if len(id) != 2*stateBytes {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// State is the name of a state's cookie.
func (c Cookies) State(secure bool, id string) string {
	return c.prefixed(secure, stateSuffix+id[:stateInName])
}

// text of a state. No field has a line break in it.
func (s State) text() string {
	used := ""
	if !s.Used.IsZero() {
		used = strconv.FormatInt(s.Used.Unix(), 10)
	}
	return strings.Join([]string{stateVersion, s.ID, s.AppID, s.Scope, strconv.FormatInt(s.Made.Unix(), 10), used, s.To}, "\n")
}

// parseState reads what text wrote.
func parseState(text string) (State, error) {
	fields := strings.Split(text, "\n")
	if len(fields) != 7 || fields[0] != stateVersion || !IsState(fields[1]) || fields[2] == "" || fields[6] == "" {
		return State{}, errState
	}
	s := State{ID: fields[1], AppID: fields[2], Scope: fields[3], To: fields[6]}
	var err error
	if s.Made, err = parseTime(fields[4]); err != nil {
		return State{}, err
	}
	if fields[5] != "" {
		if s.Used, err = parseTime(fields[5]); err != nil {
			return State{}, err
		}
	}
	if s.text() != text {
		return State{}, errState // another spelling of a number
	}
	return s, nil
}

// maxUnixSeconds is the year 9999.
const maxUnixSeconds = 253402300800

func parseTime(text string) (time.Time, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds <= 0 || seconds >= maxUnixSeconds {
		return time.Time{}, errState
	}
	return time.Unix(seconds, 0), nil
}

// SealState returns the cookie that keeps a state in the browser, at most 1,200
// bytes of name and value.
func (c Cookies) SealState(ring *key.Set, origin Origin, s State) (*http.Cookie, error) {
	name := c.State(origin.Secure(), s.ID)
	value, err := ticket.Seal(ring, ticket.State, ticket.Place{Host: origin.Host, Name: name}, []byte(s.text()))
	if err != nil {
		return nil, err
	}
	lifetime := StateLifetime
	if !s.Used.IsZero() {
		lifetime = UsedLifetime
	}
	return Set(name, value, lifetime, origin.Secure()), nil
}

// StoredState is a state cookie that a browser brings.
type StoredState struct {
	Name string
	// Opens says that the gateway made it for this name and host; State is empty
	// otherwise.
	Opens bool
	State
}

// Current reports whether a login can still be finished with the state, or, once
// it was used, whether the same browser may have the same answer again.
func (s StoredState) Current(now time.Time) bool {
	if !s.Opens || s.Made.After(now.Add(clockLeeway)) {
		return false
	}
	if s.Used.IsZero() {
		return now.Sub(s.Made) < StateLifetime
	}
	return now.Sub(s.Used) < UsedLifetime && !s.Used.After(now.Add(clockLeeway))
}

// UsedUp reports whether the state's login has ended.
func (s StoredState) UsedUp() bool { return !s.Used.IsZero() }

// States returns the state cookies of a request, each name once. One that comes
// twice does not open: it is unknown which of them is the browser's own.
func (c Cookies) States(ring *key.Set, origin Origin, h http.Header) (states []StoredState) {
	prefix := c.prefixed(origin.Secure(), stateSuffix)
	places := make(map[string]int) // a header has room for many thousands
	for _, pair := range c.All(h) {
		if !strings.HasPrefix(pair.Name, prefix) {
			continue
		}
		if i, twice := places[pair.Name]; twice {
			states[i] = StoredState{Name: pair.Name}
			continue
		}
		places[pair.Name] = len(states)
		states = append(states, c.openState(ring, origin, pair))
	}
	return states
}

func (c Cookies) openState(ring *key.Set, origin Origin, pair Pair) StoredState {
	unopened := StoredState{Name: pair.Name}
	data, err := ticket.Open(ring, ticket.State, ticket.Place{Host: origin.Host, Name: pair.Name}, pair.Value)
	if err != nil {
		return unopened
	}
	s, err := parseState(string(data))
	if err != nil || c.State(origin.Secure(), s.ID) != pair.Name {
		return unopened
	}
	return StoredState{Name: pair.Name, Opens: true, State: s}
}

// Surplus returns the names of the cookies that must go to make room for one more
// state: used ones go first, then the oldest, then what does not open. A browser with
// very many is rid of them in more than one answer, see maxCleared.
func Surplus(states []StoredState) (names []string) {
	order := slices.Clone(states)
	rank := func(h StoredState) int {
		switch {
		case !h.Opens:
			return 2
		case h.UsedUp():
			return 0
		}
		return 1
	}
	slices.SortStableFunc(order, func(a, b StoredState) int {
		if ranked := rank(a) - rank(b); ranked != 0 {
			return ranked
		}
		return a.Made.Compare(b.Made)
	})
	for i := range min(len(order)-(MaxStates-1), maxCleared) {
		names = append(names, order[i].Name)
	}
	return names
}

// NotKept reports whether a browser forgets its logins: it brings two that were
// over less than a minute ago, and still is logged in to nothing.
func NotKept(states []StoredState, now time.Time) bool {
	recent := 0
	for _, h := range states {
		if h.UsedUp() && h.Current(now) {
			recent++
		}
	}
	return recent >= 2
}
