package browser

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// DefaultCookie is the name of the session cookie unless a site says otherwise.
	DefaultCookie = "wechat_session"
	// hostPrefix makes browsers refuse a cookie that another host, or a page over
	// plain http, tries to set (RFC 6265bis section 4.1.3.2).
	hostPrefix = "__Host-"
	// maxCookieName keeps all cookies together below 6 KiB.
	maxCookieName = 64

	stateSuffix = "_state_"

	// maxCleared is how many state cookies one answer removes: a browser has few, but
	// a request can name thousands, and proxies in front take 4 or 8 KiB of header.
	maxCleared = 16
)

// suffixes are those of all cookies but the session's and those of states.
var suffixes = []string{outSuffix, snapshotSuffix, scanSuffix}

const (
	// outSuffix marks a browser that logged out, until it asks for a login.
	outSuffix = "_out"
	// snapshotSuffix marks a browser that WeChat shows a snapshot of the page in.
	snapshotSuffix = "_snapshot"
	// scanSuffix is of a desktop that waits for a Mini Program.
	scanSuffix = "_scan"
)

// Cookies names the cookies of a site.
type Cookies struct {
	// bare is the name of the session cookie over plain http.
	bare string
}

// NewCookies returns the cookies of a site by the name of its session cookie,
// without the prefix that it has over https.
func NewCookies(name string) (Cookies, error) {
	switch {
	case name == "":
		return Cookies{}, errors.New("cookie: is empty")
	case len(name) > maxCookieName:
		return Cookies{}, fmt.Errorf("cookie: %d characters are too many, the most is %d", len(name), maxCookieName)
	case len(name) >= len(hostPrefix) && strings.EqualFold(name[:len(hostPrefix)], hostPrefix),
		len(name) >= len("__Secure-") && strings.EqualFold(name[:len("__Secure-")], "__Secure-"):
		return Cookies{}, fmt.Errorf("cookie: %q: write the bare name; over https the prefix %s is added to it", name, hostPrefix)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return Cookies{}, fmt.Errorf("cookie: %q: use only A-Z a-z 0-9 _ and -", name)
		}
	}
	return Cookies{bare: name}, nil
}

// Session is the name on the wire of the cookie that holds the token.
func (c Cookies) Session(secure bool) string { return c.prefixed(secure, "") }

// Out is the name of the mark of a browser that logged out.
func (c Cookies) Out(secure bool) string { return c.prefixed(secure, outSuffix) }

// Snapshot is the name of the mark of a browser that shows a snapshot.
func (c Cookies) Snapshot(secure bool) string { return c.prefixed(secure, snapshotSuffix) }

// Scan is the name of the cookie of a desktop that waits for a Mini Program.
func (c Cookies) Scan(secure bool) string { return c.prefixed(secure, scanSuffix) }

func (c Cookies) prefixed(secure bool, suffix string) string {
	if secure {
		return hostPrefix + c.bare + suffix
	}
	return c.bare + suffix
}

// Ours reports whether a cookie is one of the gateway's, over https or not.
func (c Cookies) Ours(name string) bool {
	if len(name) >= len(hostPrefix) && strings.EqualFold(name[:len(hostPrefix)], hostPrefix) {
		name = name[len(hostPrefix):]
	}
	rest, found := strings.CutPrefix(name, c.bare)
	if !found {
		return false
	}
	if rest == "" || strings.HasPrefix(rest, stateSuffix) {
		return true
	}
	return slices.Contains(suffixes, rest)
}

// A Pair is a cookie of a request.
type Pair struct{ Name, Value string }

// Value returns the session cookie of a request over https, or over http, and how
// many of that name there are. A second one is planted from another host, and
// which of them counts is decided differently by every server.
func (c Cookies) Value(h http.Header, secure bool) (value string, count int) {
	name := c.Session(secure)
	for _, line := range h["Cookie"] {
		if !strings.Contains(line, c.bare) {
			continue
		}
		for item := range strings.SplitSeq(line, ";") {
			if pair, ok := parsePair(item); ok && pair.Name == name {
				value = pair.Value
				count++
			}
		}
	}
	return value, count
}

// All returns the cookies of a request that are the gateway's, over https or not.
func (c Cookies) All(h http.Header) (all []Pair) {
	for _, line := range h["Cookie"] {
		if !strings.Contains(line, c.bare) {
			continue
		}
		for item := range strings.SplitSeq(line, ";") {
			if pair, ok := parsePair(item); ok && c.Ours(pair.Name) {
				all = append(all, pair)
			}
		}
	}
	return all
}

// Has reports whether a request has a cookie of this name on the wire.
func (c Cookies) Has(h http.Header, name string) bool {
	for _, pair := range c.All(h) {
		if pair.Name == name {
			return true
		}
	}
	return false
}

// parsePair reads "name=value", with any white space around both.
func parsePair(item string) (Pair, bool) {
	name, value, found := strings.Cut(item, "=")
	return Pair{strings.Trim(name, " \t"), strings.Trim(value, " \t")}, found
}

// Strip removes the gateway's cookies from a request, and leaves all others as
// they were.
func (c Cookies) Strip(h http.Header) {
	lines := h["Cookie"]
	var kept []string
	changed := false
	for _, line := range lines {
		stripped := line
		if strings.Contains(line, c.bare) {
			stripped = c.withoutOwn(line)
		}
		changed = changed || stripped != line
		if stripped != "" {
			kept = append(kept, stripped)
		}
	}
	switch {
	case !changed:
	case len(kept) == 0:
		delete(h, "Cookie")
	default:
		h["Cookie"] = kept
	}
}

// withoutOwn returns a Cookie line without the gateway's; usually nothing is left.
func (c Cookies) withoutOwn(line string) string {
	size := 0
	for item := range strings.SplitSeq(line, ";") {
		if !c.isOwnItem(item) {
			size += len(item) + 1
		}
	}
	switch size {
	case 0:
		return ""
	case len(line) + 1:
		return line
	}
	var left strings.Builder
	left.Grow(size)
	for item := range strings.SplitSeq(line, ";") {
		if c.isOwnItem(item) {
			continue
		}
		if left.Len() > 0 {
			left.WriteByte(';')
		}
		left.WriteString(item)
	}
	return strings.TrimLeft(left.String(), " \t")
}

// isOwnItem reports whether an item of a Cookie line is one of the gateway's cookies.
func (c Cookies) isOwnItem(item string) bool {
	name, _, _ := strings.Cut(item, "=")
	return c.isOurs(name)
}

// isOurs reports whether some reader may take a name for that of one of the gateway's
// cookies. Many trim more than space and tab: net/http line breaks, others no-break
// spaces, in Latin-1 or UTF-8.
func (c Cookies) isOurs(name string) bool {
	return c.Ours(strings.TrimFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }))
}

// StripSetCookies removes from an answer of the app what would set one of the
// gateway's cookies.
func (c Cookies) StripSetCookies(h http.Header) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		// A cookie without a name, "=a=b", is sent back as "a=b".
		name, _, _ := strings.Cut(strings.TrimLeft(pair, " \t="), "=")
		if !c.isOurs(name) {
			kept = append(kept, line)
		}
	}
	switch {
	case len(kept) == len(lines):
	case len(kept) == 0:
		delete(h, "Set-Cookie")
	default:
		h["Set-Cookie"] = kept
	}
}

// Set returns the cookie that an answer sets, for a time, or removes if there is
// none left.
func Set(name, value string, lifetime time.Duration, secure bool) *http.Cookie {
	maxAge := int(lifetime / time.Second)
	if maxAge <= 0 {
		value, maxAge = "", -1
	}
	return &http.Cookie{ //nolint:gosec // Secure where there is TLS
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	}
}

// Clear returns the cookies that remove all of the gateway's that a request over
// https, or over http, can be rid of, of states at most maxCleared. Those of the other
// scheme are not this origin's business, and browsers refuse to touch them.
func (c Cookies) Clear(h http.Header, secure bool) (cleared []*http.Cookie) {
	seen := make(map[string]bool)
	states := 0
	for _, pair := range c.All(h) {
		isHost := strings.HasPrefix(pair.Name, hostPrefix)
		if isHost && !secure || seen[pair.Name] {
			continue
		}
		seen[pair.Name] = true
		if strings.Contains(pair.Name, c.bare+stateSuffix) {
			if states++; states > maxCleared {
				continue
			}
		}
		cleared = append(cleared, Set(pair.Name, "", 0, secure))
	}
	return cleared
}
